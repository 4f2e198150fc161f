// line-times.ts: puts the time before each line of a stream, and leaves out lines that are too old. Lines may be of any
// length and come in any pieces; nothing is kept of them.

import type { LogTimeIndex } from './log-time-index.js';

const newline = 10;

export class LineTimes {
  readonly #timestamps: boolean;
  readonly #sinceMs: number;
  #atLineStart = true;
  /** The line that the stream is in is left out. */
  #leavingOut = false;
  /** A line was new enough: times only grow, so all after it are. */
  #newEnough: boolean;
  #stampAt = NaN;
  #stamp = Buffer.alloc(0);

  constructor(options: { timestamps: boolean; sinceMs: number }) {
    this.#timestamps = options.timestamps;
    this.#sinceMs = options.sinceMs;
    this.#newEnough = options.sinceMs === -Infinity;
  }

  /**
   * What is put out for the next bytes of the stream.
   * @param offset of the first byte in the file that `index` tells of
   */
  *pass(data: Buffer, offset: number, index: LogTimeIndex): Generator<Buffer> {
    if (this.#newEnough && !this.#timestamps) {
      if (data.length > 0) yield data;
      return;
    }
    const pieces: Buffer[] = [];
    for (let at = 0; at < data.length; ) {
      if (this.#atLineStart) {
        const time = index.timeAt(offset + at);
        this.#newEnough ||= time >= this.#sinceMs;
        this.#leavingOut = !this.#newEnough;
        if (this.#timestamps && !this.#leavingOut) pieces.push(this.#stampOf(time));
      }
      const found = data.indexOf(newline, at);
      const end = found < 0 ? data.length : found + 1;
      if (!this.#leavingOut) pieces.push(data.subarray(at, end));
      this.#atLineStart = found >= 0;
      at = end;
    }
    if (pieces.length > 0) yield Buffer.concat(pieces);
  }

  #stampOf(time: number): Buffer {
    if (time !== this.#stampAt) {
      this.#stampAt = time;
      this.#stamp = Buffer.from(`${lineTime(time)} `);
    }
    return this.#stamp;
  }
}

/** RFC 3339 in UTC with nine digits, as Kubernetes writes the times of log lines. */
export function lineTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 23)}000000Z`;
}
