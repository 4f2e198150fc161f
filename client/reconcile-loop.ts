// reconcile-loop.ts
//
// Makes the world right, one key at a time. `reconcile(key)` is told only what to look at; it reads the caches and does
// what is missing, whether it was called for a create, an update, a delete or a restart. It answers
//
//   nothing             done, until someone enqueues the key again
//   { againAfterMs }    done, and look again then at the latest
//   throws              failed: again after a growing delay
//   TerminalError       failed, and trying again would not help: wait until the key is enqueued again

import { isReason } from '../api/errors.js';
import { jitteredBackoffMs, type BackoffPolicy } from '../lib/backoff.js';
import type { Clock } from '../lib/clock.js';
import { DelayedQueue } from '../lib/delayed-queue.js';
import type { Logger } from '../lib/log.js';
import type { Random } from '../lib/random.js';
import { aborted, type Service } from '../lib/service.js';
import { WorkQueue } from '../lib/work-queue.js';

/** Trying again would not help. */
export class TerminalError extends Error {
  override readonly name = 'TerminalError';
}

export interface ReconcileLoopOptions {
  name: string;
  reconcile(key: string, signal: AbortSignal): Promise<void | { againAfterMs: number }>;
  /** How many keys are worked on at once. Default 1. */
  concurrency?: number;
  clock: Clock;
  random: Random;
  logger: Logger;
}

const retryBackoff: BackoffPolicy = { firstMs: 20, maxMs: 60_000, factor: 2 };
/** A key that has failed for about this long is worth a person's attention. */
const quietMsMax = 1_000;

export class ReconcileLoop implements Service {
  readonly name: string;
  readonly #options: ReconcileLoopOptions;
  readonly #logger: Logger;
  readonly #queue = new WorkQueue<string>();
  readonly #delayed: DelayedQueue<string>;
  readonly #failures = new Map<string, number>();

  constructor(options: ReconcileLoopOptions) {
    this.#options = options;
    this.name = options.name;
    this.#logger = options.logger.child({ loop: options.name });
    this.#delayed = new DelayedQueue({ clock: options.clock, due: (key) => this.#queue.add(key) });
  }

  /** Keys that wait to be worked on. */
  get waiting(): number {
    return this.#queue.size;
  }

  /** Nothing is under way or waits to be worked on now; keys may wait for their time. */
  get idle(): boolean {
    return this.#queue.idle;
  }

  enqueue(key: string): void {
    this.#queue.add(key);
  }

  enqueueAfter(key: string, delayMs: number): void {
    if (delayMs <= 0) this.#queue.add(key);
    else this.#delayed.add(key, delayMs);
  }

  async run(signal: AbortSignal): Promise<void> {
    const workers = Array.from({ length: this.#options.concurrency ?? 1 }, () => this.#work(signal));
    await aborted(signal);
    this.#queue.close();
    this.#delayed.close();
    await Promise.all(workers);
  }

  async #work(signal: AbortSignal): Promise<void> {
    for (let key = await this.#queue.take(); key !== undefined; key = await this.#queue.take()) {
      try {
        const answer = await this.#options.reconcile(key, signal);
        this.#failures.delete(key);
        if (answer) this.enqueueAfter(key, answer.againAfterMs);
      } catch (error) {
        if (!signal.aborted) this.#failed(key, error);
      } finally {
        this.#queue.done(key);
      }
    }
  }

  #failed(key: string, error: unknown): void {
    if (error instanceof TerminalError) {
      this.#failures.delete(key);
      this.#logger.warn('cannot reconcile; waiting for the object to change', { key, error });
      return;
    }
    const failures = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, failures);
    const delayMs = Math.round(jitteredBackoffMs(retryBackoff, failures, this.#options.random));
    // A conflict only says that someone else was faster: the next try sees the newer object.
    const quiet = delayMs < quietMsMax && (failures < 3 || isReason(error, 'Conflict'));
    this.#logger[quiet ? 'debug' : 'warn']('cannot reconcile; trying again', { key, failures, nextTryMs: delayMs, error });
    this.#delayed.add(key, delayMs);
  }
}
