import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Etcd3 } from 'etcd3';
import { SystemClock, sleep } from '../../../lib/clock.js';
import { silentLogger } from '../../../lib/log.js';
import { SeededRandom } from '../../../lib/random.js';
import { EtcdProcess } from '../../../lib/testing/etcd-process.js';
import { TcpProxy } from '../../../lib/testing/tcp-proxy.js';
import { range, take, written } from '../store-contract.js';
import { StoreUnavailableError } from '../store.js';
import { EtcdEndpoints } from './etcd-endpoints.js';
import { EtcdPresence } from './etcd-presence.js';
import { EtcdStore } from './etcd-store.js';
import { outcomesOf, type EtcdWrite } from './etcd-txn.js';

const clock = new SystemClock();
const prefix = '/taskplane/registry/coordination.k8s.io/leases/kube-node-lease/';
const key = `${prefix}node`;
/** The shortest that etcd grants. */
const serverTtlMs = 2_000;
const ttlMs = 2_000;

describe('EtcdPresence', () => {
  let etcd: EtcdProcess;
  let stranger: Etcd3;
  const closers: (() => Promise<void>)[] = [];

  const open = (endpoint = etcd.endpoint, leaseMs = serverTtlMs): EtcdStore => {
    const store = EtcdStore.open({ endpoints: [endpoint], clock, random: new SeededRandom(1), presencePrefix: prefix, serverTtlMs: leaseMs });
    closers.push(() => store.close());
    return store;
  };
  const proxied = async (): Promise<TcpProxy> => {
    const proxy = await TcpProxy.start(Number(new URL(etcd.endpoint).port));
    closers.push(() => proxy.stop());
    return proxy;
  };
  const servers = async (): Promise<string[]> => (await stranger.getAll().prefix('/taskplane/servers/').keys()).filter((name) => !name.endsWith('/note'));
  const until = async (holds: () => Promise<boolean>): Promise<void> => {
    for (let tries = 0; !(await holds()); tries++) {
      if (tries > 300) throw new Error('did not come true');
      await sleep(clock, 50);
    }
  };
  /** Renews again and again for so long, as an agent does; answers how often each answer came. */
  const renewFor = async (store: EtcdStore, ms: number, name = key): Promise<{ yes: number; no: number; unsure: number }> => {
    const counts = { yes: 0, no: 0, unsure: 0 };
    for (const end = clock.monotonic() + ms; clock.monotonic() < end; await sleep(clock, 50)) {
      const answer = await store.presence.renew(name).catch((error: unknown) => {
        expect(error).toBeInstanceOf(StoreUnavailableError);
        return undefined;
      });
      counts[answer === undefined ? 'unsure' : answer ? 'yes' : 'no']++;
    }
    return counts;
  };

  beforeEach(async () => {
    etcd = await EtcdProcess.start();
    stranger = new Etcd3({ hosts: etcd.endpoint });
  });
  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
    stranger.close();
    await etcd.stop();
  });

  it('costs etcd no revision to renew, however many keys there are', async () => {
    // Writing them all may hold up a busy machine for longer than the shortest lease can be trusted.
    const store = open(etcd.endpoint, 20_000);
    const keys = range(5_000).map((n) => `${prefix}node-${n}`);
    await Promise.all(keys.map((name) => written(store.presence.announce(name, '{}', 60_000))));
    const before = (await stranger.get('x').exec()).header.revision;
    const start = clock.monotonic();
    for (const name of keys) expect(await store.presence.renew(name)).toBe(true);
    // A round trip to etcd for each would take many seconds.
    expect(clock.monotonic() - start).toBeLessThan(1_000);
    expect((await stranger.get('x').exec()).header.revision).toBe(before);
  }, 30_000);

  it('lets an agent go from one server to another and back without a gap', async () => {
    const [one, other] = [open(), open()];
    const { revision } = await written(one.presence.announce(key, '{"a":1}', ttlMs));
    const stop = new AbortController();
    const types: string[] = [];
    const watching = (async () => {
      for await (const changes of one.watch(prefix, revision, stop.signal)) types.push(...changes.map(({ type }) => type));
    })();
    for (const store of [one, other, one, other]) {
      expect(await renewFor(store, ttlMs + 500)).toMatchObject({ no: 0, unsure: 0 });
    }
    expect(await one.read(key)).toMatchObject({ value: '{"a":1}' });
    stop.abort();
    await watching;
    expect(types.filter((type) => type === 'delete')).toEqual([]);
    // A put for each time it came to another server.
    expect(types).toHaveLength(3);
  }, 30_000);

  it('keeps a key that was renewed in turns through servers that have not heard of each other', async () => {
    const [one, other] = [open(), open()];
    await written(one.presence.announce(key, '{}', ttlMs));
    expect(await other.presence.renew(key)).toBe(true);
    const answeredAt = clock.monotonic();
    // The first may still answer from memory; its answer must hold all the same.
    const answered = await one.presence.renew(key);
    expect(answered).toBe(true);
    const { revision } = await other.list(prefix);
    const [change] = await take(other, prefix, revision, 1);
    if (change?.type === 'delete') expect(clock.monotonic() - answeredAt).toBeGreaterThanOrEqual(ttlMs);
  }, 30_000);

  it('keeps its keeper through ordinary updates, by any server', async () => {
    const [one, other] = [open(), open()];
    const { revision } = await written(one.presence.announce(key, '{"n":0}', ttlMs));
    const first = await written(one.write({ op: 'update', key, value: '{"n":1}', revision }));
    const second = await written(other.write({ op: 'update', key, value: '{"n":2}', revision: first.revision }));
    expect(await renewFor(one, ttlMs * 2)).toMatchObject({ no: 0, unsure: 0 });
    expect(await one.read(key)).toMatchObject({ value: '{"n":2}', revision: second.revision });
    expect(await take(one, prefix, second.revision, 1)).toMatchObject([{ type: 'delete', key }]);
  }, 30_000);

  it('hears within moments of a key that was removed through another server, also without a watch', async () => {
    const [one, other] = [open(), open()];
    await written(one.presence.announce(key, '{}', 60_000));
    expect(await other.presence.withdraw(key)).toBe(true);
    await until(async () => !(await one.presence.renew(key)));
  }, 30_000);

  it('takes no ordinary key under the prefix for a presence', async () => {
    const store = open();
    const { revision } = await written(store.write({ op: 'create', key, value: '{}' }));
    expect(await store.presence.renew(key)).toBe(false);
    expect(await store.presence.withdraw(key)).toBe(false);
    await sleep(clock, ttlMs);
    expect(await store.read(key)).toMatchObject({ revision });
  });

  it('gives the keys of a server that died a full time to live, then removes those that nobody took over', async () => {
    const proxy = await proxied();
    const [dying, survivor] = [open(`http://127.0.0.1:${proxy.port}`), open()];
    await written(dying.presence.announce(key, '{}', ttlMs));
    const { revision } = await written(dying.presence.announce(`${prefix}orphan`, '{}', ttlMs));
    const removed = take(survivor, `${prefix}orphan`, revision, 1);
    proxy.refuse();
    await until(async () => (await servers()).length === 1);
    const goneAt = clock.monotonic();
    const renewed = renewFor(survivor, ttlMs * 4);
    expect(await removed).toMatchObject([{ type: 'delete', key: `${prefix}orphan` }]);
    expect(clock.monotonic() - goneAt).toBeGreaterThan(ttlMs - 500);
    expect(await renewed).toMatchObject({ no: 0, unsure: 0 });
  }, 40_000);

  /** A server with one presence whose connection was cut until etcd gave it up; `before` is who it was. */
  async function cutOffUntilGone() {
    const proxy = await proxied();
    const store = open(`http://127.0.0.1:${proxy.port}`);
    const { revision } = await written(store.presence.announce(key, '{}', 30_000));
    const [before] = await servers();
    proxy.refuse();
    await until(async () => (await servers()).length === 0);
    return { proxy, store, revision, before };
  }

  it('answers no more once etcd may have given it up, and keeps its keys when it is back', async () => {
    const { proxy, store, revision, before } = await cutOffUntilGone();
    await expect(store.presence.renew(key)).rejects.toMatchObject({ name: 'StoreUnavailableError', applied: 'no' });
    proxy.accept();
    await until(() => store.presence.renew(key).catch(() => false));
    // Nobody else was there: it is who it was, and had nothing to take over.
    expect(await servers()).toEqual([before]);
    expect(await store.read(key)).toMatchObject({ revision });
    expect(await renewFor(store, 500)).toMatchObject({ no: 0, unsure: 0 });
  }, 40_000);

  it('comes back as another when a server was there meanwhile, which may have seen that it was gone', async () => {
    const { proxy, store, revision, before } = await cutOffUntilGone();
    const other = open();
    await until(async () => (await servers()).length === 1);
    await other.close();
    proxy.accept();
    await until(() => store.presence.renew(key).catch(() => false));
    const [after] = await servers();
    expect(after).toBeDefined();
    expect(after).not.toBe(before);
    expect((await store.read(key))!.revision).toBeGreaterThan(revision);
  }, 40_000);

  it('registers again when its lease is revoked, and keeps its agents', async () => {
    const store = open();
    const { revision } = await written(store.presence.announce(key, '{}', 30_000));
    const [before] = await servers();
    const { kvs } = await stranger.get(before!).exec();
    await stranger.leaseClient.leaseRevoke({ ID: kvs[0]!.lease });
    await until(async () => (await servers()).length === 1);
    await until(() => store.presence.renew(key).catch(() => false));
    expect(await servers()).toEqual([before]);
    expect(await store.read(key)).toMatchObject({ revision });
  }, 30_000);

  it('writes nothing as a server that is no longer registered', async () => {
    const store = open();
    await written(store.presence.announce(`${prefix}first`, '{}', ttlMs));
    const [before] = await servers();
    const { kvs } = await stranger.get(before!).exec();
    await stranger.leaseClient.leaseRevoke({ ID: kvs[0]!.lease });
    await expect(store.presence.announce(key, '{}', ttlMs)).rejects.toMatchObject({ name: 'StoreUnavailableError', applied: 'no' });
    await expect(store.presence.renew(`${prefix}first`)).rejects.toMatchObject({ name: 'StoreUnavailableError' });
    await until(() => store.presence.announce(key, '{}', ttlMs).then(({ ok }) => ok, () => false));
  }, 30_000);

  it('costs no presence when etcd is killed and comes back', async () => {
    const store = open();
    const { revision } = await written(store.presence.announce(key, '{}', ttlMs));
    const changes: string[] = [];
    const stop = new AbortController();
    const watching = (async () => {
      for await (const batch of store.watch(prefix, revision, stop.signal)) changes.push(...batch.map(({ type }) => type));
    })();
    await etcd.kill();
    await renewFor(store, ttlMs * 1.5);
    await etcd.restart();
    await until(() => store.presence.renew(key).catch(() => false));
    expect(await renewFor(store, ttlMs * 2)).toMatchObject({ no: 0 });
    stop.abort();
    await watching;
    expect(changes).not.toContain('delete');
  }, 40_000);

  it('removes in the end what it announced or took over without hearing that it did', async () => {
    const endpoints = new EtcdEndpoints({ endpoints: [etcd.endpoint], clock });
    const commit = async (batch: readonly EtcdWrite[]) => outcomesOf(batch, await endpoints.txn(batch));
    let isHeard = true;
    const presence = new EtcdPresence({
      endpoints,
      urgentEndpoints: endpoints,
      clock,
      log: silentLogger,
      prefix,
      serverTtlMs,
      write: async (write) => {
        const [outcome] = await commit([write]);
        if (!isHeard) throw new StoreUnavailableError('the answer was lost', 'unknown');
        return outcome!;
      },
      commitNow: commit,
    });
    const other = open();
    await written(other.presence.announce(`${prefix}moved`, '{}', 500));
    await other.close();
    presence.start();
    closers.push(async () => {
      await presence.close();
      endpoints.close();
    });
    await written(presence.announce(`${prefix}heard`, '{}', 500));
    isHeard = false;
    await expect(presence.announce(key, '{}', 500)).rejects.toThrow('lost');
    await expect(presence.renew(`${prefix}moved`)).rejects.toThrow('lost');
    isHeard = true;
    expect(await stranger.getAll().prefix(prefix).keys()).toContain(key);
    await until(async () => (await stranger.getAll().prefix(prefix).keys()).length === 0);
  }, 30_000);

  it('leaves no registration behind when it is closed', async () => {
    const store = open();
    await written(store.presence.announce(key, '{}', ttlMs));
    expect(await servers()).toHaveLength(1);
    await store.close();
    expect(await servers()).toEqual([]);
    await expect(store.presence.renew(key)).rejects.toBeInstanceOf(StoreUnavailableError);
  });

  it('says that the store is unavailable while there is no etcd to register in', async () => {
    await etcd.kill();
    const store = open();
    await expect(store.presence.announce(key, '{}', ttlMs)).rejects.toBeInstanceOf(StoreUnavailableError);
    await etcd.restart();
    await until(() => store.presence.announce(key, '{}', ttlMs).then(({ ok }) => ok, () => false));
  }, 30_000);
});
