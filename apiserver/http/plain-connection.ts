// plain-connection.ts
//
// Connections of which every request is as plain as can be: its head is (plain-head.ts), and it arrives whole, in one piece,
// after the reply to the one before. Reading it and writing its reply then takes a third of what node:http takes.
//
// With the first request that is anything else (a watch, an upgrade, a body in pieces, a head nobody has seen before), the
// connection goes over to node:http, with all bytes that have not been answered, and stays there: every question of the
// protocol is answered in one place, and the limits and refusals there hold for whoever sends slowly, or sends nonsense. A reply
// that is a stream goes over with its request: node:http reads it once more, and `prepared` says that its reply is there.

import { STATUS_CODES } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { ApiError } from '../../api/errors.js';
import type { Clock } from '../../lib/clock.js';
import type { User } from '../resources/service.js';
import { discardBody, type RequestHandler, type ServerReply, type ServerRequest } from './message.js';
import { splitUrl } from './node-http.js';
import { PlainHeads, type PlainHead } from './plain-head.js';

/** Of the values that go into a reply: node:http judges all others. */
const plainValue = /^[ -~]*$/;

export interface PlainConnectionOptions {
  socket: TLSSocket;
  user: User | undefined;
  handler: RequestHandler;
  /** Who has said nothing by then has come for nothing. */
  arrivalMs: number;
  /** How long a connection may be idle between two requests. */
  keepAliveMs: number;
  clock: Clock;
  /** Takes the connection from here on; what it has not read yet is in the socket. */
  handOver(socket: TLSSocket): void;
  /** Nothing has come in time. */
  late(socket: TLSSocket): void;
  /** A reply failed to be written. */
  failed(request: Pick<ServerRequest, 'method' | 'path'>, error: unknown): void;
}

/** Replies to requests that node:http reads once more, by their connection. */
const preparedReplies = new WeakMap<TLSSocket, ServerReply>();

/** The reply to the first request that node:http reads of this connection, once, where there is one already. */
export function takePrepared(socket: TLSSocket): ServerReply | undefined {
  const reply = preparedReplies.get(socket);
  if (reply) preparedReplies.delete(socket);
  return reply;
}

export class PlainConnection {
  readonly #options: PlainConnectionOptions;
  readonly #heads = new PlainHeads();
  /** While a request is being answered: its bytes. */
  #current: Buffer | undefined;
  /** What has arrived meanwhile. */
  #early: Buffer[] = [];
  #answered = false;
  #stopping = false;

  constructor(options: PlainConnectionOptions) {
    this.#options = options;
  }

