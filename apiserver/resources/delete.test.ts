import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { configMapKind as configMap } from '../../api/config.js';
import { customResourceDefinitionKind } from '../../api/custom-resource-definition.js';
import type { Status } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import type { KubeObject } from '../../api/meta.js';
import { namespaceKind } from '../../api/namespace.js';
import { nodeKind as node } from '../../api/node.js';
import { goesWithNew } from '../storage/store.js';
import { objectStoreKey } from './registry-keys.js';
import type { DeleteOptions, Rendered } from './service.js';
import { nodeKind, taskKind, TestCluster } from './testing/cluster.js';

const configMapKind = configMap as unknown as KindDefinition;
const merge = 'application/merge-patch+json';

describe('delete', () => {
  let cluster: TestCluster;
  beforeEach(async () => void (cluster = await TestCluster.start()));
  afterEach(() => cluster.stop());

  const remove = (name: string, options: DeleteOptions = {}, kind = taskKind): Promise<Rendered | Status> => cluster.resources.delete(cluster.caller, cluster.target(kind, name), options);
  const stays = async (...request: Parameters<typeof remove>): Promise<KubeObject> => {
    const answer = await remove(...request);
    if (!('object' in answer)) throw new Error('it is gone');
    return cluster.read(answer);
  };
  const exists = (name: string, kind = taskKind): Promise<boolean> =>
    cluster.resources.get(cluster.caller, cluster.target(kind, name)).then(
      () => true,
      () => false,
    );
  const bound = async (name: string): Promise<void> => {
    if (!(await exists('n', nodeKind))) await cluster.createNode('n');
    await cluster.createTask(name, { terminationGracePeriodSeconds: 20 });
    await cluster.bindTask(name, 'n');
  };

  it('removes a pending task at once and tells its uid', async () => {
    const { metadata } = await cluster.createTask('a');
    expect(await remove('a')).toEqual({
      kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 200, details: { name: 'a', group: 'taskplane.dev', kind: 'tasks', uid: metadata.uid },
    });
    await expect(remove('a')).rejects.toMatchObject({ code: 404, message: 'tasks.taskplane.dev "a" not found' });
  });

  it('gives a bound task its grace period, which may be shortened but not lengthened', async () => {
    await bound('a');
    const first = await stays('a');
    expect(first.metadata).toMatchObject({ deletionTimestamp: '2026-01-01T00:00:00Z', deletionGracePeriodSeconds: 20 });
    expect((await stays('a', { gracePeriodSeconds: 60 })).metadata.resourceVersion).toBe(first.metadata.resourceVersion);
    expect((await stays('a', { gracePeriodSeconds: 1 })).metadata.deletionGracePeriodSeconds).toBe(1);
    expect(await remove('a', { gracePeriodSeconds: 0 })).toMatchObject({ status: 'Success' });
    expect(await exists('a')).toBe(false);
  });

  it('removes a bound task when its agent reports the end, and a finished one at once', async () => {
    await bound('a');
    await stays('a');
    const task = await cluster.getTask('a');
    const report = { namespace: 'default', name: 'a', uid: task.metadata.uid, bindings: 1, attempt: 1 };
    expect((await cluster.bulk.status({ nodeName: 'n', items: [{ ...report, phase: 'Running' }] }))[0]!.code).toBe(200);
    expect(await exists('a')).toBe(true);
    expect((await cluster.bulk.status({ nodeName: 'n', items: [{ ...report, phase: 'Failed', exitCode: 143 }] }))[0]!.code).toBe(200);
    expect(await exists('a')).toBe(false);
    await bound('b');
    const { metadata } = await cluster.getTask('b');
    await cluster.bulk.status({ nodeName: 'n', items: [{ ...report, name: 'b', uid: metadata.uid, phase: 'Succeeded' }] });
    expect(await remove('b')).toMatchObject({ status: 'Success' });
  });

  it('waits for finalizers, takes no new ones, and goes with the last', async () => {
    await cluster.createTask('a', {}, { finalizers: ['x.example/one', 'x.example/two'] });
    expect((await stays('a')).metadata.deletionTimestamp).toBeDefined();
    const target = cluster.target(taskKind, 'a');
    const patch = (finalizers: string[] | null): Promise<Rendered> => cluster.resources.patch(cluster.caller, target, merge, { metadata: { finalizers } }, {});
    await expect(patch(['x.example/one', 'x.example/three'])).rejects.toMatchObject({
      code: 422,
      message: expect.stringContaining('metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers ["x.example/three"]'),
    });
    await patch(['x.example/two']);
    expect(await exists('a')).toBe(true);
    await patch(null);
    expect(await exists('a')).toBe(false);
  });

  it('keeps a bound task beyond its finalizers until its process has ended', async () => {
    await cluster.createNode('n');
    await cluster.createTask('a', {}, { finalizers: ['x.example/one'] });
    const { metadata } = await cluster.bindTask('a', 'n');
    await stays('a');
    await cluster.resources.patch(cluster.caller, cluster.target(taskKind, 'a'), merge, { metadata: { finalizers: null } }, {});
    expect(await exists('a')).toBe(true);
    await cluster.bulk.status({ nodeName: 'n', items: [{ namespace: 'default', name: 'a', uid: metadata.uid, bindings: 1, attempt: 1, phase: 'Lost' }] });
    expect(await exists('a')).toBe(false);
  });

  it('tells those who look at generations only that an object is to go, once', async () => {
    const { name } = (await cluster.create(configMapKind, { metadata: { name: 'held', finalizers: ['example.com/hold'] } })).metadata;
    const first = await stays(name!, {}, configMapKind);
    expect(first.metadata).toMatchObject({ generation: 2, deletionGracePeriodSeconds: 0, deletionTimestamp: '2026-01-01T00:00:00Z' });
    expect((await stays(name!, {}, configMapKind)).metadata).toEqual(first.metadata);
  });

  it('models foreground and orphan deletion by finalizers', async () => {
    await cluster.createTask('a');
    expect((await stays('a', { propagationPolicy: 'Foreground' })).metadata.finalizers).toEqual(['foregroundDeletion']);
    expect((await stays('a', { propagationPolicy: 'Orphan' })).metadata.finalizers).toEqual(['orphan']);
    expect(await remove('a', { propagationPolicy: 'Background' })).toMatchObject({ status: 'Success' });
  });

  it('refuses preconditions that do not hold', async () => {
    const { metadata } = await cluster.createTask('a');
    await expect(remove('a', { preconditions: { uid: 'x' } })).rejects.toMatchObject({
      code: 409,
      message: `Operation cannot be fulfilled on tasks.taskplane.dev "a": Precondition failed: UID in precondition: x, UID in object meta: ${metadata.uid}`,
    });
    await expect(remove('a', { preconditions: { resourceVersion: '1' } })).rejects.toMatchObject({ code: 409 });
    expect(await remove('a', { preconditions: { uid: metadata.uid!, resourceVersion: metadata.resourceVersion! } })).toMatchObject({ status: 'Success' });
  });

  it('closes a namespace after what it has admitted is there: it could be gone before that otherwise', async () => {
    const kind = namespaceKind as unknown as KindDefinition;
    await cluster.create(kind, { metadata: { name: 'x' } });
    await cluster.cache.fresh();
    const admitted = Array.from({ length: 5 }, (_, n) => cluster.create(configMapKind, { metadata: { name: `c${n}` } }, 'x'));
    const { metadata } = await stays('x', {}, kind);
    const made = await Promise.all(admitted);
    expect(made.filter((object) => Number(object.metadata.resourceVersion) > Number(metadata.resourceVersion))).toEqual([]);
    expect([namespaceKind, customResourceDefinitionKind, node].map((each) => goesWithNew({ op: 'update', key: objectStoreKey(each, 'x', undefined) }))).toEqual([true, true, false]);
  });

  it('keeps the namespaces that every cluster has, and makes others Terminating', async () => {
    const kind = namespaceKind as unknown as KindDefinition;
    await expect(remove('default', {}, kind)).rejects.toMatchObject({ code: 403, message: 'namespaces "default" is forbidden: this namespace may not be deleted' });
    await cluster.create(kind, { metadata: { name: 'n' } });
    expect(await stays('n', {}, kind)).toMatchObject({ status: { phase: 'Terminating' }, spec: { finalizers: ['kubernetes'] } });
  });

  it('does nothing in a dry run', async () => {
    await cluster.createTask('a');
    expect(await remove('a', { dryRun: true })).toMatchObject({ status: 'Success' });
    expect(await exists('a')).toBe(true);
  });

  it('deletes what a collection selects', async () => {
    for (let i = 0; i < 30; i++) await cluster.createTask(`t${i}`, {}, { labels: { odd: String(i % 2) } });
    const { items } = await cluster.resources.deleteCollection(cluster.caller, { kind: taskKind, namespace: 'default' }, { labelSelector: 'odd=1' }, {});
    expect(items).toHaveLength(15);
    const left = await cluster.resources.list(cluster.caller, { kind: taskKind, namespace: 'default' }, {});
    expect(left.items.map(({ object }) => object.metadata.labels?.['odd'])).toEqual(Array.from({ length: 15 }, () => '0'));
  });
});
