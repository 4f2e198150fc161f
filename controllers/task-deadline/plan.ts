import { parseTimestamp } from '../../api/meta.js';
import { failed } from '../../api/task-status.js';
import type { Task, TaskStatus } from '../../api/task.js';

/**
 * Milliseconds until the task's activeDeadlineSeconds have passed (0: they have), counted from its first start; undefined
 * while there is nothing to watch here: no deadline, never started, or an agent has the task and keeps the deadline itself.
 * @param now milliseconds since the epoch
 */
export function deadlineInMs(task: Task, now: number): number | undefined {
  const { activeDeadlineSeconds } = task.spec;
  const { phase = 'Pending', firstStartTime } = task.status ?? {};
  if (activeDeadlineSeconds === undefined || task.metadata.deletionTimestamp) return undefined;
  if (phase !== 'Pending' && phase !== 'Unknown') return undefined;
  const startedMs = parseTimestamp(firstStartTime);
  return startedMs === undefined ? undefined : Math.max(0, startedMs + activeDeadlineSeconds * 1_000 - now);
}

export function afterDeadline(task: Task, now: number): TaskStatus {
  const waiting = task.status?.phase === 'Unknown' ? 'while its node was lost' : 'while it waited for another node';
  return failed(task, 'DeadlineExceeded', `activeDeadlineSeconds (${task.spec.activeDeadlineSeconds ?? 0}) passed ${waiting}`, now);
}
