// cache-entries.ts
//
// What is stored, in memory: by key, and in key order per kind, and by the values that watchers select on.
//
// A kind's prefix is the key up to its fifth slash: "/taskplane/registry/<group>/<plural>/". Keys that are shorter (the
// store's own) are kept by key only and are in no list.

import type { Entry } from './entry.js';
import { KeyMap } from './key-map.js';
import { SortedSlots, type Slot } from './sorted-slots.js';
import { prefixEnd } from './store.js';

/** Objects under `prefix` by the value of something in them, for watchers that select on it. */
export interface IndexDefinition {
  readonly prefix: string;
  readonly name: string;
  /** The value that the object is found under; undefined when it is under none. Asked once per entry: use the object where it is at hand. */
  readonly valueOf: (entry: Entry) => string | undefined;
}

export interface EntryPage {
  readonly items: readonly Entry[];
  /** Pass as `after` for the next page; undefined on the last one. */
  readonly next: string | undefined;
  /** How many items follow this page. */
  readonly remaining: number;
}

/** What is under one value of an index. */
interface Bucket {
  readonly slots: Set<Slot>;
  /** Each combination of index values that an entry had first under this value: entries of the same values share them. */
  readonly combinations: IndexValues[];
}

type IndexValues = readonly (string | undefined)[];

const underNothing: IndexValues = [];
/** So many are looked through; others are the entry's own. */
const combinationsMax = 4;

export class CacheEntries {
  readonly #byKey = new KeyMap<Slot>();
  readonly #byKind = new Map<string, SortedSlots>();
  readonly #indexes: readonly { readonly definition: IndexDefinition; readonly byValue: Map<string, Bucket> }[];

  constructor(indexes: readonly IndexDefinition[]) {
    this.#indexes = indexes.map((definition) => ({ definition, byValue: new Map() }));
  }

  get size(): number {
    return this.#byKey.size;
  }

  get(key: string): Entry | undefined {
    return this.#byKey.get(key)?.entry;
  }

  /** In no order. */
  *all(): Generator<Entry> {
    for (const { entry } of this.#byKey.values()) yield entry;
  }

  /** Puts the entry in the place of the one with its key; answers that one. */
  put(entry: Entry): Entry | undefined {
    const { key } = entry;
    let slot = this.#byKey.get(key);
    const previous = slot?.entry;
    if (slot) slot.entry = entry;
    else {
      slot = { key, entry };
      this.#byKey.add(key, slot);
      const kind = kindPrefix(key);
      if (kind !== undefined) {
        let slots = this.#byKind.get(kind);
        if (!slots) this.#byKind.set(kind, (slots = new SortedSlots()));
        slots.add(slot);
      }
    }
    if (!entry.isStored) this.#setValues(entry);
    this.#reindex(slot, previous, entry);
    previous?.leave();
    // After its index values have been found: they are read out of the text.
    entry.enter();
    return previous;
  }

  delete(key: string): Entry | undefined {
    const slot = this.#byKey.get(key);
    if (!slot) return undefined;
    this.#byKey.delete(key);
    const kind = kindPrefix(key);
    if (kind !== undefined) this.#byKind.get(kind)?.remove(slot);
    this.#reindex(slot, slot.entry, undefined);
    slot.entry.leave();
    return slot.entry;
  }

  /** Entries under `prefix` in key order, after `after`. */
  list(prefix: string, options: { limit?: number | undefined; after?: string | undefined } = {}): EntryPage {
    const { limit = Infinity, after } = options;
    const items: Entry[] = [];
    // The smallest string that is greater than a key is the key with a NUL behind it.
    const from = after !== undefined && after >= prefix ? `${after}\0` : prefix;
    const end = prefixEnd(prefix);
    let count = 0;
    for (const slots of this.#kindsUnder(prefix)) count += slots.collect(from, end, limit - items.length, items);
    const remaining = count - items.length;
    return { items, next: remaining > 0 ? items.at(-1)?.key : undefined, remaining };
  }

  /** Entries whose index value is `value`, in no order. */
  listByIndex(name: string, value: string): Entry[] {
    const index = this.#indexes.find(({ definition }) => definition.name === name);
    return Array.from(index?.byValue.get(value)?.slots ?? [], ({ entry }) => entry);
  }

  #kindsUnder(prefix: string): readonly SortedSlots[] {
    const kind = kindPrefix(prefix);
    if (kind !== undefined) {
      const slots = this.#byKind.get(kind);
      return slots ? [slots] : [];
    }
    const kinds = [...this.#byKind.keys()].filter((each) => each.startsWith(prefix));
    return kinds.sort().map((each) => this.#byKind.get(each)!);
  }

  #setValues(entry: Entry): void {
    if (!this.#indexes.some(({ definition }) => entry.key.startsWith(definition.prefix))) return;
    entry.indexValues = this.#shared(this.#indexes.map(({ definition }) => (entry.key.startsWith(definition.prefix) ? definition.valueOf(entry) : undefined)));
  }

  #shared(values: IndexValues): IndexValues {
    const first = values.findIndex((value) => value !== undefined);
    if (first < 0) return underNothing;
    const combinations = this.#indexes[first]!.byValue.get(values[first]!)?.combinations;
    const same = combinations?.find((each) => each.every((value, position) => value === values[position]));
    if (same) return same;
    if (combinations && combinations.length < combinationsMax) combinations.push(values);
    return values;
  }

  #reindex(slot: Slot, previous: Entry | undefined, entry: Entry | undefined): void {
    for (let position = 0; position < this.#indexes.length; position++) {
      const before = previous?.indexValues[position];
      const now = entry?.indexValues[position];
      if (before === now) continue;
      const { byValue } = this.#indexes[position]!;
      if (before !== undefined) {
        const bucket = byValue.get(before)!;
        bucket.slots.delete(slot);
        if (bucket.slots.size === 0) byValue.delete(before);
      }
      if (now === undefined) continue;
      let bucket = byValue.get(now);
      if (!bucket) byValue.set(now, (bucket = { slots: new Set(), combinations: [entry!.indexValues] }));
      bucket.slots.add(slot);
    }
  }
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
