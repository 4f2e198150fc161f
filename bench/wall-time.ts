// wall-time.ts: the time of day to a fraction of a millisecond, comparable between the processes of one machine. The
// system clock has whole milliseconds only; performance has fractions and may drift from it, so it is set right again.

import type { Clock } from '../lib/clock.js';

const driftMsMax = 1;

export class WallTime {
  #originMs: number;

  constructor(private readonly clock: Clock) {
    this.#originMs = originOf(clock);
  }

  /** Milliseconds since the epoch, with a fraction. */
  now(): number {
    const now = this.#originMs + this.clock.monotonic();
    if (Math.abs(now - this.clock.now()) <= driftMsMax + 1) return now;
    this.#originMs = originOf(this.clock);
    return this.#originMs + this.clock.monotonic();
  }
}

/** The wall clock when the monotonic one was zero, taken at the moment that the wall clock ticks. */
function originOf(clock: Clock): number {
  const before = clock.now();
  let after = before;
  while (after === before) after = clock.now();
  return after - clock.monotonic();
}
