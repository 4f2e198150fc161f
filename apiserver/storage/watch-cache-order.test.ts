import { describe, expect, it } from '@jest/globals';
import type { KubeObject } from '../../api/meta.js';
import type { Clock } from '../../lib/clock.js';
import { silentLogger } from '../../lib/log.js';
import { SeededRandom, type Random } from '../../lib/random.js';
import { encodeObject, type Entry } from './entry.js';
import { GoneError, type Change, type Page, type Store, type Write, type WriteOutcome } from './store.js';
import { WatchCache, type CacheChange, type Subscription } from './watch-cache.js';

// No gap, no repeat, in order, whatever comes first: random writes of this server and of others, answers and events in any
// order, watches that break, watchers that come, go, resume, and are ahead of the cache.

const prefix = '/taskplane/registry/g/things/';
const keys = Array.from({ length: 12 }, (_, index) => `${prefix}${'ab'[index % 2]}/k${index}`);
const wordOf = (object: KubeObject): string | undefined => (object.spec as { word?: string }).word;
const indexes = [
  { prefix, name: 'word', valueOf: ({ object }: Entry) => wordOf(object) || undefined },
  { prefix, name: 'long', valueOf: ({ object }: Entry) => (wordOf(object)?.length === 2 ? 'yes' : undefined) },
];
const subscriptions: readonly Subscription[] = [
  { prefix: '/taskplane/' },
  { prefix },
  { prefix: `${prefix}a/` },
  { prefix: keys[3]! },
  { prefix, index: { name: 'word', value: 'x' } },
  { prefix: `${prefix}b/`, index: { name: 'word', value: 'yy' } },
  { prefix, index: { name: 'long', value: 'yes' } },
];

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
let looks = 0;
/** Nothing is waited for longer than a turn; a millisecond goes by with every look, so that large batches are taken over several. */
const clock: Clock = {
  now: () => 0,
  monotonic: () => looks++,
  timer: (_ms, fn) => {
    const timer = setImmediate(fn);
    return { cancel: () => clearImmediate(timer) };
  },
};

/** All that was ever written; its answers and events come when they like. */
class RandomStore implements Store {
  readonly presence = {} as Store['presence'];
  readonly history: Change[] = [];
  readonly #random: Random;
  readonly #batchMax: number;
  readonly #current = new Map<string, Change>();

  constructor(random: Random, batchMax: number) {
    this.#random = random;
    this.#batchMax = batchMax;
  }

  get revision(): number {
    return this.history.length + 1;
  }

  async write(write: Write): Promise<WriteOutcome> {
    const current = this.#current.get(write.key);
    const outcome = this.#apply(write, current);
    for (let wait = this.#random.integer(4); wait > 0; wait--) await turn();
    return outcome;
  }

  #apply(write: Write, current: Change | undefined): WriteOutcome {
    if (write.op === 'create' ? current : write.revision !== current?.revision) return { ok: false, current };
    const revision = this.revision + 1;
    const change: Change = { type: write.op === 'delete' ? 'delete' : 'put', key: write.key, value: write.op === 'delete' ? '' : write.value, revision };
    this.history.push(change);
    if (write.op === 'delete') this.#current.delete(write.key);
    else this.#current.set(write.key, change);
    return { ok: true, revision };
  }

