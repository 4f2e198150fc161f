// connection.ts
//
// The server's end of a SPDY/3.1 connection, as Kubernetes uses it: the client opens every stream, and bytes go both ways.
// There are no windows: Kubernetes' clients keep none and announce none, and would wait for ever for a server that did.
// What holds a fast side up is the connection as a whole: while one stream has too much that nobody has taken, nothing is
// read from the socket.

import type { Duplex } from 'node:stream';
import type { Clock, Timer } from '../../../../lib/clock.js';
import { Deferred } from '../../../../lib/deferred.js';
import { StreamClosedError } from '../../../../lib/mux.js';
import { Inbox } from '../inbox.js';
import { dataHeader, goAwayFrame, goAwayStatus, pingFrame, resetStatus, rstStreamFrame, SpdyFrameReader, synReplyFrame, type SpdyFrame } from './frames.js';
import { HeaderBlockReader, HeaderBlockWriter, SpdyError, type Headers } from './header-block.js';

export interface SpdyStream extends AsyncIterable<Buffer> {
  readonly id: number;
  readonly headers: Headers;
  /** Answers the client that the stream is open: before the first write. */
  accept(): void;
  refuse(): void;
  /** Resolves when there is room for more. @throws StreamClosedError */
  write(data: Buffer): Promise<void>;
  /** No more writes. */
  end(): void;
  /** Neither side has more to say that the other wants to hear. Idempotent. */
  reset(): void;
  /** Ends this side, and forgets what the client may still send. Idempotent. */
  finish(): void;
  /** Aborts when the client resets the stream, or the connection is over. */
  readonly gone: AbortSignal;
}

export interface SpdyConnectionOptions {
  /** A connection that has been upgraded, or anything else that bytes go through. */
  socket: Duplex;
  onStream(stream: SpdyStream): void;
  /** Streams open at once; more are refused. */
  streamsMax: number;
  clock: Clock;
}

const noHeaders: Headers = new Map();
/** Arrived and not taken, per stream. */
const inboxBytesMax = 256 * 1024;
/** The same over all streams of a connection. */
const heldBytesMax = 4 * 1024 * 1024;
/** What a piece costs beyond its bytes: there may be one for each byte. */
const pieceBytes = 64;
const dataFrameBytesMax = 32 * 1024;
/** A connection that is not read does not show that its client has gone: writing to it does. */
const pingEveryMs = 10_000;
/** What waits for the client, beyond which nothing is read that might have to be answered. */
const unsentBytesMax = 4 * 1024 * 1024;

export class SpdyConnection {
  readonly #options: SpdyConnectionOptions;
  readonly #frames = new SpdyFrameReader();
  readonly #headerReader = new HeaderBlockReader();
  readonly #headerWriter = new HeaderBlockWriter();
  readonly #streams = new Map<number, Stream>();
  readonly #closed = new Deferred<void>();
  #lastStreamId = 0;
  #pauses = 0;
  #heldBytes = 0;
  #full = false;
  #over = false;
  #drain: Deferred<void> | undefined;
  #ping: Timer | undefined;

  constructor(options: SpdyConnectionOptions) {
    this.#options = options;
  }

