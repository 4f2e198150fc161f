import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { KindDefinition } from '../../api/kind.js';
import { taskKind as task } from '../../api/task.js';
import { FakeClock } from '../../lib/fake-clock.js';
import { Entry } from '../storage/entry.js';
import type { ObjectCache } from './object-cache.js';
import { Reader } from './read.js';
import type { WatchSink } from './service.js';
import { startWatch } from './watch.js';

// Reads that look at many objects and find few: others go on meanwhile.

const taskKind = task as unknown as KindDefinition;
const count = 1_200;
const entryOf = (index: number, labels: object): Entry =>
  new Entry(`/t/${index}`, JSON.stringify({ apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name: `t${index}`, labels }, spec: {} }), index + 1);

describe('a list in pages', () => {
  it('does not begin between two changes that the store told together: it could not be continued from the store', async () => {
    let revision = 5;
    const cache = {
      get revision() {
        return revision;
      },
      get isBetween() {
        return revision < 7;
      },
      reached: async () => void revision++,
      list: () => ({ items: [], revision, next: undefined, remaining: 0 }),
      fresh: async () => {},
    } as unknown as ObjectCache;
    const reader = new Reader({ cache, store: { list: () => Promise.reject(new Error('not asked')) }, clock: { monotonic: () => 0 } });
    expect(await reader.list({ kind: taskKind, namespace: undefined }, {})).toMatchObject({ resourceVersion: '5' });
    expect(await reader.list({ kind: taskKind, namespace: undefined }, { limit: 1, resourceVersion: '0' })).toMatchObject({ resourceVersion: '7' });
  });
});

describe('a read of a few among many', () => {
  let entries: Entry[];
  let cache: ObjectCache;
  let turns: number;
  let over: boolean;
  beforeEach(() => {
    entries = Array.from({ length: count }, (_, index) => entryOf(index, index % 600 === 0 ? { app: 'a' } : {}));
    cache = { revision: count, list: () => ({ items: [...entries], revision: cache.revision, next: undefined, remaining: 0 }), fresh: async () => {}, subscribe: () => () => {} } as unknown as ObjectCache;
    turns = 0;
    over = false;
    const turn = (): void => {
      turns++;
      if (!over) setImmediate(turn);
    };
    setImmediate(turn);
  });
  afterEach(() => {
    over = true;
  });

  it('is a list as of one revision, made in many turns of the event loop', async () => {
    let now = 0;
    const reader = new Reader({ cache, store: { list: () => Promise.reject(new Error('not asked')) }, clock: { monotonic: () => (now += 0.1) } });
    const listing = reader.list({ kind: taskKind, namespace: 'default' }, { labelSelector: 'app=a' });
    await new Promise((resolve) => setImmediate(resolve));
    Object.assign(cache, { revision: count + 1 });
    entries[601] = entryOf(601, { app: 'a' });
    const { items, resourceVersion } = await listing;
    expect(items.map(({ object }) => object.metadata.name)).toEqual(['t0', 't600']);
    expect(resourceVersion).toBe(String(count));
    expect(turns).toBeGreaterThan(20);
  });

  it('is the state of a watch, made in parts', async () => {
    const events: string[] = [];
    const sink: WatchSink = {
      full: false,
      event: (type, { object }) => void events.push(`${type} ${object.metadata.name ?? ''}`),
      end: () => {},
      drained: () => new Promise((resolve) => setImmediate(resolve)),
    };
    const stop = await startWatch({ cache, clock: new FakeClock() }, { kind: taskKind, namespace: 'default' }, { labelSelector: 'app=a', sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan', allowWatchBookmarks: true }, sink);
    expect(events).toEqual(['ADDED t0']);
    while (!events.includes('BOOKMARK ')) await new Promise((resolve) => setImmediate(resolve));
    expect(events).toEqual(['ADDED t0', 'ADDED t600', 'BOOKMARK ']);
    stop();
  });
});
