// object-cache.ts
//
// What the resource layer needs of the watch cache, and the indexes that it asks for.

import type { KindDefinition } from '../../api/kind.js';
import { podKind } from '../../api/pod.js';
import { taskKind, type Task } from '../../api/task.js';
import type { Entry } from '../storage/entry.js';
import { stringIn } from '../storage/json-text.js';
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
    valueOf: nodeNameOf,
  },
];

/** A hundred thousand tasks are there when a server starts: none is parsed for this. */
function nodeNameOf({ objectAtHand, value }: Entry): string | undefined {
  if (objectAtHand) return (objectAtHand as Task).status?.nodeName || undefined;
  // The first: before the status come metadata and spec of a task, of which no part is a mapping of that name, and in strings quotes are escaped.
  const at = value.indexOf(statusKey);
  return (at >= 0 && stringIn(value, at + statusKey.length, 'nodeName')) || undefined;
}

const statusKey = '"status":';

/** The index that answers `field=value` for a kind, where there is one. */
export function indexOf(kind: Pick<KindDefinition, 'group' | 'plural'>, field: string): string | undefined {
  return indexedFields.get(`${kind.group}/${kind.plural}/${field}`);
}

const indexedFields = new Map([
  [`${taskKind.group}/${taskKind.plural}/status.nodeName`, tasksByNodeIndex],
  [`${podKind.group}/${podKind.plural}/spec.nodeName`, tasksByNodeIndex],
]);
