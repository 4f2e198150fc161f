import { isFinished, type Task } from '../api/task.js';
import { withoutFinishedWork } from './task-ttl/plan.js';

/**
 * What controllers keep of a task. Of its states, a task that is at work changes only status: they share one spec, so that most of what each
 * brings is gone again at once, and the garbage collector carries it nowhere.
 * @param task as it was received; it is changed
 * @param previous what was kept of it before
 */
export function keptTask(task: Task, previous: Task | undefined): Task {
  if (isFinished(task)) return withoutFinishedWork(task);
  const { uid, generation } = task.metadata;
  // The server counts every change of spec. Of a finished task there is no whole one.
  if (previous && generation !== undefined && previous.metadata.generation === generation && previous.metadata.uid === uid && !isFinished(previous)) task.spec = previous.spec;
  return task;
}
