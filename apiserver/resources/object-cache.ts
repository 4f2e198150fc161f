// object-cache.ts
//
// What the resource layer needs of the watch cache, and the indexes that it asks for.

import type { KindDefinition } from '../../api/kind.js';
import { podKind } from '../../api/pod.js';
import { taskKind, type Task } from '../../api/task.js';
import type { IndexDefinition, WatchCache } from '../storage/watch-cache.js';
import { kindPrefix } from './registry-keys.js';

/** Tasks by the node that they are bound to. */
export const tasksByNodeIndex = 'tasks-by-node';

/** What the resource layer uses of the watch cache. */
export type ObjectCache = Pick<WatchCache, 'revision' | 'get' | 'list' | 'listByIndex' | 'fresh' | 'subscribe' | 'write'>;

/** Pass these to the watch cache: selections by these fields cost what they find, not what there is. */
export const cacheIndexes: readonly IndexDefinition[] = [
  {
    prefix: kindPrefix(taskKind),
    name: tasksByNodeIndex,
    valueOf: (entry) => (entry.object as Task).status?.nodeName || undefined,
  },
];

/** The index that answers `field=value` for a kind, where there is one. */
export function indexOf(kind: Pick<KindDefinition, 'group' | 'plural'>, field: string): string | undefined {
  return indexedFields.get(`${kind.group}/${kind.plural}/${field}`);
}

const indexedFields = new Map([
  [`${taskKind.group}/${taskKind.plural}/status.nodeName`, tasksByNodeIndex],
  [`${podKind.group}/${podKind.plural}/spec.nodeName`, tasksByNodeIndex],
]);
