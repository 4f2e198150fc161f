import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createInProcessApiServer, type InProcessApiServer } from '../../apiserver/in-process.js';
import { customResourceCleanupFinalizer, customResourceDefinitionKind, isEstablished, servedKindsOf, type CustomResourceDefinition } from '../../api/custom-resource-definition.js';
import { configMapKind } from '../../api/config.js';
import { isReason } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import type { KubeObject } from '../../api/meta.js';
import { ApiClient } from '../../client/api-client.js';
import { SystemClock } from '../../lib/clock.js';
import { silentLogger } from '../../lib/log.js';
import { SystemRandom } from '../../lib/random.js';
import { runControllers } from '../main.js';
import { planFor } from './plan.js';

const clock = new SystemClock();
const random = new SystemRandom();

function definition(plural: string, kind: string, scope = 'Namespaced', served = true): CustomResourceDefinition {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.example.com` },
    spec: {
      group: 'example.com',
      scope,
      names: { plural, kind, shortNames: ['x'] },
      versions: [{ name: 'v1', served, storage: true, schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } } }],
    },
  };
}

describe('the controller of definitions', () => {
  let server: InProcessApiServer;
  let client: ApiClient;
  let stop: AbortController;
  let running: Promise<void>[];

  beforeEach(async () => {
    stop = new AbortController();
    server = await createInProcessApiServer({ clock, random });
    running = [server.run(stop.signal)];
    await server.ready;
    client = new ApiClient({ transport: server.transport() });
  });
  afterEach(async () => {
    stop.abort();
    await Promise.all(running);
    await server.close();
  });

  const control = (): void => void running.push(runControllers({ transport: server.transport(), identity: 'test', clock, random, logger: silentLogger, leaderElect: false }, stop.signal));

  /** Resolves when the definition is as wished, undefined meaning gone. */
  async function until(name: string, wished: (crd: CustomResourceDefinition | undefined) => boolean): Promise<void> {
    const { metadata } = await client.list(customResourceDefinitionKind);
    const now = await client.get(customResourceDefinitionKind, name).catch((error: unknown) => {
      if (isReason(error, 'NotFound')) return undefined;
      throw error;
    });
    if (wished(now)) return;
    for await (const { type, object } of client.watch(customResourceDefinitionKind, { resourceVersion: metadata.resourceVersion!, fieldSelector: `metadata.name=${name}`, signal: stop.signal })) {
      if (type !== 'BOOKMARK' && wished(type === 'DELETED' ? undefined : (object as CustomResourceDefinition))) return;
    }
  }

  const make = async (kind: KindDefinition, name: string, more: object = {}): Promise<KubeObject> =>
    client.create(kind, { apiVersion: 'example.com/v1', kind: kind.kind, metadata: { name, ...(kind.namespaced ? { namespace: 'default' } : {}), ...more } });

  it.each(['Namespaced', 'Cluster'])('deletes the objects of a %s kind before their definition goes, as far as they let it', async (scope) => {
    const crd = await client.create(customResourceDefinitionKind, definition('things', 'Thing', scope));
    const [kind] = servedKindsOf(crd);
    await make(kind!, 'free');
    await make(kind!, 'held', { finalizers: ['example.com/hold'] });
    control();
    await client.delete(customResourceDefinitionKind, 'things.example.com');
    await until('things.example.com', (found) => found?.status?.conditions?.some(({ reason }) => reason === 'InstanceDeletionInProgress') ?? true);
    expect((await client.list(kind!)).items.map(({ metadata }) => metadata.name)).toEqual(['held']);
    await client.mergePatch(kind!, 'held', scope === 'Cluster' ? undefined : 'default', { metadata: { finalizers: null } });
    await until('things.example.com', (found) => found === undefined);
    await expect(client.list(kind!)).rejects.toMatchObject({ code: 404 });
  });

  it('goes on with what was begun while it was away, and reaches the objects of a kind of which no version is served', async () => {
    const crd = await client.create(customResourceDefinitionKind, definition('things', 'Thing'));
    await make(servedKindsOf(crd)[0]!, 'a');
    await client.mergePatch(customResourceDefinitionKind, 'things.example.com', undefined, { spec: { versions: definition('things', 'Thing', 'Namespaced', false).spec.versions } });
    await expect(client.list(servedKindsOf(crd)[0]!)).rejects.toMatchObject({ code: 404 });
    await client.delete(customResourceDefinitionKind, 'things.example.com');
    control();
    await until('things.example.com', (found) => found === undefined);
    const again = await client.create(customResourceDefinitionKind, definition('things', 'Thing'));
    expect((await client.list(servedKindsOf(again)[0]!)).items).toEqual([]);
  });

  it('leaves nothing that its objects own', async () => {
    control();
    const crd = await client.create(customResourceDefinitionKind, definition('things', 'Thing'));
    const { metadata } = await make(servedKindsOf(crd)[0]!, 'owner');
    const owned = await client.create(configMapKind, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'owned', namespace: 'default', ownerReferences: [{ apiVersion: 'example.com/v1', kind: 'Thing', name: 'owner', uid: metadata.uid! }] } });
    await client.delete(customResourceDefinitionKind, 'things.example.com');
    for await (const { type } of client.watch(configMapKind, { namespace: 'default', resourceVersion: owned.metadata.resourceVersion!, signal: stop.signal })) if (type === 'DELETED') break;
    await until('things.example.com', (found) => found === undefined);
  });

  it('gives a definition the names that another has left', async () => {
    control();
    await client.create(customResourceDefinitionKind, definition('things', 'Thing'));
    const second = await client.create(customResourceDefinitionKind, definition('others', 'Other'));
    expect(isEstablished(second)).toBe(false);
    await client.delete(customResourceDefinitionKind, 'things.example.com');
    await until('others.example.com', (found) => found !== undefined && isEstablished(found));
  });
});

describe('the plan for a definition', () => {
  const deleted = { ...definition('things', 'Thing'), metadata: { name: 'things.example.com', deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: [customResourceCleanupFinalizer] } };

  it('lets go at once what was never served, and leaves others to their finalizers', () => {
    expect(planFor(deleted, [], 0)).toEqual({ do: 'release' });
    expect(planFor({ ...deleted, metadata: { ...deleted.metadata, finalizers: ['other'] } }, [], 0)).toEqual({ do: 'nothing' });
  });
});
