// etcd-connection.ts
//
// The connection on which unary calls go to one endpoint. It is made when a call needs it, and takes no more calls once anything is wrong
// with it: the next call makes another. So there is nothing to ask whether it still works; a connection that was cut without a word
// costs the calls on it their deadline, which is shorter than any ping would be.

import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream, type OutgoingHttpHeaders } from 'node:http2';
import type { Clock, Timer } from '../../../lib/clock.js';
import { callUnary, grpcError, grpcStatus, RefusedError } from './etcd-call.js';

export interface UnaryClientOptions {
  /** A URL; TLS is used where it says https or `tls` is given. */
  readonly endpoint: string;
  readonly tls?: { readonly ca: Buffer; readonly cert?: Buffer; readonly key?: Buffer };
  readonly clock: Clock;
  /** An answer later than this is no answer. */
  readonly deadlineMs: number;
  /** What the server may send before this process has taken it, bytes. */
  readonly windowBytes: number;
}

type Done = (error: Error | undefined, answer: Buffer) => void;

export class UnaryClient {
  readonly #options: UnaryClientOptions;
  readonly #heads = new Map<string, OutgoingHttpHeaders>();
  #connection: Connection | undefined;

  constructor(options: UnaryClientOptions) {
    this.#options = options;
  }

  /**
   * @param path such as /etcdserverpb.KV/Txn
   * @throws Error as `grpcError` makes them. "No connection established" says that the request was surely not carried out.
   */
  async call(path: string, request: Buffer): Promise<Buffer> {
    const { clock, deadlineMs } = this.#options;
    const until = clock.monotonic() + deadlineMs;
    const head = this.#head(path);
    for (let tries = 1; ; tries++) {
      if (!this.#connection?.isUsable) this.#connection = Connection.open(this.#options);
      try {
        return await this.#connection.call(head, request, until);
      } catch (error) {
        // The server was about to close the connection: once more, on another.
        if (!(error instanceof RefusedError)) throw error;
        this.#connection.retire();
        if (tries > 1) throw notConnected(error.message);
      }
    }
  }

  /** Takes no more calls; those under way go on. */
  close(): void {
    this.#connection?.retire();
  }

  #head(path: string): OutgoingHttpHeaders {
    let head = this.#heads.get(path);
    if (!head) {
      const { deadlineMs } = this.#options;
      head = { ':method': 'POST', ':path': path, te: 'trailers', 'content-type': 'application/grpc', 'grpc-timeout': `${deadlineMs}m`, 'user-agent': 'taskplane' };
      this.#heads.set(path, head);
    }
    return head;
  }
}

class Connection {
  readonly #session: ClientHttp2Session;
  readonly #clock: Clock;
  /** Calls that wait for the connection. */
  readonly #waiting = new Set<(error: Error | undefined) => void>();
  #isReady = false;
  #isRetired = false;
  #calls = 0;

  static open({ endpoint, tls, clock, windowBytes }: UnaryClientOptions): Connection {
    const host = endpoint.replace(/^https?:\/\//, '');
    const scheme = tls || endpoint.startsWith('https:') ? 'https' : 'http';
    const settings = { enablePush: false, initialWindowSize: windowBytes };
    const session = connect(`${scheme}://${host}`, { ...tls, settings, maxSessionMemory: Number.MAX_SAFE_INTEGER });
    return new Connection(session, clock, windowBytes);
  }

  private constructor(session: ClientHttp2Session, clock: Clock, windowBytes: number) {
    this.#session = session;
    this.#clock = clock;
    let failure = 'it was closed';
    session.once('connect', () => session.setLocalWindowSize(windowBytes));
    // Not before: a server that does not want our certificate takes the connection, and cuts it then.
    session.once('remoteSettings', () => {
      this.#isReady = true;
      this.#wake(undefined);
    });
    session.on('error', (error) => (failure = error.message));
    session.once('close', () => {
      this.#isRetired = true;
      this.#wake(notConnected(failure));
    });
  }

  get isUsable(): boolean {
    return !this.#isRetired && !this.#session.closed && !this.#session.destroyed;
  }

  /** @param until by the monotonic clock @throws RefusedError @throws what `grpcError` makes */
  call(head: OutgoingHttpHeaders, request: Buffer, until: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      let stream: ClientHttp2Stream | undefined;
      const done: Done = (error, answer) => {
        if (!timer) return;
        timer.cancel();
        timer = undefined;
        this.#waiting.delete(start);
        this.#release();
        if (error) reject(error);
        else resolve(answer);
      };
      const start = (error: Error | undefined): void => {
        if (error) done(error, request);
        else stream = callUnary(this.#session, head, request, done);
        stream?.once('error', () => this.retire());
      };
      let timer: Timer | undefined = this.#clock.timer(until - this.#clock.monotonic(), () => {
        this.retire();
        const late = stream ? grpcError(grpcStatus.deadlineExceeded, 'no answer within the deadline') : notConnected('it took too long');
        done(late, request);
        stream?.close(constants.NGHTTP2_CANCEL);
      });
      if (this.#calls++ === 0) this.#session.ref();
      if (this.#isReady) start(undefined);
      else this.#waiting.add(start);
    });
  }

  /** Takes no more calls, and is closed when none is under way. */
  retire(): void {
    this.#isRetired = true;
    if (this.#calls === 0) this.#session.destroy();
  }

  #release(): void {
    if (--this.#calls > 0) return;
    if (this.#isRetired) this.#session.destroy();
    else this.#session.unref();
  }

  #wake(error: Error | undefined): void {
    for (const start of [...this.#waiting]) {
      this.#waiting.delete(start);
      start(error);
    }
  }
}

function notConnected(reason: string): Error {
  return grpcError(grpcStatus.unavailable, `No connection established. Last error: ${reason}`);
}
