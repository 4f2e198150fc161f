import type { Clock, Timer } from './clock.js';

interface Pending {
  at: number;
  order: number;
  fn: () => void;
}

/**
 * A clock that moves only when told. Timers fire in order of time, then of creation, inside `advance`.
 */
export class FakeClock implements Clock {
  #now: number;
  readonly #start: number;
  #order = 0;
  #pending: Pending[] = [];

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#now = startMs;
    this.#start = startMs;
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now - this.#start;
  }

  timer(delayMs: number, fn: () => void): Timer {
    const entry: Pending = { at: this.#now + Math.max(0, delayMs), order: this.#order++, fn };
    this.#pending.push(entry);
    return { cancel: () => void (this.#pending = this.#pending.filter((other) => other !== entry)) };
  }

  /** How many timers wait: a test that ends with one has leaked it. */
  get pendingTimers(): number {
    return this.#pending.length;
  }

  /** When the next timer is due (milliseconds since the epoch), or undefined when none waits. */
  get nextTimerAt(): number | undefined {
    return this.#next()?.at;
  }

  /** Moves time forward by `ms`, firing what falls due and letting promises settle between timers. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await settle();
    for (let next = this.#next(); next && next.at <= until; next = this.#next()) {
      this.#now = next.at;
      this.#pending = this.#pending.filter((other) => other !== next);
      next.fn();
      await settle();
    }
    this.#now = until;
    await settle();
  }

  #next(): Pending | undefined {
    let first: Pending | undefined;
    for (const entry of this.#pending) {
      if (!first || entry.at < first.at || (entry.at === first.at && entry.order < first.order)) first = entry;
    }
    return first;
  }
}

/** Lets every promise that is ready run its reactions, however deep the chain. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
