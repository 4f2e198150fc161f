import type { Clock, Timer } from '../../lib/clock.js';
import { Deferred } from '../../lib/deferred.js';

/** Lets one loop wait until something happens, or until a time. A ring that comes while nobody waits is kept. */
export class Alarm {
  readonly #clock: Clock;
  #rung = false;
  #waiting: Deferred<void> | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  ring(): void {
    this.#rung = true;
    this.#waiting?.resolve();
  }

  /**
   * Resolves at the next ring, when the signal aborts, or at the time given.
   * @param atMs monotonic milliseconds; without it there is no time limit
   */
  async wait(signal: AbortSignal, atMs = Infinity): Promise<void> {
    if (!this.#rung && !signal.aborted) {
      const waiting = (this.#waiting = new Deferred<void>());
      const wake = (): void => waiting.resolve();
      const timer: Timer | undefined = atMs === Infinity ? undefined : this.#clock.timer(Math.max(0, atMs - this.#clock.monotonic()), wake);
      signal.addEventListener('abort', wake, { once: true });
      await waiting.promise;
      signal.removeEventListener('abort', wake);
      timer?.cancel();
      this.#waiting = undefined;
    }
    this.#rung = false;
  }
}

/** Lets everything else that is ready run first: a long job in turns keeps the process responsive. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
