// task-status.ts
//
// The life of a task, as pure functions from a status to the next one. Whoever moves a task (scheduler, agent, node
// lifecycle) sends what happened; the server applies these functions, so that conditions and counts are made in one place.
//
//             bind                    started                exited: policy says no more
//   Pending ────────► Scheduled ─────────────────► Running ─────────────────────────────► Succeeded | Failed
//      ▲                 ▲  │                         │
//      │                 └──┼──── restarts (BackOff) ─┤
//      ├────── lost: Reschedule ──────────────────────┤
//      │                    └──── lost: Wait ─────────┴──► Unknown ──► (agent is back) any of its reports
//      └─ the agent has stopped it ◄── eviction asked for, of any bound task
//
// An eviction is a request that stays in the status until the attempt is over: only then is the task given away, by what the
// agent reports or by the loss of its node. The attempt does not count against backoffLimit.
//
// A finished task stays finished. A report counts only if it names the task's uid and current binding, and an attempt
// no older than the current one, nor says that it runs when it has ended: whatever else still runs somewhere is a leftover, and its agent is told to stop it.

import { deepFreeze } from '../lib/deep-freeze.js';
import { withCondition } from './conditions.js';
import { timestamp, type Condition } from './meta.js';
import { attemptsMax, attemptsUsed, isFinished, type Task, type TaskPhase, type TaskStatus } from './task.js';

/** The moves that any writer may make. */
export const allowedMoves: Readonly<Record<TaskPhase, readonly TaskPhase[]>> = {
  Pending: ['Scheduled', 'Failed'],
  Scheduled: ['Scheduled', 'Running', 'Succeeded', 'Failed', 'Pending', 'Unknown'],
  Running: ['Running', 'Scheduled', 'Succeeded', 'Failed', 'Pending', 'Unknown'],
  Unknown: ['Scheduled', 'Running', 'Succeeded', 'Failed', 'Pending', 'Unknown'],
  Succeeded: [],
  Failed: [],
};

/**
 * What an agent tells of one attempt. Times are RFC 3339.
 * `Lost` means that the process is gone and nobody saw how it ended (machine restarted, agent fenced it).
 * `Evicted` answers an eviction: nothing of the task runs or will run here. Its reason is `Evicted` when the attempt was stopped (or not
 * begun) for that, else the attempt had ended by itself before.
 */
export interface TaskReport {
  namespace: string;
  name: string;
  uid: string;
  bindings: number;
  attempt: number;
  phase: 'Scheduled' | 'Running' | 'Succeeded' | 'Failed' | 'Lost' | 'Evicted';
  firstStartTime?: string;
  startTime?: string;
  finishTime?: string;
  exitCode?: number;
  signal?: string;
  reason?: string;
  message?: string;
  usage?: { cpuSeconds?: number; memoryPeakBytes?: number };
  lastAttempt?: TaskStatus['lastAttempt'];
}

/** Seconds between SIGTERM and SIGKILL where the task does not say. */
export const graceSecondsDefault = 30;

/** Condition of a task that is being evicted, as Kubernetes names it. */
const disruptionTarget = 'DisruptionTarget';

export type Refusal = { refused: string };

let lastInitial: { readonly time: string; readonly status: TaskStatus } | undefined;

/** Frozen, and the same for all tasks of one second: thousands of pending tasks share it. */
export function initialStatus(now: number): TaskStatus {
  const time = timestamp(now);
  if (lastInitial?.time !== time) {
    const conditions = withCondition(undefined, { type: 'Scheduled', status: 'False', reason: 'Pending', message: 'waiting for the scheduler' }, now);
    lastInitial = { time, status: deepFreeze({ phase: 'Pending', conditions }) };
  }
  return lastInitial.status;
}

/**
 * The task gets a node. Refused unless it is pending, unbound and not being deleted.
 * @param hostIP address of the node, where it is known
 */
