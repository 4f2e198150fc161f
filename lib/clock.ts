// clock.ts
//
// Time comes in through constructors. Everything that waits or reads the time takes a Clock, so that the whole control
// plane can run in virtual time (fake-clock.ts) and a failing run can be replayed.

/** A pending timer; `cancel` is idempotent. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Wall time, milliseconds since the Unix epoch. May jump; use it only for what people and other machines read. */
  now(): number;
  /** Milliseconds from an arbitrary start, never going back. Use it to measure and to fence. */
  monotonic(): number;
  /** Calls `fn` once, `delayMs` from now. The timer keeps the process alive unless `unref` is true. */
  timer(delayMs: number, fn: () => void, options?: { unref?: boolean }): Timer;
}

/** setTimeout keeps delays in a signed 32-bit integer and fires at once beyond it. */
const timeoutMsMax = 2 ** 31 - 1;

export class SystemClock implements Clock {
  now(): number {
    return Date.now();
  }

  monotonic(): number {
    return performance.now();
  }

  timer(delayMs: number, fn: () => void, options?: { unref?: boolean }): Timer {
    let handle: NodeJS.Timeout;
    const arm = (remainingMs: number): void => {
      const stepMs = Math.min(remainingMs, timeoutMsMax);
      handle = setTimeout(() => (remainingMs > stepMs ? arm(remainingMs - stepMs) : fn()), Math.max(0, stepMs));
      if (options?.unref) handle.unref();
    };
    arm(delayMs);
    return { cancel: () => clearTimeout(handle) };
  }
}

/**
 * Resolves after `delayMs`, or at once when `signal` aborts (it never rejects: a loop checks its signal anyway).
 */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = (): void => {
      timer.cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = clock.timer(delayMs, done);
    signal?.addEventListener('abort', done, { once: true });
  });
}
