// filter.ts: which nodes a task may run on, whatever room they have. Pure. Room is the snapshot's (fits).

import { isReady, unreachableTaintKey, unschedulableTaintKey, type Node, type Taint } from '../../api/node.js';
import { parseMilli } from '../../api/quantity.js';
import type { TaskSpec, Toleration } from '../../api/task.js';

/** What the scheduler needs to know of a node, parsed once per change of it. */
export interface NodeInfo {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Taints that keep a task away: NoSchedule, NoExecute, and the one that `unschedulable` stands for. */
  readonly hardTaints: readonly Taint[];
  /** PreferNoSchedule. */
  readonly softTaints: readonly Taint[];
  /** Its agent is there and says Ready, and nobody has asked to delete the node. */
  readonly ready: boolean;
  /** Thousandths by name of resource. */
  readonly allocatable: Readonly<Record<string, number>>;
  /** Equal for two states of a node between which no decision can differ. */
  readonly identity: string;
}

export function nodeInfoOf(node: Node): NodeInfo {
  const taints = [...(node.spec?.taints ?? [])];
  if (node.spec?.unschedulable && !taints.some((taint) => taint.key === unschedulableTaintKey)) {
    taints.push({ key: unschedulableTaintKey, effect: 'NoSchedule' });
  }
  const allocatable: Record<string, number> = {};
  for (const [name, quantity] of Object.entries(node.status?.allocatable ?? {})) {
    const milli = parseMilli(quantity);
    if (milli !== undefined) allocatable[name] = Math.max(0, milli);
  }
  const labels = node.metadata.labels ?? {};
  const ready = isReady(node) && !node.metadata.deletionTimestamp;
  const marks = taints.map(({ key, value, effect }) => [key, value ?? '', effect]);
  return {
    name: node.metadata.name ?? '',
    labels,
    hardTaints: taints.filter((taint) => taint.effect !== 'PreferNoSchedule'),
    softTaints: taints.filter((taint) => taint.effect === 'PreferNoSchedule'),
    ready,
    allocatable,
    identity: JSON.stringify([labels, marks, ready, allocatable]),
  };
}

/** Everything in a spec that rules nodes in or out, apart from resources. */
export interface Constraints {
  /** Equal for equal constraints. */
  readonly key: string;
  readonly pin: string | undefined;
  /** Labels that the node must have, sorted by name. */
  readonly selector: readonly (readonly [string, string])[];
  readonly tolerations: readonly Toleration[];
}

const unconstrained: Constraints = { key: '', pin: undefined, selector: [], tolerations: [] };

export function constraintsOf(spec: TaskSpec): Constraints {
  const selector = Object.entries(spec.nodeSelector ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const tolerations = spec.tolerations ?? [];
  const pin = spec.nodeName || undefined;
  if (!pin && selector.length === 0 && tolerations.length === 0) return unconstrained;
  const marks = tolerations.map((toleration) => [toleration.key ?? '', toleration.operator ?? 'Equal', toleration.value ?? '', toleration.effect ?? '']);
  return { key: JSON.stringify([pin ?? '', selector, marks]), pin, selector, tolerations };
}

/** https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/ */
export function tolerates(tolerations: readonly Toleration[], taint: Taint): boolean {
  return tolerations.some((toleration) => toleratesTaint(toleration, taint));
}

export function toleratesTaint(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false;
  if (toleration.key && toleration.key !== taint.key) return false;
  if (toleration.operator === 'Exists') return true;
  return Boolean(toleration.key) && (toleration.value ?? '') === (taint.value ?? '');
}

export type NodeProblem =
  | { kind: 'pin' }
  | { kind: 'label'; text: string }
  | { kind: 'taint'; text: string }
  | { kind: 'cordoned' | 'unreachable' | 'not-ready' };

/** Why the task may not run on the node, or undefined when only room can keep it away. */
export function nodeProblem(constraints: Constraints, node: NodeInfo): NodeProblem | undefined {
  if (constraints.pin !== undefined && constraints.pin !== node.name) return { kind: 'pin' };
  for (const [key, value] of constraints.selector) {
    if (node.labels[key] !== value) return { kind: 'label', text: `${key}=${value}` };
  }
  const taint = node.hardTaints.find((hard) => !tolerates(constraints.tolerations, hard));
  if (taint?.key === unreachableTaintKey) return { kind: 'unreachable' };
  if (!node.ready) return { kind: 'not-ready' };
  if (taint?.key === unschedulableTaintKey) return { kind: 'cordoned' };
  if (taint) return { kind: 'taint', text: taint.value ? `${taint.key}=${taint.value}` : taint.key };
  return undefined;
}

/** The same as a yes or no, without making an answer for people. */
export function allows(constraints: Constraints, node: NodeInfo): boolean {
  if (!node.ready) return false;
  if (constraints.pin !== undefined && constraints.pin !== node.name) return false;
  for (const [key, value] of constraints.selector) if (node.labels[key] !== value) return false;
  for (const taint of node.hardTaints) if (!tolerates(constraints.tolerations, taint)) return false;
  return true;
}