export function boundTo(task: Task, nodeName: string, now: number, hostIP?: string): TaskStatus | Refusal {
  const status = task.status ?? {};
  if (task.metadata.deletionTimestamp) return { refused: 'the task is being deleted' };
  if (status.nodeName) return { refused: `the task is already bound to node ${status.nodeName}` };
  if ((status.phase ?? 'Pending') !== 'Pending') return { refused: `the task is ${status.phase}` };
  const next = withoutAttempt(status);
  next.phase = 'Scheduled';
  next.nodeName = nodeName;
  if (hostIP) next.hostIP = hostIP;
  next.bindings = (status.bindings ?? 0) + 1;
  next.attempt = (status.attempt ?? 0) + 1;
  next.scheduledTime = timestamp(now);
  next.conditions = withCondition(withoutCondition(status.conditions, disruptionTarget), { type: 'Scheduled', status: 'True', reason: 'Bound', message: `bound to node ${nodeName}` }, now);
  return next;
}

/** The scheduler says why the task stays pending. Undefined when that is said already. */
export function unschedulable(task: Task, reason: string, message: string, now: number): TaskStatus | undefined {
  const status = task.status ?? {};
  const told = status.conditions?.find((condition) => condition.type === 'Scheduled');
  if (status.nodeName || isFinished(task)) return undefined;
  if (told?.status === 'False' && told.reason === reason && told.message === message) return undefined;
  return { ...status, conditions: withCondition(status.conditions, { type: 'Scheduled', status: 'False', reason, message }, now) };
}

/** Applies what the agent on `nodeName` reports; see the head of this file for what is refused. */
export function reported(task: Task, nodeName: string, report: TaskReport, now: number): TaskStatus | Refusal {
  const status = task.status ?? {};
  if (task.metadata.uid !== report.uid) return { refused: 'the task was deleted; another one has its name' };
  if (status.nodeName !== nodeName) return { refused: status.nodeName ? `the task is bound to node ${status.nodeName}` : 'the task is not bound to a node' };
  if (status.bindings !== report.bindings) return { refused: `binding ${report.bindings} is over; the current one is ${status.bindings ?? 0}` };
  if (report.attempt < (status.attempt ?? 0)) return { refused: `attempt ${report.attempt} is over; the current one is ${status.attempt ?? 0}` };
  if (isFinished(task)) return { refused: `the task has finished: ${status.phase}` };
  // It was overtaken on its way: an agent may say things over one connection and go on over another.
  if (report.phase === 'Running' && status.finishTime && report.attempt === status.attempt) return { refused: `attempt ${report.attempt} has ended` };
  // Of an attempt that is news to us, nothing holds that was told of the one before.
  const isLater = report.attempt > (status.attempt ?? 0);
  const current = (): TaskStatus => (isLater ? { ...withoutAttempt(status), attempt: report.attempt } : status);
  if (report.phase === 'Evicted') return afterEviction({ ...task, status: current() }, report, now);
  if (report.phase === 'Lost') {
    const told = { ...current(), ...pick(report, ['firstStartTime', 'startTime']) };
    return afterLoss({ ...task, status: told }, report.reason ?? 'Lost', report.message ?? 'the process is gone and nobody saw how it ended', now);
  }
  const next = isLater ? withoutAttempt(status) : withoutEnd(status);
  next.attempt = report.attempt;
  next.phase = report.phase;
  pickInto(next, report, reportedFields);
  next.conditions = phaseConditions(next, status.conditions, now);
  return next;
}

/**
 * The node is gone, or the attempt is, without a result: onNodeLost and backoffLimit decide. A loss ends an eviction that waited for it.
 */
