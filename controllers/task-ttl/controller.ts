import { isReason } from '../../api/errors.js';
import { objectKey } from '../../api/meta.js';
import { taskKind, type Task } from '../../api/task.js';
import type { ApiClient } from '../../client/api-client.js';
import type { Informer } from '../../client/informer.js';
import { ReconcileLoop } from '../../client/reconcile-loop.js';
import type { Clock } from '../../lib/clock.js';
import type { Logger } from '../../lib/log.js';
import type { Random } from '../../lib/random.js';
import type { Service } from '../../lib/service.js';
import { deletionDueInMs } from './plan.js';

/** Deletes finished tasks when their ttlSecondsAfterFinished has passed. */
export class TaskTtl implements Service {
  readonly name = 'task ttl';
  readonly #client: ApiClient;
  readonly #tasks: Informer<Task>;
  readonly #clock: Clock;
  readonly #loop: ReconcileLoop;

  constructor(options: { client: ApiClient; tasks: Informer<Task>; clock: Clock; random: Random; logger: Logger }) {
    const { client, tasks, clock, random, logger } = options;
    this.#client = client;
    this.#tasks = tasks;
    this.#clock = clock;
    this.#loop = new ReconcileLoop({ name: this.name, reconcile: (key) => this.#reconcile(key), concurrency: 16, clock, random, logger });
    tasks.onChanges((changes) => {
      for (const { type, object } of changes) {
        const dueInMs = type === 'deleted' ? undefined : deletionDueInMs(object, clock.now());
        if (dueInMs !== undefined) this.#loop.enqueueAfter(objectKey(object), dueInMs);
      }
    });
  }

  run(signal: AbortSignal): Promise<void> {
    return this.#loop.run(signal);
  }

  async #reconcile(key: string): Promise<void | { againAfterMs: number }> {
    const task = this.#tasks.get(key);
    const dueInMs = task && deletionDueInMs(task, this.#clock.now());
    if (!task || dueInMs === undefined) return;
    if (dueInMs > 0) return { againAfterMs: dueInMs };
    const { name = '', namespace, uid, resourceVersion } = task.metadata;
    try {
      // Guarded by version: whoever has just prolonged the time keeps the task.
      await this.#client.delete(taskKind, name, namespace, { preconditions: { uid, resourceVersion }, propagationPolicy: 'Background' });
    } catch (error) {
      if (!isReason(error, 'NotFound', 'Conflict')) throw error;
    }
  }
}
