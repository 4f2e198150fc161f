// judge.ts: whether what the scheduler did is right, found out from the objects and the deliveries alone: nothing of the
// scheduler's own code is asked.

import type { Node, Taint } from '../../../api/node.js';
import { parseMilli } from '../../../api/quantity.js';
import type { Task, TaskSpec } from '../../../api/task.js';
import type { BoundTask } from '../../hollow-agents.js';

export interface Outcome {
  /** Names of the tasks that are to be bound. */
  readonly expected: ReadonlySet<string>;
  /** All tasks of the cluster; those that are not expected count only for the room that they take. */
  readonly tasks: readonly Task[];
  readonly nodes: readonly Node[];
  readonly deliveries: readonly BoundTask[];
}

/** What is wrong, the first of each sort; empty when every expected task is bound as it must be. */
export function problemsOf({ expected, tasks, nodes, deliveries }: Outcome): string[] {
  const nodeOf = new Map(nodes.map((node) => [node.metadata.name!, node]));
  const found = tasks.filter(({ metadata }) => expected.has(metadata.name!));
  const problems = [found.length === expected.size ? undefined : `${found.length} of ${expected.size} tasks are there`];
  const first = (of: readonly Task[], wrong: (task: Task) => string | undefined): void => {
    for (const task of of) {
      const what = wrong(task);
      if (what) return void problems.push(`task ${task.metadata.name} ${what}`);
    }
  };
  first(found, ({ status }) => (status?.nodeName && status.bindings === 1 ? undefined : `was bound ${status?.bindings ?? 0} times`));
  first(found, ({ status }) => (nodeOf.has(status?.nodeName ?? '') ? undefined : `is on node ${status?.nodeName}, which is not there`));
  first(found, (task) => refusalOf(task.spec, nodeOf.get(task.status?.nodeName ?? '')));
  return [...problems, deliveryProblem(found, deliveries), ...roomProblems(tasks, nodeOf)].filter((problem) => problem !== undefined);
}

/** Each to its own agent, once. */
function deliveryProblem(found: readonly Task[], deliveries: readonly BoundTask[]): string | undefined {
  const nodeOf = new Map(found.map(({ metadata, status }) => [metadata.name!, status?.nodeName]));
  const seen = new Set<string>();
  for (const [name, nodeName] of deliveries) {
    if (seen.has(name)) return `task ${name} reached an agent twice`;
    if (nodeOf.get(name) !== nodeName) return `task ${name} reached ${nodeName}, but is bound to ${nodeOf.get(name)}`;
    seen.add(name);
  }
  return seen.size === found.length ? undefined : `${seen.size} of ${found.length} tasks reached their agents`;
}

/** Why the node may not have a task like this. */
function refusalOf(spec: TaskSpec, node: Node | undefined): string | undefined {
  const labels = node?.metadata.labels ?? {};
  const unlike = Object.entries(spec.nodeSelector ?? {}).find(([key, value]) => labels[key] !== value);
  if (unlike) return `selects ${unlike.join('=')}, but its node has ${labels[unlike[0]]}`;
  const taint = node?.spec?.taints?.find((one) => one.effect !== 'PreferNoSchedule' && !isTolerated(spec, one));
  return taint && `does not tolerate ${taint.key}=${taint.value}:${taint.effect}, which its node has`;
}

function isTolerated(spec: TaskSpec, taint: Taint): boolean {
  return (spec.tolerations ?? []).some(
    ({ key, operator = 'Equal', value = '', effect }) => (!key || key === taint.key) && (!effect || effect === taint.effect) && (operator === 'Exists' || value === (taint.value ?? '')),
  );
}

/** In every resource that a node has or a task asks for; each task takes one of `tasks`. */
function roomProblems(tasks: readonly Task[], nodeOf: ReadonlyMap<string, Node>): string[] {
  const held = new Map<string, Map<string, number>>();
  for (const { spec, status } of tasks) {
    if (!status?.nodeName || status.phase === 'Succeeded' || status.phase === 'Failed') continue;
    const sums = held.get(status.nodeName) ?? new Map<string, number>();
    held.set(status.nodeName, sums);
    for (const [resource, quantity] of [...Object.entries(spec.resources?.requests ?? {}), ['tasks', 1] as const]) sums.set(resource, (sums.get(resource) ?? 0) + parseMilli(quantity)!);
  }
  for (const [nodeName, sums] of held) {
    for (const [resource, sum] of sums) {
      const has = parseMilli(nodeOf.get(nodeName)?.status?.allocatable?.[resource] ?? '0')!;
      if (sum > has) return [`node ${nodeName} holds ${sum / 1_000} ${resource}, but has ${has / 1_000}`];
    }
  }
  return [];
}
