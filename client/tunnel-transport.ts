// tunnel-transport.ts
//
// An agent's requests over the tunnel that it keeps anyway, so that it needs one connection and not three: no further TLS handshake, no
// memory for idle ones at the server, and a renewal of presence is one small message each way (docs/decisions/0012-one-connection-per-agent.md).
//
// Requests go over HTTPS as before while there is no tunnel, where the server is older, and when they would hold up others or have to wait
// behind others: bodies of more than 64 KiB, or more than that still unsent.

import { decodeMessage, encodeMessage, isReplyHead, tunnelBodyBytesMax, type TunnelReplyHead } from '../api/tunnel-message.js';
import { TransportError, type ApiRequest, type ApiResponse, type ApiStream, type Transport } from '../api/transport.js';
import type { Clock } from '../lib/clock.js';
import { Deferred } from '../lib/deferred.js';
import { StreamClosedError, type Mux, type MuxStream } from '../lib/mux.js';
import { pathWithQuery } from './https-transport.js';

export interface TunnelTransportOptions {
  /** Closed by who made it. */
  fallback: Transport;
  userAgent?: string;
  clock: Clock;
  /** A request that has no answer by then has failed. @default 30,000, as over HTTPS */
  timeoutMs?: number;
}

/**
 * The tunnel that is being dialled is waited for so long: it is cheaper than a connection beside it, most of all for a server that is so busy with
 * new connections that it takes seconds. Presence does not wait for it (agent/presence-ways.ts).
 */
const dialMsMax = 5_000;
const unsentBytesMax = 64 * 1024;

export class TunnelTransport implements Transport {
  readonly #options: TunnelTransportOptions;
  readonly #headers: Readonly<Record<string, string>>;
  #mux: Mux | undefined;
  /** Resolves when it is known whether there is a tunnel; undefined when it is. */
  #dialled: Deferred<void> | undefined = new Deferred();

  constructor(options: TunnelTransportOptions) {
    this.#options = options;
    this.#headers = options.userAgent ? { 'user-agent': options.userAgent } : {};
  }

  /** A dial has ended: with a tunnel that takes requests, or without one. */
  dialled(mux: Mux | undefined): void {
    this.#mux = mux;
    this.#dialled?.resolve();
    this.#dialled = undefined;
    void mux?.closed.then(() => {
      if (this.#mux !== mux) return;
      this.#mux = undefined;
      this.#dialled = new Deferred();
    });
  }

  /** Whether requests go over HTTPS at once: there is no tunnel, and none is being dialled. */
  get isDirect(): boolean {
    return this.#mux === undefined && this.#dialled === undefined;
  }

  /** Gives up the tunnel, which seems to be dead: another one is to be dialled. */
  abandon(): void {
    this.#mux?.close();
  }

  async request(request: ApiRequest): Promise<ApiResponse> {
    const mux = await this.#muxFor(request);
    if (!mux) return this.#options.fallback.request(request);
    if (request.method !== 'GET') return this.#call(mux, request);
    try {
      const { status, headers, chunks } = await this.#open(mux, request);
      const parts: Buffer[] = [];
      for await (const chunk of chunks) parts.push(chunk);
      return { status, headers, body: Buffer.concat(parts).toString('utf8') };
    } catch (error) {
      // Asking again for something to read harms nobody.
      if (error instanceof TransportError && !request.signal?.aborted) return this.#options.fallback.request(request);
      throw error;
    }
  }

  async stream(request: ApiRequest): Promise<ApiStream> {
    const mux = await this.#muxFor(request);
    return mux ? this.#open(mux, request) : this.#options.fallback.stream(request);
  }

  async close(): Promise<void> {}

  async #muxFor(request: ApiRequest): Promise<Mux | undefined> {
    if (this.#dialled) await this.#timed(this.#dialled.promise, dialMsMax, request.signal).catch(() => undefined);
    const mux = this.#mux;
    if (!mux?.mayCall || mux.bufferedBytes > unsentBytesMax || request.signal?.aborted) return undefined;
    return (request.body?.length ?? 0) <= tunnelBodyBytesMax ? mux : undefined;
  }

  async #call(mux: Mux, request: ApiRequest): Promise<ApiResponse> {
    const { timeoutMs = 30_000 } = this.#options;
    const message = await this.#told(request, this.#timed(mux.call(this.#encode(request)), timeoutMs, request.signal));
    const { head, rest } = readReply(request, message) ?? unreadable(request);
    return { status: head.status, headers: flat(head), body: rest.toString('utf8') };
  }

