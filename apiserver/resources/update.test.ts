import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { ApiError } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import type { KubeObject } from '../../api/meta.js';
import { namespaceKind } from '../../api/namespace.js';
import type { Task } from '../../api/task.js';
import type { PatchType, WriteOptions } from './service.js';
import { nodeKind, taskKind, TestCluster } from './testing/cluster.js';

const json = 'application/json-patch+json';
const merge = 'application/merge-patch+json';
const strategic = 'application/strategic-merge-patch+json';

describe('update and patch', () => {
  let cluster: TestCluster;
  beforeEach(async () => void (cluster = await TestCluster.start()));
  afterEach(() => cluster.stop());

  const put = async (object: KubeObject, options: WriteOptions & { subresource?: 'status'; name?: string } = {}): Promise<Task> => {
    const target = cluster.target(taskKind, options.name ?? object.metadata.name!, options);
    return cluster.read(await cluster.resources.update(cluster.caller, target, object, options)) as Task;
  };
  const patch = async (type: string, body: unknown, options: WriteOptions & { subresource?: 'status'; kind?: KindDefinition; name?: string } = {}): Promise<KubeObject> => {
    const target = cluster.target(options.kind ?? taskKind, options.name ?? 'a', options);
    return cluster.read(await cluster.resources.patch(cluster.caller, target, type as PatchType, body, options));
  };
  const refusal = async (work: Promise<unknown>): Promise<[number, string]> =>
    work.then(
      () => Promise.reject(new Error('it was done')),
      (error: ApiError) => [error.code, error.message],
    );
  const modified = 'Operation cannot be fulfilled on tasks.taskplane.dev "a": the object has been modified; please apply your changes to the latest version and try again';

  it('changes the spec, counts generation, keeps status and what the server owns', async () => {
    const a = await cluster.createTask('a');
    const b = await put({ ...a, metadata: { ...a.metadata, uid: a.metadata.uid!, creationTimestamp: null, generation: 99 }, spec: { command: ['false'] }, status: { phase: 'Failed' } });
    expect(b.spec.command).toEqual(['false']);
    expect(b.status?.phase).toBe('Pending');
    expect(b.metadata).toMatchObject({ uid: a.metadata.uid, generation: 2, creationTimestamp: a.metadata.creationTimestamp });
    expect(Number(b.metadata.resourceVersion)).toBeGreaterThan(Number(a.metadata.resourceVersion));
  });

  it('does not count generation for labels', async () => {
    const a = await cluster.createTask('a');
    expect((await put({ ...a, metadata: { ...a.metadata, labels: { x: '1' } } })).metadata.generation).toBe(1);
  });

  it('writes only status through the status subresource', async () => {
    const a = await cluster.createTask('a');
    const b = await put({ ...a, metadata: { ...a.metadata, labels: { x: '1' } }, spec: { command: ['other'] }, status: { phase: 'Unknown' } }, { subresource: 'status' });
    expect(b).toEqual({ ...a, metadata: { ...a.metadata, resourceVersion: b.metadata.resourceVersion }, status: { phase: 'Unknown' } });
    expect(await refusal(put({ ...b, status: { phase: 'Dancing' } } as unknown as KubeObject, { subresource: 'status' }))).toEqual([
      422, expect.stringMatching(/^Task\.taskplane\.dev "a" is invalid: status\.phase: Unsupported value: "Dancing": supported values: "Pending"/),
    ]);
  });

  it('does not write what changes nothing', async () => {
    const a = await cluster.createTask('a');
    expect(await put({ ...a, metadata: { ...a.metadata, labels: {} } })).toEqual(a);
    expect(await patch(merge, { spec: { command: ['true'] } })).toEqual(a);
    expect((await cluster.getTask('a')).metadata.resourceVersion).toBe(a.metadata.resourceVersion);
  });

  it('refuses a write on the basis of an older version, even where the cache is older still', async () => {
    const a = await cluster.createTask('a');
    await cluster.cache.fresh();
    cluster.holdCache();
    const b = await put({ ...a, metadata: { ...a.metadata, labels: { x: '1' } } });
    expect(await refusal(put({ ...a, metadata: { ...a.metadata, labels: { x: '2' } } }))).toEqual([409, modified]);
    const c = await put({ ...b, metadata: { ...b.metadata, labels: { x: '3' } } });
    expect(c.metadata.labels).toEqual({ x: '3' });
  });

  it('does not take a change for none because the cache is behind', async () => {
    await cluster.createTask('a', {}, { labels: { x: '1' } });
    await cluster.cache.fresh();
    cluster.holdCache();
    await patch(merge, { metadata: { labels: { x: '2' } } });
    expect((await patch(merge, { metadata: { labels: { x: '1' } } })).metadata.labels).toEqual({ x: '1' });
    await cluster.letCacheGo();
    expect((await cluster.getTask('a')).metadata.labels).toEqual({ x: '1' });
  });

  it('goes on from what it has written itself, where the cache is behind: no write is tried in vain', async () => {
    await cluster.createTask('a');
    await cluster.cache.fresh();
    cluster.holdCache();
    const tried = jest.spyOn(cluster.store, 'write');
    for (const x of ['1', '2', '3']) expect((await patch(merge, { metadata: { labels: { x } } })).metadata.labels).toEqual({ x });
    expect(tried).toHaveBeenCalledTimes(3);
    await cluster.letCacheGo();
    expect((await cluster.getTask('a')).metadata.labels).toEqual({ x: '3' });
    await patch(merge, { metadata: { labels: { x: '4' } } });
    expect(tried).toHaveBeenCalledTimes(4);
  });

  it('finds an object that the cache does not know yet, and none that is not there', async () => {
    cluster.holdCache();
    await cluster.createTask('a');
    expect((await patch(merge, { metadata: { labels: { x: '1' } } })).metadata.labels).toEqual({ x: '1' });
    expect(await refusal(patch(merge, {}, { name: 'b' }))).toEqual([404, 'tasks.taskplane.dev "b" not found']);
  });

  it('applies every one of 100 unconditional patches that come at once', async () => {
    await cluster.createTask('a');
    await Promise.all(Array.from({ length: 100 }, (_, i) => patch(merge, { metadata: { annotations: { [`k${i}`]: String(i) } } })));
    const { annotations } = (await cluster.getTask('a')).metadata;
    expect(Object.keys(annotations ?? {})).toHaveLength(100);
  });

  it('applies every patch of two servers that write the same object', async () => {
    const { StoredResourceService } = await import('./resource-service.js');
    const other = new StoredResourceService({ cache: cluster.cache, store: cluster.store, clock: cluster.clock, random: { float: () => 0, integer: () => 0, suffix: () => 'x', uuid: () => 'u' } });
    await cluster.createTask('a');
    const target = cluster.target(taskKind, 'a');
    await Promise.all(
      Array.from({ length: 60 }, (_, i) => (i % 2 ? other : cluster.resources).patch(cluster.caller, target, merge, { metadata: { annotations: { [`k${i}`]: '' } } }, {})),
    );
    expect(Object.keys((await cluster.getTask('a')).metadata.annotations ?? {})).toHaveLength(60);
  });

  it('lets exactly one of many conditional writes through', async () => {
    const a = await cluster.createTask('a');
    const results = await Promise.allSettled(Array.from({ length: 20 }, (_, i) => put({ ...a, metadata: { ...a.metadata, labels: { x: String(i) } } })));
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const result of results) if (result.status === 'rejected') expect((result.reason as ApiError).message).toBe(modified);
  });

  it.each<[string, (a: Task) => KubeObject, number, string]>([
    ['another name', (a) => ({ ...a, metadata: { ...a.metadata, name: 'b' } }), 400, 'the name of the object (b) does not match the name on the URL (a)'],
    ['another namespace', (a) => ({ ...a, metadata: { ...a.metadata, namespace: 'b' } }), 400, 'the namespace of the provided object does not match the namespace sent on the request'],
    ['another uid', (a) => ({ ...a, metadata: { ...a.metadata, uid: 'b' } }), 409, 'Operation cannot be fulfilled on tasks.taskplane.dev "a": Precondition failed: UID in precondition: b, UID in object meta: '],
    ['a version that is none', (a) => ({ ...a, metadata: { ...a.metadata, resourceVersion: 'b' } }), 422, 'metadata.resourceVersion: Invalid value: "b"'],
    ['a spec of the wrong shape', (a) => ({ ...a, spec: { command: 5 } }), 422, 'spec.command: Invalid value: 5: must be a list'],
  ])('refuses %s', async (_, change, code, message) => {
    const a = await cluster.createTask('a');
    expect(await refusal(put(change(a), { name: 'a' }))).toEqual([code, expect.stringContaining(message)]);
  });

  it('keeps most of the spec of a bound task as it is', async () => {
    await cluster.createNode('n');
    await cluster.createTask('a');
    await cluster.bindTask('a', 'n');
    expect(await refusal(patch(merge, { spec: { command: ['false'], nodeName: 'm' } }))).toEqual([
      422, expect.stringMatching(/^Task\.taskplane\.dev "a" is invalid: \[spec\.command: Forbidden: may not change .*, spec\.nodeName: Forbidden: /),
    ]);
    expect((await patch(merge, { spec: { priority: 5 } })).spec).toMatchObject({ priority: 5 });
  });

  it('creates nothing by PUT', async () => {
    expect(await refusal(put({ apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name: 'a' }, spec: { command: ['true'] } }))).toEqual([404, 'tasks.taskplane.dev "a" not found']);
  });

  it('answers a dry run with what would be, under the stored version', async () => {
    const a = await cluster.createTask('a');
    const would = await patch(merge, { spec: { priority: 5 } }, { dryRun: true });
    expect(would.spec).toMatchObject({ priority: 5 });
    expect(would.metadata).toMatchObject({ generation: 2, resourceVersion: a.metadata.resourceVersion });
    expect(await cluster.getTask('a')).toEqual(a);
  });

  describe('a JSON patch', () => {
    it('changes what its operations say', async () => {
      await cluster.createTask('a', { args: ['x'] });
      const b = await patch(json, [
        { op: 'test', path: '/spec/args/0', value: 'x' },
        { op: 'add', path: '/spec/args/-', value: 'y' },
        { op: 'copy', from: '/spec/args', path: '/spec/command' },
        { op: 'add', path: '/spec/command/0', value: 'echo' },
      ]);
      expect(b.spec).toMatchObject({ args: ['x', 'y'], command: ['echo', 'x', 'y'] });
    });

    it.each([
      [[{ op: 'test', path: '/spec/priority', value: 9 }], 422, 'operation 0 (test) of the JSON patch failed'],
      [[{ op: 'test', path: '/metadata/name', value: 'a' }, { op: 'remove', path: '/spec/nope' }], 422, "operation 1 (remove) of the JSON patch: can't remove nonexistent property"],
      [[{ op: 'bogus', path: '/spec' }], 422, "expected 'op' to be one of"],
      [[{ op: 'add' }], 400, 'operation 0 of the JSON patch must have the strings op and path'],
      [[null], 400, 'operation 0 of the JSON patch must have the strings op and path'],
      [{}, 400, 'a JSON patch must be a list of operations'],
      [[{ op: 'replace', path: '', value: 5 }], 400, 'the patch leaves no object of kind Task'],
      [[{ op: 'remove', path: '/metadata' }], 422, 'metadata.name'],
      [[{ op: 'replace', path: '/metadata/name', value: 'b' }], 422, 'metadata.name: Invalid value: "b": field is immutable'],
      [[{ op: 'replace', path: '/kind', value: 'Job' }], 400, 'cannot be handled as a Task'],
      [[{ op: 'replace', path: '/metadata/resourceVersion', value: '1' }], 409, 'the object has been modified'],
    ])('that is %j is refused', async (operations, code, message) => {
      await cluster.createTask('a');
      if (message === 'metadata.name') await expect(patch(json, operations)).resolves.toBeDefined();
      else expect(await refusal(patch(json, operations))).toEqual([code, expect.stringContaining(message)]);
    });

    it('that copies copies is stopped before it fills the memory', async () => {
      await cluster.createTask('a', {}, { annotations: { a: 'x'.repeat(1000) } });
      const operations = Array.from({ length: 40 }, (_, i) => ({ op: 'copy', from: '/metadata', path: `/metadata/k${i}` }));
      expect(await refusal(patch(json, operations))).toEqual([413, expect.stringContaining('copies more than')]);
    });
  });

  it('removes by null in a merge patch, and treats fields that it does not know as fieldValidation says', async () => {
    await cluster.createTask('a', { args: ['x'] }, { labels: { x: '1', y: '2' } });
    const b = await patch(merge, { metadata: { labels: { x: null } }, spec: { args: null, bogus: 1 } });
    expect(b.metadata.labels).toEqual({ y: '2' });
    expect(b.spec).not.toHaveProperty('args');
    expect(cluster.warnings).toEqual(['unknown field "spec.bogus"']);
    expect(await refusal(patch(merge, { spec: { bogus: 1 } }, { fieldValidation: 'Strict' }))).toEqual([400, expect.stringContaining('strict decoding error: unknown field "spec.bogus"')]);
  });

  it('takes strategic merge patches for kinds of the core group only', async () => {
    await cluster.createTask('a');
    expect(await refusal(patch(strategic, {}))).toEqual([415, expect.stringContaining('send tasks a merge patch')]);
    await cluster.createNode('n');
    const node = await patch(strategic, { spec: { unschedulable: true } }, { kind: nodeKind, name: 'n' });
    expect(node.spec).toEqual({ unschedulable: true });
    expect((await patch(strategic, { spec: { unschedulable: null } }, { kind: nodeKind, name: 'n' })).metadata.generation).toBe(3);
  });

  it('keeps the finalizer of a namespace until it is deleted', async () => {
    const kind = namespaceKind as unknown as KindDefinition;
    await cluster.create(kind, { metadata: { name: 'n' } });
    expect((await patch(json, [{ op: 'remove', path: '/spec/finalizers' }], { kind, name: 'n' })).spec).toEqual({ finalizers: ['kubernetes'] });
    const target = cluster.target(kind, 'n');
    await cluster.resources.delete(cluster.caller, target, {});
    expect((await patch(json, [{ op: 'remove', path: '/spec/finalizers' }], { kind, name: 'n' })).spec).toEqual({ finalizers: ['kubernetes'] });
    const finalize = (finalizers: string[], metadata: object = {}) =>
      cluster.resources.update(cluster.caller, { ...target, subresource: 'finalize' }, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'n', ...metadata }, spec: { finalizers } }, {});
    await expect(finalize(['odd'])).rejects.toMatchObject({ code: 422, message: expect.stringContaining('spec.finalizers[0]: Invalid value: "odd": name is neither a standard finalizer name') });
    await expect(finalize([], { uid: 'another' })).rejects.toMatchObject({ code: 409 });
    const kept = cluster.read(await finalize(['example.com/backup', 'kubernetes'], { labels: { ignored: 'yes' } }));
    expect([kept.spec, kept.metadata.labels]).toEqual([{ finalizers: ['example.com/backup', 'kubernetes'] }, { 'kubernetes.io/metadata.name': 'n' }]);
    expect((await finalize([])).object.status).toEqual({ phase: 'Terminating' });
    await expect(cluster.resources.get(cluster.caller, target)).rejects.toMatchObject({ code: 404 });
  });
});
