// mux.ts
//
// Many byte streams over one channel of messages (a WebSocket). Either side opens streams; each has two directions that
// end on their own, and credit: a sender may have at most `windowBytes` under way that the reader has not taken, so that
// one slow reader holds up its own stream only and no side ever buffers without bound.
//
//   frame = type (1 byte), stream id (4 bytes, big endian), payload
//   OPEN    a new stream; the payload is the opener's request
//   DATA    bytes, within the credit
//   END     no more DATA from this side
//   RESET   the stream is over, both ways; the payload says why (UTF-8)
//   WINDOW  4 bytes: so many more bytes may be sent
//   CALL    a question that fits one message; ids of their own
//   ANSWER  of the call with that id
//
// The two sides count their ids in odd and even numbers, so that they never meet. Frames of a stream that is already over
// are dropped: they crossed our RESET on the way. Whatever breaks the rules above closes the channel.

import { Deferred } from './deferred.js';

/** Ordered and reliable; a message arrives whole. */
export interface MessageChannel {
  send(message: Buffer): void;
  onMessage(handler: (message: Buffer) => void): void;
  /** Called once, whoever closed it. */
  onClose(handler: () => void): void;
  close(): void;
  /** Sent, but still in this process; 0 where the channel does not know. */
  readonly bufferedBytes?: number;
  /** So many bytes in front of each message that is sent are the channel's: left free, so that it need not copy the message. @default 0 */
  readonly headroomBytes?: number;
}

/** The stream was reset by the other side, or the channel closed under it. */
export class StreamClosedError extends Error {
  override readonly name = 'StreamClosedError';
}

export interface MuxStream extends AsyncIterable<Buffer> {
  /** Resolves when the bytes are on their way; wait for it before writing more. @throws StreamClosedError */
  write(data: Buffer): Promise<void>;
  /** Sends the bytes now, if there is credit for all of them and nothing waits; false when `write` has to. */
  writeNow(data: Buffer): boolean;
  /** No more writes; the other side's bytes still arrive. Call it after the last write has resolved. */
  end(): void;
  /** Ends both directions at once. Idempotent. */
  reset(message: string): void;
  /** Resolves when the stream is over: both sides ended, or it was reset. */
  readonly closed: Promise<void>;
}

export interface MuxOptions {
  channel: MessageChannel;
  /** One side says true, the other false: it decides who counts in odd numbers. */
  initiator: boolean;
  /** The other side opened a stream; `request` is what it sent along. When absent, that breaks the rules. */
  onStream?(stream: MuxStream, request: Buffer): void;
  /** The other side has called. Never throws or rejects. A string is sent as UTF-8. When absent, a call breaks the rules. */
  onCall?(request: Buffer): Promise<Buffer> | string;
  /** Bytes under way per stream and direction; both sides must say the same. */
  windowBytes?: number;
  /** Streams open at once, of either side; more are reset. */
  streamsMax?: number;
}

/** Calls of one side that are not answered yet; more break the rules, as each is held by whoever answers. */
export const callsMax = 64;

const frameTypes = { open: 1, data: 2, end: 3, reset: 4, window: 5, call: 6, answer: 7 } as const;
const headerBytes = 5;
const lastId = 0xffff_ffff;
const dataFrameBytesMax = 32 * 1024;

export class Mux {
  readonly #options: Required<Omit<MuxOptions, 'onStream' | 'onCall'>> & Pick<MuxOptions, 'onStream' | 'onCall'>;
  readonly #streams = new Map<number, Stream>();
  /** Ours, by id. */
  readonly #calls = new Map<number, Deferred<Buffer>>();
  #lastCallId = 0;
  /** The other side's that we have not answered. */
  #answering = 0;
  readonly #closed = new Deferred<void>();
  #nextId: number;
  #lastPeerId = 0;
  #over = false;

