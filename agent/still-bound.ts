// still-bound.ts
//
// While a node is absent its tasks are given away, and the watch that would tell may be the last of its connections to come back. So what waited
// here through an absence asks the server before it starts, and so does what a watch tells that may have much to catch up with.

import type { Task } from '../api/task.js';
import type { Clock } from '../lib/clock.js';
import type { Logger } from '../lib/log.js';
import type { Fence } from './fence.js';

export interface StillBoundOptions {
  fence: Pick<Fence, 'reopenedAt'>;
  /** @throws anything, when the server does not answer */
  isStillBound(task: Task): Promise<boolean>;
  clock: Clock;
}

/** For so long after an absence, what the watch on tasks tells may be what was missed. */
const catchUpMs = 60_000;

/** What is known of one binding. */
export class StillBound {
  readonly #options: StillBoundOptions;
  /** An absence that ended before this, in monotonic milliseconds, makes no difference. */
  #knownUntil: number;

  constructor(options: StillBoundOptions) {
    this.#options = options;
    this.#knownUntil = options.clock.monotonic() - catchUpMs;
  }

  get isCertain(): boolean {
    const { reopenedAt } = this.#options.fence;
    return reopenedAt === undefined || reopenedAt <= this.#knownUntil;
  }

  /** Asks, if need be. @returns false when it is not so, or nobody knows just now */
  async confirm(task: Task, logger: Logger): Promise<boolean> {
    if (this.isCertain) return true;
    const { clock, isStillBound } = this.#options;
    const askedAt = clock.monotonic();
    try {
      if (!(await isStillBound(task))) return false;
    } catch (error) {
      logger.debug('the server does not say whether a task is still bound here; it is asked again', { error });
      return false;
    }
    this.#knownUntil = askedAt;
    return true;
  }
}
