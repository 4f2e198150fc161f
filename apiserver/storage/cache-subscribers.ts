// cache-subscribers.ts
//
// Who is told of which change. Subscribers of the same prefix, or of the same value of an index, form a group; a change is
// looked up in the groups that its key and its index values name, so that telling costs as much as there are listeners.

import type { IndexDefinition } from './cache-entries.js';
import type { CacheChange } from './cache-window.js';

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

class Group {
  /** Whether the subscriber wants all that the group is told. */
  readonly subscribers = new Map<Subscriber, boolean>();
  /** What it is to be told of the changes at hand. */
  batch: CacheChange[] | undefined;
}

export class CacheSubscribers {
  readonly #indexes: readonly IndexDefinition[];
  /** By prefix, for subscribers without an index. */
  readonly #byPrefix = new Map<string, Group>();
  /** How many of those prefixes end with a key's first, second, … slash; whole keys are counted at 0. */
  readonly #depths: number[] = [];
  /** By value, for each index. */
  readonly #byIndex: readonly Map<string, Group>[];

  constructor(indexes: readonly IndexDefinition[]) {
    this.#indexes = indexes;
    this.#byIndex = indexes.map(() => new Map());
  }

  get isEmpty(): boolean {
    return this.#byPrefix.size === 0 && this.#byIndex.every(({ size }) => size === 0);
  }

  add(subscriber: Subscriber): void {
    const { subscription } = subscriber;
    const [groups, name] = this.#placeOf(subscription);
    let group = groups.get(name);
    if (!group) {
      groups.set(name, (group = new Group()));
      if (groups === this.#byPrefix) this.#depths[depthOf(name)] = (this.#depths[depthOf(name)] ?? 0) + 1;
    }
    const { index, prefix } = subscription;
    group.subscribers.set(subscriber, !index || this.#indexes[this.#positionOf(index.name)]!.prefix === prefix);
  }

  remove(subscriber: Subscriber): void {
    const [groups, name] = this.#placeOf(subscriber.subscription);
    const group = groups.get(name);
    if (!group?.subscribers.delete(subscriber) || group.subscribers.size > 0) return;
    groups.delete(name);
    if (groups === this.#byPrefix) this.#depths[depthOf(name)]!--;
  }

  /** Whether a subscription wants to be told of a change. */
  wants({ prefix, index }: Subscription, { type, key, entry, previous }: CacheChange): boolean {
    if (prefix.endsWith('/') ? !key.startsWith(prefix) : key !== prefix) return false;
    if (!index) return true;
    const position = this.#positionOf(index.name);
    return (type === 'put' && entry.indexValues[position] === index.value) || previous?.indexValues[position] === index.value;
  }

  /**
   * Tells each subscriber its changes of these, in order.
   * @param from the revision that the changes lead on from: a subscriber that is ahead of it has seen some of them
   */
  tell(changes: readonly CacheChange[], from: number, deliver: (subscriber: Subscriber, batch: readonly CacheChange[]) => void): void {
    const told: Group[] = [];
    for (const change of changes) this.#addTo(told, change);
    for (const group of told) {
      const batch = group.batch!;
      group.batch = undefined;
      for (const [subscriber, wantsAll] of group.subscribers) {
        const { subscription, after } = subscriber;
        const ahead = after > from;
        const mine = wantsAll && !ahead ? batch : batch.filter((change) => !(ahead && change.revision <= after) && this.wants(subscription, change));
        if (mine.length > 0) deliver(subscriber, mine);
      }
    }
  }

  all(): Subscriber[] {
    return [this.#byPrefix, ...this.#byIndex].flatMap((groups) => [...groups.values()].flatMap(({ subscribers }) => [...subscribers.keys()]));
  }

  /** Gives the change to the groups that its key and its index values name. */
  #addTo(told: Group[], change: CacheChange): void {
    const { type, key, entry, previous } = change;
    if (this.#byPrefix.size > 0) {
      const depths = this.#depths;
      if (depths[0]) put(told, this.#byPrefix.get(key), change);
      for (let slash = key.indexOf('/', 1), depth = 2; slash >= 0 && depth < depths.length; slash = key.indexOf('/', slash + 1), depth++) {
        if (depths[depth]) put(told, this.#byPrefix.get(key.slice(0, slash + 1)), change);
      }
    }
    for (let position = 0; position < this.#byIndex.length; position++) {
      const groups = this.#byIndex[position]!;
      if (groups.size === 0) continue;
      const now = type === 'put' ? entry.indexValues[position] : undefined;
      const before = previous?.indexValues[position];
      if (before !== undefined && before !== now) put(told, groups.get(before), change);
      if (now !== undefined) put(told, groups.get(now), change);
    }
  }

  #placeOf({ prefix, index }: Subscription): [Map<string, Group>, string] {
    return index ? [this.#byIndex[this.#positionOf(index.name)]!, index.value] : [this.#byPrefix, prefix];
  }

  #positionOf(name: string): number {
    const position = this.#indexes.findIndex((each) => each.name === name);
    if (position < 0) throw new Error(`assertion failed: there is no index ${name}`);
    return position;
  }
}

function put(told: Group[], group: Group | undefined, change: CacheChange): void {
  if (!group) return;
  if (group.batch) group.batch.push(change);
  else {
    group.batch = [change];
    told.push(group);
  }
}

/** The number of slashes of a prefix; 0 for a whole key. */
function depthOf(prefix: string): number {
  if (!prefix.endsWith('/')) return 0;
  let depth = 0;
  for (let slash = prefix.indexOf('/'); slash >= 0; slash = prefix.indexOf('/', slash + 1)) depth++;
  return depth;
}
