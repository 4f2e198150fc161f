// watch.ts
//
// One client's watch: what there is (where asked for), then every change, as the client's selector sees it.
//
//   before matches   after matches   event
//   no               yes             ADDED
//   yes              yes             MODIFIED
//   yes              no              DELETED: the last state that matched, with the resourceVersion of the change
//
// The state is taken and the subscription begun in one turn of the event loop, so nothing is between them.

import { badRequest, ApiError, expired, type Status } from '../../api/errors.js';
import { apiVersionOf, type KindDefinition } from '../../api/kind.js';
import type { Clock, Timer } from '../../lib/clock.js';
import type { Entry } from '../storage/entry.js';
import { GoneError } from '../storage/store.js';
import type { CacheChange } from '../storage/watch-cache.js';
import type { ObjectCache } from './object-cache.js';
import { RenderedObject, renderer } from './rendering.js';
import { caughtUp, checkWatchMatch, parseResourceVersion } from './resource-versions.js';
import { selectionOf, type Selection } from './selection.js';
import type { Rendered, Target, WatchQuery, WatchSink } from './service.js';
import { toClientError } from './store-errors.js';

const bookmarkEveryMs = 60_000;
const initialEventsEnd = { 'k8s.io/initial-events-end': 'true' };

/** @throws ApiError before anything has gone to `sink`; answers what stops the watch, without `sink.end` */
export async function startWatch(options: { cache: ObjectCache; clock: Clock }, target: Target, query: WatchQuery, sink: WatchSink): Promise<() => void> {
  const { cache } = options;
  checkWatchMatch(query);
  const version = parseResourceVersion(query.resourceVersion);
  const { timeoutSeconds } = query;
  if (timeoutSeconds !== undefined && !(timeoutSeconds >= 0)) throw badRequest(`invalid timeoutSeconds ${JSON.stringify(timeoutSeconds)}: must be a number of seconds`);
  const selection = selectionOf(target, query);
  await caughtUp(cache, version);
  const watch = new Watch(options, target.kind, selection, query, sink);
  watch.start(query.sendInitialEvents ?? !version, version || undefined);
  return () => watch.stop();
}

class Watch {
  readonly #cache: ObjectCache;
  readonly #clock: Clock;
  readonly #render: (entry: Entry) => Rendered;
  #unsubscribe: (() => void) | undefined;
  #bookmarkTimer: Timer | undefined;
  #endTimer: Timer | undefined;
  #over = false;

  constructor(
    options: { cache: ObjectCache; clock: Clock },
    private readonly kind: KindDefinition,
    private readonly selection: Selection,
    private readonly query: WatchQuery,
    private readonly sink: WatchSink,
  ) {
    this.#cache = options.cache;
    this.#clock = options.clock;
    this.#render = renderer(kind);
  }

  /** @throws ApiError Expired when the changes after `version` are no longer kept */
  start(withState: boolean, version: number | undefined): void {
    const { prefix, index, key } = this.selection;
    // Without state, "now" is meant where no version is given: what a client gets that asks for no initial events.
    const after = withState || version === undefined ? this.#cache.revision : version;
    if (withState) this.#sendState();
    try {
      this.#unsubscribe = this.#cache.subscribe(
        key === undefined ? { prefix, after, ...(index ? { index } : {}) } : { prefix: key, after },
        { changes: (batch) => this.#send(batch), gone: (error) => this.#end(statusOf(error)) },
      );
    } catch (error) {
      throw error instanceof GoneError ? expired(error.message) : toClientError(error);
    }
    if (this.query.allowWatchBookmarks) this.#scheduleBookmark();
    const { timeoutSeconds } = this.query;
    if (timeoutSeconds) this.#endTimer = this.#clock.timer(timeoutSeconds * 1000, () => this.#timeUp(), { unref: true });
  }

  stop(): void {
    this.#over = true;
    this.#unsubscribe?.();
    this.#bookmarkTimer?.cancel();
    this.#endTimer?.cancel();
  }

  #sendState(): void {
    for (const entry of this.#state()) {
      const rendered = this.#render(entry);
      if (!this.selection.matches || this.selection.matches(rendered.object)) this.sink.event('ADDED', rendered);
    }
    if (this.query.sendInitialEvents && this.query.allowWatchBookmarks) this.#sendBookmark(initialEventsEnd);
  }

  #state(): readonly Entry[] {
    const { key, index, prefix } = this.selection;
    if (key !== undefined) {
      const entry = this.#cache.get(key);
      return entry ? [entry] : [];
    }
    if (index) return this.#cache.listByIndex(index.name, index.value).filter((entry) => entry.key.startsWith(prefix));
    return this.#cache.list(prefix).items;
  }

  #send(batch: readonly CacheChange[]): void {
    for (const change of batch) {
      if (this.#over) return;
      this.#sendChange(change, this.selection.matches);
    }
  }

  #sendChange({ type, entry, previous, revision }: CacheChange, matches: Selection['matches']): void {
    const before = previous && this.#render(previous);
    const matched = before !== undefined && (!matches || matches(before.object));
    if (type === 'delete') {
      if (matched) this.sink.event('DELETED', this.#render(entry));
      return;
    }
    const after = this.#render(entry);
    const matching = !matches || matches(after.object);
    if (matching) this.sink.event(matched ? 'MODIFIED' : 'ADDED', after);
    else if (matched) this.sink.event('DELETED', atRevision(before, revision));
  }

  #scheduleBookmark(): void {
    this.#bookmarkTimer = this.#clock.timer(
      bookmarkEveryMs,
      () => {
        this.#sendBookmark();
        this.#scheduleBookmark();
      },
      { unref: true },
    );
  }

  #sendBookmark(annotations?: Record<string, string>): void {
    const { kind } = this.kind;
    const metadata = { resourceVersion: String(this.#cache.revision), ...(annotations ? { annotations } : {}) };
    this.sink.event('BOOKMARK', new RenderedObject({ kind, apiVersion: apiVersionOf(this.kind), metadata }));
  }

  #timeUp(): void {
    if (this.query.allowWatchBookmarks) this.#sendBookmark();
    this.#end(undefined);
  }

  #end(status: Status | undefined): void {
    if (this.#over) return;
    this.stop();
    this.sink.end(status);
  }
}

function atRevision({ object }: Rendered, revision: number): Rendered {
  return new RenderedObject({ ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } });
}

function statusOf(error: Error): Status {
  const seen = toClientError(error);
  return (seen instanceof ApiError ? seen : new ApiError('InternalError', 'the watch has ended; start it again', undefined, { cause: error })).toStatus();
}

