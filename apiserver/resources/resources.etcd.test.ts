import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { SystemClock } from '../../lib/clock.js';
import { SeededRandom } from '../../lib/random.js';
import { EtcdProcess } from '../../lib/testing/etcd-process.js';
import { EtcdStore } from '../storage/etcd/etcd-store.js';
import { presenceKey } from './registry-keys.js';
import type { ListReply } from './service.js';
import { taskKind, TestCluster } from './testing/cluster.js';

const merge = 'application/merge-patch+json';

/** What depends on the store: revisions of writes that share a commit, pages of the past, conflicts between servers. */
describe('resources on etcd', () => {
  let etcd: EtcdProcess;
  let cluster: TestCluster;
  beforeAll(async () => void (etcd = await EtcdProcess.start()));
  afterAll(() => etcd.stop());
  const join = (): Promise<TestCluster> => TestCluster.on(EtcdStore.open({ endpoints: [etcd.endpoint], presencePrefix: presenceKey(''), clock: new SystemClock(), random: new SeededRandom(1) }));
  beforeEach(async () => void (cluster = await join()));
  afterEach(async () => {
    await cluster.resources.deleteCollection(cluster.caller, { kind: taskKind, namespace: 'default' }, {}, {});
    await cluster.stop();
  });

  const names = ({ items }: ListReply): (string | undefined)[] => items.map(({ object }) => object.metadata.name);
  const list = (query = {}): Promise<ListReply> => cluster.resources.list(cluster.caller, { kind: taskKind, namespace: 'default' }, query);

  it('pages through a list as it was at the first page', async () => {
    await Promise.all(Array.from({ length: 9 }, (_, i) => cluster.createTask(`t${i}`)));
    const first = await list({ limit: 4 });
    await Promise.all([cluster.createTask('t4a'), cluster.resources.delete(cluster.caller, cluster.target(taskKind, 't5'), {})]);
    const second = await list({ limit: 4, continue: first.continue });
    const third = await list({ limit: 4, continue: second.continue });
    expect([first, second, third].flatMap(names)).toEqual(Array.from({ length: 9 }, (_, i) => `t${i}`));
    expect([first.remainingItemCount, second.remainingItemCount, third.continue]).toEqual([5, 1, undefined]);
  });

  it('goes on with a watch in the middle of writes that shared a commit', async () => {
    const made = await Promise.all(Array.from({ length: 20 }, (_, i) => cluster.createTask(`t${i}`)));
    await cluster.cache.fresh();
    const byVersion = made.toSorted((a, b) => Number(a.metadata.resourceVersion) - Number(b.metadata.resourceVersion)).map(({ metadata }) => metadata);
    for (const [index, { resourceVersion }] of byVersion.entries()) {
      const seen = await cluster.watch({ kind: taskKind, namespace: 'default' }, { resourceVersion: resourceVersion! });
      expect(seen.events.map(({ object }) => object.metadata.name)).toEqual(byVersion.slice(index + 1).map(({ name }) => name));
      seen.stop();
    }
  });

  it('applies every patch of two servers that write the same object, and binds a task once', async () => {
    const other = await join();
    try {
      await cluster.createNode('n');
      await cluster.createTask('a');
      const target = cluster.target(taskKind, 'a');
      await Promise.all(
        Array.from({ length: 60 }, (_, i) => (i % 2 ? other : cluster).resources.patch(cluster.caller, target, merge, { metadata: { annotations: { [`k${i}`]: '' } } }, {})),
      );
      const { metadata } = await other.getTask('a');
      expect(Object.keys(metadata.annotations ?? {})).toHaveLength(60);
      const binding = { items: [{ namespace: 'default', name: 'a', uid: metadata.uid, nodeName: 'n' }] };
      const outcomes = await Promise.all([cluster.bulk.bind(binding), other.bulk.bind(binding), other.bulk.bind(binding)]);
      expect(outcomes.flat().map(({ code }) => code).sort()).toEqual([200, 409, 409]);
    } finally {
      await other.stop();
    }
  });

  it('reads on one server what was written on another', async () => {
    const other = await join();
    try {
      for (let i = 0; i < 20; i++) {
        const { metadata } = await cluster.createTask(`t${i}`);
        expect((await other.getTask(`t${i}`)).metadata).toEqual(metadata);
      }
    } finally {
      await other.stop();
    }
  });
});
