import { Deferred } from '../../lib/deferred.js';

interface Waiter {
  readonly revision: number;
  readonly reached: Deferred<void>;
}

/**
 * Who waits for a revision, lowest first. Waiters mostly come in order of revision, so that adding one is usually a push.
 */
export class RevisionWaiters {
  #waiters: Waiter[] = [];

  /** Resolves at the first `resolveUpTo` that covers `revision`; waiters for the same revision share a promise. */
  wait(revision: number): Promise<void> {
    let index = this.#waiters.length;
    while (index > 0 && this.#waiters[index - 1]!.revision > revision) index--;
    const before = this.#waiters[index - 1];
    if (before?.revision === revision) return before.reached.promise;
    const waiter: Waiter = { revision, reached: new Deferred() };
    this.#waiters.splice(index, 0, waiter);
    return waiter.reached.promise;
  }

  resolveUpTo(revision: number): void {
    let count = 0;
    while (count < this.#waiters.length && this.#waiters[count]!.revision <= revision) count++;
    for (const { reached } of this.#waiters.splice(0, count)) reached.resolve();
  }

  rejectAll(error: Error): void {
    for (const { reached } of this.#waiters.splice(0)) reached.reject(error);
  }
}
