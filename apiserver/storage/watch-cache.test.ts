import { describe, expect, it } from '@jest/globals';
import type { KubeObject } from '../../api/meta.js';
import { SystemClock, type Clock } from '../../lib/clock.js';
import { Deferred } from '../../lib/deferred.js';
import { silentLogger } from '../../lib/log.js';
import { SeededRandom } from '../../lib/random.js';
import { encodeObject, type Entry } from './entry.js';
import { describeStore, pad, range } from './store-contract.js';
import { GoneError, StoreUnavailableError, type Change, type Page, type Store, type Stored, type Write, type WriteOutcome } from './store.js';
import { cached, embeddedHarness } from './testing.js';
import { WatchCache, type CacheChange, type CacheSink } from './watch-cache.js';

describeStore('WatchCache over EmbeddedStore', () => embeddedHarness(cached));

const tasks = '/taskplane/registry/taskplane.dev/tasks/';
const byNode = { prefix: tasks, name: 'nodeName', valueOf: (entry: Entry) => (entry.object['status'] as { nodeName?: string } | undefined)?.nodeName };

/** A store whose every move the test makes. */
class ScriptedStore implements Store {
  readonly presence = { announce: unused, renew: unused, withdraw: unused };
  page: Page = { items: [], revision: 1, next: undefined };
  lists = 0;
  current = 1;
  outcome = new Deferred<WriteOutcome>();
  #events: (readonly Change[] | Error)[] = [];
  #wake = (): void => {};

  send(...events: (readonly Change[] | Error)[]): void {
    this.#events.push(...events);
    this.#wake();
  }

  async list(): Promise<Page> {
    this.lists++;
    return this.page;
  }

