import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { KindDefinition } from '../../api/kind.js';
import { leaseKind as lease } from '../../api/lease.js';
import { silentLogger } from '../../lib/log.js';
import { SeededRandom } from '../../lib/random.js';
import type { PresenceStore } from '../storage/store.js';
import type { ObjectCache } from './object-cache.js';
import { PresenceService } from './presence-service.js';
import { nodeKind, TestCluster } from './testing/cluster.js';

const leaseKind = lease as unknown as KindDefinition;

describe('PresenceService', () => {
  let cluster: TestCluster;
  beforeEach(async () => {
    cluster = await TestCluster.start();
    await cluster.createNode('m1');
  });
  afterEach(() => cluster.stop());

  const leases = async (): Promise<unknown[]> => (await cluster.resources.list(cluster.caller, { kind: leaseKind, namespace: 'kube-node-lease' }, {})).items.map(({ object }) => object);
  const load = { cpuMilli: 1500.4, memoryBytes: 1024 * 1024, loadAverage: 0.5, tasks: { 'default/a': { cpuMilli: 100, memoryBytes: 2048 } } };

  it('keeps a lease for an agent that has announced itself', async () => {
    expect(await cluster.presence.present('m1', { session: 's', announce: false })).toEqual({ present: false, ttlMs: 8_000 });
    expect(await cluster.presence.present('m1', { session: 's', announce: true })).toEqual({ present: true, ttlMs: 8_000 });
    expect(await leases()).toMatchObject([{ metadata: { name: 'm1', namespace: 'kube-node-lease' }, spec: { holderIdentity: 'm1', leaseDurationSeconds: 8 } }]);
    expect(await cluster.presence.present('m1', { session: 's', announce: false })).toEqual({ present: true, ttlMs: 8_000 });
  });

  it('lets a new session take over without a gap, and tells the old one to stop', async () => {
    await cluster.presence.present('m1', { session: 's', announce: true });
    const before = await leases();
    expect((await cluster.presence.present('m1', { session: 't', announce: true })).present).toBe(true);
    expect(await leases()).toEqual(before);
    expect((await cluster.presence.present('m1', { session: 's', announce: false })).present).toBe(false);
    expect((await cluster.presence.present('m1', { session: 't', announce: false })).present).toBe(true);
  });

  it('renews from memory what it would renew otherwise, and leaves the rest to the long way', async () => {
    const renewal = { session: 's', announce: false, load };
    expect(cluster.presence.renewNow('m1', renewal)).toBeUndefined();
    await cluster.presence.present('m1', { session: 's', announce: true });
    await leases();
    expect(cluster.presence.renewNow('m1', renewal)).toEqual(await cluster.presence.present('m1', renewal));
    expect(cluster.presence.nodeLoads().items).toEqual([{ name: 'm1', ageMs: 0, load }]);
    expect(cluster.presence.renewNow('m1', { ...renewal, announce: true })).toBeUndefined();
    expect(cluster.presence.renewNow('m1', { ...renewal, session: 't' })).toBeUndefined();
    expect(() => cluster.presence.renewNow('m1', { session: 1 })).toThrow('session');
    await cluster.resources.delete(cluster.caller, { kind: nodeKind, namespace: undefined, name: 'm1' }, {});
    expect(cluster.presence.renewNow('m1', renewal)).toBeUndefined();
  });

  it('tells thousands to renew less often, all of them the same', async () => {
    const entry = { revision: 1, object: { spec: { leaseDurationSeconds: 8 } } };
    const service = new PresenceService({
      cache: { get: () => entry } as unknown as ObjectCache,
      presence: { announce: () => Promise.resolve({ ok: true, revision: 1 }), renewNow: () => true } as unknown as PresenceStore,
      mutator: { find: () => Promise.resolve(entry) as never },
      clock: cluster.clock, random: new SeededRandom(3), logger: silentLogger,
    });
    for (let agent = 0; agent < 3_000; agent++) await service.present(`n${agent}`, { session: 's', announce: true });
    const renewed = service.renewNow('n1', { session: 's', announce: false });
    expect(renewed).toEqual({ present: true, ttlMs: 8_000, renewAfterMs: 2_600 });
    expect(service.renewNow('n2', { session: 's', announce: false })).toBe(renewed);
    for (let agent = 3_000; agent < 5_000; agent++) await service.present(`n${agent}`, { session: 's', announce: true });
    expect(service.renewNow('n1', { session: 's', announce: false })).toMatchObject({ renewAfterMs: 3_200 });
  });

  it('restore makes every node present that was not declared lost, and no other', async () => {
    const ready = (status: string) => ({ conditions: [{ type: 'Ready', status }] });
    await cluster.createNode('m2');
    await cluster.createNode('never-seen');
    await cluster.createNode('full-disk');
    await cluster.resources.patch(cluster.caller, { ...cluster.target(nodeKind, 'full-disk'), subresource: 'status' }, 'application/merge-patch+json', { status: ready('False') }, {});
    await cluster.resources.patch(cluster.caller, { ...cluster.target(nodeKind, 'm1'), subresource: 'status' }, 'application/merge-patch+json', { status: ready('True') }, {});
    await cluster.resources.patch(cluster.caller, { ...cluster.target(nodeKind, 'm2'), subresource: 'status' }, 'application/merge-patch+json', { status: ready('Unknown') }, {});
    await cluster.presence.restore();
    expect(await leases()).toMatchObject([{ metadata: { name: 'full-disk' } }, { metadata: { name: 'm1' } }]);
    const before = await leases();
    await cluster.presence.restore();
    expect(await leases()).toEqual(before);
    expect(await cluster.presence.present('m1', { session: 's', announce: false })).toMatchObject({ present: true });
  });

  it('refuses a node that is not registered, and tells the agent of one that was deleted to stop, before its tasks may start elsewhere', async () => {
    await expect(cluster.presence.present('m2', { session: 's', announce: true })).rejects.toMatchObject({ code: 404, message: 'nodes "m2" not found' });
    await cluster.presence.present('m1', { session: 's', announce: true });
    await cluster.resources.delete(cluster.caller, cluster.target(nodeKind, 'm1'), {});
    await cluster.cache.fresh();
    // Until the lease runs out: this answer may be lost, and the agent then runs its tasks until its own count ends.
    for (let tries = 0; tries < 2; tries++) expect((await cluster.presence.present('m1', { session: 's', announce: false })).present).toBe(false);
    expect(await leases()).toMatchObject([{ metadata: { name: 'm1' } }]);
  });

  it.each([
    ['longer', 30_000, 8_000],
    ['shorter', 4_000, 4_000],
  ])('promises no more than the lease has that was kept over a restart with a %s time to live', async (_, ttlMs, promised) => {
    const { cache, store, clock, resources: { mutator } } = cluster;
    await cluster.presence.present('m1', { session: 's', announce: true });
    const restarted = new PresenceService({ cache, presence: store.presence, mutator, clock, random: new SeededRandom(2), logger: silentLogger, ttlMs });
    for (const announce of [false, true]) expect(await restarted.present('m1', { session: 's', announce })).toEqual({ present: true, ttlMs: promised });
    await cluster.createNode('m2');
    expect(await restarted.present('m2', { session: 's', announce: true })).toEqual({ present: true, ttlMs });
  });

  it('knows the newest load of each node that is present', async () => {
    await cluster.presence.present('m1', { session: 's', announce: true, load: { ...load, cpuMilli: 1 } });
    await cluster.presence.present('m1', { session: 's', announce: false, load });
    await cluster.clock.advance(3_000);
    expect(cluster.presence.nodeLoads()).toEqual({ kind: 'NodeLoadList', items: [{ name: 'm1', ageMs: 3_000, load }] });
    expect(cluster.presence.nodeLoadDigest()).toEqual({ kind: 'NodeLoadDigest', names: ['m1'], ageMs: [3_000], cpuMilli: [load.cpuMilli], memoryBytes: [load.memoryBytes] });
    expect(cluster.presence.nodeMetricsOf('m1')).toEqual({
      kind: 'NodeMetrics', apiVersion: 'metrics.k8s.io/v1beta1', metadata: { name: 'm1', creationTimestamp: '2026-01-01T00:00:00Z' }, timestamp: '2026-01-01T00:00:00Z', window: '2s', usage: { cpu: '1500m', memory: '1024Ki' },
    });
    expect(cluster.presence.podMetrics('default', 'task')).toMatchObject([{ metadata: { name: 'a', namespace: 'default' }, containers: [{ name: 'task', usage: { cpu: '100m', memory: '2Ki' } }] }]);
    expect(cluster.presence.podMetrics('other', 'task')).toEqual([]);
    await cluster.clock.advance(6_000);
    expect(cluster.presence.nodeLoads().items).toEqual([]);
    expect(() => cluster.presence.nodeMetricsOf('m1')).toThrow('nodemetrics.metrics.k8s.io "m1" not found');
  });

  it('names all problems of a request of another shape', async () => {
    await expect(cluster.presence.present('m1', { session: '', load: { cpuMilli: -1, memoryBytes: 1, loadAverage: 0 } })).rejects.toMatchObject({
      code: 400,
      message: 'announce: Required value, session: Invalid value: "": must not be empty, load.cpuMilli: Invalid value: -1: must be greater than or equal to 0',
    });
  });
});
