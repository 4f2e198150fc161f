// etcd-barrier.ts
//
// The revision that a strong read waits for. etcd's own revision, read linearizably, covers every acknowledged write; but it
// also grows by keys outside our root, which no watch of ours will ever show. So a revision that no watch has reached within a
// moment is passed by a write of our own (the sync key), which every watch shows.

import type { Clock } from '../../../lib/clock.js';
import { etcdRevisionOf, revisionOf } from './etcd-revision.js';

export interface EtcdBarrierOptions {
  readonly clock: Clock;
  /** Reads etcd's revision, linearizably. */
  readonly readRevision: () => Promise<number>;
  /** Writes the sync key; answers the revision of the write. */
  readonly writeSyncKey: () => Promise<number>;
}

/** An event of another API server's write is here long before this; then the revision is taken for a stranger's. */
const eventWaitMs = 100;

export class EtcdBarrier {
  readonly #options: EtcdBarrierOptions;
  /** The newest etcd revision of a write under the root that we know of: a watch over the root shows it. */
  #written = 0;
  /** How far each running watch has come, etcd revisions. */
  readonly #watches = new Set<{ reached: number }>();
  readonly #waiting = new Set<() => void>();
  #running: Promise<number> | undefined;
  #next: Promise<number> | undefined;

  constructor(options: EtcdBarrierOptions) {
    this.#options = options;
  }

  /** A write under the root got this revision. */
  noteWritten(revision: number): void {
    this.#written = Math.max(this.#written, etcdRevisionOf(revision));
  }

  /** A watch over the root begins after `revision`; `reached` tells how far it has come. */
  watchStarted(revision: number): { reached: (revision: number) => void; ended: () => void } {
    const watch = { reached: etcdRevisionOf(revision) };
    this.#watches.add(watch);
    return {
      reached: (reached) => {
        watch.reached = etcdRevisionOf(reached);
        this.noteWritten(reached);
        for (const check of this.#waiting) check();
      },
      ended: () => void this.#watches.delete(watch),
    };
  }

  /** Store.currentRevision. Callers share: one read under way, and one more for all who came since it started. */
  currentRevision(): Promise<number> {
    if (!this.#running) return this.#start();
    return (this.#next ??= this.#running.then(
      () => this.#startNext(),
      () => this.#startNext(),
    ));
  }

  #startNext(): Promise<number> {
    this.#next = undefined;
    return this.#start();
  }

  #start(): Promise<number> {
    const run = this.#read().finally(() => {
      if (this.#running === run) this.#running = undefined;
    });
    this.#running = run;
    return run;
  }

  async #read(): Promise<number> {
    const etcdRevision = await this.#options.readRevision();
    if (!this.#isShown(etcdRevision) && this.#watches.size > 0) await this.#shownSoon(etcdRevision);
    if (this.#isShown(etcdRevision)) return revisionOf(etcdRevision, 0);
    return revisionOf(etcdRevisionOf(await this.#options.writeSyncKey()), 0);
  }

  #isShown(etcdRevision: number): boolean {
    if (etcdRevision <= this.#written) return true;
    return this.#watches.size > 0 && [...this.#watches].every(({ reached }) => reached >= etcdRevision);
  }

  #shownSoon(etcdRevision: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        timer.cancel();
        this.#waiting.delete(check);
        resolve();
      };
      const check = (): void => {
        if (this.#isShown(etcdRevision)) done();
      };
      const timer = this.#options.clock.timer(eventWaitMs, done);
      this.#waiting.add(check);
    });
  }
}
