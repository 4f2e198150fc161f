// rereader.ts: after a refused binding, finds out what has become of the task. Most often the informer tells first, and
// nothing is read at all.

import { ApiError } from '../../api/errors.js';
import { taskKind, type Task } from '../../api/task.js';
import type { ApiClient } from '../../client/api-client.js';
import { jitteredBackoffMs, type BackoffPolicy } from '../../lib/backoff.js';
import type { Clock } from '../../lib/clock.js';
import type { Logger } from '../../lib/log.js';
import type { Random } from '../../lib/random.js';
import type { Service } from '../../lib/service.js';
import { Alarm } from './alarm.js';
import type { Entry, SchedulerCore } from './core.js';
import { IndexedHeap } from './indexed-heap.js';

/** From the refusal to the read; grows with refusals in a row. */
const backoff: BackoffPolicy = { firstMs: 100, maxMs: 10_000, factor: 2 };
const readsMax = 8;

interface Due {
  heapIndex: number;
  at: number;
  order: number;
  entry: Entry;
}

export class Rereader implements Service {
  readonly name = 'scheduler rereader';
  readonly #options: { client: Pick<ApiClient, 'get'>; core: SchedulerCore; clock: Clock; random: Random; logger: Logger; changed(): void };
  readonly #alarm: Alarm;
  readonly #due = new IndexedHeap<Due>((a, b) => a.at < b.at || (a.at === b.at && a.order < b.order));
  #order = 0;

  /** @param options.changed is called when a task may wait again */
  constructor(options: { client: Pick<ApiClient, 'get'>; core: SchedulerCore; clock: Clock; random: Random; logger: Logger; changed(): void }) {
    this.#options = options;
    this.#alarm = new Alarm(options.clock);
  }

  add(entry: Entry): void {
    const { clock, random } = this.#options;
    const at = clock.monotonic() + jitteredBackoffMs(backoff, Math.max(1, entry.refusals), random);
    this.#due.push({ heapIndex: -1, at, order: this.#order++, entry });
    this.#alarm.ring();
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const batch = this.#takeDue();
      if (batch.length > 0) await Promise.all(batch.map((entry) => this.#read(entry)));
      else await this.#alarm.wait(signal, this.#due.first?.at);
    }
  }

  #takeDue(): Entry[] {
    const { clock, core } = this.#options;
    const batch: Entry[] = [];
    for (let first = this.#due.first; first && batch.length < readsMax && first.at <= clock.monotonic(); first = this.#due.first) {
      this.#due.remove(first);
      if (core.isUnclear(first.entry)) batch.push(first.entry);
    }
    return batch;
  }

  async #read(entry: Entry): Promise<void> {
    const { client, core, logger, changed } = this.#options;
    try {
      core.settle(entry, await client.get<Task>(taskKind, entry.task.metadata.name ?? '', entry.task.metadata.namespace));
    } catch (error) {
      if (error instanceof ApiError && error.code === 404) core.settle(entry, undefined);
      else if (core.isUnclear(entry)) {
        entry.refusals++;
        logger.warn('a task whose binding was refused could not be read; trying again', { task: entry.key, error });
        this.add(entry);
      }
    }
    changed();
  }
}
