// cache-loading.ts
//
// The cache's entries as the store lists them, gathered beside those that it has: a page per turn of the event loop, so that
// a million hold up nobody for longer than a few milliseconds, and readers see all of them at once or none.

import { CacheEntries, type IndexDefinition } from './cache-entries.js';
import type { Entry } from './entry.js';
import { rootPrefix, type Page, type Store, type Stored } from './store.js';

/** Taken over in one turn of the event loop: two or three milliseconds. */
const itemsPerTurn = 500;
/** Keys looked up in one turn: likewise. */
const looksPerTurn = 10_000;

export interface Loaded {
  readonly entries: CacheEntries;
  /** As of which they are. */
  readonly revision: number;
  /** Those of `before` whose keys are gone, in key order. */
  readonly deleted: readonly Entry[];
  /** Those that `before` does not have, in order of revision. Left out when `before` has none at all: there may be a million. */
  readonly changed: readonly Entry[];
}

export interface LoadOptions {
  readonly store: Pick<Store, 'list' | 'pages'>;
  readonly indexes: readonly IndexDefinition[];
  /** What the cache has; entries of the same revision are taken over. It does not change meanwhile. */
  readonly before: CacheEntries;
  readonly entryOf: (stored: Stored) => Entry;
  readonly signal: AbortSignal;
}

/** Undefined when the signal aborts first. @throws what the store says */
export async function loadEntries({ store, indexes, before, entryOf, signal }: LoadOptions): Promise<Loaded | undefined> {
  const entries = new CacheEntries(indexes);
  const changed: Entry[] = [];
  let revision = 0;
  for await (const page of pagesOf(store)) {
    if (signal.aborted) return undefined;
    ({ revision } = page);
    for (const item of page.items) {
      const known = before.get(item.key);
      const entry = known?.revision === item.revision ? known : entryOf(item);
      entries.put(entry);
      if (entry !== known && before.size > 0) changed.push(entry);
    }
  }
  const deleted: Entry[] = [];
  let looked = 0;
  for (const entry of before.all()) {
    if (!entries.get(entry.key)) deleted.push(entry);
    if (++looked % looksPerTurn === 0) await turn();
  }
  if (signal.aborted) return undefined;
  deleted.sort((a, b) => (a.key < b.key ? -1 : 1));
  changed.sort((a, b) => a.revision - b.revision);
  return { entries, revision, deleted, changed };
}

async function* pagesOf(store: Pick<Store, 'list' | 'pages'>): AsyncGenerator<Page> {
  if (store.pages) return yield* store.pages(rootPrefix);
  const { items, revision, next } = await store.list(rootPrefix);
  for (let from = 0; from === 0 || from < items.length; from += itemsPerTurn) {
    if (from > 0) await turn();
    yield { items: items.slice(from, from + itemsPerTurn), revision, next };
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
