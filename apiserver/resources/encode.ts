// encode.ts
//
// The text to store for an object that takes the place of another. Of a task of which only the status is new, which is what
// most writes are, only the status is turned into text.

import type { KubeObject } from '../../api/meta.js';
import { taskKind } from '../../api/task.js';
import { apiVersionOf } from '../../api/kind.js';
import { encodeObject, type Entry } from '../storage/entry.js';

const taskVersion = apiVersionOf(taskKind);

/** Text of what takes the place of `stored`: as encodeObject. */
export function encodeSuccessor(stored: Entry, object: KubeObject): string {
  const at = statusAt(stored, object);
  return at === undefined ? encodeObject(object) : `${stored.value.slice(0, at)}${statusOpening}${JSON.stringify(object.status)}}`;
}

const statusOpening = ',"status":';
const statusMapping = `${statusOpening}{`;

/** Where the status begins in the stored text; undefined unless it is the last part of a task, and all that is new. */
function statusAt({ object: stored, value }: Entry, object: KubeObject): number | undefined {
  if (object.kind !== taskKind.kind || object.apiVersion !== taskVersion || typeof object.status !== 'object' || object.status === null) return undefined;
  let last = '';
  let fields = 0;
  for (const key in stored) {
    if (key !== 'status' && stored[key] !== object[key]) return undefined;
    last = key;
    fields++;
  }
  if (last !== 'status') return undefined;
  for (const _key in object) fields--;
  if (fields !== 0) return undefined;
  // The first: before it come metadata and spec of a task, of which no part is a mapping of that name, and in strings quotes are escaped.
  const at = value.indexOf(statusMapping);
  return at < 0 ? undefined : at;
}
