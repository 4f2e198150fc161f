// test-world.ts: objects for the tests of the scheduler, and the plain way to schedule that it is judged by.

import { objectKey } from '../../api/meta.js';
import type { Node, Taint } from '../../api/node.js';
import type { Task, TaskSpec } from '../../api/task.js';
import type { SchedulerCore } from './core.js';
import { constraintsOf, nodeInfoOf, nodeProblem } from './filter.js';
import { requestOf, type ResourceRequest } from './resources.js';
import { loadOf, penaltyOf, shareOf } from './score.js';
import type { Snapshot } from './snapshot.js';

export interface NodeOptions {
  labels?: Record<string, string>;
  taints?: Taint[];
  unschedulable?: boolean;
  ready?: boolean;
  allocatable?: Record<string, string | number>;
}

export function makeNode(name: string, options: NodeOptions = {}): Node {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, uid: `uid-${name}`, labels: options.labels ?? {} },
    spec: { ...(options.taints ? { taints: options.taints } : {}), ...(options.unschedulable ? { unschedulable: true } : {}) },
    status: {
      allocatable: { cpu: '4', memory: '8Gi', tasks: '100', ...options.allocatable },
      conditions: [{ type: 'Ready', status: (options.ready ?? true) ? 'True' : 'False' }],
    },
  };
}

let made = 0;

/** A pending task as the server stores it. */
export function makeTask(name: string, spec: Partial<TaskSpec> = {}, creationTimestamp = '2026-01-01T00:00:00Z'): Task {
  return {
    apiVersion: 'taskplane.dev/v1',
    kind: 'Task',
    metadata: { name, namespace: 'default', uid: `uid-${made++}`, resourceVersion: '1', generation: 1, creationTimestamp },
    spec: { command: ['true'], ...spec },
    status: { phase: 'Pending' },
  };
}

export function asking(cpu: string, memory?: string): Partial<TaskSpec> {
  return { resources: { requests: { cpu, ...(memory ? { memory } : {}) } } };
}

export function boundTask(task: Task, nodeName: string): Task {
  return { ...task, status: { ...task.status, phase: 'Scheduled', nodeName, bindings: (task.status?.bindings ?? 0) + 1, attempt: (task.status?.attempt ?? 0) + 1 } };
}

export function finishedTask(task: Task): Task {
  return { ...task, status: { ...task.status, phase: 'Succeeded' } };
}

/** What the node lifecycle controller makes of a task on a lost node. */
export function lostTask(task: Task): Task {
  const { nodeName: _gone, ...status } = task.status ?? {};
  return { ...task, status: { ...status, phase: 'Pending' } };
}

/** Lets the core decide all it can, as if every binding were accepted and seen at once; returns task key to node. */
export function bindAll(core: SchedulerCore): Map<string, string> {
  core.queue.wake();
  const placed = new Map<string, string>();
  for (let entry = core.next(); entry; entry = core.next()) {
    placed.set(entry.key, entry.nodeName);
    core.setTask(boundTask(entry.task, entry.nodeName));
  }
  return placed;
}

/** The plain way: looks at every node for every task, and at every task for what a node has free. */
export class NaiveCluster {
  readonly nodes = new Map<string, Node>();
  readonly tasks = new Map<string, Task>();
  readonly #snapshot: Snapshot;

  /** @param snapshot names the resources */
  constructor(snapshot: Snapshot) {
    this.#snapshot = snapshot;
  }

  set(task: Task): void {
    this.tasks.set(objectKey(task), task);
  }

  request(task: Task): ResourceRequest {
    return requestOf(task.spec, this.#snapshot.resources);
  }

  held(nodeName: string): Map<number, number> {
    const held = new Map<number, number>();
    for (const task of this.tasks.values()) {
      if (task.status?.nodeName !== nodeName || task.status.phase === 'Succeeded' || task.status.phase === 'Failed') continue;
      const { ids, amounts } = this.request(task);
      ids.forEach((id, i) => held.set(id, (held.get(id) ?? 0) + amounts[i]!));
    }
    return held;
  }

  /** Amounts that the node holds beyond what it offers, as text; empty when all is well. */
  overcommitted(): string[] {
    const problems: string[] = [];
    for (const node of this.nodes.values()) {
      const { allocatable } = nodeInfoOf(node);
      for (const [id, amount] of this.held(node.metadata.name!)) {
        const name = this.#snapshot.resources.nameOf(id);
        if (amount > (allocatable[name] ?? 0)) problems.push(`${node.metadata.name}: ${amount} of ${allocatable[name] ?? 0} milli ${name}`);
      }
    }
    return problems;
  }

  fits(task: Task, node: Node): boolean {
    const info = nodeInfoOf(node);
    if (nodeProblem(constraintsOf(task.spec), info)) return false;
    const held = this.held(info.name);
    const { ids, amounts } = this.request(task);
    return ids.every((id, i) => (info.allocatable[this.#snapshot.resources.nameOf(id)] ?? 0) - (held.get(id) ?? 0) >= amounts[i]!);
  }

  /** Load of the node by requests alone, with `extra` on it too. */
  load(node: Node, extra?: Task): number {
    const info = nodeInfoOf(node);
    let cpu = 0;
    let memory = 0;
    const count = (task: Task): void => {
      const request = this.request(task);
      cpu += request.scoredCpu;
      memory += request.scoredMemory;
    };
    for (const task of this.tasks.values()) {
      if (task.status?.nodeName === info.name && task.status.phase !== 'Succeeded' && task.status.phase !== 'Failed') count(task);
    }
    if (extra) count(extra);
    return loadOf(shareOf(cpu, 0, 0, info.allocatable['cpu'] ?? 0), shareOf(memory, 0, 0, info.allocatable['memory'] ?? 0));
  }

  /** Names of the nodes that the task fits on, least loaded (with the task on it) first. */
  candidates(task: Task): { name: string; load: number }[] {
    return [...this.nodes.values()]
      .filter((node) => this.fits(task, node))
      .map((node) => ({ name: node.metadata.name!, load: this.load(node, task) + penaltyOf(constraintsOf(task.spec), nodeInfoOf(node)) }))
      .toSorted((a, b) => a.load - b.load);
  }
}
