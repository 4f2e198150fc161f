import { parseTimestamp } from '../../api/meta.js';
import { isFinished, type Task } from '../../api/task.js';

/**
 * Milliseconds until the finished task is to be deleted (0: now), or undefined when it is kept.
 * @param now milliseconds since the epoch
 */
export function deletionDueInMs(task: Task, now: number): number | undefined {
  const { ttlSecondsAfterFinished } = task.spec;
  if (ttlSecondsAfterFinished === undefined || !isFinished(task) || task.metadata.deletionTimestamp) return undefined;
  const finishedMs = parseTimestamp(task.status?.finishTime) ?? parseTimestamp(task.metadata.creationTimestamp) ?? now;
  // finishTime is the machine's word, and its clock may be ahead: no task is kept longer than its time from now.
  return Math.max(0, Math.min(finishedMs, now) + ttlSecondsAfterFinished * 1_000 - now);
}
