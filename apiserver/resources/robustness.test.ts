import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { secretKind, configMapKind } from '../../api/config.js';
import { ApiError } from '../../api/errors.js';
import { eventKind } from '../../api/event.js';
import type { KindDefinition } from '../../api/kind.js';
import { kinds } from '../../api/kinds.js';
import type { KubeObject } from '../../api/meta.js';
import type { PatchType } from './service.js';
import { nodeKind, taskKind, TestCluster } from './testing/cluster.js';

/** Bodies that look a little like objects: field names that we know, values of any kind. */
const words = ['metadata', 'spec', 'status', 'name', 'labels', 'annotations', 'finalizers', 'ownerReferences', 'env', 'command', 'resources', 'requests', 'cpu', 'tolerations', 'taints', 'data', 'stringData', 'conditions', 'valueFrom', 'secretKeyRef', 'nodeSelector', 'apiVersion', 'kind', '__proto__', 'constructor'];
const body = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof({ maxDepth: 5 }, fc.constantFrom<unknown>(null, 0, -1, 1.5, '', 'a', 'A b', true, [], {}, 'x'.repeat(300)), fc.array(tie('value'), { maxLength: 3 }), fc.dictionary(fc.constantFrom(...words), tie('value'), { maxKeys: 6 })),
})).value;
const resource = fc.record({ metadata: fc.oneof(body, fc.constant({ name: 'fuzz' })), spec: fc.oneof(body, fc.record({ command: body, env: body, resources: body, tolerations: body }, { requiredKeys: [] })), data: body, status: body }, { requiredKeys: [] });

