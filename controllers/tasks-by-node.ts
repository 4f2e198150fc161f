import { holdsRoom, type Task } from '../api/task.js';
import { IndexBy } from '../client/index-by.js';
import type { Informer } from '../client/informer.js';

/** Keys of the tasks that take room on a node, by its name: one index for all controllers that ask. */
export function tasksByNode(tasks: Informer<Task>): IndexBy<Task> {
  return new IndexBy(tasks, (task) => (holdsRoom(task) ? task.status?.nodeName : undefined));
}
