// frame-output.ts: what a command says, to the client in frames, no faster than the client takes it.

import type { Readable } from 'node:stream';
import { encodeFrame } from '../../api/stream-frames.js';
import type { Clock, Timer } from '../../lib/clock.js';
import { Deferred } from '../../lib/deferred.js';
import type { MuxStream } from '../../lib/mux.js';

/** Several outputs of one command. They are read to their end, wanted or not, so that the command is never held up for ever. */
export class FrameOutput {
  readonly #stream: MuxStream;
  readonly #clock: Clock;
  #reading = 0;
  /** Frames on their way to a client that takes its time. */
  #sending = 0;
  #settled: { quietMs: number; done: Deferred<void>; timer: Timer | undefined } | undefined;

  constructor(stream: MuxStream, clock: Clock) {
    this.#stream = stream;
    this.#clock = clock;
  }

  /** @param channel undefined when the client does not want it */
  add(readable: Readable, channel: number | undefined): void {
    this.#reading++;
    void this.#pump(readable, channel).finally(() => {
      this.#reading--;
      this.#rearm();
    });
  }

  /** Resolves when every output has ended and is sent, or when there was nothing to read for so long. */
  settle(quietMs: number): Promise<void> {
    this.#settled = { quietMs, done: new Deferred(), timer: undefined };
    const { promise } = this.#settled.done;
    this.#rearm();
    return promise;
  }

  async #pump(readable: Readable, channel: number | undefined): Promise<void> {
    try {
      for await (const chunk of readable as AsyncIterable<Buffer>) {
        this.#sending++;
        this.#rearm();
        // When the client is gone, the rest is read and thrown away until somebody ends the command.
        if (channel !== undefined) await this.#stream.write(encodeFrame(channel, chunk)).catch(() => undefined);
        this.#sending--;
        this.#rearm();
      }
    } catch {
      // The last process on a terminal has closed it (EIO), or it was closed from this side.
    }
  }

  #rearm(): void {
    const settled = this.#settled;
    if (!settled) return;
    settled.timer?.cancel();
    settled.timer = undefined;
    const done = (): void => {
      this.#settled = undefined;
      settled.done.resolve();
    };
    if (this.#reading === 0) done();
    else if (this.#sending === 0) settled.timer = this.#clock.timer(settled.quietMs, done);
  }
}
