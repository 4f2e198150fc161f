// reports.ts: what a runner tells the server, as pure functions of what it knows.

import { timestamp } from '../api/meta.js';
import type { TaskReport } from '../api/task-status.js';
import type { Task, TaskStatus } from '../api/task.js';
import type { Usage } from './driver.js';
import type { AttemptEnd } from './restart-policy.js';

export interface Attempt {
  number: number;
  startedAt?: number;
  firstStartedAt?: number;
  /** How the attempt before it ended, as status.lastAttempt. */
  last?: TaskStatus['lastAttempt'];
}

export function baseReport(task: Task, attempt: Attempt, phase: TaskReport['phase']): TaskReport {
  return {
    namespace: task.metadata.namespace ?? 'default',
    name: task.metadata.name!,
    uid: task.metadata.uid!,
    bindings: task.status?.bindings ?? 0,
    attempt: attempt.number,
    phase,
    ...(attempt.firstStartedAt === undefined ? {} : { firstStartTime: timestamp(attempt.firstStartedAt) }),
    ...(attempt.startedAt === undefined ? {} : { startTime: timestamp(attempt.startedAt) }),
    ...(attempt.last ? { lastAttempt: attempt.last } : {}),
  };
}

/** What is known of an attempt that has ended, for a report in whatever phase follows. */
export function endFields(end: AttemptEnd, usage: Usage | undefined): Partial<TaskReport> {
  return {
    finishTime: timestamp(end.finishedAt),
    exitCode: end.exitCode,
    ...(end.signal ? { signal: end.signal } : {}),
    ...(usage ? { usage: usageFields(usage) } : {}),
  };
}

export function usageFields(usage: Usage): NonNullable<TaskReport['usage']> {
  return {
    ...(usage.cpuSeconds === undefined ? {} : { cpuSeconds: Math.round(usage.cpuSeconds * 1000) / 1000 }),
    ...(usage.memoryPeakBytes === undefined ? {} : { memoryPeakBytes: usage.memoryPeakBytes }),
  };
}

/** The attempt as the next one's status.lastAttempt. */
export function asLastAttempt(attempt: Attempt, end: AttemptEnd, reason: string, nodeName: string): NonNullable<TaskStatus['lastAttempt']> {
  return {
    attempt: attempt.number,
    nodeName,
    ...(attempt.startedAt === undefined ? {} : { startTime: timestamp(attempt.startedAt) }),
    finishTime: timestamp(end.finishedAt),
    exitCode: end.exitCode,
    ...(end.signal ? { signal: end.signal } : {}),
    reason,
  };
}
