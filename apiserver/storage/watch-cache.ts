// watch-cache.ts
//
// All that is stored, in memory, kept true by one watch. Reads are answered from here without a wait; a strong read first
// waits until the cache has come to where the store is (`fresh`).
//
//   entries      what is stored now (cache-entries.ts)
//   window       the newest changes, for watchers that were away (cache-window.ts)
//   subscribers  who is told of which change (cache-subscribers.ts)
//
// The cache never goes back in revision. When it was away for so long that the store no longer knows what changed, it lists
// again and tells the differences as changes: first the deletions, whose true revisions are not known, at the revision that
// the cache had; then the puts in order of revision. A watcher that is cut off in between and resumes, here or at another API
// server, thus misses nothing: here it is told Gone, elsewhere it stands before everything it has not seen.

import { jitteredBackoffMs, reconnectBackoff } from '../../lib/backoff.js';
import { sleep, type Clock } from '../../lib/clock.js';
import { Deferred } from '../../lib/deferred.js';
import type { Logger } from '../../lib/log.js';
import type { Random } from '../../lib/random.js';
import type { Service } from '../../lib/service.js';
import type { KubeObject } from '../../api/meta.js';
import { CacheEntries, type EntryPage, type IndexDefinition } from './cache-entries.js';
import { loadEntries } from './cache-loading.js';
import { CacheSubscribers, Subscriber, type CacheSink, type Subscription } from './cache-subscribers.js';
import { CacheWindow, type CacheChange } from './cache-window.js';
import { Entry, withRevision } from './entry.js';
import { EntryMemory } from './entry-memory.js';
import { OwnWrites } from './own-writes.js';
import { RevisionWaiters } from './revision-waiters.js';
import { GoneError, StoreUnavailableError, rootPrefix, type Change, type Store, type Stored, type Write, type WriteOutcome } from './store.js';

export type { IndexDefinition } from './cache-entries.js';
export type { CacheSink, Subscription } from './cache-subscribers.js';
export type { CacheChange } from './cache-window.js';

export interface WatchCacheOptions {
  readonly store: Store;
  readonly indexes?: readonly IndexDefinition[];
  /** How many changes a watcher may have missed and still resume. @default 20_000 */
  readonly windowChanges?: number;
  /** The texts of the stored entries that keep their parsed object, in characters altogether. @default 14 Mi */
  readonly parsedCharacters?: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export interface CacheListOptions {
  readonly limit?: number | undefined;
  /** Only keys greater than this one. */
  readonly after?: string | undefined;
  /** As of this revision (of an earlier page), which the cache has reached. */
  readonly revision?: number | undefined;
}

export interface CachePage extends EntryPage {
  /** The revision at which the list is true. */
  readonly revision: number;
}

export type CacheOutcome =
  /** Durable. `entry` is what was put, the instance that watchers will see; undefined for a deletion. */
  | { readonly ok: true; readonly revision: number; readonly entry: Entry | undefined }
  | { readonly ok: false; readonly current: Entry | undefined };

/** How long changes are taken in one turn of the event loop, milliseconds: to tell them takes three times as long, mostly in the sockets. */
const sliceMs = 1;
/** How many are taken between two looks at the clock. */
const sliceSteps = 16;
/** So much of what is known to wait is taken in one turn at least, however long it takes: the cache must not stay behind for as long as the load lasts. */
const sliceShareMin = 1 / 4;

export class WatchCache implements Service {
  readonly name = 'watch-cache';
  readonly #options: WatchCacheOptions;
  readonly #store: Store;
  #entries: CacheEntries;
  readonly #window: CacheWindow;
  readonly #subscribers: CacheSubscribers;
  readonly #memory: EntryMemory;
  readonly #waiters = new RevisionWaiters();
  readonly #ready = new Deferred<void>();
  #revision = 0;
  /** The same, but of whole batches of the store's watch: a barrier says which batch has everything, not which change (Store.currentRevision). */
  #reached = 0;
  readonly #own = new OwnWrites();

  constructor(options: WatchCacheOptions) {
    this.#options = options;
    this.#store = options.store;
    this.#entries = new CacheEntries(options.indexes ?? []);
    this.#window = new CacheWindow(options.windowChanges ?? 20_000);
    this.#subscribers = new CacheSubscribers(options.indexes ?? []);
    this.#memory = new EntryMemory(options.parsedCharacters);
    // Whoever does not wait for it is not to fall over its failure.
    this.#ready.promise.catch(() => {});
  }

  /** Resolves when everything has been loaded; rejects when `run` ends before that. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Every change up to here has been applied. */
  get revision(): number {
    return this.#revision;
  }

  /** How many objects are held. */
  get size(): number {
    return this.#entries.size;
  }

