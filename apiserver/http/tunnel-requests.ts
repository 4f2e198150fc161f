// tunnel-requests.ts: an agent's own requests, over its tunnel (api/tunnel-message.ts). They go through the same handler as those that come over
// HTTP, as the user whose certificate opened the tunnel.

import { ApiError, badRequest } from '../../api/errors.js';
import { decodeMessage, encodeMessage, isRequestHead, type TunnelRequestHead } from '../../api/tunnel-message.js';
import type { Clock } from '../../lib/clock.js';
import type { MuxStream } from '../../lib/mux.js';
import type { User } from '../resources/service.js';
import { errorReply } from './errors.js';
import { discardBody, type ReplyOutput, type RequestHandler, type ServerReply, type ServerRequest, type ShortWay } from './message.js';
import { splitUrl } from './node-http.js';

/** A stream that has ended has this long to reach its reader, who must not keep it in memory. */
const endingMsMax = 10_000;

const keptHeadBytesMax = 1_024;
/** As over HTTP. */
const headBytesMax = 64 * 1024;
const newline = 10;

/** Watches and long lists of one agent at a time, which needs one or two. Each may hold some MB that have not been read (watch-reply.ts). */
const longAnswersMax = 16;

const noBody = Buffer.alloc(0);

interface ReadRequest {
  head: TunnelRequestHead;
  body: Buffer;
}

/** Without one, each abort makes an error with its stack, which nobody reads. */
const goneReason = new Error('the agent has gone');

export interface TunnelRequestsOptions {
  handler: RequestHandler;
  /** Whose certificate opened the tunnel. */
  user: User | undefined;
  clock: Clock;
}

export class TunnelRequests {
  readonly #handler: RequestHandler;
  readonly #user: User | undefined;
  readonly #clock: Clock;
  /** The head of the last request, as it came and as it was read: many have the same. */
  #lastHead: { text: Buffer; head: TunnelRequestHead } | undefined;
  /** What comes again and again, between others, too: a renewal of presence. */
  #short: { head: Buffer; way: ShortWay } | undefined;
  #longAnswers = 0;
  /** Aborts when the tunnel has closed: whoever asked has gone. */
  readonly #gone = new Gone();

  constructor(options: TunnelRequestsOptions) {
    this.#handler = options.handler;
    this.#user = options.user;
    this.#clock = options.clock;
  }

  closed(): void {
    this.#gone.tell();
  }

  /** The whole answer in one message. Never throws or rejects. */
  call(message: Buffer): Promise<Buffer> | string {
    const { head, way } = this.#short ?? {};
    const answer = head && way && beginsWith(message, head) ? way(message.subarray(head.length)) : undefined;
    return answer ? `{"status":200,"headers":{"content-type":"application/json","x-request-id":"${answer.requestId}"}}\n${answer.text}` : this.#call(message);
  }

  async #call(message: Buffer): Promise<Buffer> {
    const read = this.#read(message);
    // Made bit by bit, as its reader takes it: in one piece it would all be held.
    if (!(read instanceof ApiError) && reads(read.head)) return encodeRefusal(badRequest('what is asked for is to be read as a stream; open one'));
    const reply = await this.#answer(read, this.#gone);
    const { body } = reply;
    if (typeof body !== 'function') return encodeReply(reply, body);
    void discardBody(body);
    return encodeRefusal(badRequest('it has been done, but the answer is a stream'));
  }

  /** The answer as the bytes of the stream. Never rejects. */
  async stream(stream: MuxStream, message: Buffer): Promise<void> {
    const gone = new Gone();
    void stream.closed.then(() => gone.tell());
    void takeNothing(stream);
    const read = this.#read(message);
    // It would be held for as long as the stream is open.
    const refused = !(read instanceof ApiError) && reads(read.head) && read.body.length > 0 ? badRequest('a request that reads has no body') : read;
    const reply = await this.#answer(refused, gone);
    const output = new StreamOutput(stream, gone, this.#clock);
    const { body } = reply;
    if (typeof body !== 'function') {
      output.write(encodeReply(reply, body));
      output.end();
      return;
    }
    if (this.#longAnswers >= longAnswersMax) {
      void discardBody(body);
      output.write(encodeRefusal(new ApiError('TooManyRequests', `the agent has ${longAnswersMax} watches and long lists open already`, { retryAfterSeconds: 1 })));
      output.end();
      return;
    }
    this.#longAnswers++;
    output.write(encodeReply(reply, ''));
    try {
      await body(output);
    } catch {
      stream.reset('the answer broke off');
    } finally {
      this.#longAnswers--;
    }
  }

  #answer(read: ReadRequest | ApiError, gone: Gone): Promise<ServerReply> {
    if (read instanceof ApiError) return Promise.resolve(errorReply(read));
    return this.#handler.handle(new TunnelRequest(read.head, read.body, this.#user, gone));
  }

  #keep(text: Buffer, head: TunnelRequestHead): void {
    this.#lastHead = { text, head };
    const way = reads(head) ? undefined : this.#handler.shortWay?.(new TunnelRequest(head, noBody, this.#user, this.#gone));
    if (way) this.#short = { head: text, way };
  }

  #read(message: Buffer): ReadRequest | ApiError {
    const last = this.#lastHead;
    if (last && beginsWith(message, last.text)) {
      return { head: last.head, body: message.subarray(last.text.length) };
    }
    if (message.indexOf(newline) > headBytesMax) return new ApiError('BadRequest', `the head of the request is longer than ${headBytesMax} bytes`, undefined, { code: 431 });
    try {
      const read = decodeMessage(message);
      if (!read || !isRequestHead(read.head)) return notARequest();
      const text = message.subarray(0, message.length - read.body.length);
      if (text.length <= keptHeadBytesMax) this.#keep(copyOf(text), read.head);
      return { head: read.head, body: read.body };
    } catch {
      return notARequest();
    }
  }
}

