// watch.ts
//
// One client's watch: what there is (where asked for), then every change, as the client's selector sees it.
//
//   before matches   after matches   event
//   no               yes             ADDED
//   yes              yes             MODIFIED
//   yes              no              DELETED: the last state that matched, with the resourceVersion of the change
//   yes              yes, of another uid (a view)  DELETED, then ADDED
//   yes              yes, by a report of the watcher's own, where it asks for that  nothing: own-reports.ts
//
// The state is taken and the subscription begun in one turn of the event loop, so nothing is between them. Most watches
// are then told of changes as they come. One that begins with more than its reader takes at once is told in parts, as the
// reader takes them; what changes meanwhile waits in line, up to a bound.

import { badRequest, ApiError, expired, type Status } from '../../api/errors.js';
import { apiVersionOf, type KindDefinition } from '../../api/kind.js';
import type { Clock, Timer } from '../../lib/clock.js';
import { Entry, withRevision } from '../storage/entry.js';
import { GoneError } from '../storage/store.js';
import type { CacheChange } from '../storage/watch-cache.js';
import type { ObjectCache } from './object-cache.js';
import { isReportOf } from './own-reports.js';
import { RenderedObject, renderer } from './rendering.js';
import { caughtUp, checkWatchMatch, parseResourceVersion } from './resource-versions.js';
import { selectionOf, type Selection } from './selection.js';
import type { Rendered, Target, WatchQuery, WatchSink } from './service.js';
import { toClientError } from './store-errors.js';

const bookmarkEveryMs = 60_000;
const initialEventsEnd = { 'k8s.io/initial-events-end': 'true' };
/** Steps in one turn of the event loop while events are told in parts. */
const stepsPerTurn = 500;
/** Changes that may wait while the state is told: as many as the cache keeps for watchers that were away. */
const waitingChangesMax = 20_000;
/** A reader that takes nothing for so long is gone, or might as well be. */
const stalledMsMax = 60_000;

