// object-cache.ts
//
// What the resource layer needs of the watch cache, and the indexes that it asks for.

import type { KindDefinition } from '../../api/kind.js';
import { podKind } from '../../api/pod.js';
import { isSettled, taskKind, type Task } from '../../api/task.js';
import type { Entry } from '../storage/entry.js';
import { stringIn, valueIn } from '../storage/json-text.js';
import type { IndexDefinition, WatchCache } from '../storage/watch-cache.js';
import { kindPrefix } from './registry-keys.js';

/** Tasks by the node that they are bound to. */
export const tasksByNodeIndex = 'tasks-by-node';

/** Tasks that are not settled, under `false`; the others, which may be millions, are in no index. */
const unsettledTasksIndex = 'unsettled-tasks';

/** What the resource layer uses of the watch cache. */
export type ObjectCache = Pick<WatchCache, 'revision' | 'isBetween' | 'reached' | 'get' | 'newest' | 'list' | 'listByIndex' | 'fresh' | 'subscribe' | 'write'>;

/** Pass these to the watch cache: selections by these fields cost what they find, not what there is. */
export const cacheIndexes: readonly IndexDefinition[] = [
  {
    prefix: kindPrefix(taskKind),
    name: tasksByNodeIndex,
    valueOf: nodeNameOf,
  },
  {
    prefix: kindPrefix(taskKind),
    name: unsettledTasksIndex,
    valueOf: (entry) => (isSettledEntry(entry) ? undefined : 'false'),
  },
];

/** A hundred thousand tasks are there when a server starts: none is parsed for this. */
function nodeNameOf({ objectAtHand, value }: Entry): string | undefined {
  if (objectAtHand) return (objectAtHand as Task).status?.nodeName || undefined;
  return inStatus(value, 'nodeName') || undefined;
}

/** Likewise; only those that finished and have one of the words that keep a task from being settled. */
function isSettledEntry(entry: Entry): boolean {
  const { objectAtHand, value } = entry;
  if (objectAtHand) return isSettled(objectAtHand as Task);
  const phase = inStatus(value, 'phase');
  if (phase !== 'Succeeded' && phase !== 'Failed') return false;
  return !unsettlingKeys.test(value) || isSettled(entry.object as Task);
}

const unsettlingKeys = /"(?:ttlSecondsAfterFinished|ownerReferences|deletionTimestamp)":/;

function inStatus(value: string, key: string): string | undefined {
  // The first: before the status come metadata and spec of a task, of which no part is a mapping of that name, and in strings quotes are escaped.
  const at = value.indexOf(statusOpening);
  return at < 0 ? undefined : stringIn(value, at + statusOpening.length - 1, key);
}

/** With the brace: a label may be called status. */
const statusOpening = '"status":{';

/** The labels of an object, which need not be parsed for them. */
export function labelsOf(entry: Entry): Readonly<Record<string, string>> | undefined {
  const { objectAtHand } = entry;
  if (objectAtHand) return objectAtHand.metadata.labels;
  const { value } = entry;
  // The first: before it come only apiVersion and kind.
  const labels = valueIn(value, value.indexOf(metadataOpening) + metadataOpening.length - 1, 'labels');
  return labels === undefined ? undefined : (JSON.parse(labels) as Record<string, string>);
}

const metadataOpening = '"metadata":{';

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
