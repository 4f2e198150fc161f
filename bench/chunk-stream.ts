// chunk-stream.ts: the body of a stream as it arrives, for one reader. What nobody has read yet is kept: an agent reads at once.

import type { TransportError } from '../api/transport.js';

export class ChunkStream implements AsyncIterable<Buffer>, AsyncIterator<Buffer> {
  #arrived: Buffer[] = [];
  #over: { error?: TransportError } | undefined;
  #wake: (() => void) | undefined;

  /** @param connection closed when the reader has had enough */
  constructor(private readonly connection: { destroy(): unknown }) {}

  push(piece: Buffer): void {
    this.#arrived.push(piece);
    this.#wake?.();
  }

  end(): void {
    this.#over ??= {};
    this.#wake?.();
  }

  /** What the reader gets once it has read what came before; nothing, when the end has come already. */
  fail(error: TransportError): void {
    this.#over ??= { error };
    this.#wake?.();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** All that has arrived since the last call, as one. */
  async next(): Promise<IteratorResult<Buffer, undefined>> {
    while (this.#arrived.length === 0 && !this.#over) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = undefined;
    }
    const arrived = this.#arrived;
    if (arrived.length > 0) {
      this.#arrived = [];
      return { done: false, value: arrived.length === 1 ? arrived[0]! : Buffer.concat(arrived) };
    }
    if (this.#over?.error) throw this.#over.error;
    return { done: true, value: undefined };
  }

  return(): Promise<IteratorResult<Buffer, undefined>> {
    this.connection.destroy();
    return Promise.resolve({ done: true, value: undefined });
  }
}