  /** Loads everything and follows the store until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.#options;
    let failures = 0;
    let mustList = true;
    while (!signal.aborted) {
      try {
        if (mustList) await this.#load(signal);
        if (signal.aborted) break;
        mustList = false;
        this.#ready.resolve();
        for await (const changes of this.#store.watch(rootPrefix, this.#revision, signal)) {
          failures = 0;
          for (let at = this.#apply(changes, 0); at < changes.length && !signal.aborted; at = this.#apply(changes, at)) await turn();
        }
      } catch (error) {
        mustList ||= error instanceof GoneError;
        if (!signal.aborted) log.warn(mustList ? 'The store must be listed; it will be tried until it succeeds.' : 'The watch on the store broke; it will be resumed.', { error, failures });
      }
      if (!signal.aborted) await sleep(clock, jitteredBackoffMs(reconnectBackoff, ++failures, random), signal);
    }
    const ended = new StoreUnavailableError('the watch cache has stopped', 'no');
    this.#ready.reject(ended);
    this.#waiters.rejectAll(ended);
  }

  get(key: string): Entry | undefined {
    return this.#entries.get(key);
  }

  /**
   * As `get`, or newer: what a write through this cache has put, from when it is acknowledged. It may have been replaced or
   * deleted since by others: for who makes the next write of it, whose guard finds that out.
   */
  newest(key: string): Entry | undefined {
    return this.#own.newest(key) ?? this.#entries.get(key);
  }

