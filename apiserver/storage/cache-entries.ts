// cache-entries.ts
//
// What is stored, in memory: by key, and in key order per kind, and by the values that watchers select on.
//
// A kind's prefix is the key up to its fifth slash: "/taskplane/registry/<group>/<plural>/". Keys that are shorter (the
// store's own) are kept by key only and are in no list.

import BTree from 'sorted-btree';
import type { Entry } from './entry.js';
import { prefixEnd } from './store.js';

/** Objects under `prefix` by the value of something in them, for watchers that select on it. */
export interface IndexDefinition {
  readonly prefix: string;
  readonly name: string;
  /** The value that the object is found under; undefined when it is under none. */
  readonly valueOf: (entry: Entry) => string | undefined;
}

export interface EntryPage {
  readonly items: readonly Entry[];
  /** Pass as `after` for the next page; undefined on the last one. */
  readonly next: string | undefined;
  /** How many items follow this page. */
  readonly remaining: number;
}

export class CacheEntries {
  readonly #byKey = new Map<string, Entry>();
  readonly #byKind = new Map<string, Tree>();
  readonly #indexes: readonly { readonly definition: IndexDefinition; readonly byValue: Map<string, Map<string, Entry>> }[];

  constructor(indexes: readonly IndexDefinition[]) {
    this.#indexes = indexes.map((definition) => ({ definition, byValue: new Map() }));
  }

  get size(): number {
    return this.#byKey.size;
  }

  get(key: string): Entry | undefined {
    return this.#byKey.get(key);
  }

  all(): IterableIterator<Entry> {
    return this.#byKey.values();
  }

  /** Puts the entry in the place of the one with its key; answers that one. */
  put(entry: Entry): Entry | undefined {
    const previous = this.#byKey.get(entry.key);
    this.#byKey.set(entry.key, entry);
    const kind = kindPrefix(entry.key);
    if (kind !== undefined) {
      let tree = this.#byKind.get(kind);
      if (!tree) this.#byKind.set(kind, (tree = newTree()));
      tree.set(entry.key, entry);
    }
    this.#reindex(entry.key, previous, entry);
    return previous;
  }

  delete(key: string): Entry | undefined {
    const previous = this.#byKey.get(key);
    if (!previous) return undefined;
    this.#byKey.delete(key);
    const kind = kindPrefix(key);
    if (kind !== undefined) this.#byKind.get(kind)?.delete(key);
    this.#reindex(key, previous, undefined);
    return previous;
  }

  /** Entries under `prefix` in key order, after `after`. */
  list(prefix: string, options: { limit?: number | undefined; after?: string | undefined } = {}): EntryPage {
    const { limit = Infinity, after } = options;
    const items: Entry[] = [];
    let remaining = 0;
    const take = (key: string, entry: Entry): void => {
      if (key === after) return;
      if (items.length < limit) items.push(entry);
      else remaining++;
    };
    const from = after !== undefined && after > prefix ? after : prefix;
    for (const tree of this.#treesOf(prefix)) tree.forRange(from, prefixEnd(prefix), false, take);
    return { items, next: remaining > 0 ? items.at(-1)?.key : undefined, remaining };
  }

  /** Entries whose index value is `value`, in no order. */
  listByIndex(name: string, value: string): Entry[] {
    const index = this.#indexes.find(({ definition }) => definition.name === name);
    return [...(index?.byValue.get(value)?.values() ?? [])];
  }

  #treesOf(prefix: string): readonly Tree[] {
    const kind = kindPrefix(prefix);
    if (kind !== undefined) {
      const tree = this.#byKind.get(kind);
      return tree ? [tree] : [];
    }
    const kinds = [...this.#byKind.keys()].filter((each) => each.startsWith(prefix));
    return kinds.sort().map((each) => this.#byKind.get(each)!);
  }

  #reindex(key: string, previous: Entry | undefined, entry: Entry | undefined): void {
    for (const { definition, byValue } of this.#indexes) {
      if (!key.startsWith(definition.prefix)) continue;
      const before = previous && definition.valueOf(previous);
      const now = entry && definition.valueOf(entry);
      if (before !== undefined && before !== now) {
        const bucket = byValue.get(before);
        bucket?.delete(key);
        if (bucket?.size === 0) byValue.delete(before);
      }
      if (now === undefined) continue;
      let bucket = byValue.get(now);
      if (!bucket) byValue.set(now, (bucket = new Map()));
      bucket.set(key, entry!);
    }
  }
}

type Tree = BTree.default<string, Entry>;

function newTree(): Tree {
  return new BTree.default<string, Entry>(undefined, (a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

/** The key up to and including its fifth slash. */
function kindPrefix(key: string): string | undefined {
  let slash = -1;
  for (let count = 0; count < 5; count++) {
    slash = key.indexOf('/', slash + 1);
    if (slash < 0) return undefined;
  }
  return key.slice(0, slash + 1);
}
