// watch-reply.ts
//
// The body of a watch: one JSON text per line. A client that reads too slowly is waited for while it gets what it asked to
// begin with (`full`, `drained`), but not for news: past a bound it gets 410 and lists again, which is cheaper than holding
// everything back for it.

import { expired, type Status } from '../../api/errors.js';
import { Deferred } from '../../lib/deferred.js';
import type { Rendered, WatchSink } from '../resources/service.js';
import type { ReplyOutput } from './message.js';
import type { Shaper } from './table.js';
import { joined, watchLine, type WatchLines } from './watch-lines.js';

/** Bytes that a watcher may leave unread. */
export const watchBufferBytesMax = 8 * 1024 * 1024;
/** Past this what can wait does: far below the bound, and enough to keep a fast reader busy. */
const fullBytes = 512 * 1024;

export class WatchReply implements WatchSink {
  readonly #shaper: Shaper;
  readonly #ended = new Deferred<void>();
  #output: ReplyOutput | undefined;
  /** Lines of this tick: written together, so that a burst of events costs one write. */
  #lines: WatchLines[] = [];
  #bytes = 0;
  #flushQueued = false;
  #over = false;
  readonly #attached = new Deferred<void>();

  constructor(shaper: Shaper) {
    this.#shaper = shaper;
  }

  event(type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK', object: Rendered): void {
    if (this.#over) return;
    this.#line(watchLine(type, type === 'BOOKMARK' ? this.#shaper.bookmark(object) : this.#shaper.event(object)));
  }

  end(status: Status | undefined): void {
    if (this.#over) return;
    if (status) this.#line(watchLine('ERROR', JSON.stringify(status)));
    this.#over = true;
    this.#ended.resolve();
  }

  get full(): boolean {
    return this.#bytes + (this.#output?.bufferedBytes ?? 0) > fullBytes;
  }

  async drained(): Promise<void> {
    await Promise.race([this.#attached.promise, this.#ended.promise]);
    this.#flush();
    const output = this.#output;
    if (output && output.bufferedBytes > fullBytes && !this.#over) await output.drained();
    // Everybody else first.
    await new Promise<void>((resolve) => setImmediate(resolve));
  }

  /** Writes until the watch ends or the client goes; what came before waits for it. Resolves when it is over. */
  async writeTo(output: ReplyOutput, stop: () => void): Promise<void> {
    this.#output = output;
    const gone = (): void => {
      this.#over = true;
      this.#ended.resolve();
    };
    if (output.signal.aborted) gone();
    output.signal.addEventListener('abort', gone, { once: true });
    this.#flush();
    this.#attached.resolve();
    await this.#ended.promise;
    output.signal.removeEventListener('abort', gone);
    stop();
    this.#flush();
    output.end();
  }

  #line(line: WatchLines): void {
    this.#lines.push(line);
    this.#bytes += line.bytes.length;
    if (this.#flushQueued || !this.#output) return;
    this.#flushQueued = true;
    process.nextTick(() => this.#flush());
  }

  #flush(): void {
    this.#flushQueued = false;
    if (this.#lines.length === 0 || !this.#output) return;
    const lines = joined(this.#lines);
    this.#lines = [];
    this.#bytes = 0;
    if (this.#output.writeLines) this.#output.writeLines(lines);
    else this.#output.write(lines.bytes);
    if (this.#output.bufferedBytes > watchBufferBytesMax && !this.#over) {
      this.end(expired(`the watch is closed because its reader has left more than ${watchBufferBytesMax} bytes unread; list again`).toStatus());
    }
  }
}
