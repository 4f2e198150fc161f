import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Etcd3 } from 'etcd3';
import { SystemClock, sleep } from '../../../lib/clock.js';
import { silentLogger } from '../../../lib/log.js';
import { SeededRandom } from '../../../lib/random.js';
import { EtcdProcess } from '../../../lib/testing/etcd-process.js';
import { TcpProxy } from '../../../lib/testing/tcp-proxy.js';
import { pad, range, take, written } from '../store-contract.js';
import { GoneError, StoreUnavailableError, type Change } from '../store.js';
import { WatchCache } from '../watch-cache.js';
import { EtcdStore } from './etcd-store.js';

const clock = new SystemClock();
const random = new SeededRandom(1);
const prefix = '/taskplane/registry/core/things/';

describe('EtcdStore under faults', () => {
  let etcd: EtcdProcess;
  const closers: (() => Promise<void>)[] = [];

  const open = (options: { endpoints?: string[]; historyMs?: number } = {}): EtcdStore => {
    const store = EtcdStore.open({ endpoints: [etcd.endpoint], presencePrefix: prefix, clock, random, ...options });
    closers.push(() => store.close());
    return store;
  };
  const proxied = async (): Promise<TcpProxy> => {
    const proxy = await TcpProxy.start(Number(new URL(etcd.endpoint).port));
    closers.push(() => proxy.stop());
    return proxy;
  };

  beforeEach(async () => {
    etcd = await EtcdProcess.start();
  });
  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
    await etcd.stop();
  });

  it('loses and repeats nothing when etcd is killed and restarted under a stream of writes', async () => {
    const store = open();
    const acknowledged = new Map<string, number>();
    const failures: StoreUnavailableError[] = [];
    const seen: Change[] = [];
    const stop = new AbortController();
    const { revision } = await store.list(prefix);
    const watching = (async () => {
      for await (const changes of store.watch(prefix, revision, stop.signal)) {
        seen.push(...changes);
        if (seen.some(({ key }) => key.endsWith('last'))) stop.abort();
      }
    })();
    let writing = true;
    let next = 0;
    const writers = range(20).map(async () => {
      while (writing) {
        const key = prefix + pad(next++);
        try {
          acknowledged.set(key, (await written(store.write({ op: 'create', key, value: '{}' }))).revision);
        } catch (error) {
          failures.push(error as StoreUnavailableError);
          await sleep(clock, 20);
        }
      }
    });
    for (const _ of range(2)) {
      const before = acknowledged.size;
      while (acknowledged.size < before + 300) await new Promise((resolve) => setImmediate(resolve));
      await etcd.kill();
      await expect(store.write({ op: 'create', key: `${prefix}down`, value: '{}' })).rejects.toBeInstanceOf(StoreUnavailableError);
      await etcd.restart();
    }
    const before = acknowledged.size;
    while (acknowledged.size < before + 100) await sleep(clock, 10);
    writing = false;
    await Promise.all(writers);
    await written(store.write({ op: 'create', key: `${prefix}last`, value: '{}' }));
    await watching;
    expect(failures.every((error) => error instanceof StoreUnavailableError)).toBe(true);
    const revisions = seen.map(({ revision }) => revision);
    expect(revisions).toEqual([...new Set(revisions)].toSorted((a, b) => a - b));
    const shown = new Map(seen.map(({ key, revision }) => [key, revision]));
    expect(shown.size).toBe(seen.length);
    for (const [key, revision] of acknowledged) expect([key, shown.get(key)]).toEqual([key, revision]);
    expect((await store.list(prefix)).items.map(({ key, revision }) => [key, revision])).toEqual([...shown].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }, 60_000);

  it('resumes a watch that is cut again and again while it catches up', async () => {
    const direct = open();
    const { revision } = await direct.list(prefix);
    // One commit each, because etcd sends the history in answers of 1,000 revisions.
    for (const n of range(3_000)) await written(direct.write({ op: 'create', key: prefix + pad(n), value: JSON.stringify('x'.repeat(200)) }));
    const all = await take(direct, prefix, revision, 3_000);
    const proxy = await proxied();
    const store = open({ endpoints: [`http://127.0.0.1:${proxy.port}`] });
    const stop = new AbortController();
    const seen: Change[] = [];
    proxy.cutAfter(50_000);
    for await (const changes of store.watch(prefix, revision, stop.signal)) {
      for (const { type, key, value, revision: of } of changes) seen.push({ type, key, value, revision: of });
      if (proxy.cuts < 6) proxy.cutAfter(20_000);
      if (seen.length >= 3_000) stop.abort();
    }
    expect(proxy.cuts).toBeGreaterThan(1);
    expect(seen).toEqual(all);
  }, 60_000);

  it('says that the outcome is unknown when etcd hangs, and that nothing was written when it is not there', async () => {
    const store = open();
    const { revision } = await written(store.write({ op: 'create', key: `${prefix}a`, value: '{}' }));
    etcd.pause();
    await expect(store.write({ op: 'update', key: `${prefix}a`, value: '{"b":1}', revision })).rejects.toMatchObject({ name: 'StoreUnavailableError', applied: 'unknown' });
    etcd.resume();
    expect(await store.read(`${prefix}a`)).toMatchObject({ key: `${prefix}a` });
    await etcd.kill();
    await store.read(`${prefix}a`).catch(() => {});
    await expect(store.write({ op: 'create', key: `${prefix}b`, value: '{}' })).rejects.toMatchObject({ name: 'StoreUnavailableError', applied: 'no' });
  }, 30_000);

  it('works while one of its endpoints is dead', async () => {
    const store = open({ endpoints: ['http://127.0.0.1:1', etcd.endpoint] });
    const { revision } = await store.list(prefix);
    const watching = take(store, prefix, revision, 20);
    await Promise.all(range(20).map((n) => written(store.write({ op: 'create', key: prefix + n, value: '{}' }))));
    expect(await watching).toHaveLength(20);
  });

  it('gives a barrier that a watch reaches although strangers write to the same etcd', async () => {
    const stranger = new Etcd3({ hosts: etcd.endpoint });
    closers.push(async () => stranger.close());
    const store = open();
    const cache = new WatchCache({ store, clock, random, log: silentLogger });
    const stop = new AbortController();
    const ended = cache.run(stop.signal);
    await cache.ready;
    for (const n of range(3)) {
      await stranger.put('/somebody/else').value(n);
      await cache.fresh();
      await written(store.write({ op: 'create', key: `${prefix}${n}`, value: '{}' }));
      await cache.fresh();
      expect(cache.get(`${prefix}${n}`)).toBeDefined();
    }
    stop.abort();
    await ended;
  });

  it('shares everything among API servers: revisions of deletions, presence, barriers', async () => {
    const [one, other] = [open(), open()];
    const { revision } = await other.list(prefix);
    const created = await Promise.all(range(50).map((n) => written(one.write({ op: 'create', key: prefix + pad(n), value: '{}' }))));
    const deleted = await Promise.all(created.map((write, n) => written(one.write({ op: 'delete', key: prefix + pad(n), revision: write.revision }))));
    const changes = await take(other, prefix, revision, 100);
    expect(changes.slice(50).map((change) => change.revision)).toEqual(deleted.map((write) => write.revision).toSorted((a, b) => a - b));
    await written(one.presence.announce(`${prefix}node`, '{}', 10_000));
    expect(await other.presence.renew(`${prefix}node`)).toBe(true);
    const withdrawn = take(one, prefix, (await one.list(prefix)).revision, 1);
    expect(await other.presence.withdraw(`${prefix}node`)).toBe(true);
    expect(await withdrawn).toMatchObject([{ type: 'delete' }]);
    expect(await one.presence.renew(`${prefix}node`)).toBe(false);
    await written(one.presence.announce(`${prefix}node`, '{}', 10_000));
    expect(await other.presence.renew(`${prefix}node`)).toBe(true);
  });

  it('renews again after the connection was cut', async () => {
    const proxy = await proxied();
    const store = open({ endpoints: [`http://127.0.0.1:${proxy.port}`] });
    await written(store.presence.announce(`${prefix}node`, '{}', 10_000));
    expect(await store.presence.renew(`${prefix}node`)).toBe(true);
    proxy.cut();
    let renewed = false;
    for (let tries = 0; !renewed && tries < 50; tries++) {
      renewed = await store.presence.renew(`${prefix}node`).catch((error: unknown) => {
        expect(error).toBeInstanceOf(StoreUnavailableError);
        return false;
      });
    }
    expect(renewed).toBe(true);
  });

  it('compacts history by itself', async () => {
    const store = open({ historyMs: 100 });
    const { revision } = await written(store.write({ op: 'create', key: `${prefix}0`, value: '{}' }));
    const gone = async (): Promise<boolean> => {
      try {
        await take(store, prefix, revision, 1);
        return false;
      } catch (error) {
        expect(error).toBeInstanceOf(GoneError);
        return true;
      }
    };
    for (let n = 1; n < 100; n++) {
      await written(store.write({ op: 'create', key: `${prefix}${n}`, value: '{}' }));
      if (await gone()) return;
    }
    throw new Error('was not compacted');
  });
});