describe('the resource service', () => {
  let cluster: TestCluster;
  beforeAll(async () => void (cluster = await TestCluster.start()));
  afterAll(() => cluster.stop());

  const generic = kinds.filter((kind) => !kind.projectionOf);

  /** Anything but an ApiError of the client's making would be a 500. */
  const clientsFault = (error: unknown): void => {
    if (!(error instanceof ApiError)) throw error;
    expect(error.code).toBeLessThan(500);
  };

  it('creates or refuses whatever is sent to it, and never fails', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...generic), fc.oneof(resource, body), async (kind, sent) => {
        const target = { kind, namespace: kind.namespaced ? 'default' : undefined };
        await cluster.resources.create(cluster.caller, target, sent as KubeObject, { dryRun: true }).catch(clientsFault);
      }),
      { numRuns: 600 },
    );
  });

  it.each<[string, object]>([
    ['labels', { metadata: { name: 'x', labels: Object.fromEntries(Array.from({ length: 200_000 }, (_, at) => [`!${at}`, '@'])) }, spec: { command: ['true'] } }],
    ['a node selector', { metadata: { name: 'x' }, spec: { command: ['true'], nodeSelector: Object.fromEntries(Array.from({ length: 200_000 }, (_, at) => [`!${at}`, '@'])) } }],
    ['variables', { metadata: { name: 'x' }, spec: { command: ['true'], env: Array.from({ length: 200_000 }, () => ({})) } }],
  ])('names the first hundred of a few hundred thousand problems of %s', async (_what, sent) => {
    const error = await cluster.resources.create(cluster.caller, { kind: taskKind, namespace: 'default' }, sent as KubeObject, {}).then(() => undefined, (failure: ApiError) => failure);
    expect([error?.code, error?.details?.causes?.length, error?.message.slice(-', and more]'.length)]).toEqual([422, 100, ', and more]']);
  });

  it('patches or refuses whatever is sent to it, and never fails', async () => {
    await cluster.createNode('fuzz');
    await cluster.createTask('fuzz');
    for (const kind of [secretKind, configMapKind]) await cluster.create(kind as unknown as KindDefinition, { metadata: { name: 'fuzz' } });
    await cluster.create(eventKind as unknown as KindDefinition, { metadata: { name: 'fuzz' }, involvedObject: {} });
    const patched = generic.filter(({ kind }) => ['Task', 'Node', 'Secret', 'ConfigMap', 'Event'].includes(kind));
    const types = fc.constantFrom<PatchType>('application/merge-patch+json', 'application/strategic-merge-patch+json', 'application/json-patch+json');
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...patched), types, fc.oneof(resource, body), fc.boolean(), async (kind, type, sent, status) => {
        const target = cluster.target(kind, 'fuzz', status ? { subresource: 'status' } : {});
        const patch = type === 'application/json-patch+json' ? Object.entries(sent ?? {}).map(([key, value]) => ({ op: 'add', path: `/${key}`, value: value as unknown })) : sent;
        await cluster.resources.patch(cluster.caller, target, type, patch, {}).catch(clientsFault);
      }),
      { numRuns: 600 },
    );
    for (const kind of [taskKind, nodeKind]) expect((await cluster.resources.get(cluster.caller, cluster.target(kind, 'fuzz'))).object.metadata.name).toBe('fuzz');
  });

  it('applies or refuses whatever is sent to it, over what was applied before, and never fails', async () => {
    const config = fc.oneof(
      body,
      fc.record({ metadata: fc.oneof(body, fc.record({ name: fc.constant('applied'), labels: body, managedFields: body }, { requiredKeys: ['name'] })), spec: fc.oneof(body, fc.record({ command: body, env: body, resources: body, tolerations: body, taints: body }, { requiredKeys: [] })), data: body, status: body }, { requiredKeys: ['metadata'] }),
    );
    const applied = generic.filter(({ kind }) => ['Task', 'Node', 'Secret', 'ConfigMap', 'Event', 'Namespace'].includes(kind));
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...applied), fc.constantFrom('kubectl', 'other'), config, fc.boolean(), fc.boolean(), async (kind, fieldManager, sent, status, force) => {
        const target = cluster.target(kind, 'applied', status ? { subresource: 'status' } : {});
        const typed = typeof sent === 'object' && sent !== null && !Array.isArray(sent) ? { ...sent, apiVersion: kind.group ? `${kind.group}/${kind.version}` : kind.version, kind: kind.kind } : sent;
        await cluster.resources.apply(cluster.caller, target, typed, { fieldManager, force }).catch(clientsFault);
        await cluster.resources.patch(cluster.caller, target, 'application/merge-patch+json', sent, { fieldManager }).catch(clientsFault);
      }),
      { numRuns: 600 },
    );
  });

  it('keeps or refuses whatever is sent as managedFields, and never fails', async () => {
    const entry = fc.record({ manager: fc.oneof(body, fc.constant('m')), operation: fc.constantFrom<unknown>('Apply', 'Update', 1), apiVersion: fc.constantFrom<unknown>('v1', '', null), time: fc.oneof(body, fc.constant('2026-01-01T00:00:00Z')), fieldsType: fc.constantFrom('FieldsV1', ''), fieldsV1: fc.oneof(body, fc.letrec<{ set: unknown }>((tie) => ({ set: fc.dictionary(fc.constantFrom('.', 'f:data', 'f:a', 'f:metadata', 'k:{"a":1}', 'k:[]', 'v:1', 'i:0', 'f:__proto__'), fc.oneof({ maxDepth: 4 }, fc.constant({}), tie('set'))) })).set), subresource: fc.constantFrom('', 'status') }, { requiredKeys: [] });
    await cluster.resources.create(cluster.caller, { kind: configMapKind as unknown as KindDefinition, namespace: 'default' }, { metadata: { name: 'entries' }, data: { a: '1' } } as unknown as KubeObject, { fieldManager: 'first' });
    const target = cluster.target(configMapKind as unknown as KindDefinition, 'entries');
    let turn = 0;
    await fc.assert(
      fc.asyncProperty(fc.oneof(body, fc.array(entry, { maxLength: 3 })), async (managedFields) => {
        const patch = { metadata: { managedFields }, data: { a: String(++turn) } };
        await cluster.resources.patch(cluster.caller, target, 'application/merge-patch+json', patch, { fieldManager: 'second' }).catch(clientsFault);
        await cluster.resources.apply(cluster.caller, target, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'entries' }, data: { b: String(turn) } }, { fieldManager: 'third', force: true }).catch(clientsFault);
        expect(cluster.read(await cluster.resources.get(cluster.caller, target))['data']).toMatchObject({ b: String(turn) });
      }),
      { numRuns: 300 },
    );
  });

  it('answers or refuses whatever is sent in bulk, and never fails', async () => {
    const bulk = fc.oneof(body, fc.record({ nodeName: body, items: fc.array(fc.oneof(resource, body), { maxLength: 4 }) }, { requiredKeys: [] }));
    await fc.assert(
      fc.asyncProperty(bulk, async (sent) => {
        const { bulk: service, presence } = cluster;
        await service.create(cluster.caller, sent, { dryRun: true }).catch(clientsFault);
        for (const verb of ['bind', 'unschedulable', 'status', 'recordEvents'] as const) await service[verb](sent).catch(clientsFault);
        await presence.present('fuzz', sent).catch(clientsFault);
      }),
      { numRuns: 200 },
    );
  });
});
