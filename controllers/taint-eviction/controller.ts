// controller.ts
//
// Evicts tasks from nodes that have got a NoExecute taint which they do not tolerate, or not for so long. Works by node; woken by nodes and by
// tasks that come to a tainted one. It only asks: the agent stops the task. The taint of a lost node has another effect (NoSchedule): what
// becomes of its tasks is the node lifecycle's business.

import { isReason } from '../../api/errors.js';
import { objectKey } from '../../api/meta.js';
import type { Node, Taint } from '../../api/node.js';
import { evicted } from '../../api/task-status.js';
import { taskKind, type Task } from '../../api/task.js';
import type { ApiClient } from '../../client/api-client.js';
import type { EventRecorder } from '../../client/event-recorder.js';
import type { IndexBy } from '../../client/index-by.js';
import type { Informer, InformerChange } from '../../client/informer.js';
import { ReconcileLoop } from '../../client/reconcile-loop.js';
import type { Clock } from '../../lib/clock.js';
import type { Logger } from '../../lib/log.js';
import { forEachParallel } from '../../lib/parallel.js';
import type { Random } from '../../lib/random.js';
import type { Service } from '../../lib/service.js';
import { allSynced } from '../all-synced.js';
import { departure, mayLeave, noExecuteTaints, taintText, type Departure } from './plan.js';

export interface TaintEvictionOptions {
  client: ApiClient;
  tasks: Informer<Task>;
  /** See tasksByNode. */
  tasksByNode: Pick<IndexBy<Task>, 'get'>;
  nodes: Informer<Node>;
  recorder: EventRecorder;
  clock: Clock;
  random: Random;
  logger: Logger;
}

const nodesAtOnce = 4;
const tasksAtOncePerNode = 32;
/** Reason of the condition DisruptionTarget, as Kubernetes has it; that of the event is TaintManagerEviction. */
const conditionReason = 'DeletionByTaintManager';

export class TaintEviction implements Service {
  readonly name = 'taint eviction';
  readonly #options: TaintEvictionOptions;
  readonly #loop: ReconcileLoop;

  constructor(options: TaintEvictionOptions) {
    this.#options = options;
    const { clock, random, logger, tasks, nodes } = options;
    this.#loop = new ReconcileLoop({ name: this.name, reconcile: (key) => this.#reconcile(key), concurrency: nodesAtOnce, clock, random, logger });
    nodes.onChanges((changes) => this.#nodesChanged(changes));
    tasks.onChanges((changes) => this.#tasksChanged(changes));
  }

  async run(signal: AbortSignal): Promise<void> {
    const { tasks, nodes } = this.#options;
    if (await allSynced([tasks, nodes], signal)) await this.#loop.run(signal);
  }

  #nodesChanged(changes: readonly InformerChange<Node>[]): void {
    for (const { type, object } of changes) {
      if (type !== 'deleted' && noExecuteTaints(object).length > 0) this.#loop.enqueue(object.metadata.name ?? '');
    }
  }

  /** A task comes to a node, or its tolerations change: what else changes of it is no matter here. */
  #tasksChanged(changes: readonly InformerChange<Task>[]): void {
    for (const { type, object, previous } of changes) {
      const nodeName = object.status?.nodeName;
      if (type === 'deleted' || !nodeName || !mayLeave(object)) continue;
      // It may have left and come back unseen, while the changes in between were gone.
      const isNew = !previous || !mayLeave(previous) || previous.status?.bindings !== object.status?.bindings || previous.spec.tolerations?.length !== object.spec.tolerations?.length;
      if (isNew && noExecuteTaints(this.#options.nodes.get(nodeName)).length > 0) this.#loop.enqueue(nodeName);
    }
  }

  async #reconcile(nodeName: string): Promise<void | { againAfterMs: number }> {
    const { clock, tasks, tasksByNode, nodes, logger } = this.#options;
    const taints = noExecuteTaints(nodes.get(nodeName));
    if (taints.length === 0) return;
    const now = clock.now();
    const due: { task: Task; why: Departure }[] = [];
    let next = Infinity;
    for (const key of tasksByNode.get(nodeName)) {
      const task = tasks.get(key);
      const why = task && mayLeave(task) && departure(task, taints, now);
      if (!task || !why) continue;
      if (why.at <= now) due.push({ task, why });
      else next = Math.min(next, why.at);
    }
    if (due.length > 0) logger.info('evicting tasks that do not tolerate a taint of their node', { node: nodeName, tasks: due.length, taints: taints.map(taintText).join(', ') });
    await forEachParallel(due, tasksAtOncePerNode, ({ task, why }) => this.#evict(task, nodeName, why.taint));
    return next === Infinity ? undefined : { againAfterMs: Math.max(0, next - clock.now()) };
  }

  async #evict(task: Task, nodeName: string, taint: Taint): Promise<void> {
    const { client, clock, recorder } = this.#options;
    const message = `node ${nodeName} has taint ${taintText(taint)}:NoExecute, which the task does not tolerate${taint.timeAdded && task.spec.tolerations?.length ? ' (any longer)' : ''}`;
    const status = evicted(task, { reason: conditionReason, message }, clock.now());
    if (!status) return;
    try {
      await client.update(taskKind, { ...task, status }, { subresource: 'status' });
      recorder.record(task, 'Normal', 'TaintManagerEviction', `evicting the task: ${message}`);
    } catch (error) {
      if (isReason(error, 'NotFound')) return;
      // A conflict, too: our copy is behind, and better when the node's turn comes again.
      throw new Error(`task ${objectKey(task)} cannot be evicted from node ${nodeName}`, { cause: error });
    }
  }
}
