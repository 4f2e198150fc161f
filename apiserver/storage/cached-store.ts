// cached-store.ts
//
// The watch cache as a Store: the same contract, reads answered from memory after a strong barrier.

import { GoneError, type Change, type ListOptions, type Page, type PresenceStore, type Store, type Stored, type Write, type WriteOutcome } from './store.js';
import type { CacheChange, WatchCache } from './watch-cache.js';

/** Changes that wait for a watcher to take them; past it the watcher is told Gone. */
const backlogChangesMax = 10_000;

export class CachedStore implements Store {
  readonly presence: PresenceStore;
  readonly #cache: WatchCache;
  readonly #store: Store;

  constructor(options: { cache: WatchCache; store: Store }) {
    this.#cache = options.cache;
    this.#store = options.store;
    this.presence = options.store.presence;
  }

  async read(key: string): Promise<Stored | undefined> {
    await this.#cache.fresh();
    return this.#cache.get(key);
  }

  async list(prefix: string, options: ListOptions = {}): Promise<Page> {
    if (options.revision === undefined) await this.#cache.fresh();
    else await this.#cache.reached(options.revision);
    return this.#cache.list(prefix, options);
  }

  write(write: Write): Promise<WriteOutcome> {
    return this.#cache.write(write);
  }

  async *watch(prefix: string, revision: number, signal: AbortSignal): AsyncGenerator<readonly Change[]> {
    let backlog: Change[] = [];
    let failure: Error | undefined;
    let wake = (): void => {};
    const abort = (): void => wake();
    const unsubscribe = this.#cache.subscribe(
      { prefix, after: revision },
      {
        changes: (batch) => {
          // One batch is taken whatever its size: the window may hold more than the backlog.
          if (backlog.length > 0 && backlog.length + batch.length > backlogChangesMax) failure ??= new GoneError(revision, batch.at(-1)!.revision);
          if (!failure) for (const change of batch) backlog.push(changeOf(change));
          wake();
        },
        gone: (error) => {
          failure ??= error;
          wake();
        },
      },
    );
    signal.addEventListener('abort', abort, { once: true });
    try {
      while (!signal.aborted) {
        if (failure) throw failure;
        if (backlog.length === 0) {
          await new Promise<void>((resolve) => (wake = resolve));
          continue;
        }
        const changes = backlog;
        backlog = [];
        yield changes;
      }
    } finally {
      signal.removeEventListener('abort', abort);
      unsubscribe();
    }
  }

  currentRevision(): Promise<number> {
    return this.#store.currentRevision();
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}

function changeOf({ type, key, revision, entry }: CacheChange): Change {
  return { type, key, value: type === 'put' ? entry.value : '', revision };
}
