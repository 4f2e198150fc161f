// object-cache.ts
//
// What the resource layer needs of the watch cache, and the indexes that it asks for.

import type { KindDefinition } from '../../api/kind.js';
import { podKind } from '../../api/pod.js';
import { isSettled, taskKind, type Task } from '../../api/task.js';
import type { IndexDefinition, WatchCache } from '../storage/watch-cache.js';
import { kindPrefix } from './registry-keys.js';

/** Tasks by the node that they are bound to. */
export const tasksByNodeIndex = 'tasks-by-node';

/** Tasks that are not settled, under `false`; the others, which may be millions, are in no index. */
const unsettledTasksIndex = 'unsettled-tasks';

/** What the resource layer uses of the watch cache. */
export type ObjectCache = Pick<WatchCache, 'revision' | 'get' | 'list' | 'listByIndex' | 'fresh' | 'subscribe' | 'write'>;

/** Pass these to the watch cache: selections by these fields cost what they find, not what there is. */
export const cacheIndexes: readonly IndexDefinition[] = [
  {
    prefix: kindPrefix(taskKind),
    name: tasksByNodeIndex,
    valueOf: (entry) => (entry.object as Task).status?.nodeName || undefined,
  },
  {
    prefix: kindPrefix(taskKind),
    name: unsettledTasksIndex,
    valueOf: (entry) => (isSettled(entry.object as Task) ? undefined : 'false'),
  },
];

/** The index that answers `field=value` for a kind, where there is one. */
export function indexOf(kind: Pick<KindDefinition, 'group' | 'plural'>, field: string, value: string): string | undefined {
  if (field === 'status.settled' && value !== 'false') return undefined;
  return indexedFields.get(`${kind.group}/${kind.plural}/${field}`);
}

const indexedFields = new Map([
  [`${taskKind.group}/${taskKind.plural}/status.nodeName`, tasksByNodeIndex],
  [`${taskKind.group}/${taskKind.plural}/status.settled`, unsettledTasksIndex],
  [`${podKind.group}/${podKind.plural}/spec.nodeName`, tasksByNodeIndex],
]);