  /** Takes what arrives, until the connection ends or goes over to node:http. */
  start(): void {
    const { socket, arrivalMs } = this.#options;
    socket.setNoDelay(true);
    socket.setTimeout(arrivalMs);
    socket.on('timeout', this.#onTimeout);
    socket.on('error', this.#onError);
    socket.on('data', this.#onData);
  }

  /** Ends the connection: at once when nothing is under way, else with the reply. */
  stop(): void {
    this.#stopping = true;
    if (!this.#current) this.#options.socket.end();
  }

  readonly #onTimeout = (): void => {
    if (this.#current) return;
    const { socket, late } = this.#options;
    if (this.#answered) socket.destroy();
    else late(socket);
  };

  readonly #onError = (): void => void this.#options.socket.destroy();

  readonly #onDrain = (): void => void this.#options.socket.resume();

  readonly #onData = (bytes: Buffer): void => {
    if (this.#current) {
      // One request at a time; whoever sends more waits with it.
      this.#early.push(bytes);
      this.#options.socket.pause();
      return;
    }
    const head = this.#heads.read(bytes);
    // Streams are asked for with a query, and a reply that is one would cost a second reading.
    if (!head || head.end > bytes.length || (head.method === 'GET' && head.url.includes('?'))) return this.#handOver(bytes);
    this.#current = bytes;
    if (head.end < bytes.length) {
      this.#early.push(bytes.subarray(head.end));
      this.#current = bytes.subarray(0, head.end);
    }
    const request = new PlainRequest(head, bytes.subarray(head.bodyAt, head.end), this.#options);
    this.#options.handler.handle(request).then(
      (reply) => {
        try {
          this.#reply(reply);
        } catch (error) {
          this.#failed(request, error);
        }
      },
      (error: unknown) => this.#failed(request, error),
    );
  };

  #failed(request: PlainRequest, error: unknown): void {
    this.#options.failed(request, error);
    this.#options.socket.destroy();
  }

  #reply(reply: ServerReply): void {
    const { socket, keepAliveMs } = this.#options;
    const text = typeof reply.body === 'function' ? undefined : this.#head(reply, Buffer.byteLength(reply.body));
    if (text === undefined) {
      if (socket.destroyed) return typeof reply.body === 'function' ? void discardBody(reply.body) : undefined;
      preparedReplies.set(socket, reply);
      return this.#handOver(this.#current!);
    }
    this.#current = undefined;
    if (socket.destroyed) return;
    if (typeof reply.body === 'string') socket.write(text + reply.body);
    else socket.write(Buffer.concat([Buffer.from(text, 'latin1'), reply.body as Buffer]));
    if (this.#stopping) return void socket.end();
    if (!this.#answered) {
      this.#answered = true;
      socket.setTimeout(keepAliveMs);
    }
    if (this.#early.length > 0) return this.#handOver();
    if (!socket.writableNeedDrain) return;
    socket.pause();
    socket.once('drain', this.#onDrain);
  }

  /** Undefined for what only node:http knows how to say. */
  #head({ status, headers }: ServerReply, length: number): string | undefined {
    // Replies without a body.
    if (status < 200 || status === 204 || status === 304) return undefined;
    let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n`;
    for (const name in headers) {
      const value = headers[name]!;
      if (typeof value === 'string') {
        if (!plainValue.test(value)) return undefined;
        text += `${name}: ${value}\r\n`;
        continue;
      }
      for (const each of value) {
        if (!plainValue.test(each)) return undefined;
        text += `${name}: ${each}\r\n`;
      }
    }
    const { clock, keepAliveMs } = this.#options;
    const connection = this.#stopping ? 'Connection: close' : `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveMs / 1_000)}`;
    return `${text}content-length: ${length}\r\nDate: ${dateOf(clock.now())}\r\n${connection}\r\n\r\n`;
  }

  #handOver(bytes?: Buffer): void {
    const { socket, handOver } = this.#options;
    socket.removeListener('data', this.#onData);
    socket.removeListener('timeout', this.#onTimeout);
    socket.setTimeout(0);
    socket.removeListener('drain', this.#onDrain);
    const left = bytes ? [bytes, ...this.#early] : this.#early;
    this.#early = [];
    this.#current = undefined;
    if (!socket.destroyed) socket.unshift(left.length === 1 ? left[0]! : Buffer.concat(left));
    handOver(socket);
    socket.removeListener('error', this.#onError);
    socket.resume();
  }
}

class PlainRequest implements ServerRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: ServerRequest['headers'];
  readonly user: User | undefined;
  readonly #socket: TLSSocket;
  #body: Buffer | undefined;
  #gone: AbortController | undefined;

  constructor({ method, url, headers }: PlainHead, body: Buffer, { socket, user }: PlainConnectionOptions) {
    this.method = method;
    const { path, query } = splitUrl(url);
    this.path = path;
    this.query = query;
    this.headers = headers;
    this.user = user;
    this.#body = body;
    this.#socket = socket;
  }

  readBody(bytesMax: number): Promise<Buffer> {
    const body = this.#body!;
    if (body.length > bytesMax) return Promise.reject(new ApiError('RequestEntityTooLarge', `the body of the request is too large: at most ${bytesMax} bytes are allowed`));
    return Promise.resolve(body);
  }

  /** Made when asked for: most requests are over before anybody cares. */
  get signal(): AbortSignal {
    if (!this.#gone) {
      const gone = (this.#gone = new AbortController());
      if (this.#socket.destroyed) gone.abort();
      else this.#socket.once('close', () => gone.abort());
    }
    return this.#gone.signal;
  }
}

let dateSecond = 0;
let dateText = '';

/** The Date header; the text of a second is made once. @param now milliseconds since the epoch */
function dateOf(now: number): string {
  const second = Math.floor(now / 1_000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(second * 1_000).toUTCString();
  }
  return dateText;
}
