import { expect } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SystemClock, sleep } from '../../lib/clock.js';
import { FakeClock } from '../../lib/fake-clock.js';
import { silentLogger } from '../../lib/log.js';
import { SeededRandom } from '../../lib/random.js';
import { EtcdProcess } from '../../lib/testing/etcd-process.js';
import { CachedStore } from './cached-store.js';
import { EmbeddedStore } from './embedded/embedded-store.js';
import { EtcdStore } from './etcd/etcd-store.js';
import { range, type StoreHarness } from './store-contract.js';
import type { Store } from './store.js';
import { WatchCache } from './watch-cache.js';

/** Small, so that a test can fill it. */
const keepChanges = 2_500;

/** A harness whose store can be any that is opened on the same data. */
async function harnessOf(options: {
  open: () => Promise<Store>;
  forget: (store: Store) => Promise<void>;
  passTime: (ms: number) => Promise<void>;
  close: () => Promise<void>;
}): Promise<StoreHarness> {
  let store = await options.open();
  return {
    get store() {
      return store;
    },
    async reopen() {
      await store.close();
      store = await options.open();
    },
    forget: () => options.forget(store),
    passTime: (ms) => options.passTime(ms),
    async close() {
      await store.close();
      await options.close();
    },
  };
}

/**
 * @param wrap what is put over the embedded store, if anything
 * @param program of the database's thread; without it the database is in this one
 */
export function embeddedHarness(wrap: (store: Store) => Promise<Store> = async (store) => store, program?: URL): Promise<StoreHarness> {
  const clock = new FakeClock();
  const directory = mkdtempSync(join(tmpdir(), 'taskplane-embedded-'));
  return harnessOf({
    open: async () => {
      const options = { file: join(directory, 'store.db'), clock, keepChanges };
      return wrap(program ? await EmbeddedStore.openInThread(options, program) : EmbeddedStore.open(options));
    },
    forget: (store) => fill(store, keepChanges + 500),
    passTime: (ms) => clock.advance(ms),
    close: async () => {
      rmSync(directory, { recursive: true });
      expect(clock.pendingTimers).toBe(0);
    },
  });
}

/** @param wrap what is put over the etcd store, if anything */
export async function etcdHarness(wrap: (store: Store) => Promise<Store> = async (store) => store): Promise<StoreHarness> {
  const clock = new SystemClock();
  const etcd = await EtcdProcess.start();
  let inner: EtcdStore;
  return harnessOf({
    open: () => wrap((inner = EtcdStore.open({ endpoints: [etcd.endpoint], presencePrefix: '/taskplane/registry/core/', clock, random: new SeededRandom(1) }))),
    forget: async (store) => {
      await fill(store, store === inner ? 1 : keepChanges + 500);
      await inner.compact((await inner.list('/taskplane/sync/')).revision);
    },
    passTime: (ms) => sleep(clock, ms),
    close: () => etcd.stop(),
  });
}

/** A watch cache over the store, running; closing it closes the store. */
export async function cached(store: Store): Promise<Store> {
  const cache = new WatchCache({ store, windowChanges: keepChanges, clock: new SystemClock(), random: new SeededRandom(1), log: silentLogger });
  const stop = new AbortController();
  const ended = cache.run(stop.signal);
  await cache.ready;
  return new ClosingStore(cache, store, async () => {
    stop.abort();
    await ended;
  });
}

class ClosingStore extends CachedStore {
  readonly #stop: () => Promise<void>;

  constructor(cache: WatchCache, store: Store, stop: () => Promise<void>) {
    super({ cache, store });
    this.#stop = stop;
  }

  override async close(): Promise<void> {
    await this.#stop();
    await super.close();
  }
}

let filled = 0;

async function fill(store: Store, count: number): Promise<void> {
  const prefix = `/taskplane/registry/core/filler/${++filled}-`;
  await Promise.all(range(count).map((n) => store.write({ op: 'create', key: prefix + n, value: '{}' })));
}
