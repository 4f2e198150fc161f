// informer.ts
//
// A copy of all objects of a kind, kept true: list, watch from there, and list again when the server no longer has the
// changes in between. Readers get the copy and every change to it, in order, once.
//
// The loop below never gives up and leaves a watch for these reasons only:
//
//   the server's time for the watch is up    watch again, after the last change seen
//   the connection broke                     wait, watch again after the last change seen
//   410 Expired                              list again; readers get the difference
//   the signal aborted                       end
//
// An object is never replaced by an older one: a network that repeats or delays cannot turn the copy back.

import { isReason } from '../api/errors.js';
import type { KindDefinition } from '../api/kind.js';
import { objectKey, type KubeObject } from '../api/meta.js';
import { assert } from '../lib/assert.js';
import { sleep, type Clock } from '../lib/clock.js';
import { deepFreeze } from '../lib/deep-freeze.js';
import { Deferred } from '../lib/deferred.js';
import type { Logger } from '../lib/log.js';
import type { Random } from '../lib/random.js';
import type { Service } from '../lib/service.js';
import type { ApiClient, WatchEvent } from './api-client.js';
import { ChangeFeed, type ChangeHandler, type InformerChange } from './change-feed.js';
import { Reconnect } from './reconnect.js';

export type { InformerChange } from './change-feed.js';

export interface InformerOptions<T extends KubeObject> {
  client: ApiClient;
  kind: KindDefinition<T>;
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  clock: Clock;
  random: Random;
  logger: Logger;
  /** Only metadata is asked of the server. */
  metadataOnly?: boolean;
  /** Objects are asked for without metadata.managedFields. */
  omitManagedFields?: boolean;
  /**
   * The watch need not tell what this reporter alone has reported (api/protocol.ts, StatusBulk): the copy then lacks that, until something else
   * changes an object.
   */
  exceptReportsOf?: string;
  /**
   * The list, too, comes as a stream: in turns as short as its chunks, in one go as of one version however many objects there are, and
   * found by the server's index where the selector has one. Needs a server that knows sendInitialEvents.
   */
  streamList?: boolean;
  /**
   * What is kept of an object (apiVersion, kind and metadata at least), where its readers do not need all. Default: all.
   * @param object nobody else's: it may be changed
   * @param previous what was kept of it before
   */
  keep?(object: T, previous: T | undefined): T;
  /** Whether objects are frozen, so that a careless write fails at its own line. Default: in tests. */
  freeze?: boolean;
}

const pageItemsMax = 5_000;
/** Annotation of the bookmark at the end of a list that comes as a stream. */
const initialEventsEnd = 'k8s.io/initial-events-end';
/** Watches end after a time between this and twice this, so that connections spread over several API servers again. */
const watchSecondsMin = 300;
/** A watch that outlives its time by so much hangs: the server, or the way to it, is gone without a word. */
const watchOvertimeMs = 30_000;

export class Informer<T extends KubeObject> implements Service {
  readonly name: string;
  readonly #options: InformerOptions<T>;
  readonly #logger: Logger;
  readonly #freeze: boolean;
  readonly #synced = new Deferred<void>();
  readonly #feed: ChangeFeed<T>;
  #objects = new Map<string, T>();
  #hasSynced = false;
  /** Where to watch from; undefined before the first list and after Expired. */
  #resourceVersion: string | undefined;
  /** Who waits until the copy has come to a version. */
  #awaited: { version: string; reached: Deferred<void> }[] = [];
  /** Ends the watch that is under way, for another one. */
  #watchAnew: AbortController | undefined;

  constructor(options: InformerOptions<T>) {
    this.#options = options;
    this.name = `${options.kind.plural} informer`;
    this.#logger = options.logger.child({ informer: options.kind.plural });
    this.#freeze = options.freeze ?? process.env['NODE_ENV'] === 'test';
    this.#feed = new ChangeFeed(options);
  }

  /**
   * Resolves when the first list is in the cache, and all that is there has been told to those who listen by now; stays pending when the
   * informer is stopped before.
   */
  get synced(): Promise<void> {
    return this.#feed.telling ? this.#synced.promise.then(() => this.#feed.telling) : this.#synced.promise;
  }

  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  /** resourceVersion up to which the copy is true, for tests and logs. */
  get resourceVersion(): string | undefined {
    return this.#resourceVersion;
  }

