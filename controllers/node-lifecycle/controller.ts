// controller.ts
//
// Keeps nodes and the tasks bound to them true to the presence of agents. Works by node name; woken by the leases that
// stand for presence, by nodes, and by tasks that are bound where no agent is.
//
// Three copies that lag differently must not be mistaken for the world: before anything is declared lost, the server is
// asked whether the lease is gone. An agent that has just said Ready and has not announced itself yet is waited for.

import { isReason } from '../../api/errors.js';
import { leaseKind, presenceNamespace, type Lease } from '../../api/lease.js';
import { findCondition } from '../../api/conditions.js';
import { objectKey, parseTimestamp } from '../../api/meta.js';
import { isReady, nodeKind, type Node } from '../../api/node.js';
import { holdsRoom, taskKind, type Task } from '../../api/task.js';
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
import { planLostTask, planNode, type NodePlan } from './plan.js';

export interface NodeLifecycleOptions {
  client: ApiClient;
  tasks: Informer<Task>;
  /** See tasksByNode. */
  tasksByNode: Pick<IndexBy<Task>, 'get' | 'values'>;
  nodes: Informer<Node>;
  leases: Informer<Lease>;
  recorder: EventRecorder;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** An agent registers its node as ready first and announces its presence then; it has this long in between. */
const announceMs = 5_000;
const nodesAtOnce = 8;
const tasksAtOncePerNode = 32;

export class NodeLifecycle implements Service {
  readonly name = 'node lifecycle';
  readonly #options: NodeLifecycleOptions;
  readonly #loop: ReconcileLoop;
  /** Nodes whose agents are present as far as we were told: every change of a task asks. */
  readonly #present = new Set<string>();
  /** Nodes that said Ready lately, and until when (monotonic) their announcement is waited for. */
  readonly #announcing = new Map<string, number>();

  constructor(options: NodeLifecycleOptions) {
    this.#options = options;
    const { clock, random, logger, tasks, nodes, leases } = options;
    this.#loop = new ReconcileLoop({ name: this.name, reconcile: (key) => this.#reconcile(key), concurrency: nodesAtOnce, clock, random, logger });
    leases.onChanges((changes) => this.#leasesChanged(changes));
    nodes.onChanges((changes) => this.#nodesChanged(changes));
    tasks.onChanges((changes) => this.#tasksChanged(changes));
  }

  async run(signal: AbortSignal): Promise<void> {
    const { tasks, tasksByNode, nodes, leases } = this.#options;
    if (!(await allSynced([tasks, nodes, leases], signal))) return;
    // Nodes whose tasks outlived them have no event of their own.
    for (const nodeName of tasksByNode.values()) this.#loop.enqueue(nodeName);
    await this.#loop.run(signal);
  }

  #leasesChanged(changes: readonly InformerChange<Lease>[]): void {
    for (const { type, object } of changes) {
      const { namespace, name = '' } = object.metadata;
      if (namespace !== presenceNamespace) continue;
      if (type === 'deleted') {
        this.#announcing.delete(name);
        this.#present.delete(name);
      } else this.#present.add(name);
      // Renewals are no changes: only coming and going matters.
      if (type !== 'modified') this.#loop.enqueue(name);
    }
  }

  #nodesChanged(changes: readonly InformerChange<Node>[]): void {
    const { clock } = this.#options;
    for (const { type, object, previous } of changes) {
      const { name = '' } = object.metadata;
      if (type === 'deleted') this.#announcing.delete(name);
      else if (previous ? isReady(object) && !isReady(previous) : this.#isRegistering(object)) {
        this.#announcing.set(name, clock.monotonic() + announceMs);
      }
      this.#loop.enqueue(name);
    }
  }

  /** Whether a node that is new to us was made or became ready a moment ago, and not before we looked. */
  #isRegistering(node: Node): boolean {
    const ready = findCondition(node.status?.conditions, 'Ready');
    if (ready && ready.status !== 'True') return false;
    const now = this.#options.clock.now();
    // A node is made with its conditions, by the clock of its agent, which may be wrong.
    return [ready?.lastTransitionTime, node.metadata.creationTimestamp].some((at) => Math.abs(now - (parseTimestamp(at) ?? Infinity)) < announceMs);
  }

  #tasksChanged(changes: readonly InformerChange<Task>[]): void {
    for (const { type, object } of changes) {
      const nodeName = object.status?.nodeName;
      if (type !== 'deleted' && nodeName && holdsRoom(object) && !this.#present.has(nodeName)) this.#loop.enqueue(nodeName);
    }
  }

