import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SystemClock, sleep } from '../../../lib/clock.js';
import { SeededRandom } from '../../../lib/random.js';
import { EtcdProcess } from '../../../lib/testing/etcd-process.js';
import { describeStore, range, type StoreHarness } from '../store-contract.js';
import { EtcdStore } from './etcd-store.js';

const clock = new SystemClock();

describeStore('EtcdStore', async (): Promise<StoreHarness> => {
  const etcd = await EtcdProcess.start();
  const open = (): EtcdStore => EtcdStore.open({ endpoints: [etcd.endpoint], clock, random: new SeededRandom(1) });
  let store = open();
  return {
    get store() {
      return store;
    },
    async reopen() {
      await store.close();
      store = open();
    },
    async forget() {
      await store.write({ op: 'create', key: `/taskplane/registry/core/filler/${clock.now()}`, value: '{}' });
      await store.compact((await store.list('/taskplane/')).revision);
    },
    passTime: (ms) => sleep(clock, ms),
    async close() {
      await store.close();
      await etcd.stop();
    },
  };
});
