// turns.ts
//
// Long work in slices of a few milliseconds, one slice per turn of the event loop whoever's it is, so that everything else
// that is ready goes first.

import type { Clock } from './clock.js';

/** How long one slice may take, milliseconds: a turn has other things to do as well. */
const sliceMs = 4;

export class Turns {
  readonly #clock: Pick<Clock, 'monotonic'>;
  /** Those whose next slice waits, in order. */
  readonly #waiting: (() => void)[] = [];

  constructor(options: { clock: Pick<Clock, 'monotonic'> }) {
    this.#clock = options.clock;
  }

  /**
   * Does `work` for each item, in order, until one answers false. The first slice is done before this returns if nobody else's waits.
   * Rejects with what `work` throws; the items after it are left.
   */
  async forEach<T>(items: readonly T[], work: (item: T, index: number) => unknown): Promise<void> {
    if (this.#waiting.length > 0) await this.#next();
    let end = this.#clock.monotonic() + sliceMs;
    for (let index = 0; index < items.length; index++) {
      if (work(items[index]!, index) === false || index + 1 === items.length) return;
      if (this.#clock.monotonic() < end) continue;
      await this.#next();
      end = this.#clock.monotonic() + sliceMs;
    }
  }

  #next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#waiting.length === 1) setImmediate(() => this.#begin());
    });
  }

  /** The next slice begins when this turn's callback is over. */
  #begin(): void {
    this.#waiting.shift()!();
    if (this.#waiting.length > 0) setImmediate(() => this.#begin());
  }
}
