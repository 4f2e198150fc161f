// hollow-transport.ts
//
// What a hollow agent says beside its tunnel: the same requests over the same kinds of connections as client/https-transport.ts
// (one that is kept for requests, one for each stream), without node:http, whose part in a request is larger than all the rest.
// Thousands of agents share two cores with the server that is measured.

import type { TLSSocket } from 'node:tls';
import { TransportError, type ApiRequest, type ApiResponse, type ApiStream, type Transport } from '../api/transport.js';
import { ChunkStream } from './chunk-stream.js';
import type { HollowDialer } from './hollow-dialer.js';
import { ResponseReader } from './response-reader.js';

interface Waiting {
  readonly request: ApiRequest;
  resolve(response: ApiResponse): void;
  reject(error: TransportError): void;
}

export class HollowTransport implements Transport {
  readonly #dialer: HollowDialer;
  readonly #userAgent: string;
  readonly #streams = new Set<TLSSocket>();
  #kept: RequestConnection | undefined;

  constructor({ dialer, userAgent }: { dialer: HollowDialer; userAgent: string }) {
    this.#dialer = dialer;
    this.#userAgent = userAgent;
  }

  request(request: ApiRequest): Promise<ApiResponse> {
    if (!this.#kept?.usable) this.#kept = new RequestConnection(this.#dialer.dial(), (asked) => this.#encode(asked));
    return this.#kept.request(request);
  }

  stream(request: ApiRequest): Promise<ApiStream> {
    return new Promise((resolve, reject) => {
      const socket = this.#dialer.dial();
      this.#streams.add(socket);
      const chunks = new ChunkStream(socket);
      const abort = (): void => void socket.destroy(new Error('aborted'));
      request.signal?.addEventListener('abort', abort, { once: true });
      const reader = new ResponseReader({
        begin: (status) => resolve({ status, headers: {}, chunks }),
        data: (piece) => chunks.push(piece),
        end: () => {
          chunks.end();
          socket.destroy();
        },
      });
      socket.on('data', (chunk: Buffer) => reader.take(chunk));
      let cause: Error | undefined;
      socket.once('error', (error) => (cause = error));
      socket.once('close', () => {
        this.#streams.delete(socket);
        request.signal?.removeEventListener('abort', abort);
        const error = broken(request, cause);
        chunks.fail(error);
        reject(error);
      });
      socket.write(this.#encode(request));
    });
  }

  close(): Promise<void> {
    this.#kept?.close();
    for (const socket of this.#streams) socket.destroy();
    return Promise.resolve();
  }

  #encode({ method, path, query, headers, body }: ApiRequest): string {
    let head = `${method} ${path}${queryText(query)} HTTP/1.1\r\nhost: ${this.#dialer.host}:${this.#dialer.port}\r\nuser-agent: ${this.#userAgent}\r\n`;
    for (const [name, value] of Object.entries(headers ?? {})) if (name !== 'user-agent') head += `${name}: ${value}\r\n`;
    return body === undefined ? `${head}\r\n` : `${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
  }
}

/** One request after the other over one connection. */
class RequestConnection {
  readonly #queue: Waiting[] = [];
  #socket: TLSSocket;
  #status = 0;
  #body: Buffer[] = [];
  #isOver = false;

  constructor(
    socket: TLSSocket,
    private readonly encode: (request: ApiRequest) => string,
  ) {
    this.#socket = socket;
    const reader = new ResponseReader({
      begin: (status) => {
        this.#status = status;
        this.#body = [];
      },
      data: (piece) => void this.#body.push(piece),
      end: () => this.#answered(),
    });
    socket.on('data', (chunk: Buffer) => reader.take(chunk));
    let cause: Error | undefined;
    socket.once('error', (error) => (cause = error));
    socket.once('close', () => {
      this.#isOver = true;
      for (const { request, reject } of this.#queue.splice(0)) reject(broken(request, cause));
    });
  }

  get usable(): boolean {
    return !this.#isOver && this.#socket.writable;
  }

  request(request: ApiRequest): Promise<ApiResponse> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ request, resolve, reject });
      if (this.#queue.length === 1) this.#socket.write(this.encode(request));
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #answered(): void {
    const body = this.#body.length === 1 ? this.#body[0]! : Buffer.concat(this.#body);
    this.#queue.shift()!.resolve({ status: this.#status, headers: {}, body: body.toString('utf8') });
    const next = this.#queue[0];
    if (next) this.#socket.write(this.encode(next.request));
  }
}

function queryText(query: ApiRequest['query']): string {
  let text = '';
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined) text += `${text === '' ? '?' : '&'}${encodeURIComponent(name)}=${encodeURIComponent(value)}`;
  }
  return text;
}

function broken({ method, path }: ApiRequest, cause: Error | undefined): TransportError {
  return new TransportError(`${method} ${path}: ${cause?.message ?? 'the server closed the connection'}`, { cause });
}
