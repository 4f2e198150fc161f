import type { KubeObject } from '../../../api/meta.js';
import { graceSecondsDefault, initialStatus } from '../../../api/task-status.js';
import { holdsRoom, type Task } from '../../../api/task.js';
import type { Strategy } from './strategy.js';

/**
 * A task that is bound and not finished may have a process: it stays until its agent has reported the end, unless it is
 * deleted with a grace period of 0.
 */
export const taskStrategy: Strategy = {
  prepareForCreate(object, now) {
    object.status = initialStatus(now);
  },
  graceSeconds(stored, asked) {
    const task = stored as Task;
    if (!holdsRoom(task)) return 0;
    const seconds = asked ?? task.spec.terminationGracePeriodSeconds ?? graceSecondsDefault;
    // Kubernetes takes a negative period for one second.
    return seconds < 0 ? 1 : seconds;
  },
  mayRemove: taskMayBeRemoved,
};

export function taskMayBeRemoved(object: KubeObject): boolean {
  return object.metadata.deletionGracePeriodSeconds === 0 || !holdsRoom(object as Task);
}
