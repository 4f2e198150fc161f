// cache-subscribers.ts
//
// Who is told of which change. Subscribers of the same prefix, or of the same value of an index, form a group; a change is
// looked up in the groups that its key and its index values name, so that telling costs as much as there are listeners.

import type { IndexDefinition } from './cache-entries.js';
import type { CacheChange } from './cache-window.js';
import type { Entry } from './entry.js';

export interface CacheSink {
  /** Changes in order of revision. The array is shared with other sinks; not to be kept or changed. */
  changes(batch: readonly CacheChange[]): void;
  /** No more will come, because changes may have been missed: list again. */
  gone(error: Error): void;
}

export interface Subscription {
  /** Ends in "/", or is a whole key. */
  readonly prefix: string;
  /** Only objects that have, or had before the change, this value in the index. */
  readonly index?: { readonly name: string; readonly value: string } | undefined;
}

export class Subscriber {
  constructor(
    readonly subscription: Subscription,
    readonly sink: CacheSink,
    /** Changes up to this revision are known to it; it may be ahead of the cache. */
    readonly after: number,
  ) {}
}

interface Group {
  readonly subscribers: Set<Subscriber>;
}

export class CacheSubscribers {
  readonly #indexes: readonly IndexDefinition[];
  /** By prefix, for subscribers without an index. */
  readonly #byPrefix = new Map<string, Group>();
  /** By index name and value. */
  readonly #byIndex = new Map<string, Map<string, Group>>();

  constructor(indexes: readonly IndexDefinition[]) {
    this.#indexes = indexes;
    for (const { name } of indexes) this.#byIndex.set(name, new Map());
  }

  add(subscriber: Subscriber): void {
    const [groups, name] = this.#placeOf(subscriber.subscription);
    let group = groups.get(name);
    if (!group) groups.set(name, (group = { subscribers: new Set() }));
    group.subscribers.add(subscriber);
  }

  remove(subscriber: Subscriber): void {
    const [groups, name] = this.#placeOf(subscriber.subscription);
    const group = groups.get(name);
    group?.subscribers.delete(subscriber);
    if (group?.subscribers.size === 0) groups.delete(name);
  }

  /** Whether a subscription wants to be told of a change. */
  wants({ prefix, index }: Subscription, change: CacheChange): boolean {
    if (prefix.endsWith('/') ? !change.key.startsWith(prefix) : change.key !== prefix) return false;
    if (!index) return true;
    const definition = this.#definitionOf(index.name);
    return indexValues(definition, change).includes(index.value);
  }

  /**
   * The subscribers that each of the changes goes to, with the changes of each, in order.
   * @param from the revision that the changes lead on from: a subscriber that is ahead of it has seen some of them
   */
  *addressees(changes: readonly CacheChange[], from: number): Generator<readonly [Subscriber, readonly CacheChange[]]> {
    const told = new Map<Group, CacheChange[]>();
    for (const change of changes) {
      for (const group of this.#groupsOf(change)) {
        const batch = told.get(group);
        if (batch) batch.push(change);
        else told.set(group, [change]);
      }
    }
    for (const [group, batch] of told) {
      for (const subscriber of group.subscribers) {
        const { subscription, after } = subscriber;
        const ahead = after > from;
        const all = !ahead && this.#isExact(subscription);
        const mine = all ? batch : batch.filter((change) => !(ahead && change.revision <= after) && this.wants(subscription, change));
        if (mine.length > 0) yield [subscriber, mine];
      }
    }
  }

  *all(): Generator<Subscriber> {
    for (const groups of [this.#byPrefix, ...this.#byIndex.values()]) {
      for (const { subscribers } of groups.values()) yield* subscribers;
    }
  }

  *#groupsOf(change: CacheChange): Generator<Group> {
    const { key } = change;
    if (this.#byPrefix.size > 0) {
      for (let slash = key.indexOf('/', 1); slash >= 0; slash = key.indexOf('/', slash + 1)) {
        const group = this.#byPrefix.get(key.slice(0, slash + 1));
        if (group) yield group;
      }
      const group = this.#byPrefix.get(key);
      if (group) yield group;
    }
    for (const definition of this.#indexes) {
      const groups = this.#byIndex.get(definition.name)!;
      if (groups.size === 0 || !key.startsWith(definition.prefix)) continue;
      for (const value of indexValues(definition, change)) {
        const group = value === undefined ? undefined : groups.get(value);
        if (group) yield group;
      }
    }
  }

  /** Whether the subscriber wants all that its group is told. */
  #isExact({ prefix, index }: Subscription): boolean {
    return !index || this.#definitionOf(index.name).prefix === prefix;
  }

  #placeOf({ prefix, index }: Subscription): [Map<string, Group>, string] {
    if (!index) return [this.#byPrefix, prefix];
    this.#definitionOf(index.name);
    return [this.#byIndex.get(index.name)!, index.value];
  }

  #definitionOf(name: string): IndexDefinition {
    const definition = this.#indexes.find((each) => each.name === name);
    if (!definition) throw new Error(`assertion failed: there is no index ${name}`);
    return definition;
  }
}

/** The values of the index before and after the change, each once. */
function indexValues(definition: IndexDefinition, { type, entry, previous }: CacheChange): (string | undefined)[] {
  const now = type === 'put' ? valueOf(definition, entry) : undefined;
  const before = previous && valueOf(definition, previous);
  return before === undefined || before === now ? [now] : [before, now];
}

function valueOf(definition: IndexDefinition, entry: Entry): string | undefined {
  return definition.valueOf(entry);
}
