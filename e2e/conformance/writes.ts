// Writes: what the server keeps of what a client sends, and what guards it.

import { expect, it } from '@jest/globals';
import { configMap, configMapsIn, names, task, tasksIn, type ConformanceCluster } from './cluster.js';
import { shown } from './lists.js';

export function writes(cluster: () => ConformanceCluster): void {
  it('gives a new object what is the server\'s to give', async () => {
    const { wire } = cluster();
    const namespace = await cluster().namespace();
    const { status, json } = await wire.post(tasksIn(namespace), {
      ...task('a', { metadata: { uid: 'mine', generation: 9, creationTimestamp: '2001-01-01T00:00:00Z', deletionTimestamp: '2001-01-01T00:00:00Z', selfLink: '/x' } }),
      status: { phase: 'Succeeded' },
    });
    expect([status, json.kind, json.apiVersion, json.metadata.namespace, json.metadata.generation]).toEqual([201, 'Task', 'taskplane.dev/v1', namespace, 1]);
    expect(json.metadata.uid).toMatch(/^[0-9a-f]{8}-[0-9a-f-]{27}$/);
    expect(json.metadata.resourceVersion).toMatch(/^\d+$/);
    expect(json.metadata['creationTimestamp']).toMatch(/^20[2-9]\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect(json.metadata['deletionTimestamp']).toBeUndefined();
    expect((json.status as { phase?: string } | undefined)?.phase).not.toBe('Succeeded');
    expect((await wire.get(tasksIn(namespace, 'a'))).json.metadata.uid).toBe(json.metadata.uid);
  });

  it('makes up names from a prefix', async () => {
    const { wire } = cluster();
    const path = configMapsIn(await cluster().namespace());
    const made = await Promise.all(Array.from({ length: 20 }, () => wire.create(path, { metadata: { generateName: 'gen-' } })));
    const given = made.map(({ metadata }) => metadata.name!);
    expect(new Set(given).size).toBe(20);
    for (const name of given) expect(name).toMatch(/^gen-[a-z0-9]{5}$/);
  });

  it('tells apart an object that was there, a namespace that is not, and a version that must not be said', async () => {
    const { wire } = cluster();
    const namespace = await cluster().namespace();
    const path = tasksIn(namespace);
    await wire.create(path, task('a'));
    const there = await wire.post(path, task('a'));
    expect(shown(there)).toEqual([409, 'AlreadyExists', 'tasks.taskplane.dev "a" already exists']);
    expect(there.json['details']).toEqual({ name: 'a', group: 'taskplane.dev', kind: 'tasks' });
    expect(shown(await wire.post(tasksIn('nowhere'), task('a')))).toEqual([404, 'NotFound', 'namespaces "nowhere" not found']);
    expect(shown(await wire.post(path, task('b', { metadata: { resourceVersion: '5' } })))).toEqual([400, 'BadRequest', 'resourceVersion should not be set on objects to be created']);
    expect(shown(await wire.post(path, task('b', { metadata: { namespace: 'default' } })))).toEqual([400, 'BadRequest', 'the namespace of the provided object does not match the namespace sent on the request']);
  });

  it('is guarded by the resourceVersion that it names, and by nothing when it names none', async () => {
    const { wire } = cluster();
    const path = configMapsIn(await cluster().namespace());
    const first = await wire.create(path, configMap('a', { x: '1' }));
    const second = (await wire.put(`${path}/a`, { ...first, data: { x: '2' } })).json;
    expect(Number(second.metadata.resourceVersion)).toBeGreaterThan(Number(first.metadata.resourceVersion));
    const stale = await wire.put(`${path}/a`, { ...first, data: { x: '3' } });
    expect(shown(stale)).toEqual([409, 'Conflict', 'Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to the latest version and try again']);
    expect(stale.json['details']).toEqual({ name: 'a', kind: 'configmaps' });
    expect((await wire.patch(`${path}/a`, 'merge', { metadata: { resourceVersion: first.metadata.resourceVersion }, data: { x: '3' } })).status).toBe(409);
    expect((await wire.put(`${path}/a`, configMap('a', { x: '4' }))).json.data).toEqual({ x: '4' });
    expect(shown(await wire.put(`${path}/a`, configMap('b')))).toEqual([400, 'BadRequest', 'the name of the object (b) does not match the name on the URL (a)']);
    expect(shown(await wire.put(`${path}/gone`, configMap('gone')))).toEqual([404, 'NotFound', 'configmaps "gone" not found']);
  });

  it('that changes nothing is none', async () => {
    const { wire } = cluster();
    const path = configMapsIn(await cluster().namespace());
    const first = await wire.create(path, configMap('a', { x: '1' }));
    const again = [await wire.put(`${path}/a`, first), await wire.patch(`${path}/a`, 'merge', { data: { x: '1' } }), await wire.patch(`${path}/a`, 'json', [])];
    for (const { status, json } of again) expect([status, json.metadata.resourceVersion]).toEqual([200, first.metadata.resourceVersion]);
  });

  it('of the spec and of the status are kept apart', async () => {
    const { wire } = cluster();
    const namespace = await cluster().namespace();
    const path = tasksIn(namespace, 'a');
    const made = await wire.create(tasksIn(namespace), task('a'));
    const main = (await wire.patch(path, 'merge', { spec: { priority: 3 }, status: { message: 'mine' } })).json;
    expect([main.spec!['priority'], (main.status as { message?: string } | undefined)?.message, main.metadata.generation]).toEqual([3, undefined, 2]);
    const labelled = (await wire.patch(path, 'merge', { metadata: { labels: { a: 'b' } } })).json;
    expect(labelled.metadata.generation).toBe(2);
    expect(Number(labelled.metadata.resourceVersion)).toBeGreaterThan(Number(made.metadata.resourceVersion));
    const nodes = '/api/v1/nodes/conformance-node';
    await wire.create('/api/v1/nodes', { metadata: { name: 'conformance-node' } });
    const status = (await wire.patch(`${nodes}/status`, 'merge', { spec: { unschedulable: true }, status: { nodeInfo: { osImage: 'x' } } })).json;
    expect([status.spec?.['unschedulable'], status.status]).toEqual([undefined, expect.objectContaining({ nodeInfo: expect.objectContaining({ osImage: 'x' }) })]);
    expect((await wire.get(`${nodes}/status`)).json.metadata.name).toBe('conformance-node');
    await wire.delete(nodes);
  });

  it('by patch means what its type says', async () => {
    const { wire } = cluster();
    const path = configMapsIn(await cluster().namespace());
    await wire.create(path, configMap('a', { x: '1', y: '1' }, { finalizers: ['example.com/one'], labels: { a: 'b' } }));
    const merged = (await wire.patch(`${path}/a`, 'merge', { data: { x: null, z: '1' } })).json;
    expect(merged.data).toEqual({ y: '1', z: '1' });
    const patched = (await wire.patch(`${path}/a`, 'json', [{ op: 'test', path: '/data/y', value: '1' }, { op: 'replace', path: '/data/y', value: '2' }, { op: 'remove', path: '/data/z' }])).json;
    expect(patched.data).toEqual({ y: '2' });
    const strategic = (await wire.patch(`${path}/a`, 'strategic', { metadata: { finalizers: ['example.com/two'] } })).json;
    expect(strategic.metadata['finalizers']).toEqual(expect.arrayContaining(['example.com/one', 'example.com/two']));
    expect((await wire.patch(`${path}/a`, 'json', [{ op: 'test', path: '/data/y', value: '9' }])).status).toBe(422);
    expect((await wire.patch(`${path}/a`, 'json', { op: 'x' })).status).toBe(400);
    expect((await wire.request('PATCH', `${path}/a`, { body: {}, type: 'application/json' })).status).toBe(415);
    const custom = tasksIn(await cluster().namespace());
    await wire.create(custom, task('a'));
    expect(shown(await wire.patch(`${custom}/a`, 'strategic', {}))).toEqual([415, 'UnsupportedMediaType', expect.any(String)]);
    await wire.patch(`${path}/a`, 'merge', { metadata: { finalizers: null } });
  });

  it('that is only tried changes nothing', async () => {
    const { wire } = cluster();
    const path = configMapsIn(await cluster().namespace());
    const dryRun = { dryRun: 'All' };
    expect((await wire.post(path, configMap('a'), dryRun)).status).toBe(201);
    expect((await wire.get(`${path}/a`)).status).toBe(404);
    const made = await wire.create(path, configMap('a', { x: '1' }));
    const tried = await wire.patch(`${path}/a`, 'merge', { data: { x: '2' } }, dryRun);
    expect([tried.status, tried.json.data, tried.json.metadata.resourceVersion]).toEqual([200, { x: '2' }, made.metadata.resourceVersion]);
    expect((await wire.delete(`${path}/a`, undefined, dryRun)).status).toBe(200);
    expect((await wire.delete(path, { kind: 'DeleteOptions', dryRun: ['All'] })).status).toBe(200);
    expect((await wire.get(`${path}/a`)).json).toEqual(made);
    expect(shown(await wire.post(path, configMap('a'), dryRun))).toEqual([409, 'AlreadyExists', 'configmaps "a" already exists']);
    expect(shown(await wire.post(path, configMap('b'), { dryRun: 'Some' }))).toEqual([422, 'Invalid', 'CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: "Some": supported values: "All"']);
  });

  it('with fields that nobody knows, or that are there twice, is refused, warned of or cut, as asked', async () => {
    const { wire } = cluster();
    const path = tasksIn(await cluster().namespace());
    const body = '{"metadata":{"name":"a","name":"b"},"spec":{"script":"true","bogus":1}}';
    const send = (fieldValidation?: string) => wire.post(path, body, { dryRun: 'All', ...(fieldValidation ? { fieldValidation } : {}) });
    expect(shown(await send('Strict'))).toEqual([400, 'BadRequest', 'Task in version "v1" cannot be handled as a Task: strict decoding error: duplicate field "metadata.name", unknown field "spec.bogus"']);
    for (const warned of [await send('Warn'), await send()]) {
      expect([warned.status, warned.json.metadata.name, warned.json.spec!['bogus']]).toEqual([201, 'b', undefined]);
      expect(warned.headers['warning']).toBe('299 - "duplicate field \\"metadata.name\\"", 299 - "unknown field \\"spec.bogus\\""');
    }
    const ignored = await send('Ignore');
    expect([ignored.status, ignored.headers['warning']]).toEqual([201, undefined]);
  });

  it('by apply owns fields, and may not take those of others', async () => {
    const { wire } = cluster();
    const path = `${configMapsIn(await cluster().namespace())}/a`;
    const apply = (fieldManager: string, data: Record<string, string>, query: Record<string, string> = {}) => wire.patch(path, 'apply', { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data }, { fieldManager, ...query });
    const made = await apply('one', { x: '1', y: '1' });
    expect([made.status, made.json.data]).toEqual([201, { x: '1', y: '1' }]);
    expect(made.json.metadata['managedFields']).toEqual([
      { manager: 'one', operation: 'Apply', apiVersion: 'v1', time: expect.any(String), fieldsType: 'FieldsV1', fieldsV1: { 'f:data': { 'f:x': {}, 'f:y': {} } } },
    ]);
    expect((await apply('two', { z: '1' })).json.data).toEqual({ x: '1', y: '1', z: '1' });
    const taken = await apply('two', { z: '1', x: '2' });
    expect(shown(taken)).toEqual([409, 'Conflict', 'Apply failed with 1 conflict: conflict with "one": .data.x']);
    expect(taken.json['details']).toMatchObject({ causes: [{ reason: 'FieldManagerConflict', message: 'conflict with "one"', field: '.data.x' }] });
    expect((await apply('two', { z: '1', x: '2' }, { force: 'true' })).json.data).toEqual({ x: '2', y: '1', z: '1' });
    expect((await apply('one', {})).json.data).toEqual({ x: '2', z: '1' });
    expect((await apply('two', { z: '1', x: '2' })).status).toBe(200);
    expect(shown(await wire.patch(path, 'apply', { apiVersion: 'v1', kind: 'ConfigMap' }))).toEqual([422, 'Invalid', expect.stringContaining('fieldManager: Required value: is required for apply patch')]);
    expect(shown(await wire.patch(path, 'merge', {}, { force: 'true' }))).toEqual([422, 'Invalid', expect.stringContaining('force: Forbidden: may not be specified for non-apply patch')]);
  });

  it('of a lease elects one leader among those who want to be', async () => {
    const { wire } = cluster();
    const path = `/apis/coordination.k8s.io/v1/namespaces/${await cluster().namespace()}/leases`;
    const claim = (holderIdentity: string) => ({ metadata: { name: 'lock' }, spec: { holderIdentity, leaseDurationSeconds: 15, acquireTime: '2026-01-01T00:00:00.000001Z', renewTime: '2026-01-01T00:00:00.000001Z', leaseTransitions: 0 } });
    const first = await Promise.all(Array.from({ length: 10 }, (_, index) => wire.post(path, claim(`candidate-${index}`))));
    expect(first.map(({ status }) => status).sort()).toEqual([201, ...Array<number>(9).fill(409)]);
    const held = (await wire.get(`${path}/lock`)).json;
    expect(held.spec).toMatchObject({ leaseTransitions: 0, renewTime: '2026-01-01T00:00:00.000001Z' });
    const second = await Promise.all(Array.from({ length: 10 }, (_, index) => wire.put(`${path}/lock`, { ...held, spec: { ...held.spec, holderIdentity: `candidate-${index}` } })));
    const won = second.filter(({ status }) => status === 200).length;
    // Who holds it already changes nothing, which is no conflict.
    expect([1, 2]).toContain(won);
    expect(second.filter(({ status }) => status === 409)).toHaveLength(10 - won);
  });

  it('of many at once loses none', async () => {
    const { wire } = cluster();
    const path = configMapsIn(await cluster().namespace());
    await Promise.all(Array.from({ length: 100 }, (_, index) => wire.create(path, configMap(`n${index}`))));
    await Promise.all(Array.from({ length: 50 }, (_, index) => wire.patch(`${path}/n0`, 'merge', { data: { [`k${index}`]: 'v' } })));
    expect(names((await wire.get(path)).json)).toHaveLength(100);
    expect(Object.keys((await wire.get(`${path}/n0`)).json.data!)).toHaveLength(50);
  });
}
