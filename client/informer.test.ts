import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { configMapKind, type ConfigMap } from '../api/config.js';
import { objectKey } from '../api/meta.js';
import { FakeClock } from '../lib/fake-clock.js';
import { silentLogger } from '../lib/log.js';
import { SeededRandom } from '../lib/random.js';
import { ApiClient } from './api-client.js';
import { FaultyTransport, type Faults } from './faulty-transport.js';
import { IndexBy } from './index-by.js';
import { Informer, type InformerChange } from './informer.js';
import { FakeServer } from './testing/fake-server.js';

function world(faults: Faults = {}, seed = 1, streamList = false) {
  const clock = new FakeClock();
  const server = new FakeServer();
  const random = new SeededRandom(seed);
  const transport = new FaultyTransport({ transport: server, clock, random, faults });
  const client = new ApiClient({ transport, clock });
  const informer = new Informer<ConfigMap>({ client, kind: configMapKind, clock, random, logger: silentLogger, streamList });
  const stop = new AbortController();
  const changes: InformerChange<ConfigMap>[] = [];
  informer.onChanges((batch) => changes.push(...batch));
  const running = { end: Promise.resolve() };
  return {
    clock, server, transport, informer, changes,
    start: () => void (running.end = informer.run(stop.signal)),
    async end() {
      stop.abort();
      await running.end;
      expect(clock.pendingTimers).toBe(0);
      expect(server.watchers).toBe(0);
    },
  };
}

const words = (changes: readonly InformerChange<ConfigMap>[]): string[] => changes.map(({ type, object }) => `${type} ${objectKey(object)}`);

