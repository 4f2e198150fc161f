// plan.ts
//
// When a task has to leave its node because of NoExecute taints. A taint that the task does not tolerate drives it out at once; one that it
// tolerates for tolerationSeconds when they are over. They count from when the taint was added, or from when the task came, if that was later,
// so that a controller that is started again counts on.
// https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-based-evictions

import { parseTimestamp } from '../../api/meta.js';
import type { Node, Taint } from '../../api/node.js';
import { holdsRoom, type Task } from '../../api/task.js';
import { toleratesTaint } from '../scheduler/filter.js';

export interface Departure {
  /** Milliseconds since the epoch; in the past or now: at once. */
  at: number;
  taint: Taint;
}

export function noExecuteTaints(node: Node | undefined): readonly Taint[] {
  return node?.spec?.taints?.filter(({ effect }) => effect === 'NoExecute') ?? [];
}

/** Whether the task is on a node and nobody has asked it to leave yet. */
export function mayLeave(task: Task): boolean {
  return holdsRoom(task) && !task.metadata.deletionTimestamp && !task.status?.eviction;
}

/**
 * The first departure that any of the taints asks for; undefined when the task tolerates all of them for good.
 * @param taints those of the task's node with effect NoExecute
 * @param now milliseconds since the epoch
 */
export function departure(task: Task, taints: readonly Taint[], now: number): Departure | undefined {
  let first: Departure | undefined;
  for (const taint of taints) {
    // The first toleration that fits is the one that counts, as Kubernetes has it.
    const toleration = task.spec.tolerations?.find((candidate) => toleratesTaint(candidate, taint));
    if (!toleration) return { at: now, taint };
    if (toleration.tolerationSeconds === undefined) continue;
    const since = Math.max(parseTimestamp(taint.timeAdded) ?? now, parseTimestamp(task.status?.scheduledTime) ?? 0);
    const at = since + Math.max(0, toleration.tolerationSeconds) * 1000;
    if (!first || at < first.at) first = { at, taint };
  }
  return first;
}

/** `key=value`, as people write it. */
export function taintText({ key, value }: Taint): string {
  return value ? `${key}=${value}` : key;
}
