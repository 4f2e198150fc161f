// inbox.ts: what has arrived from a client and nobody has taken yet. Past a number of bytes its source is told to pause.

export interface InboxOptions<T> {
  /** From so many bytes on the source is paused, until half of them are taken. */
  bytesMax: number;
  bytesOf(item: T): number;
  pause(): void;
  resume(): void;
  /** How many bytes more, or fewer, are held. */
  held?(change: number): void;
}

/** For one reader. */
export class Inbox<T> implements AsyncIterable<T> {
  readonly #options: InboxOptions<T>;
  #items: T[] = [];
  #bytes = 0;
  #paused = false;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(options: InboxOptions<T>) {
    this.#options = options;
  }

  push(item: T): void {
    if (this.#ended) return;
    this.#items.push(item);
    this.#hold(this.#options.bytesOf(item));
    if (!this.#paused && this.#bytes > this.#options.bytesMax) {
      this.#paused = true;
      this.#options.pause();
    }
    this.#wake?.();
  }

  /** Nothing more arrives; what is there is still handed out. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** As `end`, and nobody wants what is there. */
  discard(): void {
    this.end();
    this.#items = [];
    this.#hold(-this.#bytes);
    this.#resume();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const item = this.#items.shift();
      if (item !== undefined) {
        this.#hold(-this.#options.bytesOf(item));
        if (this.#bytes * 2 < this.#options.bytesMax) this.#resume();
        yield item;
      } else if (this.#ended) {
        return;
      } else {
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    }
  }

  #hold(change: number): void {
    this.#bytes += change;
    this.#options.held?.(change);
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#options.resume();
  }
}
