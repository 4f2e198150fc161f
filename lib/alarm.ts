import type { Clock, Timer } from './clock.js';

/** A sleep that can be cut short, again and again: for a loop that works at its own pace, or at once when something has happened. */
export class Alarm {
  readonly #clock: Clock;
  #timer: Timer | undefined;
  #wake = (): void => {};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves after `delayMs`, or when it is woken. One sleep at a time. */
  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#timer = this.#clock.timer(delayMs, resolve);
    });
  }

  /** Ends the sleep that is under way, if there is one. */
  wake(): void {
    this.#timer?.cancel();
    this.#wake();
  }
}
