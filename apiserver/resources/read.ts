// read.ts
//
// get and list, from the cache. Later pages of a list come from the store, as of the first page's revision, unless
// nothing at all has changed since.
//
// Whether an entry matches a selector is asked of its object, which mostly has to be parsed for that (but for its labels): of a
// hundred thousand that takes a second or two, a slice per turn of the event loop, so that nobody's presence runs out meanwhile. What is looked
// through is taken in one go: all of a list is as of one revision.

import { expired, notFound, type ApiError } from '../../api/errors.js';
import type { Clock } from '../../lib/clock.js';
import { Turns } from '../../lib/turns.js';
import type { Entry } from '../storage/entry.js';
import { GoneError, type Store } from '../storage/store.js';
import { decodeContinue, encodeContinue, newest, type ContinuePoint } from './continue-token.js';
import { asEntry } from './mutator.js';
import type { ObjectCache } from './object-cache.js';
import { objectStoreKey, storedKind } from './registry-keys.js';
import { renderer } from './rendering.js';
import { caughtUp, checkListMatch, parseResourceVersion } from './resource-versions.js';
import { selectionOf, type Selection } from './selection.js';
import type { ListQuery, ListReply, ObjectTarget, ReadOptions, Rendered, Target } from './service.js';
import { toClientError } from './store-errors.js';

/** Objects read from the store at a time when a selector leaves some out of a page. */
const scanStep = 500;

const listTooOld = 'The resourceVersion for the provided list is too old.';
const continueTooOld =
  'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response ' +
  'to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.';

interface Found {
  readonly items: Rendered[];
  readonly revision: number;
  /** Key to go on after; undefined at the end. */
  readonly next: string | undefined;
  readonly remaining: number | undefined;
}

/** Entries after a key, and whether there are more. */
interface Chunk {
  readonly items: readonly Entry[];
  readonly next: string | undefined;
}

export class Reader {
  readonly #turns: Turns;

  constructor(private readonly options: { cache: ObjectCache; store: Pick<Store, 'list'>; clock: Pick<Clock, 'monotonic'> }) {
    this.#turns = new Turns(options);
  }

  async get(target: ObjectTarget, options: ReadOptions): Promise<Rendered> {
    const { cache } = this.options;
    const { kind, name, namespace } = target;
    await caughtUp(cache, parseResourceVersion(options.resourceVersion));
    const entry = cache.get(objectStoreKey(storedKind(kind), name, namespace));
    if (!entry) throw notFound(kind, name);
    return renderer(kind)(entry);
  }

