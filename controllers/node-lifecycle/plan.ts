// plan.ts
//
// What a node's presence means for the node and for the tasks bound to it.
//
//   agent             Node                                           its unfinished tasks
//   present           taken as it reports itself; taint taken off    the agent's business
//   absent            Ready=Unknown and the unreachable taint        lost: onNodeLost decides; those being deleted go
//
// An agent fences itself before its presence runs out (a task that may run elsewhere has stopped by then), so absence is
// enough to give its tasks away.

import { findCondition, withCondition } from '../../api/conditions.js';
import { parseTimestamp, timestamp, type Condition } from '../../api/meta.js';
import { unreachableTaintKey, type Node, type Taint } from '../../api/node.js';
import { afterLoss } from '../../api/task-status.js';
import { holdsRoom, type Task, type TaskStatus } from '../../api/task.js';

export const lostReason = 'NodeStatusUnknown';

export interface NodePlan {
  /** New status.conditions, where they change. */
  conditions?: Condition[];
  /** New spec.taints, where they change. */
  taints?: Taint[];
  event?: { type: 'Normal' | 'Warning'; reason: 'NodeReady' | 'NodeNotReady'; message: string };
  /** Look again after so many milliseconds. */
  againAfterMs?: number;
}

/** For how long the condition of a present node may stay as we set it, before we take it back: its agent writes it itself, first. */
export const takeBackAfterMs = 5_000;

/** @param now milliseconds since the epoch */
export function planNode(node: Node, present: boolean, now: number): NodePlan {
  return present ? planPresent(node, now) : planAbsent(node, now);
}

function planAbsent(node: Node, now: number): NodePlan {
  const plan: NodePlan = {};
  const ready = findCondition(node.status?.conditions, 'Ready');
  if (ready?.status !== 'Unknown') {
    const message = 'the agent is not heard of; it is stopped, or the machine is off or cut off';
    plan.conditions = withCondition(node.status?.conditions, { type: 'Ready', status: 'Unknown', reason: lostReason, message }, now);
    // A node that has never been ready has lost nothing that people would want to hear of.
    if (ready?.status === 'True') plan.event = { type: 'Warning', reason: 'NodeNotReady', message: `node ${node.metadata.name ?? ''} is lost: ${message}` };
  }
  if (!node.spec?.taints?.some(isUnreachable)) {
    plan.taints = [...(node.spec?.taints ?? []), { key: unreachableTaintKey, effect: 'NoSchedule', timeAdded: timestamp(now) }];
  }
  return plan;
}

function planPresent(node: Node, now: number): NodePlan {
  const plan: NodePlan = {};
  const ready = findCondition(node.status?.conditions, 'Ready');
  if (ready?.status === 'Unknown' && ready.reason === lostReason) {
    // Our word about its absence may have come after the agent's own about its return, and it may not say it again.
    const sinceMs = now - (parseTimestamp(ready.lastTransitionTime) ?? 0);
    if (sinceMs < takeBackAfterMs && sinceMs >= 0) return { againAfterMs: takeBackAfterMs - sinceMs };
    plan.conditions = withCondition(node.status?.conditions, { type: 'Ready', status: 'True', reason: 'AgentPresent', message: 'the agent is back' }, now);
  }
  if (node.spec?.taints?.some(isUnreachable)) {
    plan.taints = node.spec.taints.filter((taint) => !isUnreachable(taint));
    plan.event = { type: 'Normal', reason: 'NodeReady', message: `node ${node.metadata.name ?? ''} is back` };
  }
  return plan;
}

function isUnreachable(taint: Taint): boolean {
  return taint.key === unreachableTaintKey;
}

export type TaskPlan = { do: 'nothing' } | { do: 'remove' } | { do: 'write'; status: TaskStatus };

/** What becomes of a task whose node is absent. */
export function planLostTask(task: Task, now: number): TaskPlan {
  if (!holdsRoom(task)) return { do: 'nothing' };
  // Its processes have ended, or will when the agent is back and finds it gone; nobody is left to report that.
  if (task.metadata.deletionTimestamp) return { do: 'remove' };
  if (task.status?.phase === 'Unknown') return { do: 'nothing' };
  return { do: 'write', status: afterLoss(task, 'NodeLost', `node ${task.status?.nodeName ?? ''} is lost`, now) };
}