export function afterLoss(task: Task, reason: string, message: string, now: number): TaskStatus {
  const status = task.status ?? {};
  if (reason === 'NodeLost' && (task.spec.onNodeLost ?? 'Reschedule') === 'Wait') {
    const next: TaskStatus = { ...status, phase: 'Unknown', reason, message: `${message}; waiting for the node, as onNodeLost says` };
    next.conditions = withCondition(status.conditions, { type: 'Ready', status: 'Unknown', reason, message }, now);
    return next;
  }
  const end = { ...status, finishTime: timestamp(now), reason };
  if (status.eviction) return givenAway(task, { ...end, ...oneMoreEviction(status, status.finishTime !== undefined) }, 'Evicted', `evicted: ${message}`, now);
  const used = attemptsUsed(status);
  const max = attemptsMax(task.spec);
  if (used >= max && task.spec.onNodeLost !== 'Fail') return endedFor(end, 'BackoffLimitExceeded', `${message}; it was attempt ${used} of ${max}`, now);
  return givenAway(task, end, reason, message, now);
}

/**
 * Someone asks that the task leave its node: its attempt is to be stopped there and made again elsewhere (or to fail, where onNodeLost says
 * so). A finished task only takes its Pod off the node. A second eviction may shorten the grace period of the first, never lengthen it.
 * @param asked.gracePeriodSeconds that of the task when absent
 * @returns undefined when there is nothing to write: the task is on no node, is being deleted, or is asked already
 */
export function evicted(task: Task, asked: { gracePeriodSeconds?: number; reason: string; message: string }, now: number): TaskStatus | undefined {
  const status = task.status ?? {};
  const { reason, message } = asked;
  if (!status.nodeName) return undefined;
  if (isFinished(task)) return status.eviction ? undefined : { ...status, eviction: { requestedTime: timestamp(now), gracePeriodSeconds: 0, reason } };
  if (task.metadata.deletionTimestamp) return undefined;
  const gracePeriodSeconds = asked.gracePeriodSeconds ?? task.spec.terminationGracePeriodSeconds ?? graceSecondsDefault;
  if (status.eviction) {
    return gracePeriodSeconds < status.eviction.gracePeriodSeconds ? { ...status, eviction: { ...status.eviction, gracePeriodSeconds } } : undefined;
  }
  return {
    ...status,
    eviction: { requestedTime: timestamp(now), gracePeriodSeconds, reason },
    conditions: withCondition(status.conditions, { type: disruptionTarget, status: 'True', reason, message }, now),
  };
}

/** The agent has stopped what was evicted: that is so, even if somebody has taken the request out of the status meanwhile. */
function afterEviction(task: Task, report: TaskReport, now: number): TaskStatus {
  const status = task.status ?? {};
  const endedItself = report.reason !== 'Evicted';
  const end: TaskStatus = {
    ...status,
    attempt: report.attempt,
    finishTime: timestamp(now),
    reason: 'Evicted',
    ...pick(report, ['firstStartTime', 'startTime', 'finishTime', 'exitCode', 'signal', 'reason', 'usage']),
    ...oneMoreEviction(status, endedItself),
  };
  return givenAway(task, end, 'Evicted', report.message ?? 'evicted', now);
}

/** An attempt that had ended by itself is none that the eviction ended. */
function oneMoreEviction(status: TaskStatus, endedItself: boolean): Pick<TaskStatus, 'evictions'> {
  return endedItself ? {} : { evictions: (status.evictions ?? 0) + 1 };
}

/** Its attempt here is over: it waits for another node, or fails where onNodeLost says so. */
function givenAway(task: Task, end: TaskStatus, reason: string, message: string, now: number): TaskStatus {
  if (task.spec.onNodeLost === 'Fail') return endedFor({ ...end, reason }, reason, `${message}; failed, as onNodeLost says`, now);
  const next: TaskStatus = { ...withoutAttempt(end), lastAttempt: endedAttempt(end), phase: 'Pending', reason, message: `${message}; waiting for another node` };
  delete next.nodeName;
  delete next.hostIP;
  delete next.scheduledTime;
  delete next.eviction;
  next.conditions = withCondition(end.conditions, { type: 'Scheduled', status: 'False', reason, message }, now);
  next.conditions = withCondition(next.conditions, { type: 'Ready', status: 'False', reason, message }, now);
  return next;
}