  #seemsPresent(nodeName: string): boolean {
    return this.#options.leases.get(`${presenceNamespace}/${nodeName}`) !== undefined;
  }

  async #reconcile(nodeName: string): Promise<void | { againAfterMs: number }> {
    const { clock, nodes, tasksByNode } = this.#options;
    const node = nodes.get(nodeName);
    if (this.#seemsPresent(nodeName)) {
      this.#announcing.delete(nodeName);
      if (!node) return;
      const plan = planNode(node, true, clock.now());
      await this.#carryOut(node, plan);
      return plan.againAfterMs === undefined ? undefined : { againAfterMs: plan.againAfterMs };
    }
    const waitMs = (this.#announcing.get(nodeName) ?? 0) - clock.monotonic();
    if (waitMs > 0) return { againAfterMs: waitMs };
    this.#announcing.delete(nodeName);
    const lost = [...tasksByNode.get(nodeName)];
    const plan = node ? planNode(node, false, clock.now()) : {};
    if (lost.length === 0 && !plan.conditions && !plan.taints) return;
    if (await this.#isPresent(nodeName)) return;
    // The node first: the scheduler must not send the tasks back where they come from.
    const marked = node ? await settled(this.#carryOut(node, plan)) : undefined;
    await this.#loseTasks(nodeName, lost);
    if (marked) throw marked.failure;
  }

  /** Asks the server: its word is newer than ours. */
  async #isPresent(nodeName: string): Promise<boolean> {
    try {
      await this.#options.client.get(leaseKind, nodeName, presenceNamespace);
      return true;
    } catch (error) {
      if (isReason(error, 'NotFound')) return false;
      throw error;
    }
  }

  async #carryOut(node: Node, plan: NodePlan): Promise<void> {
    const { client, recorder, logger } = this.#options;
    let current = node;
    if (plan.conditions) {
      current = await client.update(nodeKind, { ...current, status: { ...current.status, conditions: plan.conditions } }, { subresource: 'status' });
    }
    if (plan.event) {
      recorder.record(node, plan.event.type, plan.event.reason, plan.event.message);
      logger[plan.event.type === 'Warning' ? 'warn' : 'info'](plan.event.message, { node: node.metadata.name });
    }
    if (plan.taints) await client.update(nodeKind, { ...current, spec: { ...current.spec, taints: plan.taints } });
  }

  async #loseTasks(nodeName: string, keys: readonly string[]): Promise<void> {
    const { logger } = this.#options;
    let moved = 0;
    await forEachParallel(keys, tasksAtOncePerNode, async (key) => {
      if (await this.#loseTask(key, nodeName)) moved++;
    });
    if (moved > 0) logger.warn('tasks of a lost node were given up there; onNodeLost decides what follows', { node: nodeName, tasks: moved });
  }

  /** True when something was written. */
  async #loseTask(key: string, nodeName: string): Promise<boolean> {
    const { client, clock, recorder, tasks } = this.#options;
    const task = tasks.get(key);
    if (!task || task.status?.nodeName !== nodeName) return false;
    // Giving up many tasks takes a while. An agent that has announced itself meanwhile may have started what is bound to it.
    if (this.#seemsPresent(nodeName)) return false;
    const plan = planLostTask(task, clock.now());
    const { name = '', namespace, uid } = task.metadata;
    try {
      switch (plan.do) {
        case 'nothing':
          return false;
        case 'remove':
          await client.delete(taskKind, name, namespace, { gracePeriodSeconds: 0, preconditions: { uid } });
          return true;
        case 'write':
          await client.update(taskKind, { ...task, status: plan.status }, { subresource: 'status' });
          recorder.record(task, 'Warning', 'NodeLost', plan.status.message ?? `node ${nodeName} is lost`);
          return true;
      }
    } catch (error) {
      // Someone changed or removed it first. What it has become wakes us, if there is still something to do.
      if (isReason(error, 'Conflict', 'NotFound')) return false;
      throw new Error(`task ${objectKey(task)} of lost node ${nodeName} cannot be moved`, { cause: error });
    }
  }
}

async function settled(work: Promise<void>): Promise<{ failure: unknown } | undefined> {
  try {
    await work;
    return undefined;
  } catch (failure) {
    return { failure };
  }
}
