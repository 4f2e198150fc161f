import { parseTimestamp } from '../../api/meta.js';
import { isFinished, type Task } from '../../api/task.js';
import { essentials } from '../metadata-informers.js';

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

/** What controllers keep of a finished task that still has to go: who it is, whose, and when its time is up. */
export function withoutFinishedWork(task: Task): Task {
  if (!isFinished(task)) return task;
  const { ttlSecondsAfterFinished } = task.spec;
  const { creationTimestamp } = task.metadata;
  const { phase, finishTime } = task.status!;
  return {
    apiVersion: task.apiVersion,
    kind: task.kind,
    metadata: { ...essentials(task).metadata, creationTimestamp },
    spec: ttlSecondsAfterFinished === undefined ? {} : { ttlSecondsAfterFinished },
    status: { phase, finishTime },
  } as Task;
}
