import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { configMapKind as configMap } from '../../api/config.js';
import { isReason } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import type { KubeObject, ManagedFieldsEntry } from '../../api/meta.js';
import { copyOf } from './admission.js';
import { has, type FieldSet } from './managed-fields/field-set.js';
import { nodeKind, taskKind, TestCluster } from './testing/cluster.js';

const configMapKind = configMap as unknown as KindDefinition;

/** `MANAGER OPERATION [SUBRESOURCE]` -> fields. */
const owners = (object: KubeObject): Record<string, FieldSet> =>
  Object.fromEntries((object.metadata.managedFields ?? []).map(({ manager, operation, subresource, fieldsV1 }) => [`${manager} ${operation}${subresource ? ` ${subresource}` : ''}`, fieldsV1 as FieldSet]));

describe('who owns which field', () => {
  let cluster: TestCluster;
  beforeEach(async () => void (cluster = await TestCluster.start()));
  afterEach(() => cluster.stop());

  const create = async (kind: KindDefinition, object: object, fieldManager = 'creator') =>
    cluster.read(await cluster.resources.create(cluster.caller, { kind, namespace: kind.namespaced ? 'default' : undefined }, { metadata: { name: 'x' }, ...object } as KubeObject, { fieldManager }));
  const patch = async (kind: KindDefinition, fieldManager: string, change: object, subresource?: 'status') =>
    cluster.read(await cluster.resources.patch(cluster.caller, cluster.target(kind, 'x', subresource ? { subresource } : {}), 'application/merge-patch+json', change, { fieldManager }));
  const json = async (kind: KindDefinition, fieldManager: string, operations: object[]) =>
    cluster.read(await cluster.resources.patch(cluster.caller, cluster.target(kind, 'x'), 'application/json-patch+json', operations, { fieldManager }));
  const get = async (kind: KindDefinition) => cluster.read(await cluster.resources.get(cluster.caller, cluster.target(kind, 'x')));

  it('a new object is its creator\'s, with its defaults, but not what the server keeps', async () => {
    const object = await create(taskKind, { spec: { command: ['true'], env: [{ name: 'A', value: '1' }] } });
    expect(object.metadata.managedFields).toEqual([
      {
        manager: 'creator', operation: 'Update', apiVersion: 'taskplane.dev/v1', time: expect.stringMatching(/Z$/), fieldsType: 'FieldsV1',
        fieldsV1: {
          'f:spec': {
            '.': {}, 'f:command': {}, 'f:env': { '.': {}, 'k:{"name":"A"}': { '.': {}, 'f:name': {}, 'f:value': {} } },
            'f:onNodeLost': {}, 'f:priority': {}, 'f:restartPolicy': {}, 'f:terminationGracePeriodSeconds': {},
          },
        },
      },
    ]);
  });

  it('a change makes a field the changer\'s, a removal nobody\'s; each with the time of the last change', async () => {
    await create(configMapKind, { data: { a: '1', b: '2', c: '3' } });
    await cluster.clock.advance(60_000);
    const object = await patch(configMapKind, 'editor', { data: { a: '9', c: null, d: '4' } });
    expect(owners(object)).toEqual({ 'creator Update': { 'f:data': { '.': {}, 'f:b': {} } }, 'editor Update': { 'f:data': { 'f:a': {}, 'f:d': {} } } });
    const [first, second] = object.metadata.managedFields!;
    expect(Date.parse(second!.time!) - Date.parse(first!.time!)).toBe(60_000);
    await cluster.clock.advance(60_000);
    const again = await patch(configMapKind, 'editor', { data: { d: '5' } });
    expect(Date.parse(again.metadata.managedFields![1]!.time!) - Date.parse(second!.time!)).toBe(60_000);
    expect(owners(again)).toEqual(owners(object));
  });

  it.each(['Update', 'Apply'] as const)('thousands of entries that a client brings, each an %s, hold nobody up', async (operation) => {
    const count = 10_000;
    const managedFields = Array.from({ length: count }, (_, at) => ({ manager: `m${at}`, operation, apiVersion: 'v1', fieldsType: 'FieldsV1', fieldsV1: { 'f:data': { [`f:k${at}`]: {} } } }));
    await create(configMapKind, { metadata: { name: 'x', managedFields }, data: { a: '1' } });
    await cluster.resources.apply(cluster.caller, cluster.target(configMapKind, 'x'), { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' }, data: { b: '1' } }, { fieldManager: 'other' });
    await cluster.resources.apply(cluster.caller, cluster.target(configMapKind, 'x'), { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' }, data: { c: '1' } }, { fieldManager: 'other' });
    const { metadata } = await get(configMapKind);
    const fields = metadata.managedFields!.flatMap(({ fieldsV1 }) => Object.keys((fieldsV1 as FieldSet)['f:data']!).filter((element) => element.startsWith('f:k')));
    expect(new Set(fields).size).toBe(count);
    expect(metadata.managedFields!.length).toBe(operation === 'Update' ? 11 : count + 2);
  }, 30_000);

  it('a write that changes nothing changes no entry and no resourceVersion', async () => {
    const before = await create(configMapKind, { data: { a: '1' } });
    await cluster.clock.advance(60_000);
    expect(await patch(configMapKind, 'other', { data: { a: '1' } })).toEqual(before);
    const put = cluster.read(await cluster.resources.update(cluster.caller, cluster.target(configMapKind, 'x'), before, { fieldManager: 'other' }));
    expect(put).toEqual(before);
  });

  it('a PUT that knows nothing of managedFields keeps them', async () => {
    const { metadata, ...rest } = await create(configMapKind, { data: { a: '1' } });
    const { managedFields: _fields, ...known } = metadata;
    const after = cluster.read(await cluster.resources.update(cluster.caller, cluster.target(configMapKind, 'x'), { ...rest, metadata: { ...known, labels: { l: 'x' } } }, { fieldManager: 'other' }));
    expect(Object.keys(owners(after))).toEqual(['creator Update', 'other Update']);
  });

  it('status is written apart, and a main write owns none of it', async () => {
    await create(nodeKind, { spec: { unschedulable: true }, status: { nodeInfo: { osImage: 'x' } } });
    const object = await patch(nodeKind, 'agent', { metadata: { labels: { a: 'b' } }, status: { conditions: [{ type: 'Ready', status: 'True' }] } }, 'status');
    expect(owners(object)).toEqual({ 'creator Update': { 'f:spec': { '.': {}, 'f:unschedulable': {} } }, 'agent Update status': { 'f:status': { 'f:conditions': { '.': {}, 'k:{"type":"Ready"}': { '.': {}, 'f:status': {}, 'f:type': {} } } } } });
  });

  it('a write through scale is owned through scale, and its entries are not the client\'s to say', async () => {
    await create(taskKind, { spec: { command: ['true'] } });
    const change = { spec: { priority: 7 }, metadata: { managedFields: [] } };
    await cluster.resources.patch(cluster.caller, cluster.target(taskKind, 'x'), 'application/merge-patch+json', change, { fieldManager: 'scaler', writtenThrough: 'scale' });
    expect(owners(await get(taskKind))).toMatchObject({ 'scaler Update scale': { 'f:spec': { 'f:priority': {} } }, 'creator Update': { 'f:spec': { 'f:restartPolicy': {} } } });
    const config = { apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name: 'x' }, spec: { priority: 8 } };
    await expect(cluster.resources.apply(cluster.caller, cluster.target(taskKind, 'x'), config, { fieldManager: 'a' })).rejects.toThrow('conflict with "scaler" with subresource "scale" using taskplane.dev/v1: .spec.priority');
  });

  it('what comes in bulk is nobody\'s, and touches no entry of others', async () => {
    await cluster.createNode('n');
    const created = await create(taskKind, { spec: { command: ['true'] } });
    const bound = await cluster.bindTask('x', 'n');
    expect(bound.metadata.managedFields).toEqual(created.metadata.managedFields);
    const [outcome] = await cluster.bulk.create(cluster.caller, { items: [{ metadata: { name: 'bulk' }, spec: { command: ['true'] } }] }, { fieldManager: 'someone' });
    expect(outcome!.code).toBe(201);
    expect((await cluster.getTask('bulk')).metadata.managedFields).toBeUndefined();
  });

  it('an object that nobody is known to own stays so until it is applied', async () => {
    await cluster.createTask('x');
    expect((await patch(taskKind, 'editor', { spec: { priority: 3 } })).metadata.managedFields).toBeUndefined();
  });

  it('keeps ten updaters, and puts the oldest together', async () => {
    await create(configMapKind, { data: { k0: '' } }, 'm0');
    for (let i = 1; i <= 12; i++) {
      await cluster.clock.advance(1_000);
      await patch(configMapKind, `m${i}`, { data: { [`k${i}`]: '' } });
    }
    const object = await get(configMapKind);
    expect(Object.keys(owners(object))).toEqual(['ancient-changes Update', ...[4, 5, 6, 7, 8, 9, 10, 11, 12].map((i) => `m${i} Update`)]);
    expect(owners(object)['ancient-changes Update']).toEqual({ 'f:data': { '.': {}, 'f:k0': {}, 'f:k1': {}, 'f:k2': {}, 'f:k3': {} } });
  });

  describe('as a client brings it', () => {
    const entry = (more: object = {}) => ({ manager: 'brought', operation: 'Apply', apiVersion: 'v1', time: '2026-01-02T03:04:05Z', fieldsType: 'FieldsV1', fieldsV1: { 'f:data': { 'f:a': {} } }, ...more });

    it('is taken on create and on change', async () => {
      const object = await create(configMapKind, { metadata: { name: 'x', managedFields: [entry()] }, data: { a: '1', b: '2' } });
      expect(Object.keys(owners(object))).toEqual(['creator Update']);
      const after = await json(configMapKind, 'kubectl', [
        { op: 'replace', path: '/metadata/managedFields', value: [entry({ fieldsV1: { 'f:data': { '.': {}, 'f:a': {} } } })] },
        { op: 'replace', path: '/metadata/resourceVersion', value: object.metadata.resourceVersion },
      ]);
      expect(after.metadata.managedFields).toEqual([entry({ fieldsV1: { 'f:data': { '.': {}, 'f:a': {} } } })]);
      expect(after.metadata.generation).toBe(object.metadata.generation);
      await expect(json(configMapKind, 'kubectl', [{ op: 'replace', path: '/metadata/resourceVersion', value: object.metadata.resourceVersion }])).rejects.toMatchObject({ code: 409 });
    });

    it.each([[[]], [[{}]]])('%j ends the keeping of owners', async (reset) => {
      await create(configMapKind, { data: { a: '1' } });
      expect((await patch(configMapKind, 'editor', { metadata: { managedFields: reset } })).metadata.managedFields).toBeUndefined();
    });

    it('is not taken with status', async () => {
      await create(nodeKind, { metadata: { name: 'x', labels: { a: 'b' } } });
      const object = await patch(nodeKind, 'agent', { metadata: { managedFields: [] }, status: { nodeInfo: { osImage: 'x' } } }, 'status');
      expect(Object.keys(owners(object))).toEqual(['agent Update status', 'creator Update']);
    });

    it.each<[object | number, string]>([
      [{ operation: 'Delete' }, 'metadata.managedFields[0].operation: Invalid value: "Delete": must be `Apply` or `Update`'],
      [{ fieldsType: 'FieldsV2' }, 'metadata.managedFields[0].fieldsType: Invalid value: "FieldsV2": must be `FieldsV1`'],
      [{ fieldsType: undefined }, 'metadata.managedFields[0].fieldsType: Required value'],
      [{ apiVersion: '' }, 'metadata.managedFields[0].apiVersion: Required value'],
      [{ time: 'yesterday' }, 'metadata.managedFields[0].time: Invalid value'],
      [{ manager: 'm'.repeat(129) }, 'metadata.managedFields[0].manager: Too long: may not be more than 128 bytes'],
      [{ manager: 'a\u0007' }, 'metadata.managedFields[0].manager: Invalid value: "a\\u0007": invalid character U+0007 (at position 1)'],
      [{ manager: 1 }, 'metadata.managedFields[0].manager: Invalid value: 1: must be a string'],
      [{ subresource: 's'.repeat(257) }, 'metadata.managedFields[0].subresource: Too long'],
      [{ fieldsV1: { spec: {} } }, 'metadata.managedFields[0].fieldsV1: Invalid value: unknown path element "spec"'],
      [7, 'metadata.managedFields: Invalid value: 7: must be a list'],
    ])('%j is refused by its field', async (wrong, message) => {
      const managedFields = typeof wrong === 'number' ? wrong : [entry(wrong)];
      await expect(create(configMapKind, { metadata: { name: 'x', managedFields } })).rejects.toMatchObject({ code: 422, message: expect.stringContaining(message) });
      await create(configMapKind, { data: { a: '1' } });
      await expect(json(configMapKind, 'editor', [{ op: 'replace', path: '/metadata/managedFields', value: managedFields }])).rejects.toMatchObject({ code: 422, message: expect.stringContaining(message) });
    });
  });
});

describe('any sequence of applies and updates', () => {
  let cluster: TestCluster;
  beforeAll(async () => void (cluster = await TestCluster.start()));
  afterAll(() => cluster.stop());

  /** Keys with their values, and for each the appliers and updaters that have it. */
  interface Model {
    data: Map<string, string>;
    owners: Map<string, Set<string>>;
    applied: Map<string, Set<string>>;
  }
  type Move = { do: 'apply'; manager: string; data: Record<string, string>; force: boolean } | { do: 'update'; manager: string; data: Record<string, string | null> };

  const key = fc.constantFrom('a', 'b', 'c', 'd');
  const text = fc.constantFrom('1', '2', '3');
  const move: fc.Arbitrary<Move> = fc.oneof(
    fc.record({ do: fc.constant('apply' as const), manager: fc.constantFrom('p', 'q'), data: fc.dictionary(key, text).map(copyOf), force: fc.boolean() }),
    fc.record({ do: fc.constant('update' as const), manager: fc.constantFrom('p', 'u'), data: fc.dictionary(key, fc.option(text)).map(copyOf) }),
  );

  /** What the rules say, key by key. False for a conflict. */
  function play(model: Model, step: Move): boolean {
    const who = `${step.manager} ${step.do === 'apply' ? 'Apply' : 'Update'}`;
    const ownersOf = (name: string): Set<string> => model.owners.get(name) ?? new Set();
    if (step.do === 'update') {
      for (const [name, wanted] of Object.entries(step.data)) {
        if (wanted === null) {
          model.data.delete(name);
          model.owners.delete(name);
        } else if (model.data.get(name) !== wanted) {
          model.data.set(name, wanted);
          model.owners.set(name, new Set([who]));
        }
      }
      return true;
    }
    const differs = (name: string): boolean => model.data.get(name) !== step.data[name];
    if (!step.force && Object.keys(step.data).some((name) => differs(name) && [...ownersOf(name)].some((owner) => owner !== who))) return false;
    for (const [name, all] of model.owners) {
      if (!all.has(who) || name in step.data) continue;
      all.delete(who);
      if (![...all].some((owner) => owner.endsWith('Apply'))) {
        model.data.delete(name);
        model.owners.delete(name);
      }
    }
    for (const [name, wanted] of Object.entries(step.data)) {
      model.owners.set(name, differs(name) ? new Set([who]) : ownersOf(name).add(who));
      model.data.set(name, wanted);
    }
    return true;
  }

  function ownersByKey(object: KubeObject): Record<string, string[]> {
    const found: Record<string, string[]> = {};
    for (const [who, fields] of Object.entries(owners(object))) for (const name of Object.keys(fields['f:data'] ?? {})) if (name !== '.') (found[name.slice(2)] ??= []).push(who);
    return Object.fromEntries(Object.entries(found).map(([name, all]) => [name, all.toSorted()]));
  }

  let made = 0;
  it('leaves the values and the owners that the rules say, and an apply made twice changes nothing', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(move, { maxLength: 8 }), async (steps) => {
        const name = `m${++made}`;
        const target = cluster.target(configMapKind, name);
        const base = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } };
        await cluster.resources.create(cluster.caller, { kind: configMapKind, namespace: 'default' }, { ...base, metadata: { name, labels: { anchor: '' } } }, { fieldManager: 'anchor' });
        const model: Model = { data: new Map(), owners: new Map(), applied: new Map() };
        for (const step of steps) {
          const { manager } = step;
          const config = step.do === 'apply' && Object.keys(step.data).length > 0 ? { ...base, data: step.data } : base;
          const act = () => (step.do === 'apply' ? cluster.resources.apply(cluster.caller, target, config, { fieldManager: manager, force: step.force }) : cluster.resources.patch(cluster.caller, target, 'application/merge-patch+json', { data: step.data }, { fieldManager: manager }));
          const done = await act().then(() => true, (error: unknown) => {
            if (isReason(error, 'Conflict')) return false;
            throw error;
          });
          expect(done).toBe(play(model, step));
          const object = cluster.read(await cluster.resources.get(cluster.caller, target));
          expect(object['data'] ?? {}).toEqual(Object.fromEntries(model.data));
          expect(ownersByKey(object)).toEqual(Object.fromEntries([...model.owners].filter(([, all]) => all.size > 0).map(([field, all]) => [field, [...all].toSorted()])));
          if (done && step.do === 'apply') {
            await act();
            expect(cluster.read(await cluster.resources.get(cluster.caller, target))).toEqual(object);
          }
        }
      }),
      { numRuns: 100 },
    );
  }, 60_000);

  it('never leaves an owner of what is not there', async () => {
    const env = fc.uniqueArray(fc.record({ name: fc.constantFrom('A', 'B', 'C'), value: text }), { selector: ({ name }) => name, maxLength: 3 });
    const spec = fc.record({ env, priority: fc.integer({ min: 0, max: 2 }), resources: fc.record({ limits: fc.dictionary(fc.constantFrom('cpu', 'memory'), fc.constant('1')) }), nodeSelector: fc.dictionary(key, text), tolerations: fc.array(fc.record({ operator: fc.constant('Exists'), key }), { maxLength: 2 }) }, { requiredKeys: [] });
    const write = fc.record({ manager: fc.constantFrom('p', 'q', 'r'), how: fc.constantFrom('apply', 'put'), spec, finalizers: fc.uniqueArray(fc.constantFrom('example.com/a', 'example.com/b'), { maxLength: 2 }) }).map(copyOf);
    const there = (value: unknown, path: readonly string[]): boolean => {
      const [element, ...rest] = path;
      if (element === undefined) return value !== undefined;
      const text = element.slice(2);
      if (element.startsWith('f:')) return there((value as Record<string, unknown> | undefined)?.[text], rest);
      const wanted = JSON.parse(text) as unknown;
      const items = (value ?? []) as unknown[];
      return element.startsWith('v:') ? items.includes(wanted) : there(items.find((item) => Object.entries(wanted as object).every(([name, named]) => (item as Record<string, unknown>)[name] === named)), rest);
    };
    await fc.assert(
      fc.asyncProperty(fc.array(write, { minLength: 1, maxLength: 6 }), async (writes) => {
        const name = `t${++made}`;
        const target = cluster.target(taskKind, name);
        await cluster.resources.create(cluster.caller, { kind: taskKind, namespace: 'default' }, { metadata: { name }, spec: { command: ['true'] } } as unknown as KubeObject, { fieldManager: 'p' });
        for (const { manager, how, spec: wanted, finalizers } of writes) {
          const body = { apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name, finalizers }, spec: { command: ['true'], ...wanted } };
          if (how === 'apply') await cluster.resources.apply(cluster.caller, target, body, { fieldManager: manager, force: true });
          else await cluster.resources.update(cluster.caller, target, body, { fieldManager: manager });
          const object = cluster.read(await cluster.resources.get(cluster.caller, target));
          for (const { fieldsV1, ...entry } of object.metadata.managedFields as (ManagedFieldsEntry & { fieldsV1: FieldSet })[]) {
            for (const path of everyPath(fieldsV1)) expect([entry.manager, path, there(object, path)]).toEqual([entry.manager, path, true]);
          }
          if (how === 'apply') {
            const { fieldsV1 } = (object.metadata.managedFields as (ManagedFieldsEntry & { fieldsV1: FieldSet })[]).find((entry) => entry.manager === manager && entry.operation === 'Apply')!;
            for (const { name: variable } of wanted.env ?? []) expect(has(fieldsV1, ['f:spec', 'f:env', `k:{"name":"${variable}"}`])).toBe(true);
          }
        }
      }),
      { numRuns: 60 },
    );
  }, 60_000);

  function everyPath(set: FieldSet, prefix: readonly string[] = []): string[][] {
    return Object.entries(set).flatMap(([element, node]) => (element === '.' ? [] : [[...prefix, element], ...everyPath(node, [...prefix, element])]));
  }
});