  /**
   * Objects under `prefix` (ending in "/") in key order.
   * @throws GoneError when `revision` is older than the window
   */
  list(prefix: string, options: CacheListOptions = {}): CachePage {
    const { limit = Infinity, after, revision = this.#revision } = options;
    if (revision < this.#window.floor || revision > this.#revision) throw new GoneError(revision, this.#window.floor);
    const replaced = this.#replacedSince(revision, prefix);
    if (replaced.size === 0) return { ...this.#entries.list(prefix, { limit, after }), revision };
    const all = this.#entries.list(prefix, { after }).items.filter(({ key }) => !replaced.has(key));
    for (const [key, entry] of replaced) if (entry && (after === undefined || key > after)) all.push(entry);
    all.sort((a, b) => (a.key < b.key ? -1 : 1));
    const items = all.slice(0, limit);
    const remaining = all.length - items.length;
    return { items, remaining, next: remaining > 0 ? items.at(-1)?.key : undefined, revision };
  }

  /** Objects whose value in the index is `value`, in no order. */
  listByIndex(name: string, value: string): Entry[] {
    return this.#entries.listByIndex(name, value);
  }

  /**
   * The barrier of a strong read: when it resolves, the cache shows every write acknowledged before the call.
   * @throws StoreUnavailableError
   */
  async fresh(): Promise<void> {
    await this.reached(await this.#store.currentRevision());
  }

  /**
   * Whether the cache stands between two changes that the store told together: a list of the store can be as of all of them only, so no page of one
   * continues what is shown now. `reached(revision)` waits for the others.
   */
  get isBetween(): boolean {
    return this.#reached < this.#revision;
  }

  /** Resolves when the cache has come to `revision`, with all that the store told together with it. @throws StoreUnavailableError when it stops before that */
  reached(revision: number): Promise<void> {
    return revision <= this.#reached ? Promise.resolve() : this.#waiters.wait(revision);
  }

  /**
   * Tells the sink of every change after `after` (of those to come, when it is undefined): those the window holds at once,
   * before this returns, the others as they come. No gap, no repeat.
   * @returns ends the subscription
   * @throws GoneError when `after` is older than the window
   */
  subscribe(subscription: Subscription & { readonly after?: number | undefined }, sink: CacheSink): () => void {
    const { after = this.#revision } = subscription;
    if (after < this.#window.floor) throw new GoneError(after, this.#window.floor);
    const missed: CacheChange[] = [];
    for (const change of this.#window.after(after)) if (this.#subscribers.wants(subscription, change)) missed.push(change);
    if (missed.length > 0) sink.changes(missed);
    const subscriber = new Subscriber(subscription, sink, after);
    this.#subscribers.add(subscriber);
    return () => this.#subscribers.remove(subscriber);
  }

  /**
   * Store.write. Does not wait for the cache: await `reached(revision)` to read your own write.
   * @param object what `write.value` says, where the caller has it: it is shared from then on, never change it
   */
  write(write: Write, object?: KubeObject): Promise<CacheOutcome> {
    const answered = object && write.op !== 'delete' ? this.#own.begin(write.key, write.value, object) : undefined;
    // Every write comes by here: as few promises as that takes.
    return this.#store.write(write).then(
      (outcome) => {
        answered?.();
        return this.#written(write, outcome, object);
      },
      (error: unknown) => {
        answered?.();
        throw error;
      },
    );
  }

  #written(write: Write, outcome: WriteOutcome, object: KubeObject | undefined): CacheOutcome {
    const { key } = write;
    if (!outcome.ok) return { ok: false, current: outcome.current && this.#entryOf(outcome.current) };
    const { revision } = outcome;
    if (write.op === 'delete') {
      this.#own.deleted(key);
      return { ok: true, revision, entry: undefined };
    }
    const entry = this.#entryOf({ key, value: write.value, revision }, object);
    if (revision > this.#revision) this.#own.acknowledged(entry);
    return { ok: true, revision, entry };
  }

  /** The cache's own entry where it has that revision, another otherwise. */
  #entryOf({ key, value, revision }: Stored, object?: KubeObject): Entry {
    const cached = revision <= this.#revision ? this.#entries.get(key) : undefined;
    if (cached?.revision === revision) return cached;
    return this.#own.at(revision) ?? new Entry(key, value, revision, object && withRevision(object, revision), this.#memory);
  }

  /** For each key under `prefix` that changed after `revision`: what was stored before. */
  #replacedSince(revision: number, prefix: string): Map<string, Entry | undefined> {
    const replaced = new Map<string, Entry | undefined>();
    if (revision === this.#revision) return replaced;
    for (const { key, previous } of this.#window.after(revision)) {
      if (key.startsWith(prefix) && !replaced.has(key)) replaced.set(key, previous);
    }
    return replaced;
  }

  /** Takes changes from `start` on until they are many for one turn of the event loop, and tells them. Answers where the others begin. */
  #apply(changes: readonly Change[], start: number): number {
    const { clock } = this.#options;
    const end = clock.monotonic() + sliceMs;
    const least = start + Math.max(changes.length, this.#own.size) * sliceShareMin;
    const from = this.#revision;
    const told: CacheChange[] = [];
    let at = start;
    try {
      while (at < changes.length && (at < least || at % sliceSteps > 0 || clock.monotonic() < end)) {
        const change = changes[at++]!;
        if (change.revision <= this.#revision) continue;
        this.#revision = change.revision;
        const applied = change.type === 'put' ? this.#put(change) : this.#delete(change.key, change.revision);
        if (!applied) continue;
        this.#window.push(applied);
        told.push(applied);
      }
    } finally {
      // Also when one cannot be taken, as another program's may: the watch goes on behind it, and what came before it has happened.
      this.#tell(told, from);
      if (at === changes.length) this.#hasReached();
    }
    return at;
  }

  #hasReached(): void {
    this.#reached = this.#revision;
    this.#waiters.resolveUpTo(this.#reached);
  }

  #put(stored: Stored): CacheChange {
    const entry = this.#entryToPut(stored);
    const { key, revision } = entry;
    return { type: 'put', key, revision, entry, previous: this.#entries.put(entry) };
  }

  /** The entry of what the store says: our own write's, where it is one. */
  #entryToPut(stored: Stored): Entry {
    const own = this.#own.take(stored.revision);
    if (own) return own;
    // Only now: a store may make the texts when they are asked for.
    const { key, value, revision } = stored;
    const object = this.#own.objectOf(key, value);
    return new Entry(key, value, revision, object && withRevision(object, revision), this.#memory);
  }

  #delete(key: string, revision: number): CacheChange | undefined {
    const previous = this.#entries.delete(key);
    return previous && { type: 'delete', key, revision, entry: previous.at(revision), previous };
  }

  /** Makes the entries those that are stored, telling the differences. */
  async #load(signal: AbortSignal): Promise<void> {
    const before = this.#entries;
    const loaded = await loadEntries({ store: this.#store, indexes: this.#options.indexes ?? [], before, entryOf: (stored) => this.#entryToPut(stored), signal });
    if (!loaded) return;
    const { entries, revision, deleted } = loaded;
    const from = this.#revision;
    if (revision < from) throw new Error(`the store went back from revision ${from} to ${revision}: it was replaced or restored; restart the API server`);
    const told: CacheChange[] = [];
    for (const previous of deleted) {
      previous.leave();
      told.push({ type: 'delete', key: previous.key, revision: from, entry: previous.at(from), previous });
    }
    // Of the first list nobody is told, unless somebody was there before it.
    const changed = before.size > 0 || this.#subscribers.isEmpty ? loaded.changed : [...entries.all()].sort((a, b) => a.revision - b.revision);
    for (const entry of changed) {
      const previous = before.get(entry.key);
      previous?.leave();
      told.push({ type: 'put', key: entry.key, revision: entry.revision, entry, previous });
    }
    this.#entries = entries;
    this.#revision = revision;
    this.#window.reset(revision);
    this.#own.forgetUpTo(revision);
    for (const subscriber of this.#subscribers.all()) if (subscriber.after > from) this.#end(subscriber, new GoneError(subscriber.after, revision));
    this.#tell(told, from);
    this.#hasReached();
  }

  #tell(changes: readonly CacheChange[], from: number): void {
    if (changes.length === 0) return;
    this.#subscribers.tell(changes, from, (subscriber, batch) => {
      try {
        subscriber.sink.changes(batch);
      } catch (error) {
        this.#options.log.error('A watcher failed to take changes; it is told to list again.', { error, prefix: subscriber.subscription.prefix });
        this.#end(subscriber, error as Error);
      }
    });
  }

  #end(subscriber: Subscriber, error: Error): void {
    this.#subscribers.remove(subscriber);
    subscriber.sink.gone(error);
  }
}

/** Lets everything else that is ready go first. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
