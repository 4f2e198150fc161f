// chunk-queue.ts: from a writer that never waits to a reader that takes its time, and word back of what is not yet taken.

export class ChunkQueue {
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #ended = false;
  #error: Error | undefined;
  #wakeReader: (() => void) | undefined;
  #drained: (() => void)[] = [];

  get bufferedBytes(): number {
    return this.#bytes;
  }

  push(chunk: Buffer): void {
    if (this.#ended || this.#error) return;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    this.#wakeReader?.();
  }

  end(): void {
    this.#ended = true;
    this.#wakeReader?.();
  }

  /** The reader gets the error at once; what it has not taken is dropped, as with a broken connection. */
  fail(error: Error): void {
    if (this.#ended && this.#chunks.length === 0) return;
    this.#error ??= error;
    this.#release();
    this.#wakeReader?.();
  }

  /** Resolves when everything is taken, or nobody will. */
  drained(): Promise<void> {
    if (this.#bytes === 0 || this.#error) return Promise.resolve();
    return new Promise((resolve) => this.#drained.push(resolve));
  }

  /** @param left called when the reader leaves, at the end or before it */
  async *read(left: () => void): AsyncGenerator<Buffer> {
    try {
      for (;;) {
        if (this.#error) throw this.#error;
        const chunk = this.#chunks.shift();
        if (chunk) {
          this.#bytes -= chunk.length;
          if (this.#bytes === 0) this.#release();
          yield chunk;
        } else if (this.#ended) {
          return;
        } else {
          await new Promise<void>((resolve) => (this.#wakeReader = resolve));
        }
      }
    } finally {
      this.#error ??= new Error('the reader has left');
      this.#release();
      left();
    }
  }

  #release(): void {
    const waiting = this.#drained;
    this.#drained = [];
    for (const resolve of waiting) resolve();
  }
}