  async *watch(_prefix: string, revision: number, signal: AbortSignal): AsyncGenerator<readonly Change[]> {
    for (let next = revision - 1; !signal.aborted; ) {
      if (this.#random.integer(40) === 0) throw new Error('it broke');
      const batch = this.history.slice(next, next + this.#random.integer(this.#batchMax));
      next += batch.length;
      if (batch.length > 0) yield batch;
      else await turn();
    }
  }

  async currentRevision(): Promise<number> {
    return this.revision;
  }
  async list(): Promise<Page> {
    return { items: [...this.#current.values()], revision: this.revision, next: undefined };
  }
  async read(key: string) {
    return this.#current.get(key);
  }
  async close(): Promise<void> {}
}

/** One who watches, leaves, and comes back to where it was. */
class Watcher {
  readonly told: CacheChange[] = [];
  #leave: (() => void) | undefined;

  constructor(
    readonly subscription: Subscription,
    readonly from: number,
  ) {}

  /** @throws GoneError */
  resume(cache: WatchCache): void {
    this.#leave?.();
    this.#leave = undefined;
    const sink = { changes: (batch: readonly CacheChange[]) => void this.told.push(...batch), gone: (error: Error) => expect(error).toBeInstanceOf(GoneError) };
    this.#leave = cache.subscribe({ ...this.subscription, after: this.told.at(-1)?.revision ?? this.from }, sink);
  }
}

/** Revisions that a subscription is about. */
function about({ prefix: under, index }: Subscription, history: readonly Change[], from: number): number[] {
  const before = new Map<string, string>();
  return history.flatMap(({ key, value, revision }) => {
    const wanted = (text: string | undefined): boolean => {
      const word = text ? wordOf(JSON.parse(text) as KubeObject) : undefined;
      return index?.name === 'word' ? word === index.value : index ? word?.length === 2 : true;
    };
    const previous = before.get(key);
    before.set(key, value);
    const isUnder = under.endsWith('/') ? key.startsWith(under) : key === under;
    return isUnder && revision > from && (wanted(value) || (index && wanted(previous))) ? [revision] : [];
  });
}

describe('what watchers of the cache are told', () => {
  it.each([
    [1, 6],
    [2, 6],
    [3, 6],
    [4, 6],
    [5, 120],
    [6, 120],
  ])('is every change once, in order (seed %i, up to %i changes at a time)', async (seed, batchMax) => {
    const random = new SeededRandom(seed);
    const store = new RandomStore(random, batchMax);
    const cache = new WatchCache({ store, indexes, windowChanges: 10 * batchMax, parsedCharacters: 1_000, clock, random, log: silentLogger });
    const stop = new AbortController();
    const running = cache.run(stop.signal);
    await cache.ready;
    try {
      let watchers: Watcher[] = [];
      const resume = (watcher: Watcher): void => {
        try {
          watcher.resume(cache);
        } catch (error) {
          expect(error).toBeInstanceOf(GoneError);
          watchers = watchers.filter((other) => other !== watcher);
        }
      };
      const writes: Promise<unknown>[] = [];
      for (let round = 0; round < 600; round++) {
        if (round % 30 === 0) {
          const from = [cache.revision, store.revision, Math.max(1, cache.revision - random.integer(50))][random.integer(3)]!;
          const watcher = new Watcher(subscriptions[random.integer(subscriptions.length)]!, from);
          watchers.push(watcher);
          resume(watcher);
        }
        if (random.integer(8) === 0 && watchers.length > 0) resume(watchers[random.integer(watchers.length)]!);
        const key = keys[random.integer(keys.length)]!;
        const stored = await store.read(key);
        const object: KubeObject = { apiVersion: 'g/v1', kind: 'Thing', metadata: { name: key, labels: { round: String(round) } }, spec: { word: ['x', 'yy', ''][random.integer(3)] } };
        const value = encodeObject(object);
        const write: Write = !stored ? { op: 'create', key, value } : random.integer(4) > 0 ? { op: 'update', key, value, revision: stored.revision } : { op: 'delete', key, revision: stored.revision };
        writes.push(random.integer(2) === 0 ? store.write(write) : cache.write(write, write.op === 'delete' ? undefined : object));
        if (random.integer(batchMax / 2) === 0) await turn();
      }
      await Promise.all(writes);
      await cache.fresh();

      expect(watchers.length).toBeGreaterThan(5);
      for (const { subscription, from, told } of watchers) {
        expect(told.map(({ revision }) => revision)).toEqual(about(subscription, store.history, from));
        for (const { revision, entry } of told) {
          expect(entry.object.metadata.resourceVersion).toBe(String(revision));
          expect(JSON.parse(entry.json)).toEqual(entry.object);
        }
      }
      const { items } = await store.list();
      expect(cache.list(prefix).items.map(({ key, value, revision }) => ({ key, value, revision }))).toEqual(items.map(({ key, value, revision }) => ({ key, value, revision })).sort((a, b) => (a.key < b.key ? -1 : 1)));
      for (const word of ['x', 'yy']) {
        const found = cache.listByIndex('word', word).map(({ key }) => key);
        expect(found.sort()).toEqual(items.filter(({ value }) => wordOf(JSON.parse(value) as KubeObject) === word).map(({ key }) => key).sort());
      }
    } finally {
      stop.abort();
      await running;
    }
  });
});