function endedFor(end: TaskStatus, reason: string, message: string, now: number): TaskStatus {
  const next: TaskStatus = { ...end, phase: 'Failed', reason, message };
  next.conditions = phaseConditions(next, end.conditions, now);
  return next;
}

/** A pending or bound task fails without another attempt (deadline passed while it waited, for example). */
export function failed(task: Task, reason: string, message: string, now: number): TaskStatus {
  const status = task.status ?? {};
  const next: TaskStatus = { ...status, phase: 'Failed', reason, message, finishTime: status.finishTime ?? timestamp(now) };
  next.conditions = phaseConditions(next, status.conditions, now);
  return next;
}

function withoutCondition(conditions: readonly Condition[] | undefined, type: string): readonly Condition[] | undefined {
  return conditions?.some((condition) => condition.type === type) ? conditions.filter((condition) => condition.type !== type) : conditions;
}

function phaseConditions(status: TaskStatus, old: readonly Condition[] | undefined, now: number): Condition[] {
  const message = status.message ?? '';
  const running = status.phase === 'Running';
  const reason = status.reason ?? (running ? 'Running' : status.phase === 'Succeeded' ? 'Completed' : status.phase === 'Failed' ? 'Error' : 'NotRunning');
  let conditions = withCondition(old, { type: 'Ready', status: running ? 'True' : 'False', reason, message }, now);
  if (status.phase === 'Succeeded') conditions = withCondition(conditions, { type: 'Complete', status: 'True', reason, message }, now);
  if (status.phase === 'Failed') conditions = withCondition(conditions, { type: 'Failed', status: 'True', reason, message }, now);
  if (status.phase === 'Succeeded' || status.phase === 'Failed') {
    conditions = withCondition(conditions, { type: 'Finished', status: 'True', reason, message }, now);
  }
  return conditions;
}

function endedAttempt(status: TaskStatus): NonNullable<TaskStatus['lastAttempt']> {
  return {
    attempt: status.attempt ?? 0,
    ...pick(status, ['nodeName', 'startTime', 'finishTime', 'exitCode', 'signal', 'reason']),
  };
}

/** What a report says of the current attempt. */
const reportedFields = ['firstStartTime', 'startTime', 'finishTime', 'exitCode', 'signal', 'reason', 'message', 'usage', 'lastAttempt'] as const;

/** What belongs to the end of an attempt: a report says all of that anew. */
const endFields: ReadonlySet<string> = new Set<keyof TaskStatus>(['finishTime', 'exitCode', 'signal', 'reason', 'message']);
const attemptFields: ReadonlySet<string> = new Set([...endFields, ...(['startTime', 'usage'] satisfies (keyof TaskStatus)[])]);

/** A copy without what belongs to the end of an attempt. */
function withoutEnd(status: TaskStatus): TaskStatus {
  return without(status, endFields);
}

function withoutAttempt(status: TaskStatus): TaskStatus {
  return without(status, attemptFields);
}

/** Key by key: several times faster than taking fields out of a spread, and this is done for every report. */
function without(status: TaskStatus, left: ReadonlySet<string>): TaskStatus {
  const kept: Record<string, unknown> = {};
  for (const key in status) if (!left.has(key)) kept[key] = status[key as keyof TaskStatus];
  return kept;
}

function pick<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Pick<T, K> {
  const picked: Partial<T> = {};
  pickInto(picked, from, keys);
  return picked as Pick<T, K>;
}

function pickInto<T extends object, K extends keyof T>(to: Partial<Record<K, T[K]>>, from: T, keys: readonly K[]): void {
  for (const key of keys) if (from[key] !== undefined) to[key] = from[key];
}
