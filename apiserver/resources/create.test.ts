import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { secretKind, configMapKind } from '../../api/config.js';
import type { ApiError } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import { leaseKind } from '../../api/lease.js';
import type { KubeObject } from '../../api/meta.js';
import { namespaceKind } from '../../api/namespace.js';
import { nodeKind } from '../../api/node.js';
import { podKind } from '../../api/pod.js';
import { SystemRandom } from '../../lib/random.js';
import { StoredResourceService } from './resource-service.js';
import type { WriteOptions } from './service.js';
import { taskKind, TestCluster } from './testing/cluster.js';

const generic = (kind: unknown): KindDefinition => kind as KindDefinition;

describe('create', () => {
  let cluster: TestCluster;
  beforeEach(async () => void (cluster = await TestCluster.start()));
  afterEach(() => cluster.stop());

  const create = async (body: unknown, options: WriteOptions = {}, kind = taskKind, namespace: string | undefined = 'default'): Promise<KubeObject> =>
    cluster.read(await cluster.resources.create(cluster.caller, { kind, namespace: kind.namespaced ? namespace : undefined }, body as KubeObject, options));
  const refusal = async (...request: Parameters<typeof create>): Promise<ApiError> =>
    create(...request).then(
      () => Promise.reject(new Error('it was created')),
      (error: unknown) => error as ApiError,
    );
  const task = (more: object = {}, spec: object = {}): object => ({ metadata: { name: 'a', ...more }, spec: { command: ['true'], ...spec } });

  it('sets what the server owns, whatever the client says, and the defaults', async () => {
    const made = await create({
      ...task({ uid: 'x', generation: 7, creationTimestamp: null, deletionTimestamp: '2020-01-01T00:00:00Z', managedFields: [], labels: { app: 'a' } }),
      status: { phase: 'Succeeded' },
    });
    expect(made.metadata).toEqual({
      name: 'a',
      namespace: 'default',
      labels: { app: 'a' },
      uid: expect.stringMatching(/^[0-9a-f-]{36}$/),
      generation: 1,
      creationTimestamp: '2026-01-01T00:00:00Z',
      resourceVersion: expect.stringMatching(/^[0-9]+$/),
    });
    expect(made).toMatchObject({ apiVersion: 'taskplane.dev/v1', kind: 'Task', spec: { restartPolicy: 'Never' }, status: { phase: 'Pending' } });
    expect(await cluster.getTask('a')).toEqual(made);
  });

  it('keeps the status with which a node is made, and checks it', async () => {
    const status = { capacity: { cpu: '4' }, conditions: [{ type: 'Ready', status: 'True' }] };
    expect(await create({ metadata: { name: 'n' }, status }, {}, generic(nodeKind))).toMatchObject({ status });
    expect((await refusal({ metadata: { name: 'm' }, status: { capacity: 4 } }, {}, generic(nodeKind))).code).toBe(400);
  });

  it('reports every problem of an object at once', async () => {
    const error = await refusal({
      metadata: { name: 'A', labels: { 'a b': 'c d' }, finalizers: ['!'], ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: '', uid: 'u' }] },
      spec: { command: ['true'], script: 'x', workingDir: 'here' },
    });
    expect(error.code).toBe(422);
    expect(error.details?.causes?.map(({ field }) => field)).toEqual([
      'metadata.name', 'metadata.labels', 'metadata.labels[a b]', 'metadata.finalizers[0]', 'spec.script', 'spec.workingDir', 'metadata.ownerReferences[0].name',
    ]);
    expect(error.message).toMatch(/^Task\.taskplane\.dev "A" is invalid: \[metadata\.name: Invalid value: "A": a lowercase RFC 1123 subdomain/);
  });

  it('names wrong types beside wrong names', async () => {
    const error = await refusal({ metadata: { name: 'A' }, spec: { command: 'true', env: [{ value: 1 }] } });
    expect(error.details?.causes?.map(({ field, reason }) => `${field} ${reason}`)).toEqual([
      'metadata.name FieldValueInvalid', 'spec.command FieldValueTypeInvalid', 'spec.env[0].name FieldValueRequired', 'spec.env[0].value FieldValueTypeInvalid',
    ]);
  });

  it.each([
    [{ spec: {} }, 422, 'Task.taskplane.dev "" is invalid: [metadata.name: Required value: name or generateName is required, spec.command: Required value'],
    [{ metadata: 'x', spec: {} }, 422, 'metadata: Invalid value: "x": must be a mapping'],
    [{ metadata: { name: 'a' } }, 422, 'Task.taskplane.dev "a" is invalid: spec: Required value'],
    ['text', 400, 'the body must be one object of kind Task'],
    [[], 400, 'the body must be one object of kind Task'],
    [task({ resourceVersion: '5' }), 400, 'resourceVersion should not be set on objects to be created'],
    [task({ namespace: 'other' }), 400, 'the namespace of the provided object does not match the namespace sent on the request'],
    [{ ...task(), kind: 'Job' }, 400, 'Job in version "taskplane.dev/v1" cannot be handled as a Task: the path names tasks'],
    [{ ...task(), apiVersion: 'v2' }, 400, 'the API version in the data (v2) does not match the expected API version (taskplane.dev/v1)'],
  ])('refuses %j', async (body, code, message) => {
    const error = await refusal(body);
    expect([error.code, error.message]).toEqual([code, expect.stringContaining(message)]);
  });

  it('treats unknown fields as fieldValidation says', async () => {
    const body = task({ name: 'a', wrong: 1 }, { bogus: 1, env: [{ name: 'A', vlaue: '1' }] });
    const error = await refusal(body, { fieldValidation: 'Strict' });
    expect([error.code, error.message]).toEqual([
      400,
      'Task in version "v1" cannot be handled as a Task: strict decoding error: unknown field "metadata.wrong", unknown field "spec.bogus", unknown field "spec.env[0].vlaue"',
    ]);
    const warned = await create(body, {});
    expect(cluster.warnings).toEqual(['unknown field "metadata.wrong"', 'unknown field "spec.bogus"', 'unknown field "spec.env[0].vlaue"']);
    expect(warned.spec).toEqual(expect.not.objectContaining({ bogus: 1 }));
    cluster.warnings.length = 0;
    await create({ ...body, metadata: { name: 'b' } }, { fieldValidation: 'Ignore' });
    expect(cluster.warnings).toEqual([]);
  });

  it('refuses a name that is taken', async () => {
    await create(task());
    const error = await refusal(task());
    expect(error.toStatus()).toMatchObject({ code: 409, reason: 'AlreadyExists', message: 'tasks.taskplane.dev "a" already exists', details: { kind: 'tasks', name: 'a' } });
  });

  it('says so when every name that it makes is taken', async () => {
    const uuid = (): string => '00000000-0000-4000-8000-000000000000';
    const random = Object.assign(new SystemRandom(), { uuid, suffix: () => 'taken' });
    const resources = new StoredResourceService({ cache: cluster.cache, store: cluster.store, clock: cluster.clock, random });
    const make = () => resources.create(cluster.caller, { kind: taskKind, namespace: 'default' }, { metadata: { generateName: 'render-' }, spec: { script: 'true' } } as never, {});
    await make();
    await expect(make()).rejects.toMatchObject({
      code: 409, reason: 'AlreadyExists', message: 'tasks.taskplane.dev "render-taken" already exists, the server was not able to generate a unique name for the object', details: { name: 'render-taken', retryAfterSeconds: 1 },
    });
  });

  it('makes a name from generateName', async () => {
    const made = await create({ metadata: { generateName: 'render-' }, spec: { command: ['true'] } });
    expect(made.metadata.name).toMatch(/^render-[a-z0-9]{5}$/);
    expect((await cluster.getTask(made.metadata.name!)).metadata.generateName).toBe('render-');
  });

  it('refuses a namespace that does not exist or is being deleted', async () => {
    const missing = await refusal(task(), {}, taskKind, 'nowhere');
    expect([missing.code, missing.message]).toEqual([404, 'namespaces "nowhere" not found']);
    await cluster.create(generic(namespaceKind), { metadata: { name: 'going' } });
    await cluster.resources.delete(cluster.caller, cluster.target(generic(namespaceKind), 'going'), {});
    await cluster.cache.fresh();
    const closed = await refusal(task(), {}, taskKind, 'going');
    expect([closed.code, closed.message]).toEqual([
      403, 'tasks.taskplane.dev "a" is forbidden: unable to create new content in namespace going because it is being terminated',
    ]);
    expect(closed.details?.causes).toEqual([{ reason: 'NamespaceTerminating', message: 'namespace going is being terminated', field: 'metadata.namespace' }]);
  });

  it('sees a namespace that the cache does not know yet', async () => {
    cluster.holdCache();
    await cluster.create(generic(namespaceKind), { metadata: { name: 'new' } });
    expect((await create(task(), {}, taskKind, 'new')).metadata.namespace).toBe('new');
  });

  it('stores nothing in a dry run, but says what would be', async () => {
    const would = await create(task(), { dryRun: true });
    expect(would.metadata.uid).toBeDefined();
    expect(would.metadata.resourceVersion).toBeUndefined();
    await expect(cluster.getTask('a')).rejects.toMatchObject({ code: 404, message: 'tasks.taskplane.dev "a" not found' });
    await create(task());
    expect((await refusal(task(), { dryRun: true })).code).toBe(409);
  });

  it('never shows a value of a secret in an error', async () => {
    const error = await refusal({ metadata: { name: 's' }, data: { k: 'hunter2: or not' } }, {}, generic(secretKind));
    expect(error.code).toBe(400);
    expect(error.message).toBe('Secret in version "v1" cannot be handled as a Secret: data.k: Invalid value: (hidden): must be base64');
  });

  it('keeps stringData of a secret in data', async () => {
    const made = await create({ metadata: { name: 's' }, stringData: { k: 'v' } }, {}, generic(secretKind));
    expect(made).toMatchObject({ data: { k: 'dg==' }, type: 'Opaque' });
    expect(made).not.toHaveProperty('stringData');
  });

  it('takes nulls as absent', async () => {
    const made = await create({ metadata: { name: 'c', labels: null, annotations: {} }, data: { a: '1', b: null } }, {}, generic(configMapKind));
    expect(made['data']).toEqual({ a: '1' });
    expect(made.metadata).not.toHaveProperty('annotations');
  });

  it('refuses leases that stand for presence, and views', async () => {
    const lease = await refusal({ metadata: { name: 'm1' } }, {}, generic(leaseKind), 'kube-node-lease');
    expect([lease.code, lease.message]).toEqual([403, expect.stringMatching(/^leases\.coordination\.k8s\.io "m1" is forbidden: /)]);
    expect((await refusal({ metadata: { name: 'p' } }, {}, generic(podKind))).code).toBe(405);
  });

  it('refuses an object that nests without end', async () => {
    let deep: unknown = 1;
    for (let depth = 0; depth < 10_000; depth++) deep = [deep];
    expect((await refusal({ metadata: { name: 'd' }, spec: { deep } })).code).toBe(400);
  });

  it('says that an object is too large', async () => {
    const error = await refusal({ metadata: { name: 'c' }, spec: { command: ['true', 'x'.repeat(2_000_000)] } });
    expect([error.code, error.reason]).toEqual([413, 'RequestEntityTooLarge']);
  });

  it('has the namespaces that every cluster has, with the finalizer for their contents', async () => {
    const { items } = await cluster.resources.list(cluster.caller, { kind: generic(namespaceKind), namespace: undefined }, {});
    expect(items.map(({ object }) => object.metadata.name)).toEqual(['default', 'kube-node-lease', 'kube-public', 'kube-system']);
    expect(items[0]!.object).toMatchObject({
      spec: { finalizers: ['kubernetes'] },
      metadata: { labels: { 'kubernetes.io/metadata.name': 'default' } },
      status: { phase: 'Active' },
    });
  });
});
