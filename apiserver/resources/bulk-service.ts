// bulk-service.ts
//
// Many objects in one request. Items are offered to the store a few milliseconds' worth in each turn, so that they share its
// commits and nobody else waits for all of them; each has its own outcome, in the order of the request.

import { dequal } from 'dequal';
import { ApiError, badRequest, conflict, notFound } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import type { KubeObject } from '../../api/meta.js';
import { internalAddress, nodeKind, type Node } from '../../api/node.js';
import { failedOutcome, type BindingItem, type BulkOutcome, type UnschedulableItem } from '../../api/protocol.js';
import { boundTo, reported, unschedulable, type Refusal, type TaskReport } from '../../api/task-status.js';
import { taskKind as taskDefinition, type Task, type TaskStatus } from '../../api/task.js';
import type { Clock } from '../../lib/clock.js';
import { Deferred } from '../../lib/deferred.js';
import { Turns } from '../../lib/turns.js';
import { isMapping } from './admission.js';
import { readBindingBulk, readEventBulk, readSchedulingBulk, readStatusBulk, readTaskBulk } from './bulk-requests.js';
import type { Created, Creator } from './create.js';
import { EventLog } from './event-log.js';
import type { Mutated, Mutator, Plan, Step } from './mutator.js';
import type { ObjectCache } from './object-cache.js';
import { isEndAgain, markReport } from './own-reports.js';
import { objectStoreKey } from './registry-keys.js';
import type { Caller, WriteOptions } from './service.js';
import { isDone } from './update.js';

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
  readonly #turns: Turns;

  constructor(private readonly options: { cache: ObjectCache; mutator: Mutator; creator: Creator; clock: Clock }) {
    this.#events = new EventLog(options);
    this.#turns = new Turns(options);
  }

  /** Body TaskBulk, of which the tasks are made: it is not to be used again. @throws ApiError BadRequest when the body as a whole cannot be read */
  async create(caller: Caller, body: unknown, options: WriteOptions): Promise<BulkOutcome[]> {
    // Who owns which field is not kept for what comes in bulk: docs/decisions/0006-field-management.md.
    const { fieldManager: _fieldManager, ...untracked } = options;
    const create = (item: unknown): Promise<Created> => {
      const namespace = isMapping(item) && isMapping(item['metadata']) ? (item['metadata']['namespace'] ?? defaultNamespace) : defaultNamespace;
      if (typeof namespace !== 'string') throw badRequest('metadata.namespace must be a string');
      return this.options.creator.create(caller, { kind: taskKind, namespace }, item as KubeObject, untracked, undefined, true);
    };
    return this.#outcomes(readTaskBulk(body), create, ({ name, resourceVersion }) => (resourceVersion ? { code: 201, name, resourceVersion } : { code: 201, name }));
  }

  /** Body BindingBulk: conflict for a task that is not pending, unbound, there, and as it was when the node was chosen. */
  async bind(body: unknown): Promise<BulkOutcome[]> {
    const now = this.options.clock.now();
    const bind = (item: BindingItem, node: Node): Promise<Mutated> => {
      const { nodeName, generation } = item;
      return this.#setStatus(item, (task) =>
        generation !== undefined && generation !== task.metadata.generation
          ? { refused: `the task has changed: the binding is for generation ${generation}, the task is at ${task.metadata.generation ?? 0}` }
          : boundTo(task, nodeName, now, internalAddress(node)),
      );
    };
    return this.#outcomes(
      readBindingBulk(body).items,
      (item) => {
        const node = this.options.cache.get(objectStoreKey(nodeKind, item.nodeName, undefined));
        return node ? bind(item, node.object as Node) : this.#storedNode(item.nodeName).then((stored) => bind(item, stored));
      },
      updated,
    );
  }

  /** Body SchedulingBulk. What is said already, or no longer true, is no write. */
  async unschedulable(body: unknown): Promise<BulkOutcome[]> {
    const now = this.options.clock.now();
    return this.#outcomes(
      readSchedulingBulk(body).items,
      (item: UnschedulableItem) => this.#setStatus(item, (task) => unschedulable(task, item.reason, item.message, now)),
      updated,
    );
  }

  /**
   * Body StatusBulk. 409: refused, the attempt is over and its process must be stopped. 404: the task is gone, likewise.
   * A deleted task whose processes have ended goes in the same write. Events that come along are recorded as by recordEvents.
   */
  async status(body: unknown): Promise<BulkOutcome[]> {
    const now = this.options.clock.now();
    const { nodeName, items, reporter, events } = readStatusBulk(body);
    const report = (item: TaskReport): Promise<Mutated> =>
      this.#setStatus(
        item,
        (task) => {
          if (isEndAgain(reporter, task.status, item)) return undefined;
          const status = reported(task, nodeName, item, now);
          if (!('refused' in status)) markReport(status, reporter, item.phase, task.metadata.resourceVersion);
          return status;
        },
        (next) => (next.metadata.deletionTimestamp && endedPhases.has(item.phase) && !next.metadata.finalizers?.length ? { do: 'remove' } : undefined),
      );
    if (!events?.length) return this.#outcomes(items, report, updated);
    const room = this.#events.room();
    const work = [...items.map((item) => () => report(item).then(updated)), ...events.map((event) => () => this.#events.record(event, room))];
    return this.#outcomes(work, (start) => start(), (outcome) => outcome);
  }

  /** Body EventBulk: counts up what has been recorded, else records it. */
  async recordEvents(body: unknown): Promise<BulkOutcome[]> {
    const { items } = readEventBulk(body);
    const room = this.#events.room();
    return this.#outcomes(items, (item) => this.#events.record(item, room), (outcome) => outcome);
  }

  async #storedNode(nodeName: string): Promise<Node> {
    const node = await this.options.mutator.find(objectStoreKey(nodeKind, nodeName, undefined));
    if (!node) throw notFound(nodeKind, nodeName);
    return node.object as Node;
  }

  /** @param next undefined when nothing is to be said */
  #setStatus(item: TaskName, next: (task: Task) => TaskStatus | Refusal | undefined, instead?: (next: Task) => Step | undefined): Promise<Mutated> {
    const { namespace, name, uid } = item;
    const plan: Plan = (stored) => {
      const task = stored as Task;
      if (task.metadata.uid !== uid) throw conflict(taskKind, name, 'the task was deleted; another one has its name');
      const status = next(task);
      if (status === undefined) return { do: 'nothing', sure: true };
      if ('refused' in status) throw conflict(taskKind, name, status.refused);
      const successor: Task = { ...task, status };
      return instead?.(successor) ?? settledStatus(task, successor);
    };
    return this.options.mutator.mutate({ kind: taskKind, name, key: objectStoreKey(taskKind, name, namespace) }, plan);
  }

  /**
   * Starts the items in order and waits for all; a failure of one is its outcome.
   * @param tell the outcome of what was done for an item
   */
  async #outcomes<Item, Done>(items: readonly Item[], start: (item: Item) => Promise<Done>, tell: (done: Done) => BulkOutcome): Promise<BulkOutcome[]> {
    const told: BulkOutcome[] = Array.from({ length: items.length });
    const all = new Deferred<void>();
    // It is awaited only when every item has been started.
    all.promise.catch(() => {});
    let left = items.length;
    const settle = (index: number, outcome: BulkOutcome): void => {
      told[index] = outcome;
      if (--left === 0) all.resolve();
    };
    const failed = (index: number, error: unknown): void => {
      if (error instanceof ApiError) settle(index, failedOutcome(error));
      else all.reject(error);
    };
    await this.#turns.forEach(items, (item, index) => {
      try {
        start(item).then((result) => settle(index, tell(result)), (error: unknown) => failed(index, error));
      } catch (error) {
        failed(index, error);
      }
    });
    if (items.length > 0) await all.promise;
    return told;
  }
}

/** As settled, of two tasks that differ in their status at most. */
function settledStatus(task: Task, successor: Task): Step {
  if (isDone(taskKind, successor)) return { do: 'remove' };
  return dequal(successor.status, task.status) ? { do: 'nothing' } : { do: 'write', object: successor };
}

const updated = ({ resourceVersion }: Mutated): BulkOutcome => ({ code: 200, resourceVersion });
