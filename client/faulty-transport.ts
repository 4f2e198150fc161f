// faulty-transport.ts
//
// A Transport with bad luck, for tests and simulation: requests and answers get lost or late, requests arrive twice,
// streams are cut at any byte. The same Random gives the same bad luck.

import { TransportError, type ApiRequest, type ApiResponse, type ApiStream, type Transport } from '../api/transport.js';
import { sleep, type Clock } from '../lib/clock.js';
import type { Random } from '../lib/random.js';

/** Each is a probability from 0 to 1; none by default. */
export interface Faults {
  /** The request never arrives. */
  loseRequest?: number;
  /** The request is carried out, and its answer never arrives. */
  loseAnswer?: number;
  /** The request arrives twice; the second answer counts. Not for reads, where it changes nothing. */
  duplicate?: number;
  /** Per chunk: the stream breaks somewhere in it. */
  cutStream?: number;
  /** Per chunk: it arrives in two pieces. */
  splitChunk?: number;
  /** Requests, answers and chunks are late by up to this, milliseconds. */
  delayMsMax?: number;
}

export class FaultyTransport implements Transport {
  readonly #inner: Transport;
  readonly #clock: Clock;
  readonly #random: Random;
  /** Change it at any time: what follows obeys. */
  faults: Faults;
  #partitioned = new AbortController();
  #cut = false;

  constructor(options: { transport: Transport; clock: Clock; random: Random; faults?: Faults }) {
    this.#inner = options.transport;
    this.#clock = options.clock;
    this.#random = options.random;
    this.faults = options.faults ?? {};
  }

  /** Cuts every stream; nothing gets through until `heal`. */
  partition(): void {
    this.#cut = true;
    this.#partitioned.abort();
  }

  heal(): void {
    this.#cut = false;
    this.#partitioned = new AbortController();
  }

  async request(request: ApiRequest): Promise<ApiResponse> {
    await this.#delay(request.signal);
    if (this.#cut || this.#happens(this.faults.loseRequest)) throw new TransportError(`${request.method} ${request.path}: lost on the way (fault)`);
    if (request.method !== 'GET' && this.#happens(this.faults.duplicate)) await this.#inner.request(request);
    const response = await this.#inner.request(request);
    await this.#delay(request.signal);
    if (this.#cut || this.#happens(this.faults.loseAnswer)) throw new TransportError(`${request.method} ${request.path}: the answer was lost (fault)`);
    return response;
  }

  async stream(request: ApiRequest): Promise<ApiStream> {
    await this.#delay(request.signal);
    if (this.#cut || this.#happens(this.faults.loseRequest)) throw new TransportError(`${request.method} ${request.path}: lost on the way (fault)`);
    const cut = this.#partitioned.signal;
    const signal = request.signal ? AbortSignal.any([request.signal, cut]) : cut;
    const stream = await this.#inner.stream({ ...request, signal });
    return { ...stream, chunks: this.#damaged(stream.chunks, request, cut) };
  }

  async close(): Promise<void> {
    await this.#inner.close();
  }

  async *#damaged(chunks: AsyncIterable<Buffer>, request: ApiRequest, cut: AbortSignal): AsyncGenerator<Buffer> {
    const broken = (): TransportError => new TransportError(`${request.method} ${request.path}: the connection broke (fault)`);
    for await (const chunk of chunks) {
      await this.#delay(request.signal);
      if (cut.aborted) throw broken();
      if (this.#happens(this.faults.cutStream)) {
        yield chunk.subarray(0, this.#random.integer(chunk.length + 1));
        throw broken();
      }
      if (chunk.length > 1 && this.#happens(this.faults.splitChunk)) {
        const at = 1 + this.#random.integer(chunk.length - 1);
        yield chunk.subarray(0, at);
        yield chunk.subarray(at);
      } else {
        yield chunk;
      }
    }
    if (cut.aborted) throw broken();
  }

  #happens(probability: number | undefined): boolean {
    return probability !== undefined && probability > 0 && this.#random.float() < probability;
  }

  async #delay(signal: AbortSignal | undefined): Promise<void> {
    const { delayMsMax } = this.faults;
    if (delayMsMax) await sleep(this.#clock, this.#random.float() * delayMsMax, signal);
  }
}