/** By itself: the message is a part of all that came with it, and a copy from the pool would keep 8 KiB of that. */
function copyOf(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return copy;
}

function beginsWith(message: Buffer, head: Buffer): boolean {
  const { length } = head;
  return message.length >= length && message.compare(head, 0, length, 0, length) === 0;
}

function reads({ method }: TunnelRequestHead): boolean {
  return method === 'GET' || method === 'HEAD';
}

function notARequest(): ApiError {
  return badRequest('the message is not a request');
}

/** A request's stream brings nothing but its end: whatever else came would lie there unread. */
async function takeNothing(stream: MuxStream): Promise<void> {
  try {
    for await (const _ of stream) return stream.reset('a request is one message');
  } catch {
    // It was reset.
  }
}

function encodeRefusal(error: ApiError): Buffer {
  const refusal = errorReply(error);
  return encodeReply(refusal, refusal.body as string);
}

function encodeReply({ status, headers }: ServerReply, body: string | Buffer): Buffer {
  return encodeMessage({ status, headers }, body);
}

/** That whoever asked has gone; a signal when somebody wants to be told: most requests are over before. */
class Gone {
  #controller: AbortController | undefined;
  told = false;

  tell(): void {
    this.told = true;
    this.#controller?.abort(goneReason);
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.told) this.#controller.abort(goneReason);
    return this.#controller.signal;
  }
}

class TunnelRequest implements ServerRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: ServerRequest['headers'];

  constructor(
    head: TunnelRequestHead,
    private readonly body: Buffer,
    readonly user: User | undefined,
    private readonly gone: Gone,
  ) {
    const { path, query } = splitUrl(head.url);
    this.method = head.method;
    this.path = path;
    this.query = query;
    this.headers = head.headers;
  }

  get signal(): AbortSignal {
    return this.gone.signal;
  }

  readBody(bytesMax: number): Promise<Buffer> {
    if (this.body.length <= bytesMax) return Promise.resolve(this.body);
    return Promise.reject(new ApiError('RequestEntityTooLarge', `the body of the request is too large: at most ${bytesMax} bytes are allowed`));
  }
}

/** What the stream has no credit for waits here. */
class StreamOutput implements ReplyOutput {
  #waitingBytes = 0;
  #waiting: Promise<void> = Promise.resolve();

  constructor(
    private readonly stream: MuxStream,
    private readonly gone: Gone,
    private readonly clock: Clock,
  ) {}

  get signal(): AbortSignal {
    return this.gone.signal;
  }

  get bufferedBytes(): number {
    return this.#waitingBytes;
  }

  write(chunk: string | Buffer): void {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    if (this.gone.told || this.stream.writeNow(bytes)) return;
    this.#waitingBytes += bytes.length;
    this.#waiting = this.stream.write(bytes).then(
      () => void (this.#waitingBytes -= bytes.length),
      () => undefined,
    );
  }

  drained(): Promise<void> {
    return this.#waiting;
  }

  end(): void {
    if (this.#waitingBytes === 0) return this.stream.end();
    const timer = this.clock.timer(endingMsMax, () => this.stream.reset('what was sent has not been read in time'), { unref: true });
    void this.#waiting.then(() => {
      timer.cancel();
      this.stream.end();
    });
  }
}