  async list(target: Target, query: ListQuery): Promise<ListReply> {
    const { cache } = this.options;
    const match = checkListMatch(query);
    const version = parseResourceVersion(query.resourceVersion);
    const selection = selectionOf(target, query);
    const render = renderer(target.kind);
    const limit = query.limit || Infinity;
    if (query.continue) return reply(await this.#goOn(selection, render, decodeContinue(query.continue, selection.prefix), limit));
    await caughtUp(cache, version);
    if (limit < Infinity) await this.#whole();
    if (match === 'Exact' && version !== undefined && version !== cache.revision) {
      return reply(await this.#fromStore(selection, render, { revision: version, after: selection.prefix }, limit, () => expired(listTooOld)));
    }
    return reply(await this.#fromCache(selection, render, undefined, limit));
  }

  async #goOn(selection: Selection, render: (entry: Entry) => Rendered, point: ContinuePoint, limit: number): Promise<Found> {
    const { revision, after } = point;
    if (revision === newest) {
      await this.options.cache.fresh();
      await this.#whole();
    }
    if (revision === newest || revision === this.options.cache.revision) return this.#fromCache(selection, render, after, limit);
    return this.#fromStore(selection, render, point, limit, () => expired(continueTooOld, encodeContinue({ revision: newest, after })));
  }

  /** Resolves when what the cache shows can be continued from the store. */
  async #whole(): Promise<void> {
    const { cache } = this.options;
    while (cache.isBetween) await cache.reached(cache.revision);
  }

  /** What is looked through is there before it waits for anything, so that all of it is as of one revision. */
  async #fromCache(selection: Selection, render: (entry: Entry) => Rendered, after: string | undefined, limit: number): Promise<Found> {
    const { cache } = this.options;
    const { prefix, matches } = selection;
    const { revision } = cache;
    if (!matches) {
      const page = cache.list(prefix, { ...(limit === Infinity ? {} : { limit }), ...(after === undefined ? {} : { after }) });
      return { items: page.items.map(render), revision, next: page.next, remaining: page.remaining };
    }
    const collected = new Collector(this.#turns, render, selection, limit);
    const next = await collected.add({ items: this.#candidates(selection, after), next: undefined });
    return { items: collected.items, revision, next, remaining: undefined };
  }

  /** In key order, after `after`: everything that can match, found by the narrowest way. */
  #candidates({ prefix, key, index }: Selection, after: string | undefined): readonly Entry[] {
    const { cache } = this.options;
    if (key === undefined && !index) return cache.list(prefix, after === undefined ? {} : { after }).items;
    const one = key === undefined ? undefined : cache.get(key);
    const found = key === undefined ? cache.listByIndex(index!.name, index!.value).filter((entry) => entry.key.startsWith(prefix)) : one ? [one] : [];
    return found.filter((entry) => after === undefined || entry.key > after).sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  async #fromStore(selection: Selection, render: (entry: Entry) => Rendered, point: ContinuePoint, limit: number, tooOld: () => ApiError): Promise<Found> {
    const { prefix, matches } = selection;
    const { revision } = point;
    const collected = new Collector(this.#turns, render, selection, limit);
    for (let from = point.after; ; ) {
      const step = limit === Infinity ? undefined : matches ? Math.max(limit, scanStep) : limit;
      const page = await this.#page(prefix, { after: from, revision, ...(step === undefined ? {} : { limit: step }) }, tooOld);
      const next = await collected.add({ items: page.items, next: page.next });
      if (next === undefined || collected.isFull) {
        const remaining = point.remaining === undefined ? undefined : point.remaining - collected.items.length;
        return { items: collected.items, revision, next, remaining };
      }
      from = next;
    }
  }

  async #page(prefix: string, options: { after: string; revision: number; limit?: number }, tooOld: () => ApiError): Promise<Chunk> {
    const { cache, store } = this.options;
    try {
      const { items, next } = await store.list(prefix, options);
      return {
        next,
        items: items.map((item) => {
          const cached = cache.get(item.key);
          return cached?.revision === item.revision ? cached : asEntry(item)!;
        }),
      };
    } catch (error) {
      if (error instanceof GoneError) throw tooOld();
      throw toClientError(error);
    }
  }
}

/** Takes what matches out of chunks until it has enough. */
class Collector {
  readonly items: Rendered[] = [];

  constructor(
    private readonly turns: Turns,
    private readonly render: (entry: Entry) => Rendered,
    private readonly selection: Pick<Selection, 'matches' | 'matchesEntry'>,
    private readonly limit: number,
  ) {}

  get isFull(): boolean {
    return this.items.length >= this.limit;
  }

  /** The key to go on after; undefined when nothing is left. */
  async add({ items, next }: Chunk): Promise<string | undefined> {
    let after = next;
    const { matches, matchesEntry } = this.selection;
    await this.turns.forEach(items, (entry, index) => {
      if (matchesEntry && !matchesEntry(entry)) return true;
      const rendered = this.render(entry);
      if (!matchesEntry && matches && !matches(rendered.object)) return true;
      this.items.push(rendered);
      if (!this.isFull) return true;
      if (index < items.length - 1) after = entry.key;
      return false;
    });
    return after;
  }
}

function reply({ items, revision, next, remaining }: Found): ListReply {
  return {
    items,
    resourceVersion: String(revision),
    ...(next === undefined ? {} : { continue: encodeContinue({ revision, after: next, ...(remaining === undefined ? {} : { remaining }) }) }),
    ...(next === undefined || remaining === undefined ? {} : { remainingItemCount: remaining }),
  };
}
