import { isReason } from '../../api/errors.js';
import { objectKey } from '../../api/meta.js';
import { taskKind, type Task } from '../../api/task.js';
import type { ApiClient } from '../../client/api-client.js';
import type { EventRecorder } from '../../client/event-recorder.js';
import type { Informer } from '../../client/informer.js';
import { ReconcileLoop } from '../../client/reconcile-loop.js';
import type { Clock } from '../../lib/clock.js';
import type { Logger } from '../../lib/log.js';
import type { Random } from '../../lib/random.js';
import type { Service } from '../../lib/service.js';
import { afterDeadline, deadlineInMs } from './plan.js';

/** Fails started tasks whose deadline passes while no agent has them. */
export class TaskDeadline implements Service {
  readonly name = 'task deadline';
  readonly #client: ApiClient;
  readonly #tasks: Informer<Task>;
  readonly #recorder: EventRecorder;
  readonly #clock: Clock;
  readonly #loop: ReconcileLoop;

  constructor(options: { client: ApiClient; tasks: Informer<Task>; recorder: EventRecorder; clock: Clock; random: Random; logger: Logger }) {
    const { client, tasks, recorder, clock, random, logger } = options;
    this.#client = client;
    this.#tasks = tasks;
    this.#recorder = recorder;
    this.#clock = clock;
    this.#loop = new ReconcileLoop({ name: this.name, reconcile: (key) => this.#reconcile(key), concurrency: 16, clock, random, logger });
    tasks.onChanges((changes) => {
      for (const { type, object } of changes) {
        const inMs = type === 'deleted' ? undefined : deadlineInMs(object, clock.now());
        if (inMs !== undefined) this.#loop.enqueueAfter(objectKey(object), inMs);
      }
    });
  }

  run(signal: AbortSignal): Promise<void> {
    return this.#loop.run(signal);
  }

  async #reconcile(key: string): Promise<void | { againAfterMs: number }> {
    const now = this.#clock.now();
    const task = this.#tasks.get(key);
    const inMs = task && deadlineInMs(task, now);
    if (!task || inMs === undefined) return;
    if (inMs > 0) return { againAfterMs: inMs };
    const status = afterDeadline(task, now);
    try {
      await this.#client.update(taskKind, { ...task, status }, { subresource: 'status' });
      this.#recorder.record(task, 'Warning', 'DeadlineExceeded', status.message ?? '');
    } catch (error) {
      // What it has become wakes us, if its deadline is still ours to watch.
      if (!isReason(error, 'NotFound', 'Conflict')) throw error;
    }
  }
}
