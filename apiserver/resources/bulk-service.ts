// bulk-service.ts
//
// Many objects in one request. Every item is offered to the store in the same turn, so that they share its commits; each
// has its own outcome, in the order of the request.

import { ApiError, badRequest, conflict, notFound } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import type { KubeObject } from '../../api/meta.js';
import { internalAddress, nodeKind, type Node } from '../../api/node.js';
import { failedOutcome, type BindingItem, type BulkOutcome, type UnschedulableItem } from '../../api/protocol.js';
import { boundTo, reported, unschedulable, type Refusal, type TaskReport } from '../../api/task-status.js';
import { taskKind as taskDefinition, type Task, type TaskStatus } from '../../api/task.js';
import type { Clock } from '../../lib/clock.js';
import { isMapping } from './admission.js';
import { readBindingBulk, readEventBulk, readSchedulingBulk, readStatusBulk, readTaskBulk } from './bulk-requests.js';
import type { Creator } from './create.js';
import { EventLog } from './event-log.js';
import type { Mutator, Plan, Step } from './mutator.js';
import type { ObjectCache } from './object-cache.js';
import { objectStoreKey } from './registry-keys.js';
import type { Caller, WriteOptions } from './service.js';
import { settled } from './update.js';

const taskKind = taskDefinition as unknown as KindDefinition;
const defaultNamespace = 'default';

/** Phases of a report that say that the attempt's processes have ended. */
const endedPhases: ReadonlySet<TaskReport['phase']> = new Set(['Succeeded', 'Failed', 'Lost', 'Evicted']);

interface TaskName {
  namespace: string;
  name: string;
  uid: string;
}

export class BulkService {
  readonly #events: EventLog;

  constructor(private readonly options: { cache: ObjectCache; mutator: Mutator; creator: Creator; clock: Clock }) {
    this.#events = new EventLog(options);
  }

  /** Body TaskBulk. @throws ApiError BadRequest when the body as a whole cannot be read */
  async create(caller: Caller, body: unknown, options: WriteOptions): Promise<BulkOutcome[]> {
    // Who owns which field is not kept for what comes in bulk: docs/decisions/0006-field-management.md.
    const { fieldManager: _fieldManager, ...untracked } = options;
    return outcomes(readTaskBulk(body), async (item) => {
      const namespace = isMapping(item) && isMapping(item['metadata']) ? (item['metadata']['namespace'] ?? defaultNamespace) : defaultNamespace;
      if (typeof namespace !== 'string') throw badRequest('metadata.namespace must be a string');
      const { name, resourceVersion } = await this.options.creator.create(caller, { kind: taskKind, namespace }, item as KubeObject, untracked);
      return { code: 201, name, ...(resourceVersion ? { resourceVersion } : {}) };
    });
  }

  /** Body BindingBulk: conflict for a task that is not pending, unbound, there, and as it was when the node was chosen. */
  async bind(body: unknown): Promise<BulkOutcome[]> {
    const now = this.options.clock.now();
    return outcomes(readBindingBulk(body).items, async (item: BindingItem) => {
      const { nodeName, generation } = item;
      const nodeKey = objectStoreKey(nodeKind, nodeName, undefined);
      // No await where the cache knows the node: all items are to reach the store in one turn.
      const node = this.options.cache.get(nodeKey) ?? (await this.options.mutator.find(nodeKey));
      if (!node) throw notFound(nodeKind, nodeName);
      return this.#setStatus(item, (task) =>
        generation !== undefined && generation !== task.metadata.generation
          ? { refused: `the task has changed: the binding is for generation ${generation}, the task is at ${task.metadata.generation ?? 0}` }
          : boundTo(task, nodeName, now, internalAddress(node.object as Node)),
      );
    });
  }

  /** Body SchedulingBulk. What is said already, or no longer true, is no write. */
  async unschedulable(body: unknown): Promise<BulkOutcome[]> {
    const now = this.options.clock.now();
    return outcomes(readSchedulingBulk(body).items, (item: UnschedulableItem) =>
      this.#setStatus(item, (task) => unschedulable(task, item.reason, item.message, now)),
    );
  }

  /**
   * Body StatusBulk. 409: refused, the attempt is over and its process must be stopped. 404: the task is gone, likewise.
   * A deleted task whose processes have ended goes in the same write.
   */
  async status(body: unknown): Promise<BulkOutcome[]> {
    const now = this.options.clock.now();
    const { nodeName, items } = readStatusBulk(body);
    return outcomes(items, (report) =>
      this.#setStatus(
        report,
        (task) => reported(task, nodeName, report, now),
        (next) => (next.metadata.deletionTimestamp && endedPhases.has(report.phase) && !next.metadata.finalizers?.length ? { do: 'remove' } : undefined),
      ),
    );
  }

  /** Body EventBulk: counts up what has been recorded, else records it. */
  async recordEvents(body: unknown): Promise<BulkOutcome[]> {
    const { items } = readEventBulk(body);
    const room = this.#events.room();
    return outcomes(items, (item) => this.#events.record(item, room));
  }

  /** @param next undefined when nothing is to be said */
  async #setStatus(item: TaskName, next: (task: Task) => TaskStatus | Refusal | undefined, instead?: (next: Task) => Step | undefined): Promise<BulkOutcome> {
    const { namespace, name, uid } = item;
    const plan: Plan = (stored) => {
      const task = stored as Task;
      if (task.metadata.uid !== uid) throw conflict(taskKind, name, 'the task was deleted; another one has its name');
      const status = next(task);
      if (status === undefined) return { do: 'nothing', sure: true };
      if ('refused' in status) throw conflict(taskKind, name, status.refused);
      const successor: Task = { ...task, status };
      return instead?.(successor) ?? settled(taskKind, task, successor);
    };
    const { resourceVersion } = await this.options.mutator.mutate({ kind: taskKind, name, key: objectStoreKey(taskKind, name, namespace) }, plan);
    return { code: 200, resourceVersion };
  }
}

/** Starts all items in one turn; a failure of one is its outcome. */
async function outcomes<Item>(items: readonly Item[], work: (item: Item) => Promise<BulkOutcome>): Promise<BulkOutcome[]> {
  return Promise.all(
    items.map(async (item) => {
      try {
        return await work(item);
      } catch (error) {
        if (error instanceof ApiError) return failedOutcome(error);
        throw error;
      }
    }),
  );
}
