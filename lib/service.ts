// service.ts
//
// A service is constructed, then run once. `run(signal)` resolves when everything it started has ended, which is after
// the signal aborts; it rejects only when it cannot go on at all.

import { setMaxListeners } from 'node:events';

export interface Service {
  readonly name: string;
  run(signal: AbortSignal): Promise<void>;
}

/**
 * Runs services side by side. When one ends or fails, the others are told to stop; resolves when all have ended.
 * @throws the first failure, after the others have ended
 */
export async function runAll(services: readonly Service[], signal: AbortSignal): Promise<void> {
  const stop = new AbortController();
  const all = AbortSignal.any([signal, stop.signal]);
  // Every loop and sleep of every service listens: many listeners are no leak here.
  setMaxListeners(0, signal, all);
  const runs = services.map(async (service) => {
    try {
      await service.run(all);
    } finally {
      stop.abort();
    }
  });
  const results = await Promise.allSettled(runs);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
