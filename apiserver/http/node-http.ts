// node-http.ts: node:http requests and responses as the handler's, with as little work per request as that takes.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { ApiError } from '../../api/errors.js';
import type { Clock } from '../../lib/clock.js';
import type { User } from '../resources/service.js';
import { discardBody, type ReplyOutput, type ServerReply, type ServerRequest } from './message.js';

const noQuery = new URLSearchParams();
/** A stream that has ended has this long to reach its client. */
const endingMsMax = 10_000;

export function splitUrl(url: string): { path: string; query: URLSearchParams } {
  const at = url.indexOf('?');
  return at < 0 ? { path: url, query: noQuery } : { path: url.slice(0, at), query: new URLSearchParams(url.slice(at + 1)) };
}

export class NodeRequest implements ServerRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: ServerRequest['headers'];
  #body: Promise<Buffer> | undefined;
  #gone: AbortController | undefined;

  constructor(
    private readonly incoming: IncomingMessage,
    private readonly response: ServerResponse,
    readonly user: User | undefined,
  ) {
    this.method = incoming.method ?? 'GET';
    const { path, query } = splitUrl(incoming.url ?? '/');
    this.path = path;
    this.query = query;
    this.headers = incoming.headers as ServerRequest['headers'];
  }

  /** Made when asked for: most requests are over before anybody cares. */
  get signal(): AbortSignal {
    if (!this.#gone) {
      const gone = (this.#gone = new AbortController());
      const { response } = this;
      if (response.destroyed) gone.abort();
      else response.once('close', () => response.writableFinished || gone.abort());
    }
    return this.#gone.signal;
  }

  readBody(bytesMax: number): Promise<Buffer> {
    return (this.#body ??= readAll(this.incoming, this.response, bytesMax));
  }
}

/**
 * Of a body that is too large, so much is read and thrown away before the reply: most clients look for one only when they have
 * sent all, and a connection that is closed under them hides it.
 */
const discardedBytesMax = 16 * 1024 * 1024;

function readAll(incoming: IncomingMessage, response: ServerResponse, bytesMax: number): Promise<Buffer> {
  const tooLarge = (): ApiError => {
    // The rest of the body is not worth reading: the connection ends with the reply.
    response.shouldKeepAlive = false;
    return new ApiError('RequestEntityTooLarge', `the body of the request is too large: at most ${bytesMax} bytes are allowed`);
  };
  if (Number(incoming.headers['content-length'] ?? 0) > bytesMax + discardedBytesMax) return Promise.reject(tooLarge());
  return new Promise((resolve, reject) => {
    let parts: Buffer[] = [];
    let bytes = 0;
    incoming.on('data', (part: Buffer) => {
      bytes += part.length;
      if (bytes <= bytesMax) return void parts.push(part);
      parts = [];
      if (bytes <= bytesMax + discardedBytesMax) return;
      incoming.removeAllListeners('data');
      incoming.pause();
      reject(tooLarge());
    });
    incoming.once('end', () => {
      if (bytes > bytesMax) reject(tooLarge());
      else resolve(parts.length === 1 ? parts[0]! : Buffer.concat(parts));
    });
    incoming.once('error', () => reject(new ApiError('BadRequest', 'the connection broke before the body of the request was whole')));
    incoming.once('close', () => incoming.complete || reject(new ApiError('BadRequest', 'the connection broke before the body of the request was whole')));
  });
}

/**
 * Writes the reply. Resolves when it has been handed to the connection, for a stream when it is over.
 * @param stop ends streams when it aborts
 */
export async function writeReply(reply: ServerReply, incoming: IncomingMessage, response: ServerResponse, stop: AbortSignal, clock: Clock): Promise<void> {
  const { status, headers, body } = reply;
  if (response.destroyed) return typeof body === 'function' ? discardBody(body) : undefined;
  if (typeof body === 'function') {
    response.writeHead(status, headers);
    response.flushHeaders();
    if (incoming.method === 'HEAD') {
      response.end();
      return discardBody(body);
    }
    await writeStream(body, response, incoming.httpVersion === '1.1', stop, clock);
    return;
  }
  if (status === 304) {
    response.writeHead(status, headers).end();
    return;
  }
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) });
  if (incoming.method === 'HEAD') response.end();
  else response.end(body);
}

/**
 * Past node:http, which would make four writes of one chunk and copy them into one: the connection takes the chunk as it is. While an earlier
 * response of the same connection is not out yet, there is no connection to write to.
 */
function writeChunk(response: ServerResponse, bytes: Buffer, chunk: Buffer): void {
  const { socket } = response;
  if (socket) socket.write(chunk);
  else response.write(bytes);
}

async function writeStream(body: (output: ReplyOutput) => void | Promise<void>, response: ServerResponse, isChunked: boolean, stop: AbortSignal, clock: Clock): Promise<void> {
  const gone = new AbortController();
  const abort = (): void => gone.abort();
  response.once('close', abort);
  const forget = onAbort(stop, abort);
  try {
    await body({
      write: (chunk) => void (response.destroyed || response.write(chunk)),
      ...(isChunked ? { writeLines: ({ bytes, chunk }) => void (response.destroyed || writeChunk(response, bytes, chunk)) } : {}),
      get bufferedBytes() {
        return response.writableLength;
      },
      drained: () => drained(response),
      end: () => endWithin(response, clock),
      signal: gone.signal,
    });
  } catch {
    // The client cannot be told any more but by a broken body.
    response.destroy();
  } finally {
    forget();
    response.removeListener('close', abort);
  }
}

const abortHandlers = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls `handler` when the signal aborts, at once if it has. One listener of the signal serves all: adding one costs as
 * much as there are already, and thousands of watches are open at a time.
 * @returns what takes it back
 */
function onAbort(signal: AbortSignal, handler: () => void): () => void {
  let handlers = abortHandlers.get(signal);
  if (!handlers) {
    const all = new Set<() => void>();
    signal.addEventListener('abort', () => [...all].forEach((each) => each()), { once: true });
    abortHandlers.set(signal, all);
    handlers = all;
  }
  const known = handlers;
  known.add(handler);
  if (signal.aborted) handler();
  return () => void known.delete(handler);
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const { socket } = response;
    // What went past the response is known to its connection only.
    const full = response.writableNeedDrain ? response : socket?.writableNeedDrain ? socket : undefined;
    if (response.destroyed || !full) return resolve();
    const done = (): void => {
      full.removeListener('drain', done);
      response.removeListener('close', done);
      resolve();
    };
    full.once('drain', done);
    response.once('close', done);
  });
}

/** A client that takes nothing must not keep what it was sent in memory. */
function endWithin(response: ServerResponse, clock: Clock): void {
  response.end();
  if (response.destroyed || response.writableFinished) return;
  const timer = clock.timer(endingMsMax, () => response.destroy(), { unref: true });
  response.once('close', () => timer.cancel());
}