  /**
   * Resolves when the copy shows all that was written up to `version`; not while the server cannot be reached. News tells only of
   * this kind, and a broken connection tells nothing, so the server is asked.
   */
  reach(version: string): Promise<void> {
    if (!isOlder(this.#resourceVersion, version)) return Promise.resolve();
    const reached = new Deferred<void>();
    this.#awaited.push({ version, reached });
    this.#watchAnew?.abort();
    return reached.promise;
  }

  /** @param key `namespace/name`, or `name` for kinds of no namespace (objectKey) */
  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  values(): IterableIterator<T> {
    return this.#objects.values();
  }

  keys(): IterableIterator<string> {
    return this.#objects.keys();
  }

  get size(): number {
    return this.#objects.size;
  }

  /**
   * Calls `handler` with every change, after the copy has it: in one call what came in one chunk, in several, over turns of the event
   * loop, what is more. A handler that comes late first gets what is there, as added; all of it when `synced`, asked for afterwards,
   * resolves. Objects are shared: never change them. A handler must not throw.
   */
  onChanges(handler: ChangeHandler<T>): void {
    this.#feed.add(handler, [...this.#objects.values()]);
  }

  /** Forgets all handlers: for whoever owns the informer when those that registered have ended and it goes on. */
  detachHandlers(): void {
    this.#feed.clear();
  }

  async run(signal: AbortSignal): Promise<void> {
    const { kind, clock, random } = this.#options;
    const reconnect = new Reconnect({ clock, random, logger: this.#logger });
    while (!signal.aborted) {
      try {
        if (this.#resourceVersion === undefined && !this.#options.streamList) await this.#list(signal);
        const startedMs = clock.monotonic();
        await this.#watch(signal, () => reconnect.healthy());
        // A server that ends watches at once must not be asked in a tight loop.
        if (this.#watchAnew?.signal.aborted) continue;
        if (clock.monotonic() - startedMs < 1_000) await sleep(clock, 500 + random.integer(500), signal);
      } catch (error) {
        if (signal.aborted) break;
        if (isReason(error, 'Expired', 'Gone')) this.#resourceVersion = undefined;
        await reconnect.failed(`cannot watch ${kind.plural}; trying again`, error, signal);
      }
    }
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { client, kind, namespace, labelSelector, fieldSelector, metadataOnly, omitManagedFields } = this.#options;
    const found = new Map<string, T>();
    let token: string | undefined;
    let resourceVersion: string | undefined;
    do {
      const page = await client.list(kind, { namespace, labelSelector, fieldSelector, limit: pageItemsMax, ...(metadataOnly ? { metadataOnly } : {}), ...(omitManagedFields ? { omitManagedFields } : {}), ...(token ? { continue: token } : {}) });
      if (signal.aborted) return;
      for (const object of page.items) this.#collectOne(found, object);
      // All pages tell of the same revision, the first one's.
      resourceVersion ??= page.metadata.resourceVersion;
      token = page.metadata.continue || undefined;
    } while (token !== undefined);
    assert(resourceVersion !== undefined, `a list of ${kind.plural} carries a resourceVersion`);
    this.#resourceVersion = resourceVersion;
    this.#replace(found);
    await this.#feed.telling;
    this.#tellReached();
  }

  /** Takes a new list; tells the difference to the old one. */
  #replace(found: Map<string, T>): void {
    const changes: InformerChange<T>[] = [];
    for (const [key, previous] of this.#objects) {
      const object = found.get(key);
      if (object?.metadata.uid !== previous.metadata.uid) changes.push({ type: 'deleted', object: previous, key });
    }
    for (const [key, object] of found) {
      const previous = this.#objects.get(key);
      if (previous && previous.metadata.uid === object.metadata.uid) {
        if (previous.metadata.resourceVersion === object.metadata.resourceVersion) {
          found.set(key, previous);
          continue;
        }
        changes.push({ type: 'modified', object, previous, key });
      } else {
        changes.push({ type: 'added', object, key });
      }
    }
    this.#objects = found;
    this.#feed.tell(changes);
    if (this.#feed.telling) void this.#feed.telling.then(() => this.#markSynced());
    else this.#markSynced();
  }

  #markSynced(): void {
    this.#hasSynced = true;
    this.#synced.resolve();
  }

  async #watch(signal: AbortSignal, healthy: () => void): Promise<void> {
    const { client, kind, namespace, labelSelector, fieldSelector, metadataOnly, omitManagedFields, exceptReportsOf, clock, random } = this.#options;
    const timeoutSeconds = watchSecondsMin + random.integer(watchSecondsMin);
    const hung = new AbortController();
    const deadline = clock.timer(timeoutSeconds * 1_000 + watchOvertimeMs, () => hung.abort());
    const anew = (this.#watchAnew = new AbortController());
    const either = AbortSignal.any([signal, hung.signal, anew.signal]);
    let listed: Map<string, T> | undefined = this.#resourceVersion === undefined ? new Map() : undefined;
    try {
      const batches = client.watchBatches(kind, {
        namespace,
        labelSelector,
        fieldSelector,
        ...(this.#resourceVersion === undefined ? { initialEvents: true } : { resourceVersion: this.#resourceVersion }),
        allowWatchBookmarks: true,
        ...(this.#awaited.length > 0 ? { bookmarkFirst: true } : {}),
        timeoutSeconds,
        ...(metadataOnly ? { metadataOnly } : {}),
        ...(omitManagedFields ? { omitManagedFields } : {}),
        ...(exceptReportsOf === undefined ? {} : { exceptReportsOf }),
        signal: either,
      });
      for await (const batch of batches) {
        if (signal.aborted) return;
        healthy();
        const rest = listed ? this.#collect(listed, batch) : batch;
        if (!rest) continue;
        listed = undefined;
        this.#apply(rest);
        // No more is read before all has been told.
        if (this.#feed.telling) await this.#feed.telling;
        this.#tellReached();
        // Another server, which is behind: ask again in a moment.
        if (this.#awaited.length > 0 && batch.some(({ type }) => type === 'BOOKMARK')) return;
      }
    } finally {
      deadline.cancel();
    }
  }

  /** Takes objects of a list that comes as a stream. @returns what follows it, when it has ended */
  #collect(listed: Map<string, T>, batch: readonly WatchEvent<T>[]): readonly WatchEvent<T>[] | undefined {
    for (const [index, { type, object }] of batch.entries()) {
      if (type === 'ADDED') this.#collectOne(listed, object);
      if (type !== 'BOOKMARK' || object.metadata.annotations?.[initialEventsEnd] !== 'true') continue;
      this.#resourceVersion = object.metadata.resourceVersion;
      this.#replace(listed);
      return batch.slice(index + 1);
    }
    return undefined;
  }

  #tellReached(): void {
    if (this.#awaited.length === 0) return;
    const reached = this.#awaited.filter(({ version }) => !isOlder(this.#resourceVersion, version));
    this.#awaited = this.#awaited.filter(({ version }) => isOlder(this.#resourceVersion, version));
    for (const each of reached) each.reached.resolve();
  }

  #apply(batch: readonly WatchEvent<T>[]): void {
    const changes: InformerChange<T>[] = [];
    for (const { type, object: received } of batch) {
      const version = received.metadata.resourceVersion;
      if (type === 'BOOKMARK') {
        this.#advance(version);
        continue;
      }
      const key = objectKey(received);
      const previous = this.#objects.get(key);
      const object = this.#own(received, previous);
      if (type === 'DELETED') {
        this.#advance(version);
        if (!previous || isOlder(version, previous.metadata.resourceVersion)) continue;
        this.#objects.delete(key);
        changes.push({ type: 'deleted', object, previous, key });
        continue;
      }
      if (!isOlder(this.#resourceVersion, version)) continue;
      this.#advance(version);
      this.#objects.set(key, object);
      if (!previous) {
        changes.push({ type: 'added', object, key });
      } else if (previous.metadata.uid === object.metadata.uid) {
        changes.push({ type: 'modified', object, previous, key });
      } else {
        changes.push({ type: 'deleted', object: previous, key }, { type: 'added', object, key });
      }
    }
    this.#feed.tell(changes);
  }

  #advance(version: string | undefined): void {
    if (version !== undefined && isOlder(this.#resourceVersion, version)) this.#resourceVersion = version;
  }

  #collectOne(found: Map<string, T>, received: T): void {
    const key = objectKey(received);
    found.set(key, this.#own(received, this.#objects.get(key)));
  }

  /** What is kept of a received object. */
  #own(object: T, previous: T | undefined): T {
    const kept = this.#options.keep ? this.#options.keep(object, previous) : object;
    return this.#freeze ? deepFreeze(kept) : kept;
  }
}

/** Whether version `a` comes before `b`. Ours are decimal and grow (below 2^53); an absent one comes before all. */
function isOlder(a: string | undefined, b: string | undefined): boolean {
  return Number(a ?? 0) < Number(b ?? 0);
}
