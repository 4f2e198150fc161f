// spdy-client.ts: as much of a SPDY client as tests need; kubectl is the real one (e2e/streams).

import type { Duplex } from 'node:stream';
import { Deferred } from '../../../../lib/deferred.js';
import { dataHeader, SpdyFrameReader, synStreamFrame, type SpdyFrame } from '../spdy/frames.js';
import { HeaderBlockReader, HeaderBlockWriter } from '../spdy/header-block.js';

export class SpdyClient {
  readonly frames: SpdyFrame[] = [];
  readonly closed = new Deferred<void>();
  readonly #socket: Duplex;
  readonly #writer = new HeaderBlockWriter();
  readonly #blocks = new HeaderBlockReader();
  #nextId = 1;
  #arrived = new Deferred<void>();

  constructor(socket: Duplex) {
    this.#socket = socket;
    const reader = new SpdyFrameReader();
    socket.on('data', (piece: Buffer) => {
      for (const frame of reader.read(Buffer.from(piece))) {
        if ('block' in frame) this.#blocks.read(frame.block);
        this.frames.push(frame);
      }
      this.#wake();
    });
    socket.on('error', () => undefined);
    socket.once('close', () => {
      this.closed.resolve();
      this.#wake();
    });
  }

  open(headers: Record<string, string>, fin = false): number {
    const id = this.#nextId;
    this.#nextId += 2;
    this.#socket.write(synStreamFrame(id, this.#writer.write(new Map(Object.entries(headers))), fin));
    return id;
  }

  send(id: number, data: Buffer | string, fin = false): void {
    const bytes = Buffer.from(data);
    this.#socket.write(Buffer.concat([dataHeader(id, bytes.length, fin), bytes]));
  }

  sendRaw(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  /** Resolves with the first frame, arrived or arriving, that is as asked. @throws Error when the connection closes before */
  async until(what: (frame: SpdyFrame) => boolean): Promise<SpdyFrame> {
    for (;;) {
      const found = this.frames.find(what);
      if (found) return found;
      if (this.#socket.destroyed) throw new Error(`closed before that; there came ${JSON.stringify(this.frames)}`);
      await this.#arrived.promise;
    }
  }

  /** Resolves with all that a stream said, when the server has ended it. */
  async text(id: number): Promise<string> {
    await this.until((frame) => frame.type === 'data' && frame.streamId === id && frame.fin);
    return Buffer.concat(this.frames.flatMap((frame) => (frame.type === 'data' && frame.streamId === id ? [frame.data] : []))).toString();
  }

  end(): void {
    this.#socket.destroy();
  }

  #wake(): void {
    this.#arrived.resolve();
    this.#arrived = new Deferred();
  }
}