/**
 * A version whose changes are no longer kept is told as Kubernetes tells it: the watch begins, and ends with 410.
 * @throws ApiError before anything has gone to `sink`; answers what stops the watch, without `sink.end`
 */
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
  /** What is still to be told, in order, while the watch is told in parts; undefined when it is up to date. */
  #waiting: CacheChange[] | undefined;
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

  start(withState: boolean, version: number | undefined): void {
    const { prefix, index, key } = this.selection;
    // Without state, "now" is meant where no version is given: what a client gets that asks for no initial events.
    const after = withState || version === undefined ? this.#cache.revision : version;
    const steps = this.#tell(withState ? this.#state() : [], after);
    this.#waiting = [];
    try {
      this.#unsubscribe = this.#cache.subscribe(
        key === undefined ? { prefix, after, ...(index ? { index } : {}) } : { prefix: key, after },
        { changes: (batch) => this.#send(batch), gone: (error) => this.#end(statusOf(error)) },
      );
    } catch (error) {
      return this.#end(statusOf(error));
    }
    const { timeoutSeconds } = this.query;
    if (timeoutSeconds) this.#endTimer = this.#clock.timer(timeoutSeconds * 1000, () => this.#timeUp(), { unref: true });
    this.#goOn(steps);
  }

  stop(): void {
    this.#over = true;
    this.#waiting = undefined;
    this.#unsubscribe?.();
    this.#bookmarkTimer?.cancel();
    this.#endTimer?.cancel();
  }

  /** Tells what is to be told until it is done or the reader is to be waited for, and then goes on by itself. */
  #goOn(steps: Iterator<void>): void {
    for (let count = 0; !this.#over; count++) {
      if (this.sink.full || (count >= stepsPerTurn && this.sink.drained)) {
        void this.#drained().then(() => this.#goOn(steps));
        return;
      }
      if (steps.next().done) break;
    }
    this.#waiting = undefined;
    if (!this.#over && this.query.allowWatchBookmarks) this.#scheduleBookmark();
  }

  /** Ends the watch of a reader that takes nothing. */
  async #drained(): Promise<void> {
    const timer = this.#clock.timer(stalledMsMax, () => this.#end(expired(`the watch is closed because its reader took nothing for ${stalledMsMax / 1000} s; list again`).toStatus()), { unref: true });
    await this.sink.drained?.();
    timer.cancel();
  }

  /** At most one event a step, for also what does not match had to be looked at: the state as of `revision`, the mark at its end, and what has changed since. */
  *#tell(state: readonly Entry[], revision: number): Generator<void> {
    const { matches, matchesEntry } = this.selection;
    for (const entry of state) {
      const rendered = this.#render(entry);
      if (matchesEntry ? matchesEntry(entry) : !matches || matches(rendered.object)) this.sink.event('ADDED', rendered);
      yield;
    }
    if (this.query.sendInitialEvents && this.query.allowWatchBookmarks) this.#sendBookmark(revision, initialEventsEnd);
    while (this.#waiting?.length) {
      const changes = this.#waiting;
      this.#waiting = [];
      for (const change of changes) {
        // All of it: who resumes may not have heard what became of its reports.
        this.#sendChange(change);
        yield;
      }
    }
    // Who says that it wants no state wants to know when it has what it has missed.
    if (this.query.sendInitialEvents === false && this.query.allowWatchBookmarks) this.#sendBookmark(this.#cache.revision);
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
    if (this.#waiting) return this.#line(this.#waiting, batch);
    const { exceptReportsOf } = this.query;
    for (const change of batch) {
      if (this.#over) return;
      this.#sendChange(change, exceptReportsOf);
    }
  }

  #line(waiting: CacheChange[], batch: readonly CacheChange[]): void {
    // The first batch is what a resumed watch has missed: as much as the cache has kept.
    if (waiting.length > 0 && waiting.length + batch.length > waitingChangesMax) {
      return this.#end(expired(`the watch is closed because more than ${waitingChangesMax} changes waited for its reader; list again`).toStatus());
    }
    for (const change of batch) waiting.push(change);
  }

  /** @param exceptReportsOf whose reports are left out */
  #sendChange({ type, entry, previous, revision }: CacheChange, exceptReportsOf?: string): void {
    const { matches } = this.selection;
    const before = previous && this.#render(previous);
    const matched = before !== undefined && (!matches || matches(before.object));
    if (type === 'delete') {
      if (matched) this.sink.event('DELETED', this.#render(entry));
      return;
    }
    const after = this.#render(entry);
    const matching = !matches || matches(after.object);
    if (matching && matched && this.kind.projectionOf && isReplaced(before, after)) {
      // A watch that is cut off between the two goes on before both.
      this.sink.event('DELETED', atRevision(before, revision - 1));
      this.sink.event('ADDED', after);
    } else if (matching) {
      if (matched && exceptReportsOf !== undefined && isReportOf(exceptReportsOf, before.object, after.object)) return;
      this.sink.event(matched ? 'MODIFIED' : 'ADDED', after);
    }
    else if (matched) this.sink.event('DELETED', atRevision(before, revision));
  }

  #scheduleBookmark(): void {
    this.#bookmarkTimer = this.#clock.timer(
      bookmarkEveryMs,
      () => {
        this.#sendBookmark(this.#cache.revision);
        this.#scheduleBookmark();
      },
      { unref: true },
    );
  }

  #sendBookmark(revision: number, annotations?: Record<string, string>): void {
    const { kind } = this.kind;
    const metadata = { resourceVersion: String(revision), ...(annotations ? { annotations } : {}) };
    this.sink.event('BOOKMARK', new RenderedObject({ kind, apiVersion: apiVersionOf(this.kind), metadata }));
  }

  #timeUp(): void {
    // While there is more to tell, the cache's revision is not the reader's.
    if (this.query.allowWatchBookmarks && !this.#waiting) this.#sendBookmark(this.#cache.revision);
    this.#end(undefined);
  }

  #end(status: Status | undefined): void {
    if (this.#over) return;
    this.stop();
    this.sink.end(status);
  }
}

/** Whether a view of the object has become that of another one (podUid): a stored object keeps its uid for as long as it is there. */
function isReplaced(before: Rendered, after: Rendered): boolean {
  return before.object.metadata.uid !== after.object.metadata.uid;
}

function atRevision(before: Rendered, revision: number): Rendered {
  const object = withRevision(before.object, revision);
  // Its text is there and need not be made anew. It is of use this once, so no memory keeps it.
  return before instanceof Entry ? new Entry(before.key, before.value, revision, object) : new RenderedObject(object);
}

function statusOf(error: unknown): Status {
  const seen = error instanceof GoneError ? expired(error.message) : toClientError(error);
  return (seen instanceof ApiError ? seen : new ApiError('InternalError', 'the watch has ended; start it again', undefined, { cause: seen })).toStatus();
}