  /** Reads until the connection is over. Never rejects: what breaks the protocol ends the connection. */
  run(): Promise<void> {
    const { socket } = this.#options;
    const over = (): void => this.#finish();
    socket.on('data', (piece: Buffer) => this.#receive(piece));
    socket.on('drain', () => this.#drained());
    socket.once('end', over).once('close', over).on('error', over);
    if (socket.destroyed) over();
    return this.#closed.promise;
  }

  /** Says good-bye and ends the connection, once what is written has gone out. Idempotent. */
  close(status: number = goAwayStatus.ok): void {
    if (this.#over) return;
    const { socket } = this.#options;
    socket.write(goAwayFrame(this.#lastStreamId, status));
    this.#finish();
    // What still arrives is nobody's; unread it would keep the connection from ending.
    socket.resume();
    socket.end();
  }

  #receive(piece: Buffer): void {
    if (this.#over) return;
    try {
      for (const frame of this.#frames.read(piece)) {
        this.#take(frame);
        if (this.#over) return;
      }
    } catch (error) {
      if (!(error instanceof SpdyError)) throw error;
      return this.close(goAwayStatus.protocolError);
    }
    if (this.#options.socket.writableLength > unsentBytesMax) {
      this.#pause();
      void this.#untilDrained().then(() => this.#resume());
    }
  }

  #take(frame: SpdyFrame): void {
    switch (frame.type) {
      case 'syn-stream':
        return this.#opened(frame.streamId, frame.fin, this.#headerReader.read(frame.block));
      case 'syn-reply':
      case 'headers':
        // They carry nothing for us, but the next block builds upon them.
        this.#headerReader.read(frame.block);
        if (frame.type === 'headers' && frame.fin) this.#streams.get(frame.streamId)?.receiveEnd();
        return;
      case 'data': {
        const stream = this.#streams.get(frame.streamId);
        if (frame.data.length > 0) stream?.receive(frame.data);
        if (frame.fin) stream?.receiveEnd();
        return;
      }
      case 'rst-stream':
        return this.#streams.get(frame.streamId)?.abandon();
      case 'ping':
        // Even ones are answers to ours.
        if (frame.id % 2 === 1) this.#send(pingFrame(frame.id));
        return;
      case 'go-away':
        // No new streams; those that are open go on.
        return;
    }
  }

  #opened(id: number, fin: boolean, headers: Headers): void {
    if (id % 2 === 0 || id <= this.#lastStreamId) throw new SpdyError(`a stream of id ${id} cannot be opened`);
    this.#lastStreamId = id;
    if (this.#streams.size >= this.#options.streamsMax) return this.#send(rstStreamFrame(id, resetStatus.refusedStream));
    const stream = new Stream(id, headers, {
      reply: () => this.#send(synReplyFrame(id, this.#headerWriter.write(noHeaders))),
      reset: (status) => this.#send(rstStreamFrame(id, status)),
      data: (data, last) => this.#sendData(id, data, last),
      over: () => this.#streams.delete(id),
      pause: () => this.#pause(),
      resume: () => this.#resume(),
      held: (change) => this.#hold(change),
    });
    this.#streams.set(id, stream);
    if (fin) stream.receiveEnd();
    this.#options.onStream(stream);
  }

  #send(frame: Buffer): void {
    if (!this.#over) this.#options.socket.write(frame);
  }

  #sendData(id: number, data: Buffer, last: boolean): Promise<void> {
    const { socket } = this.#options;
    // In one piece: a tunnel makes a message of each write.
    if (!this.#over) socket.write(Buffer.concat([dataHeader(id, data.length, last), data]));
    return socket.writableNeedDrain ? this.#untilDrained() : Promise.resolve();
  }

  #untilDrained(): Promise<void> {
    this.#drain ??= new Deferred();
    if (this.#over) this.#drained();
    return this.#drain?.promise ?? Promise.resolve();
  }

  #drained(): void {
    this.#drain?.resolve();
    this.#drain = undefined;
  }

  #pause(): void {
    if (this.#pauses++ > 0) return;
    this.#options.socket.pause();
    this.#pingLater();
  }

  #pingLater(): void {
    if (this.#over) return;
    this.#ping = this.#options.clock.timer(pingEveryMs, () => {
      this.#send(pingFrame(2));
      this.#pingLater();
    }, { unref: true });
  }

  #resume(): void {
    if (--this.#pauses > 0) return;
    this.#ping?.cancel();
    this.#options.socket.resume();
  }

  /** One stream alone may not fill it, but hundreds would. */
  #hold(change: number): void {
    this.#heldBytes += change;
    const full = this.#full ? this.#heldBytes * 2 > heldBytesMax : this.#heldBytes > heldBytesMax;
    if (full === this.#full) return;
    this.#full = full;
    if (full) this.#pause();
    else this.#resume();
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#ping?.cancel();
    for (const stream of [...this.#streams.values()]) stream.abandon();
    this.#drained();
    this.#closed.resolve();
  }
}

interface StreamLink {
  reply(): void;
  reset(status: number): void;
  data(data: Buffer, last: boolean): Promise<void>;
  /** Nothing more of this stream matters. */
  over(): void;
  pause(): void;
  resume(): void;
  held(change: number): void;
}

class Stream implements SpdyStream {
  readonly #link: StreamLink;
  readonly #inbox: Inbox<Buffer>;
  readonly #gone = new AbortController();
  #endSent = false;
  #endReceived = false;
  #over = false;

  constructor(
    readonly id: number,
    readonly headers: Headers,
    link: StreamLink,
  ) {
    this.#link = link;
    this.#inbox = new Inbox({ bytesMax: inboxBytesMax, bytesOf: (data) => data.length + pieceBytes, pause: link.pause, resume: link.resume, held: link.held });
  }

  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  accept(): void {
    if (!this.#over) this.#link.reply();
  }

  refuse(): void {
    if (this.#over) return;
    this.#link.reset(resetStatus.refusedStream);
    this.abandon();
  }

  async write(data: Buffer): Promise<void> {
    for (let at = 0; at < data.length; at += dataFrameBytesMax) {
      if (this.#over || this.#endSent) throw new StreamClosedError('the client has closed the stream');
      await this.#link.data(data.subarray(at, at + dataFrameBytesMax), false);
    }
  }

  end(): void {
    if (this.#endSent || this.#over) return;
    this.#endSent = true;
    void this.#link.data(Buffer.alloc(0), true);
    if (this.#endReceived) this.#leave();
  }

  reset(): void {
    if (this.#over) return;
    this.#link.reset(resetStatus.cancel);
    this.abandon();
  }

  finish(): void {
    this.end();
    this.#inbox.discard();
    this.#leave();
  }

  receive(data: Buffer): void {
    if (!this.#endReceived) this.#inbox.push(data);
  }

  receiveEnd(): void {
    if (this.#endReceived) return;
    this.#endReceived = true;
    this.#inbox.end();
    if (this.#endSent) this.#leave();
  }

  /** The client, or the connection, has given the stream up. */
  abandon(): void {
    if (this.#over) return;
    this.#inbox.discard();
    this.#leave();
    this.#gone.abort();
  }

  #leave(): void {
    if (this.#over) return;
    this.#over = true;
    this.#link.over();
  }

  [Symbol.asyncIterator](): AsyncIterator<Buffer> {
    return this.#inbox[Symbol.asyncIterator]();
  }
}
