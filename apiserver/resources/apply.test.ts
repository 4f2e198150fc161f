import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { configMapKind as configMap } from '../../api/config.js';
import { ApiError } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import type { KubeObject } from '../../api/meta.js';
import type { ApplyOptions, ObjectTarget } from './service.js';
import { nodeKind, taskKind, TestCluster } from './testing/cluster.js';

const configMapKind = configMap as unknown as KindDefinition;

describe('server-side apply', () => {
  let cluster: TestCluster;
  beforeEach(async () => void (cluster = await TestCluster.start()));
  afterEach(() => cluster.stop());

  const configFor = (kind: KindDefinition, fields: object): object => ({ apiVersion: kind.group ? `${kind.group}/${kind.version}` : kind.version, kind: kind.kind, metadata: { name: 'x' }, ...fields });
  const apply = async (kind: KindDefinition, manager: string, fields: object, more: Partial<ApplyOptions & { target: Partial<ObjectTarget> }> = {}) => {
    const { target, ...options } = more;
    const { rendered, created } = await cluster.resources.apply(cluster.caller, { ...cluster.target(kind, 'x'), ...target }, configFor(kind, fields), { fieldManager: manager, ...options });
    return { object: cluster.read(rendered), created };
  };
  const update = async (kind: KindDefinition, manager: string, patch: object, status = false) =>
    cluster.read(await cluster.resources.patch(cluster.caller, cluster.target(kind, 'x', status ? { subresource: 'status' } : {}), 'application/merge-patch+json', patch, { fieldManager: manager }));
  const owners = (object: KubeObject) =>
    Object.fromEntries((object.metadata.managedFields ?? []).map(({ manager, operation, subresource, fieldsV1 }) => [`${manager} ${operation}${subresource ? ` ${subresource}` : ''}`, fieldsV1]));
  const task = (spec: object) => ({ spec: { command: ['true'], ...spec } });

  it('creates an object that is not there, and owns what it was given, not the defaults', async () => {
    const { object, created } = await apply(taskKind, 'a', { ...task({ env: [{ name: 'A', value: '1' }], resources: { limits: { cpu: 1 } } }), metadata: { name: 'x', labels: { app: 'x' } } });
    expect(created).toBe(true);
    expect(object['spec']).toMatchObject({ restartPolicy: 'Never' });
    expect(object.metadata.managedFields).toEqual([
      {
        manager: 'a', operation: 'Apply', apiVersion: 'taskplane.dev/v1', time: expect.any(String), fieldsType: 'FieldsV1',
        fieldsV1: { 'f:metadata': { 'f:labels': { 'f:app': {} } }, 'f:spec': { 'f:command': {}, 'f:env': { 'k:{"name":"A"}': { '.': {}, 'f:name': {}, 'f:value': {} } }, 'f:resources': { 'f:limits': { 'f:cpu': {} } } } },
      },
    ]);
  });

  it('applied again, changes nothing: not even the time of an entry', async () => {
    const first = await apply(taskKind, 'a', task({ priority: 3 }));
    await cluster.clock.advance(5_000);
    expect(await apply(taskKind, 'a', task({ priority: 3 }))).toEqual({ object: first.object, created: false });
  });

  it('removes what it applied before and now does not, unless another applier has it too', async () => {
    await apply(configMapKind, 'a', { data: { one: '1', two: '2', three: '3' } });
    await apply(configMapKind, 'b', { data: { two: '2' } });
    await update(configMapKind, 'c', { data: { four: '4' } });
    const { object } = await apply(configMapKind, 'a', { data: { one: '1' } });
    expect(object['data']).toEqual({ one: '1', two: '2', four: '4' });
    expect(owners(object)).toEqual({ 'a Apply': { 'f:data': { 'f:one': {} } }, 'b Apply': { 'f:data': { 'f:two': {} } }, 'c Update': { 'f:data': { 'f:four': {} } } });
  });

  it('keeps the siblings that others set, or that are defaults, when it lets go of a whole struct', async () => {
    await apply(taskKind, 'a', task({ resources: { limits: { cpu: 2 } } }));
    await update(taskKind, 'b', { spec: { resources: { requests: { memory: '1Gi' } } } });
    const { object } = await apply(taskKind, 'a', task({}));
    expect((object['spec'] as { resources: object }).resources).toEqual({ requests: { cpu: 2, memory: '1Gi' } });
  });

  it('removes a default field that it set, which then has its default again', async () => {
    await apply(taskKind, 'a', task({ restartPolicy: 'Always' }));
    expect((await apply(taskKind, 'a', task({}))).object['spec']).toMatchObject({ restartPolicy: 'Never' });
  });

  it('shares a value that is the same, and refuses one that is another', async () => {
    await apply(taskKind, 'a', task({ priority: 1, env: [{ name: 'A', value: '1' }] }));
    await apply(taskKind, 'b', task({ priority: 1 }));
    await expect(apply(taskKind, 'b', task({ priority: 2 }))).rejects.toMatchObject({
      code: 409, reason: 'Conflict', message: 'Apply failed with 1 conflict: conflict with "a": .spec.priority',
      details: { causes: [{ reason: 'FieldManagerConflict', message: 'conflict with "a"', field: '.spec.priority' }] },
    });
    await expect(apply(taskKind, 'b', task({ command: ['false'], env: [{ name: 'A', value: '2' }] }))).rejects.toMatchObject({
      message: 'Apply failed with 2 conflicts: conflicts with "a":\n- .spec.command\n- .spec.env[name="A"].value',
    });
  });

  it('names managers of updates with their version, and those of a subresource with it', async () => {
    await cluster.createNode('x');
    await update(nodeKind, 'agent', { status: { conditions: [{ type: 'Ready', status: 'True' }] } }, true);
    await apply(nodeKind, 'admin', { metadata: { name: 'x', labels: { zone: 'a' } } });
    await update(nodeKind, 'kubectl-edit', { metadata: { labels: { zone: 'b' } } });
    await expect(apply(nodeKind, 'admin', { metadata: { name: 'x', labels: { zone: 'a' } } })).rejects.toThrow('Apply failed with 1 conflict: conflict with "kubectl-edit" using v1: .metadata.labels.zone');
    await update(nodeKind, 'agent', { status: { conditions: [{ type: 'Ready', status: 'False' }] } }, true);
    const status = { status: { conditions: [{ type: 'Ready', status: 'Unknown' }] } };
    await expect(apply(nodeKind, 'admin', status, { target: { subresource: 'status' } })).rejects.toThrow('conflict with "agent" with subresource "status" using v1: .status.conditions[type="Ready"].status');
  });

  it('takes over by force', async () => {
    await apply(taskKind, 'a', task({ priority: 1 }));
    const { object } = await apply(taskKind, 'b', task({ priority: 2 }), { force: true });
    expect(owners(object)).toEqual({ 'a Apply': { 'f:spec': { 'f:command': {} } }, 'b Apply': { 'f:spec': { 'f:command': {}, 'f:priority': {} } } });
    expect(object.metadata.generation).toBe(2);
  });

  it('merges lists by their kind, and keeps the order of what is applied', async () => {
    await apply(taskKind, 'a', task({ env: [{ name: 'A', value: 'a' }, { name: 'B', value: 'b' }, { name: 'C', value: 'c' }], args: ['1', '2'] }));
    const { object } = await apply(taskKind, 'b', task({ env: [{ name: 'N', value: 'n' }, { name: 'C', value: 'c' }, { name: 'A', value: 'a' }] }));
    expect((object['spec'] as { env: { name: string }[] }).env.map(({ name }) => name)).toEqual(['B', 'N', 'C', 'A']);
    await expect(apply(taskKind, 'b', task({ args: ['1'] }))).rejects.toThrow('conflict with "a": .spec.args');
  });

  it('merges finalizers as a set, and takes away only its own', async () => {
    await apply(configMapKind, 'a', { metadata: { name: 'x', finalizers: ['example.com/a'] } });
    await apply(configMapKind, 'b', { metadata: { name: 'x', finalizers: ['example.com/b'] } });
    expect((await apply(configMapKind, 'a', {})).object.metadata.finalizers).toEqual(['example.com/b']);
  });

  it('lets go of the last finalizer of a deleted object, which then goes', async () => {
    await apply(configMapKind, 'a', { metadata: { name: 'x', finalizers: ['example.com/a'] } });
    await cluster.resources.delete(cluster.caller, cluster.target(configMapKind, 'x'), {});
    await apply(configMapKind, 'a', {});
    await expect(cluster.resources.get(cluster.caller, cluster.target(configMapKind, 'x'))).rejects.toMatchObject({ code: 404 });
  });

  it('gives what an untracked object has to before-first-apply', async () => {
    await cluster.createTask('x', { priority: 4 });
    await expect(apply(taskKind, 'a', task({ priority: 5 }))).rejects.toThrow('conflict with "before-first-apply" using taskplane.dev/v1: .spec.priority');
    const { object } = await apply(taskKind, 'a', task({ priority: 4 }));
    expect(Object.keys(owners(object))).toEqual(['a Apply', 'before-first-apply Update']);
  });

  it('writes status through its subresource alone', async () => {
    await cluster.createNode('x');
    const { object } = await apply(nodeKind, 'a', { spec: { unschedulable: true }, status: { nodeInfo: { osImage: 'o' } } });
    expect([object['status'], owners(object)]).toEqual([undefined, { 'a Apply': { 'f:spec': { 'f:unschedulable': {} } } }]);
    const after = await apply(nodeKind, 'a', { spec: { unschedulable: false }, status: { nodeInfo: { osImage: 'o' } } }, { target: { subresource: 'status' } });
    expect([after.object['spec'], after.object['status']]).toEqual([{ unschedulable: true }, { nodeInfo: { osImage: 'o' } }]);
    expect(owners(after.object)['a Apply status']).toEqual({ 'f:status': { 'f:nodeInfo': { 'f:osImage': {} } } });
    await expect(apply(nodeKind, 'a', { metadata: { name: 'y' }, status: {} }, { target: { name: 'y', subresource: 'status' } })).rejects.toMatchObject({ code: 404 });
  });

  it('by many at once, of an object that is not there, creates one with what all of them want', async () => {
    const results = await Promise.all(Array.from({ length: 20 }, (_, at) => apply(configMapKind, `m${at}`, { data: { [`k${at}`]: 'v' } })));
    expect(results.filter(({ created }) => created)).toHaveLength(1);
    const object = cluster.read(await cluster.resources.get(cluster.caller, cluster.target(configMapKind, 'x')));
    expect([Object.keys(object['data'] as object).length, Object.keys(owners(object)).length]).toEqual([20, 20]);
  });

  it('in a namespace that is not there says so', async () => {
    await expect(apply(configMapKind, 'a', {}, { target: { namespace: 'nowhere' } })).rejects.toMatchObject({ code: 404, message: 'namespaces "nowhere" not found' });
  });

  it('of ten thousand keys, and then of none of them, is done in time', async () => {
    const data = Object.fromEntries(Array.from({ length: 10_000 }, (_, at) => [`key-${at}`, 'value']));
    await apply(configMapKind, 'a', { data });
    await apply(configMapKind, 'b', { data });
    await expect(apply(configMapKind, 'b', { data: Object.fromEntries(Object.keys(data).map((key) => [key, 'other'])) })).rejects.toMatchObject({ details: { causes: { length: 100 } }, message: expect.stringMatching(/^Apply failed with 10000 conflicts: [^]*- and more$/) });
    await apply(configMapKind, 'b', {});
    expect((await apply(configMapKind, 'a', {})).object['data']).toBeUndefined();
  });

  it('of a dry run stores nothing', async () => {
    expect((await apply(taskKind, 'a', task({}), { dryRun: true })).created).toBe(true);
    await expect(cluster.getTask('x')).rejects.toMatchObject({ code: 404 });
    await apply(taskKind, 'a', task({}));
    const before = await cluster.getTask('x');
    expect((await apply(taskKind, 'a', task({ priority: 9 }), { dryRun: true })).object).toMatchObject({ spec: { priority: 9 }, metadata: { resourceVersion: before.metadata.resourceVersion } });
    expect(await cluster.getTask('x')).toEqual(before);
  });

  it.each<[string, object, object, number, string]>([
    ['another kind', { kind: 'Node' }, {}, 400, 'invalid object type: taskplane.dev/v1, Kind=Node, expected taskplane.dev/v1, Kind=Task'],
    ['no version', { apiVersion: undefined }, {}, 400, 'invalid object type: /, Kind=Task'],
    ['managedFields', { metadata: { name: 'x', managedFields: [] } }, {}, 400, 'metadata.managedFields must be nil'],
    ['another name', { metadata: { name: 'y' } }, {}, 400, 'the name of the object (y) does not match the name on the URL (x)'],
    ['another namespace', { metadata: { name: 'x', namespace: 'n' } }, {}, 400, 'the namespace of the object (n) does not match the namespace on the request (default)'],
    ['no name for a new object', { metadata: {}, ...task({}) }, {}, 400, 'the name of the object (x based on URL) was undeterminable: name must be provided'],
    ['a uid for a new object', { metadata: { name: 'x', uid: 'u' } }, {}, 409, 'uid mismatch: the provided object specified uid u, and no existing object was found'],
    ['a resourceVersion for a new object', { metadata: { name: 'x', resourceVersion: '7' } }, {}, 409, 'the object has been modified'],
    ['unknown fields', { ...task({ bogus: 1 }), other: 2 }, {}, 400, 'failed to create typed patch object (default/x; taskplane.dev/v1, Kind=Task): errors:\n  .spec.bogus: field not declared in schema\n  .other: field not declared in schema'],
    ['items of the same name', task({ env: [{ name: 'A' }, { name: 'A' }] }), {}, 400, '.spec.env: duplicate entries for key [name="A"]'],
    ['items without a name', task({ env: [{ value: 'A' }] }), {}, 400, '.spec.env: element 0: associative list with keys has an element that omits key field "name"'],
    ['what is invalid', task({ priority: 'x' }), {}, 422, 'spec.priority'],
    ['no manager', task({}), { fieldManager: '' }, 422, 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'],
  ])('refuses %s', async (_what, fields, options, code, message) => {
    const error = await apply(taskKind, 'a', fields, options).then(() => undefined, (failure: unknown) => failure);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ code });
    expect((error as ApiError).message).toContain(message);
  });

  it('holds to the resourceVersion and the uid that it is given', async () => {
    const { object } = await apply(taskKind, 'a', task({}));
    const { uid, resourceVersion } = object.metadata;
    await apply(taskKind, 'a', { ...task({ priority: 1 }), metadata: { name: 'x', uid, resourceVersion } });
    await expect(apply(taskKind, 'a', { ...task({}), metadata: { name: 'x', resourceVersion } })).rejects.toMatchObject({ code: 409 });
    await expect(apply(taskKind, 'a', { ...task({}), metadata: { name: 'x', uid: 'other' } })).rejects.toMatchObject({ code: 409 });
  });

  describe('by kubectl, of what was applied client-side', () => {
    const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';
    const config = (data: object) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x', namespace: 'default' }, data });
    beforeEach(async () => {
      const annotations = { [lastApplied]: `${JSON.stringify(config({ one: '1', two: '2' }))}\n` };
      const object = { ...config({ one: '1', two: '2' }), metadata: { name: 'x', annotations } };
      await cluster.resources.create(cluster.caller, { kind: configMapKind, namespace: 'default' }, object as unknown as KubeObject, { fieldManager: 'kubectl-client-side-apply' });
    });

    it('changes it without a conflict, and keeps the annotation right', async () => {
      const { object } = await apply(configMapKind, 'kubectl', { data: { one: 'eins', two: '2' } });
      expect(object['data']).toEqual({ one: 'eins', two: '2' });
      expect(JSON.parse(object.metadata.annotations![lastApplied]!)).toEqual({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' }, data: { one: 'eins', two: '2' } });
    });

    it('but not what somebody else has changed since, and not for another manager', async () => {
      await update(configMapKind, 'other', { data: { two: 'zwei' } });
      await expect(apply(configMapKind, 'kubectl', { data: { one: 'eins', two: '2' } })).rejects.toThrow('Apply failed with 1 conflict: conflict with "other" using v1: .data.two');
      await expect(apply(configMapKind, 'mine', { data: { one: 'eins' } })).rejects.toThrow('conflict with "kubectl-client-side-apply" using v1: .data.one');
    });
  });
});
