// Deletions: what holds an object, what goes with it, and who is told.

import { expect, it } from '@jest/globals';
import { SystemClock } from '../../lib/clock.js';
import { untilSomething } from '../leaks.js';
import { configMap, configMapsIn, names, task, tasksIn, type ConformanceCluster } from './cluster.js';
import { shown } from './lists.js';
import type { Json } from './wire.js';

const clock = new SystemClock();

export function deletions(cluster: () => ConformanceCluster): void {
  const gone = (path: string): Promise<true> => untilSomething(`${path} to be gone`, async () => ((await cluster().wire.get(path)).status === 404 ? true : undefined), clock, 20_000);
  const ownedBy = ({ apiVersion, kind, metadata }: Json, more: object = {}) => [{ apiVersion, kind, name: metadata.name, uid: metadata.uid, ...more }];

  it('answers with what was deleted', async () => {
    const { wire } = cluster();
    const path = configMapsIn(await cluster().namespace());
    const { metadata } = await wire.create(path, configMap('a'));
    const { status, json } = await wire.delete(`${path}/a`);
    expect([status, json.kind, json.status, json['details']]).toEqual([200, 'Status', 'Success', { name: 'a', kind: 'configmaps', uid: metadata.uid }]);
    expect(shown(await wire.delete(`${path}/a`))).toEqual([404, 'NotFound', 'configmaps "a" not found']);
  });

  it('happens only while its preconditions hold', async () => {
    const { wire } = cluster();
    const path = configMapsIn(await cluster().namespace());
    const { metadata } = await wire.create(path, configMap('a'));
    const unless = async (preconditions: object) => shown(await wire.delete(`${path}/a`, { kind: 'DeleteOptions', apiVersion: 'v1', preconditions }));
    expect(await unless({ uid: 'other' })).toEqual([409, 'Conflict', `Operation cannot be fulfilled on configmaps "a": Precondition failed: UID in precondition: other, UID in object meta: ${metadata.uid}`]);
    expect(await unless({ resourceVersion: '1' })).toEqual([409, 'Conflict', expect.stringContaining('Precondition failed: ResourceVersion in precondition: 1, ')]);
    expect((await unless({ uid: metadata.uid, resourceVersion: metadata.resourceVersion }))[0]).toBe(200);
  });

  it('waits for finalizers', async () => {
    const { wire } = cluster();
    const path = configMapsIn(await cluster().namespace());
    await wire.create(path, configMap('a', {}, { finalizers: ['example.com/hold'] }));
    const watch = await wire.watch(path);
    const asked = (await wire.delete(`${path}/a`)).json;
    expect([asked.kind, typeof asked.metadata['deletionTimestamp']]).toEqual(['ConfigMap', 'string']);
    expect((await wire.patch(`${path}/a`, 'merge', { metadata: { finalizers: ['example.com/hold', 'example.com/more'] } })).status).toBe(422);
    expect((await wire.patch(`${path}/a`, 'merge', { metadata: { finalizers: null } })).status).toBe(200);
    expect((await wire.get(`${path}/a`)).status).toBe(404);
    expect(await watch.take(3)).toEqual(['ADDED a', 'MODIFIED a', 'DELETED a']);
    watch.stop();
  });

  it('in the background takes what belongs to the object after it', async () => {
    const { wire } = cluster();
    const path = configMapsIn(await cluster().namespace());
    const owner = await wire.create(path, configMap('owner'));
    await wire.create(path, configMap('owned', {}, { ownerReferences: ownedBy(owner) }));
    await wire.create(path, configMap('free'));
    expect((await wire.delete(`${path}/owner`, { kind: 'DeleteOptions', propagationPolicy: 'Background' })).json.kind).toBe('Status');
    await gone(`${path}/owned`);
    expect((await wire.get(`${path}/free`)).status).toBe(200);
  });

  it('in the foreground takes what belongs to the object before it', async () => {
    const { wire } = cluster();
    const path = configMapsIn(await cluster().namespace());
    const owner = await wire.create(path, configMap('owner'));
    await wire.create(path, configMap('owned', {}, { ownerReferences: ownedBy(owner, { blockOwnerDeletion: true }), finalizers: ['example.com/hold'] }));
    const asked = (await wire.delete(`${path}/owner`, { kind: 'DeleteOptions', propagationPolicy: 'Foreground' })).json;
    expect(asked.metadata['finalizers']).toEqual(['foregroundDeletion']);
    await untilSomething('the owned object to be asked to go', async () => (await wire.get(`${path}/owned`)).json.metadata['deletionTimestamp'], clock, 20_000);
    expect((await wire.get(`${path}/owner`)).status).toBe(200);
    await wire.patch(`${path}/owned`, 'merge', { metadata: { finalizers: null } });
    await gone(`${path}/owner`);
  });

  it('can leave what belonged to the object', async () => {
    const { wire } = cluster();
    const path = configMapsIn(await cluster().namespace());
    const owner = await wire.create(path, configMap('owner'));
    await wire.create(path, configMap('owned', {}, { ownerReferences: ownedBy(owner) }));
    await wire.delete(`${path}/owner`, { kind: 'DeleteOptions', propagationPolicy: 'Orphan' });
    await gone(`${path}/owner`);
    expect((await wire.get(`${path}/owned`)).json.metadata['ownerReferences']).toBeUndefined();
    expect(shown(await wire.delete(`${path}/owned`, { kind: 'DeleteOptions', propagationPolicy: 'Never' }))).toEqual([
      422, 'Invalid', 'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "Never": supported values: "Foreground", "Background", "Orphan", "nil"',
    ]);
  });

  it('of a collection takes what is selected', async () => {
    const { wire } = cluster();
    const path = configMapsIn(await cluster().namespace());
    for (const name of ['a', 'b', 'c']) await wire.create(path, configMap(name, {}, { labels: { keep: String(name === 'b') } }));
    const { status, json } = await wire.delete(path, undefined, { labelSelector: 'keep=false' });
    expect([status, json.kind, names(json)]).toEqual([200, 'ConfigMapList', ['a', 'c']]);
    expect(names((await wire.get(path)).json)).toEqual(['b']);
    expect((await wire.delete('/api/v1/configmaps')).status).toBe(405);
  });

  it('of a namespace takes all that is in it', async () => {
    const { wire } = cluster();
    const namespace = await cluster().namespace();
    await wire.create(tasksIn(namespace), task('a'));
    await wire.create(configMapsIn(namespace), configMap('a', {}, { finalizers: ['example.com/hold'] }));
    const { json } = await wire.delete(`/api/v1/namespaces/${namespace}`);
    expect(typeof json.metadata['deletionTimestamp']).toBe('string');
    expect(shown(await wire.post(configMapsIn(namespace), configMap('b')))).toEqual([403, 'Forbidden', `configmaps "b" is forbidden: unable to create new content in namespace ${namespace} because it is being terminated`]);
    await gone(tasksIn(namespace, 'a'));
    await wire.patch(configMapsIn(namespace, 'a'), 'merge', { metadata: { finalizers: null } });
    await gone(`/api/v1/namespaces/${namespace}`);
  });
}