describe('informer', () => {
  it('tells what is there, page by page, and then every change once', async () => {
    const { server, informer, changes, clock, start, end } = world();
    for (const name of ['a', 'b', 'c', 'd']) server.put('ns', name);
    start();
    await clock.advance(0);
    await informer.synced;
    expect(words(changes)).toEqual(['added ns/a', 'added ns/b', 'added ns/c', 'added ns/d']);
    changes.length = 0;
    server.put('ns', 'a', { data: { x: '1' } });
    server.remove('ns', 'b');
    await clock.advance(0);
    expect(words(changes)).toEqual(['modified ns/a', 'deleted ns/b']);
    expect(changes.map(({ key }) => key)).toEqual(['ns/a', 'ns/b']);
    expect(changes[0]!.previous?.data).toBeUndefined();
    expect(informer.get('ns/a')?.data).toEqual({ x: '1' });
    await end();
  });

  it('takes the list from the stream where it is told to, with what happens meanwhile', async () => {
    const { server, informer, changes, clock, start, end } = world({ splitChunk: 0.5, delayMsMax: 50 }, 1, true);
    for (const name of ['a', 'b', 'c', 'd']) server.put('ns', name);
    start();
    await clock.advance(10);
    server.put('ns', 'e');
    server.remove('ns', 'a');
    await clock.advance(1_000);
    await informer.synced;
    expect([...informer.keys()].toSorted()).toEqual(['ns/b', 'ns/c', 'ns/d', 'ns/e']);
    expect(new Set(words(changes)).size).toBe(changes.length);
    expect(server.requests).toHaveLength(1);
    await end();
  });

  it('lists again on Gone and tells the difference, also when a name was used again', async () => {
    const { server, informer, changes, clock, transport, start, end } = world();
    server.put('ns', 'kept');
    server.put('ns', 'gone');
    server.put('ns', 'reborn');
    start();
    await clock.advance(0);
    changes.length = 0;
    transport.partition();
    server.remove('ns', 'gone');
    server.remove('ns', 'reborn');
    server.put('ns', 'reborn');
    server.put('ns', 'new');
    server.forget();
    transport.heal();
    await clock.advance(10_000);
    expect(words(changes).sort()).toEqual(['added ns/new', 'added ns/reborn', 'deleted ns/gone', 'deleted ns/reborn']);
    expect([...informer.keys()].sort()).toEqual(['ns/kept', 'ns/new', 'ns/reborn']);
    await end();
  });

  it('resumes from a bookmark after a long quiet time, without listing', async () => {
    const { server, informer, clock, start, end } = world();
    server.put('ns', 'a');
    start();
    await clock.advance(0);
    for (let i = 0; i < 5; i++) server.put('other', 'x');
    server.bookmark();
    await clock.advance(0);
    server.forget();
    const lists = (): number => server.requests.filter((request) => request.query?.['watch'] === undefined).length;
    const before = lists();
    server.endWatches();
    await clock.advance(5_000);
    server.put('ns', 'b');
    await clock.advance(0);
    expect(lists()).toBe(before);
    expect(informer.get('ns/b')).toBeDefined();
    await end();
  });

  it('leaves a watch that hangs past its time', async () => {
    const { server, clock, start, end } = world();
    start();
    await clock.advance(0);
    const watches = server.requests.length;
    await clock.advance(700_000);
    expect(server.requests.length).toBeGreaterThan(watches);
    await end();
  });

  it('does not ask in a tight loop when every watch ends at once', async () => {
    const { server, clock, start, end } = world();
    start();
    for (let i = 0; i < 100; i++) {
      await clock.advance(100);
      server.endWatches();
    }
    expect(server.requests.length).toBeLessThan(30);
    await end();
  });

  it('gives a handler that comes late what is there', async () => {
    const { server, informer, clock, start, end } = world();
    server.put('ns', 'a');
    start();
    await clock.advance(0);
    const late: InformerChange<ConfigMap>[] = [];
    informer.onChanges((batch) => late.push(...batch));
    expect(words(late)).toEqual(['added ns/a']);
    await end();
  });

  it('hands out frozen objects in tests', async () => {
    const { server, informer, clock, start, end } = world();
    server.put('ns', 'a', { data: { x: '1' } });
    start();
    await clock.advance(0);
    expect(() => (informer.get('ns/a')!.data!['x'] = '2')).toThrow(TypeError);
    await end();
  });

  it('ends equal to the server whatever the network does, and its changes add up to that', async () => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ do: fc.constant('put' as const), name: fc.constantFrom('a', 'b', 'c', 'd', 'e') }) },
      { weight: 3, arbitrary: fc.record({ do: fc.constant('remove' as const), name: fc.constantFrom('a', 'b', 'c', 'd', 'e') }) },
      fc.record({ do: fc.constantFrom('bookmark' as const, 'forget' as const, 'endWatches' as const, 'partition' as const, 'heal' as const) }),
      { weight: 4, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 3_000 }) }) },
    );
    const faults = fc.record({
      loseRequest: fc.constantFrom(0, 0.2),
      loseAnswer: fc.constantFrom(0, 0.2),
      cutStream: fc.constantFrom(0, 0.1, 0.4),
      splitChunk: fc.constantFrom(0, 0.5),
      delayMsMax: fc.constantFrom(0, 50, 1_000),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), faults, fc.integer(), fc.boolean(), async (steps, luck, seed, streamList) => {
        const { server, transport, informer, changes, clock, start, end } = world(luck, seed, streamList);
        const index = new IndexBy(informer, (object) => object.metadata.name);
        start();
        for (const action of steps) {
          if (action.do === 'put') server.put('ns', action.name);
          else if (action.do === 'remove') server.remove('ns', action.name);
          else if (action.do === 'wait') await clock.advance(action.ms);
          else if (action.do === 'partition' || action.do === 'heal') transport[action.do]();
          else server[action.do]();
        }
        transport.heal();
        transport.faults = {};
        await clock.advance(15_000);
        const expected = [...server.objects].map(([key, object]) => `${key} ${object.metadata.uid} ${object.metadata.resourceVersion}`).sort();
        const held = [...informer.values()].map((object) => `${objectKey(object)} ${object.metadata.uid} ${object.metadata.resourceVersion}`).sort();
        expect(held).toEqual(expected);
        const replayed = new Map<string, string>();
        for (const { type, object } of changes) {
          const key = objectKey(object);
          const { uid = '', resourceVersion = '' } = object.metadata;
          if (type === 'added') expect(replayed.has(key)).toBe(false);
          else expect(replayed.get(key)?.split(' ')[0]).toBe(uid);
          if (type === 'modified') expect(Number(resourceVersion)).toBeGreaterThan(Number(replayed.get(key)!.split(' ')[1]));
          if (type === 'deleted') replayed.delete(key);
          else replayed.set(key, `${uid} ${resourceVersion}`);
        }
        expect([...replayed].map(([key, value]) => `${key} ${value}`).sort()).toEqual(expected);
        for (const name of ['a', 'b', 'c', 'd', 'e']) expect([...index.get(name)]).toEqual(server.objects.has(`ns/${name}`) ? [`ns/${name}`] : []);
        await end();
      }),
      { numRuns: 150 },
    );
  });
});
