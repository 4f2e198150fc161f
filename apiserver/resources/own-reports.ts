// own-reports.ts
//
// Which changes are nothing but what one reporter has said, so that a watch of its own need not tell it (api/protocol.ts, exceptReportsOf). A
// change that may hold anything else, or of which this is not known (another server took the report, its text has been parsed anew), is told.

import type { KubeObject, ObjectMeta } from '../../api/meta.js';
import type { TaskReport } from '../../api/task-status.js';
import type { TaskStatus } from '../../api/task.js';

/** After these the task is still where it was: of others the server decides what becomes of it, and the agent wants to know. */
const keptPhases: ReadonlySet<TaskReport['phase']> = new Set(['Scheduled', 'Running', 'Succeeded', 'Failed']);

interface Report {
  readonly reporter: string;
  /** resourceVersion of the task that it was applied to. */
  readonly base: string | undefined;
}

/** By the status that a report has made: the very instance, which the change carries if its text was not parsed in between. */
const reports = new WeakMap<TaskStatus, Report>();

/** `status` is what the report has made of the task of version `base`. */
export function markReport(status: TaskStatus, reporter: string | undefined, phase: TaskReport['phase'], base: string | undefined): void {
  if (reporter !== undefined && keptPhases.has(phase)) reports.set(status, { reporter, base });
}

/**
 * Whether the task has ended as this reporter has reported, who says it again because the answer was lost: its watch did not tell it either. False where
 * that is not known.
 */
export function isEndAgain(reporter: string | undefined, status: TaskStatus | undefined, { bindings, attempt, phase }: TaskReport): boolean {
  const report = status && reports.get(status);
  return report !== undefined && report.reporter === reporter && (phase === 'Succeeded' || phase === 'Failed') && status?.phase === phase && status.bindings === bindings && status.attempt === attempt;
}

/** Whether a report of this reporter is all that is between the two. */
export function isReportOf(reporter: string, before: KubeObject, after: KubeObject): boolean {
  const status = statusOf(after);
  const report = status && reports.get(status);
  if (report?.reporter !== reporter || report.base !== before.metadata.resourceVersion) return false;
  // Whoever writes something else may leave the status as the report has made it; a cache that was away tells both in one change.
  return after['spec'] === before['spec'] && isSameButVersion(before.metadata, after.metadata);
}

function statusOf(object: KubeObject): TaskStatus | undefined {
  return object['status'] as TaskStatus | undefined;
}

function isSameButVersion(before: ObjectMeta, after: ObjectMeta): boolean {
  for (const key in after) if (key !== 'resourceVersion' && after[key as keyof ObjectMeta] !== before[key as keyof ObjectMeta]) return false;
  for (const key in before) if (!(key in after)) return false;
  return true;
}
