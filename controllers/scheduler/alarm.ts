import type { Clock, Timer } from '../../lib/clock.js';
import { Deferred } from '../../lib/deferred.js';

/** Lets one loop wait until something happens, or until a time. A ring that comes while nobody waits is kept. */
export class Alarm {
  readonly #clock: Clock;
  #rung = false;
  #waiting: Deferred<void> | undefined;
  /** Whose abort wakes, from the first wait with it on: a listener per wait would cost more than the wait. */
  #signal: AbortSignal | undefined;
  readonly #wake = (): void => this.#waiting?.resolve();

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
      this.#follow(signal);
      const timer: Timer | undefined = atMs === Infinity ? undefined : this.#clock.timer(Math.max(0, atMs - this.#clock.monotonic()), this.#wake);
      await waiting.promise;
      timer?.cancel();
      this.#waiting = undefined;
    }
    this.#rung = false;
  }

  #follow(signal: AbortSignal): void {
    if (this.#signal === signal) return;
    this.#signal?.removeEventListener('abort', this.#wake);
    this.#signal = signal;
    signal.addEventListener('abort', this.#wake, { once: true });
  }
}

/** Lets everything else that is ready run first: a long job in turns keeps the process responsive. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
