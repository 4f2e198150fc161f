// commit-observer.ts: how large commits are and how long they take, for whoever counts.

import type { Clock } from '../../lib/clock.js';

/** Told of each commit when it is over, however it ended. */
export type CommitObserver = (writes: number, seconds: number) => void;

/** `commit`, with `observe` told of each; `commit` itself when nobody listens. */
export function observedCommit<Op, Outcome>(
  commit: (batch: readonly Op[]) => Promise<readonly Outcome[]>,
  clock: Clock,
  observe: CommitObserver | undefined,
): (batch: readonly Op[]) => Promise<readonly Outcome[]> {
  if (!observe) return commit;
  return async (batch) => {
    const startedAt = clock.monotonic();
    try {
      return await commit(batch);
    } finally {
      observe(batch.length, (clock.monotonic() - startedAt) / 1000);
    }
  };
}