  constructor(options: MuxOptions) {
    this.#options = { windowBytes: 256 * 1024, streamsMax: 1_024, ...options };
    this.#nextId = options.initiator ? 1 : 2;
    options.channel.onMessage((message) => this.#receive(message));
    options.channel.onClose(() => this.#finish());
  }

  /** Resolves when the channel has closed and every stream with it. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  get openStreams(): number {
    return this.#streams.size;
  }

  /** @throws StreamClosedError when the channel is closed or has too many streams */
  open(request: Buffer): MuxStream {
    if (this.#over) throw new StreamClosedError('the connection is closed');
    if (this.#streams.size >= this.#options.streamsMax) throw new StreamClosedError(`too many streams: ${this.#options.streamsMax} are open`);
    const id = this.#nextId;
    this.#nextId += 2;
    const stream = this.#add(id);
    this.#send(frameTypes.open, id, request);
    return stream;
  }

  /** What waits in this process to be sent. */
  get bufferedBytes(): number {
    return this.#options.channel.bufferedBytes ?? 0;
  }

  /** Whether a call would be sent now. */
  get mayCall(): boolean {
    return !this.#over && this.#calls.size < callsMax;
  }

  /** Asks what one message says and one message answers. @throws StreamClosedError, also when there are too many calls */
  call(request: Buffer): Promise<Buffer> {
    if (!this.mayCall) return Promise.reject(new StreamClosedError(this.#over ? 'the connection is closed' : `too many calls: ${callsMax} are not answered`));
    do this.#lastCallId = this.#lastCallId === lastId ? 1 : this.#lastCallId + 1;
    while (this.#calls.has(this.#lastCallId));
    const answer = new Deferred<Buffer>();
    this.#calls.set(this.#lastCallId, answer);
    this.#send(frameTypes.call, this.#lastCallId, request);
    return answer.promise;
  }

  close(): void {
    if (this.#over) return;
    this.#options.channel.close();
    this.#finish();
  }

  #add(id: number): Stream {
    const stream = new Stream(this.#options.windowBytes, {
      send: (type, payload) => this.#send(frameTypes[type], id, payload),
      over: () => this.#streams.delete(id),
    });
    this.#streams.set(id, stream);
    return stream;
  }

  #send(type: number, id: number, payload: Buffer | string): void {
    if (this.#over) return;
    const { channel } = this.#options;
    const start = channel.headroomBytes ?? 0;
    const from = start + headerBytes;
    const frame = Buffer.allocUnsafe(from + (typeof payload === 'string' ? Buffer.byteLength(payload) : payload.length));
    frame[start] = type;
    frame.writeUInt32BE(id, start + 1);
    if (typeof payload === 'string') frame.write(payload, from);
    else payload.copy(frame, from);
    channel.send(frame);
  }

  #receive(message: Buffer): void {
    if (this.#over) return;
    if (message.length < headerBytes) return this.close();
    const type = message.readUInt8(0);
    const id = message.readUInt32BE(1);
    const payload = message.subarray(headerBytes);
    if (type === frameTypes.call) return this.#called(id, payload);
    if (type === frameTypes.answer) return this.#answered(id, payload);
    if (type === frameTypes.open) return this.#opened(id, payload);
    const stream = this.#streams.get(id);
    if (!stream) {
      if (!this.#known(id)) this.close();
      return;
    }
    if (!this.#deliver(stream, type, payload)) this.close();
  }

  #called(id: number, request: Buffer): void {
    const { onCall } = this.#options;
    if (!onCall || this.#answering >= callsMax) return this.close();
    const answered = onCall(request);
    if (typeof answered === 'string') return this.#send(frameTypes.answer, id, answered);
    this.#answering++;
    void answered.then((answer) => {
      this.#answering--;
      this.#send(frameTypes.answer, id, answer);
    });
  }

  #answered(id: number, payload: Buffer): void {
    const call = this.#calls.get(id);
    if (!call) return this.close();
    this.#calls.delete(id);
    call.resolve(payload);
  }

  /** False when the frame breaks the rules. */
  #deliver(stream: Stream, type: number, payload: Buffer): boolean {
    switch (type) {
      case frameTypes.data:
        return stream.receiveData(payload);
      case frameTypes.end:
        return stream.receiveEnd();
      case frameTypes.reset:
        stream.finish(new StreamClosedError(payload.toString('utf8') || 'the stream was reset'));
        return true;
      case frameTypes.window:
        if (payload.length !== 4) return false;
        return stream.receiveCredit(payload.readUInt32BE(0));
      default:
        return false;
    }
  }

  /** Whether a stream of this id has ever been opened. */
  #known(id: number): boolean {
    return id > 0 && (this.#isOurs(id) ? id < this.#nextId : id <= this.#lastPeerId);
  }

  #isOurs(id: number): boolean {
    return (id % 2 === 1) === this.#options.initiator;
  }

  #opened(id: number, request: Buffer): void {
    if (this.#isOurs(id) || id <= this.#lastPeerId) return this.close();
    this.#lastPeerId = id;
    // An answer to each would fill the memory for a peer that asks and does not listen.
    if (!this.#options.onStream) return this.close();
    if (this.#streams.size >= this.#options.streamsMax) return this.#send(frameTypes.reset, id, Buffer.from('too many streams'));
    this.#options.onStream(this.#add(id), request);
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    for (const stream of [...this.#streams.values()]) stream.finish(new StreamClosedError('the connection closed'));
    for (const call of this.#calls.values()) call.reject(new StreamClosedError('the connection closed'));
    this.#calls.clear();
    this.#closed.resolve();
  }
}

interface StreamLink {
  send(type: 'data' | 'end' | 'reset' | 'window', payload: Buffer): void;
  over(): void;
}

class Stream implements MuxStream {
  readonly #link: StreamLink;
  readonly #windowBytes: number;
  readonly #closed = new Deferred<void>();

  /** What we may still send. */
  #credit: number;
  /** While somebody waits for more. */
  #creditArrived: Deferred<void> | undefined;
  #lastWrite: Promise<void> = Promise.resolve();
  #writesWaiting = 0;
  #endSent = false;

  /** What has arrived and nobody has taken. */
  readonly #arrived: Buffer[] = [];
  #arrivedBytes = 0;
  /** Taken, but not yet given back as credit. */
  #owedBytes = 0;
  #endReceived = false;
  #wakeReader: (() => void) | undefined;

  #over = false;
  #error: StreamClosedError | undefined;

  constructor(windowBytes: number, link: StreamLink) {
    this.#windowBytes = windowBytes;
    this.#credit = windowBytes;
    this.#link = link;
  }

  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  writeNow(data: Buffer): boolean {
    if (data.length === 0) return true;
    if (this.#writesWaiting > 0 || this.#over || this.#endSent || data.length > this.#credit || data.length > dataFrameBytesMax) return false;
    this.#credit -= data.length;
    this.#link.send('data', data);
    return true;
  }

  write(data: Buffer): Promise<void> {
    if (this.writeNow(data)) return Promise.resolve();
    this.#writesWaiting++;
    // One after the other, so that two writes that both wait for credit do not mix their bytes.
    const write = this.#lastWrite.then(() => this.#write(data)).finally(() => this.#writesWaiting--);
    this.#lastWrite = write.catch(() => undefined);
    return write;
  }

  async #write(data: Buffer): Promise<void> {
    for (let at = 0; at < data.length; ) {
      while (this.#credit === 0 && !this.#over) await (this.#creditArrived ??= new Deferred()).promise;
      if (this.#over || this.#endSent) throw this.#error ?? new StreamClosedError('the stream has ended');
      const part = data.subarray(at, at + Math.min(this.#credit, dataFrameBytesMax));
      this.#credit -= part.length;
      at += part.length;
      this.#link.send('data', part);
    }
  }

  end(): void {
    if (this.#endSent || this.#over) return;
    this.#endSent = true;
    this.#link.send('end', Buffer.alloc(0));
    if (this.#endReceived) this.finish(undefined);
  }

  reset(message: string): void {
    if (this.#over) return;
    this.#link.send('reset', Buffer.from(message));
    this.#arrived.length = 0;
    this.finish(new StreamClosedError(message));
  }

  receiveData(data: Buffer): boolean {
    this.#arrivedBytes += data.length;
    if (this.#endReceived || this.#arrivedBytes + this.#owedBytes > this.#windowBytes) return false;
    if (data.length > 0) this.#arrived.push(data);
    this.#wakeReader?.();
    return true;
  }

  receiveEnd(): boolean {
    if (this.#endReceived) return false;
    this.#endReceived = true;
    this.#wakeReader?.();
    if (this.#endSent) this.finish(undefined);
    return true;
  }

  /** Only what was sent can have been taken: more credit than the window would have this side buffer without bound. */
  receiveCredit(bytes: number): boolean {
    if (this.#credit + bytes > this.#windowBytes) return false;
    this.#credit += bytes;
    this.#creditArrived?.resolve();
    this.#creditArrived = undefined;
    return true;
  }

  finish(error: StreamClosedError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#error = error;
    this.#creditArrived?.resolve();
    this.#creditArrived = undefined;
    this.#wakeReader?.();
    this.#link.over();
    this.#closed.resolve();
  }

  /** What has arrived before a reset is still handed out; leaving the loop early resets the stream. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    try {
      for (;;) {
        const data = this.#arrived.shift();
        if (data) {
          this.#taken(data.length);
          yield data;
        } else if (this.#error) {
          throw this.#error;
        } else if (this.#endReceived) {
          return;
        } else {
          await new Promise<void>((resolve) => (this.#wakeReader = resolve));
        }
      }
    } finally {
      if (!this.#endReceived) this.reset('the reader left');
    }
  }

  /** Credit goes back in halves of the window: a WINDOW frame per DATA frame would double the frames. */
  #taken(bytes: number): void {
    this.#arrivedBytes -= bytes;
    this.#owedBytes += bytes;
    if (this.#owedBytes * 2 < this.#windowBytes || this.#over || this.#endReceived) return;
    const credit = Buffer.allocUnsafe(4);
    credit.writeUInt32BE(this.#owedBytes, 0);
    this.#owedBytes = 0;
    this.#link.send('window', credit);
  }
}