  async *watch(_prefix: string, _revision: number, signal: AbortSignal): AsyncGenerator<readonly Change[]> {
    signal.addEventListener('abort', () => this.#wake());
    while (!signal.aborted) {
      const event = this.#events.shift();
      if (event instanceof Error) throw event;
      if (event) yield event;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  write(): Promise<WriteOutcome> {
    return this.outcome.promise;
  }
  currentRevision(): Promise<number> {
    return Promise.resolve(this.current);
  }
  read(): Promise<Stored | undefined> {
    return unused();
  }
  async close(): Promise<void> {}
}

function unused(): never {
  throw new Error('not scripted');
}

function task(name: string, nodeName?: string): KubeObject {
  return { apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name, namespace: 'default' }, status: nodeName ? { nodeName } : {} };
}

const keyOf = (name: string): string => `${tasks}default/${name}`;
const put = (name: string, revision: number, nodeName?: string): Change => ({ type: 'put', key: keyOf(name), value: encodeObject(task(name, nodeName)), revision });
const gone = (name: string, revision: number): Change => ({ type: 'delete', key: keyOf(name), value: '', revision });
const stored = ({ key, value, revision }: Change): Stored => ({ key, value, revision });

/** Remembers what it was told, in words: "put a 5", "delete b 6 of 3". */
class Recorder implements CacheSink {
  readonly told: string[] = [];
  readonly batches: (readonly CacheChange[])[] = [];
  error: Error | undefined;

  changes(batch: readonly CacheChange[]): void {
    this.batches.push(batch);
    for (const { type, key, revision, previous } of batch) this.told.push(`${type} ${key.slice(keyOf('').length)} ${revision}${previous ? ` of ${previous.revision}` : ''}`);
  }
  gone(error: Error): void {
    this.error = error;
  }
}

async function withCache(items: readonly Change[], test: (cache: WatchCache, store: ScriptedStore) => Promise<void>, options: { windowChanges?: number; clock?: Clock } = {}): Promise<void> {
  const store = new ScriptedStore();
  store.page = { items: items.map(stored), revision: Math.max(1, ...items.map(({ revision }) => revision)), next: undefined };
  const cache = new WatchCache({ store, indexes: [byNode], clock: new SystemClock(), random: new SeededRandom(1), log: silentLogger, ...options });
  const stop = new AbortController();
  const ended = cache.run(stop.signal);
  await cache.ready;
  try {
    await test(cache, store);
  } finally {
    stop.abort();
    await ended;
  }
}

describe('WatchCache', () => {
  it('gives an entry whose object and text carry the revision', () =>
    withCache([put('a', 7)], async (cache) => {
      const entry = cache.get(keyOf('a'))!;
      expect(entry.object).toEqual({ ...task('a'), metadata: { resourceVersion: '7', ...task('a').metadata } });
      expect(JSON.parse(entry.json)).toEqual(entry.object);
    }));

  it('lists pages with what remains, also as of an earlier revision', () =>
    withCache(range(5).map((n) => put(`t${n}`, n + 2)), async (cache, store) => {
      const first = cache.list(tasks, { limit: 2 });
      expect(first).toMatchObject({ revision: 6, next: keyOf('t1'), remaining: 3 });
      store.send([gone('t2', 7), put('t3', 8), put('t1x', 9)]);
      await cache.reached(9);
      const second = cache.list(tasks, { limit: 2, after: first.next, revision: first.revision });
      expect(second.items.map(({ key, revision }) => [key, revision])).toEqual([[keyOf('t2'), 4], [keyOf('t3'), 5]]);
      expect(second).toMatchObject({ revision: 6, next: keyOf('t3'), remaining: 1 });
      expect(cache.list(tasks).items.map(({ key }) => key)).toEqual(['t0', 't1', 't1x', 't3', 't4'].map(keyOf));
    }));

  it('takes many changes over turns of the event loop; what it shows in between is true at its revision', () => {
    // A millisecond goes by with every look at the clock.
    let ms = 0;
    const clock = Object.assign(new SystemClock(), { monotonic: () => ms++ });
    return withCache(
      [put('a', 1)],
      async (cache, store) => {
        const all = new Recorder();
        const late = new Recorder();
        let between = 0;
        cache.subscribe({ prefix: tasks }, {
          gone: unused,
          changes: (batch) => {
            all.changes(batch);
            if (between > 0) return;
            between = cache.revision;
            expect(cache.isBetween).toBe(true);
            expect(cache.list(tasks)).toMatchObject({ revision: between, items: { length: between } });
            setImmediate(() => cache.subscribe({ prefix: tasks, after: between }, late));
          },
        });
        store.send(range(100).map((n) => put(`t${pad(n)}`, n + 2)), [gone('a', 102)]);
        // A barrier's revision is that of a batch: its first change is not enough.
        await cache.reached(2);
        expect(cache.revision).toBeGreaterThanOrEqual(101);
        expect(cache.isBetween).toBe(false);
        expect(between).toBeLessThan(101);
        await cache.reached(102);
        await new Promise((resolve) => setImmediate(resolve));
        const told = [...range(100).map((n) => `put t${pad(n)} ${n + 2}`), 'delete a 102 of 1'];
        expect(all.told).toEqual(told);
        expect(all.batches.length).toBeGreaterThan(2);
        expect(late.told).toEqual(told.slice(between - 1));
      },
      { clock },
    );
  });

  it('tells what came before a change that cannot be taken, and goes on behind it', () =>
    withCache([put('a', 1)], async (cache, store) => {
      const all = new Recorder();
      cache.subscribe({ prefix: tasks }, all);
      store.send([put('b', 2), { ...put('c', 3), value: 'what is this' }]);
      await cache.reached(3);
      expect(all.told).toEqual(['put b 2']);
    }));

  it('tells a subscriber what it missed and what comes, in one step', () =>
    withCache([put('a', 5)], async (cache, store) => {
      store.send([put('b', 6)], [put('a', 7)]);
      await cache.reached(7);
      const [resumed, live] = [new Recorder(), new Recorder()];
      cache.subscribe({ prefix: tasks, after: 6 }, resumed);
      const unsubscribe = cache.subscribe({ prefix: tasks }, live);
      expect(resumed.told).toEqual(['put a 7 of 5']);
      store.send([gone('a', 8)]);
      await cache.reached(8);
      unsubscribe();
      store.send([put('c', 9)]);
      await cache.reached(9);
      expect(resumed.told).toEqual(['put a 7 of 5', 'delete a 8 of 7', 'put c 9']);
      expect(live.told).toEqual(['delete a 8 of 7']);
      expect(resumed.batches[1]![0]!.entry.object.metadata.resourceVersion).toBe('8');
    }));

  it('lets a subscriber that is ahead of the cache skip what it knows', () =>
    withCache([put('a', 5)], async (cache, store) => {
      const sink = new Recorder();
      cache.subscribe({ prefix: tasks, after: 7 }, sink);
      store.send([put('b', 6), put('c', 7), put('d', 8)]);
      await cache.reached(8);
      expect(sink.told).toEqual(['put d 8']);
    }));

  it('is Gone for a subscriber older than the window', () =>
    withCache(
      [put('a', 5)],
      async (cache, store) => {
        expect(() => cache.subscribe({ prefix: tasks, after: 4 }, new Recorder())).toThrow(GoneError);
        store.send(range(4).map((n) => put(`b${n}`, 6 + n)));
        await cache.reached(9);
        expect(() => cache.subscribe({ prefix: tasks, after: 5 }, new Recorder())).toThrow(GoneError);
        const sink = new Recorder();
        cache.subscribe({ prefix: tasks, after: 6 }, sink);
        expect(sink.told).toEqual(['put b1 7', 'put b2 8', 'put b3 9']);
      },
      { windowChanges: 3 },
    ));

  it('finds by namespace, by key and by index, and tells the old and the new value of an index', () =>
    withCache([put('a', 5, 'n1')], async (cache, store) => {
      const sinks = { n1: new Recorder(), n2: new Recorder(), a: new Recorder(), all: new Recorder(), other: new Recorder(), elsewhere: new Recorder() };
      cache.subscribe({ prefix: tasks, index: { name: 'nodeName', value: 'n1' } }, sinks.n1);
      cache.subscribe({ prefix: tasks, index: { name: 'nodeName', value: 'n2' }, after: 5 }, sinks.n2);
      cache.subscribe({ prefix: `${tasks}other/`, index: { name: 'nodeName', value: 'n2' } }, sinks.elsewhere);
      cache.subscribe({ prefix: keyOf('a') }, sinks.a);
      cache.subscribe({ prefix: '/taskplane/' }, sinks.all);
      cache.subscribe({ prefix: `${tasks}other/` }, sinks.other);
      store.send([put('b', 6), put('a', 7, 'n2'), put('ab', 8, 'n1'), gone('a', 9)]);
      await cache.reached(9);
      expect(sinks.n1.told).toEqual(['put a 7 of 5', 'put ab 8']);
      expect(sinks.n2.told).toEqual(['put a 7 of 5', 'delete a 9 of 7']);
      expect(sinks.a.told).toEqual(['put a 7 of 5', 'delete a 9 of 7']);
      expect(sinks.all.told).toHaveLength(4);
      expect(sinks.other.told).toEqual([]);
      expect(sinks.elsewhere.told).toEqual([]);
      expect(cache.listByIndex('nodeName', 'n1').map(({ key }) => key)).toEqual([keyOf('ab')]);
      expect(cache.listByIndex('nodeName', 'n2')).toEqual([]);
    }));

  it('lists again when the store says Gone, and tells the differences: deletions first, then puts in order', () =>
    withCache([put('a', 2), put('b', 3), put('c', 4)], async (cache, store) => {
      const [sink, ahead] = [new Recorder(), new Recorder()];
      cache.subscribe({ prefix: tasks }, sink);
      cache.subscribe({ prefix: tasks, after: 6 }, ahead);
      store.page = { items: [put('a', 9), put('c', 4), put('d', 7)].map(stored), revision: 10, next: undefined };
      store.send(new GoneError(4, 8));
      await cache.reached(10);
      expect(sink.told).toEqual(['delete b 4 of 3', 'put d 7', 'put a 9 of 2']);
      expect(ahead.error).toBeInstanceOf(GoneError);
      expect(() => cache.subscribe({ prefix: tasks, after: 8 }, new Recorder())).toThrow(GoneError);
      expect(cache.list(tasks).items.map(({ key }) => key)).toEqual(['a', 'c', 'd'].map(keyOf));
      store.send([put('e', 11)]);
      await cache.reached(11);
      expect(sink.told.at(-1)).toBe('put e 11');
    }));

  it('resumes without a list when the watch broke for another reason', () =>
    withCache([put('a', 2)], async (cache, store) => {
      store.send(new StoreUnavailableError('cut', 'unknown'), [put('b', 3)]);
      await cache.reached(3);
      expect(store.lists).toBe(1);
    }));

  it('hands a writer the entry that watchers see, without parsing, whichever comes first: answer or event', () =>
    withCache([], async (cache, store) => {
      const sink = new Recorder();
      cache.subscribe({ prefix: tasks }, sink);
      for (const [n, order] of (['answer', 'event'] as const).entries()) {
        const revision = 10 + n;
        const object = { ...task(`t${n}`), spec: { big: 'part' } };
        const write: Write = { op: 'create', key: keyOf(`t${n}`), value: encodeObject(object) };
        const event: Change = { type: 'put', key: write.key, value: write.value, revision };
        store.outcome = new Deferred();
        const writing = cache.write(write, object);
        if (order === 'event') {
          store.send([event]);
          await cache.reached(revision);
        }
        store.outcome.resolve({ ok: true, revision });
        const outcome = await writing;
        if (order === 'answer') {
          store.send([event]);
          await cache.reached(revision);
        }
        const seen = sink.batches.at(-1)![0]!.entry;
        expect(outcome).toMatchObject({ ok: true, revision });
        expect(outcome.ok && outcome.entry).toBe(seen);
        expect(seen.object['spec']).toBe(object.spec);
        expect(seen.object.metadata.resourceVersion).toBe(String(revision));
        expect(JSON.parse(seen.json)).toEqual(seen.object);
      }
    }));

  it('goes on when one watcher fails, which is told so', () =>
    withCache([], async (cache, store) => {
      const [sink, broken] = [new Recorder(), new Recorder()];
      broken.changes = () => {
        throw new Error('no room');
      };
      cache.subscribe({ prefix: tasks }, broken);
      cache.subscribe({ prefix: tasks }, sink);
      store.send([put('a', 2)], [put('b', 3)]);
      await cache.reached(3);
      expect(sink.told).toEqual(['put a 2', 'put b 3']);
      expect(broken.error?.message).toBe('no room');
    }));

  it('is fresh only when it has reached the revision of the store', () =>
    withCache([put('a', 2)], async (cache, store) => {
      store.current = 4;
      let fresh = false;
      const waiting = Promise.all([cache.fresh(), cache.fresh()]).then(() => (fresh = true));
      store.send([put('b', 3)]);
      await cache.reached(3);
      expect(fresh).toBe(false);
      store.send([put('c', 5)]);
      await waiting;
      expect(cache.revision).toBe(5);
    }));

  it('lets who waits know that it has stopped', async () => {
    let waiting: Promise<void> | undefined;
    await withCache([], async (cache) => {
      waiting = cache.reached(99);
      waiting.catch(() => {});
    });
    await expect(waiting).rejects.toBeInstanceOf(StoreUnavailableError);
  });

  it('loads 100,000 objects in less than 3 s', async () => {
    const items = range(100_000).map((n) => put(`task-${pad(n * 7_919)}`, n + 2, `n${n % 500}`));
    // Processor time, because other tests share the machine.
    const before = process.cpuUsage();
    await withCache(items, async (cache) => {
      expect(process.cpuUsage(before).user / 1_000).toBeLessThan(3_000);
      expect(cache.list(tasks, { limit: 10 }).remaining).toBe(99_990);
      expect(cache.listByIndex('nodeName', 'n7')).toHaveLength(200);
    });
  });
});
