// object-cache.ts
//
// What the resource layer needs of the watch cache (storage/watch-cache.ts keeps it), and the indexes that it asks for.

import type { KindDefinition } from '../../api/kind.js';
import type { KubeObject } from '../../api/meta.js';
import { podKind } from '../../api/pod.js';
import { taskKind, type Task } from '../../api/task.js';
import type { Entry } from '../storage/entry.js';
import type { Write, WriteOutcome } from '../storage/store.js';
import { kindPrefix } from './registry-keys.js';

/** Tasks by the node that they are bound to. */
export const tasksByNodeIndex = 'tasks-by-node';

export interface ObjectChange {
  readonly type: 'put' | 'delete';
  readonly key: string;
  readonly revision: number;
  /** The new object; for a delete the last one, with the revision of the deletion. */
  readonly entry: Entry;
  /** What was stored before. */
  readonly previous?: Entry | undefined;
}

export interface ChangeSink {
  changes(batch: readonly ObjectChange[]): void;
  /** No more changes will come. */
  gone(error: Error): void;
}

export interface ObjectCache {
  /** Everything up to this revision is in the cache, and every subscriber has been given it. */
  readonly revision: number;
  get(key: string): Entry | undefined;
  list(prefix: string, options?: { limit?: number; after?: string }): { items: readonly Entry[]; revision: number; next: string | undefined; remaining: number };
  listByIndex(name: string, value: string): readonly Entry[];
  /** Resolves once the cache has everything that was acknowledged before the call. */
  fresh(): Promise<void>;
  /** Resolves once the cache has reached `revision`. */
  reached(revision: number): Promise<void>;
  /**
   * Every change under `prefix` (or of the one key that it is), of objects that have or had `index.value`.
   * @throws GoneError when changes after `after` are no longer kept; returns what ends the subscription
   */
  subscribe(options: { prefix: string; after?: number; index?: { name: string; value: string } }, sink: ChangeSink): () => void;
  write(write: Write, object?: KubeObject): Promise<WriteOutcome>;
}

export interface CacheIndex {
  readonly prefix: string;
  readonly name: string;
  valueOf(entry: Entry): string | undefined;
}

/** Pass these to the watch cache: selections by these fields cost what they find, not what there is. */
export const cacheIndexes: readonly CacheIndex[] = [
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