  async #open(mux: Mux, request: ApiRequest): Promise<ApiStream> {
    const { timeoutMs = 30_000 } = this.#options;
    let stream: MuxStream;
    try {
      stream = mux.open(this.#encode(request));
    } catch (cause) {
      throw failure(request, cause);
    }
    stream.end();
    const { signal } = request;
    const abort = (): void => stream.reset('aborted');
    signal?.addEventListener('abort', abort, { once: true });
    void stream.closed.then(() => signal?.removeEventListener('abort', abort));
    const chunks = stream[Symbol.asyncIterator]();
    try {
      const { head, rest } = await this.#told(request, this.#timed(readHead(request, chunks), timeoutMs, signal));
      return { status: head.status, headers: flat(head), chunks: body(request, rest, chunks) };
    } catch (error) {
      stream.reset('there was no answer');
      throw error;
    }
  }

  #encode(request: ApiRequest): Buffer {
    const headers: Record<string, string> = { ...this.#headers };
    for (const [name, value] of Object.entries(request.headers ?? {})) headers[name.toLowerCase()] = value;
    return encodeMessage({ method: request.method, url: pathWithQuery(request), headers }, request.body);
  }

  /** What goes wrong as what a transport throws. */
  async #told<T>(request: ApiRequest, work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (cause) {
      throw failure(request, cause);
    }
  }

  /** @throws Error when the time is up or the signal aborts */
  async #timed<T>(work: Promise<T>, ms: number, signal: AbortSignal | undefined): Promise<T> {
    const late = new Deferred<never>();
    const abort = (): void => late.reject(new Error('aborted'));
    const timer = this.#options.clock.timer(ms, () => late.reject(new Error(`no answer within ${ms} ms`)), { unref: true });
    if (signal?.aborted) abort();
    signal?.addEventListener('abort', abort, { once: true });
    try {
      return await Promise.race([work, late.promise]);
    } finally {
      timer.cancel();
      signal?.removeEventListener('abort', abort);
    }
  }
}

/** No head of an answer is longer. */
const headBytesMax = 64 * 1024;

async function readHead(request: ApiRequest, chunks: AsyncIterator<Buffer>): Promise<{ head: TunnelReplyHead; rest: Buffer }> {
  let read: Buffer = Buffer.alloc(0);
  for (;;) {
    const next = await chunks.next();
    if (next.done) unreadable(request);
    read = read.length === 0 ? next.value : Buffer.concat([read, next.value]);
    const reply = readReply(request, read);
    if (reply) return reply;
    if (read.length > headBytesMax) unreadable(request);
  }
}

async function* body(request: ApiRequest, first: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  try {
    if (first.length > 0) yield first;
    for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
  } catch (cause) {
    throw failure(request, cause);
  } finally {
    // Whoever leaves early lets go of the stream.
    await rest.return?.();
  }
}

function readReply(request: ApiRequest, message: Buffer): { head: TunnelReplyHead; rest: Buffer } | undefined {
  let read: ReturnType<typeof decodeMessage>;
  try {
    read = decodeMessage(message);
  } catch {
    unreadable(request);
  }
  if (!read) return undefined;
  return isReplyHead(read.head) ? { head: read.head, rest: read.body } : unreadable(request);
}

function unreadable({ method, path }: ApiRequest): never {
  throw new TransportError(`${method} ${path}: the answer that came over the tunnel cannot be read`);
}

function failure({ method, path }: ApiRequest, cause: unknown): TransportError {
  if (cause instanceof TransportError) return cause;
  const why = cause instanceof StreamClosedError ? `the tunnel broke off: ${cause.message}` : cause instanceof Error ? cause.message : String(cause);
  return new TransportError(`${method} ${path}: ${why}`, { cause });
}

function flat({ headers }: TunnelReplyHead): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]));
}
