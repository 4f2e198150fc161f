// Garbage collection and namespace deletion over the real handler, with kinds that a user brings.

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { setMaxListeners } from 'node:events';
import { adminUser, controllersUser, createInProcessApiServer, type InProcessApiServer } from '../../apiserver/in-process.js';
import { findCondition } from '../../api/conditions.js';
import { configMapKind, type ConfigMap } from '../../api/config.js';
import { customResourceDefinitionKind, isEstablished, type CustomResourceDefinition } from '../../api/custom-resource-definition.js';
import { eventKind, type Event } from '../../api/event.js';
import { genericKind } from '../../api/generic-kind.js';
import type { KindDefinition } from '../../api/kind.js';
import type { KubeObject, ObjectMeta } from '../../api/meta.js';
import { namespaceKind, type Namespace } from '../../api/namespace.js';
import { nodeKind, type Node } from '../../api/node.js';
import { taskKind, type Task } from '../../api/task.js';
import { ApiClient } from '../../client/api-client.js';
import { EventRecorder } from '../../client/event-recorder.js';
import { Informer } from '../../client/informer.js';
import { SystemClock } from '../../lib/clock.js';
import { silentLogger as logger } from '../../lib/log.js';
import { SystemRandom } from '../../lib/random.js';
import type { Service } from '../../lib/service.js';
import { DefinedKinds } from '../kind-source.js';
import { MetadataInformers } from '../metadata-informers.js';
import { NamespaceCleaner } from '../namespace/controller.js';
import { GarbageCollector } from './controller.js';

const clock = new SystemClock();
const random = new SystemRandom();
const common = { clock, random, logger };

let server: InProcessApiServer;
let stop: AbortController;
let running: Promise<void>[];
let admin: ApiClient;
let client: ApiClient;
let definitions: Informer<CustomResourceDefinition>;
let objects: MetadataInformers;

function start<S extends Service>(service: S): S {
  running.push(service.run(stop.signal));
  return service;
}

beforeEach(async () => {
  stop = new AbortController();
  setMaxListeners(0, stop.signal);
  running = [];
  server = await createInProcessApiServer({ clock, random });
  running.push(server.run(stop.signal));
  await server.ready;
  admin = new ApiClient({ transport: server.transport(adminUser) });
  client = new ApiClient({ transport: server.transport(controllersUser) });
  definitions = start(new Informer({ client, kind: customResourceDefinitionKind, ...common }));
  const namespaces = start(new Informer({ client, kind: namespaceKind, ...common }));
  objects = start(new MetadataInformers({ client, kinds: new DefinedKinds(definitions), shared: [], ignored: [eventKind as unknown as KindDefinition], ...common }));
  const recorder = start(new EventRecorder({ client, component: 'garbage-collector', clock, logger }));
  start(new GarbageCollector({ client, objects, recorder, ...common }));
  start(new NamespaceCleaner({ client, namespaces, objects, ...common }));
});

afterEach(async () => {
  stop.abort();
  await Promise.all(running);
  await server.close();
});

const widgets = genericKind({ group: 'example.com', version: 'v1', kind: 'Widget', plural: 'widgets', namespaced: true });

/** Waits until `wished` holds of the object: undefined when it is not there. */
async function until<T extends KubeObject>(kind: KindDefinition<T>, name: string, namespace: string | undefined, wished: (object: T | undefined) => boolean): Promise<T | undefined> {
  const seen = new AbortController();
  const list = await admin.list(kind, { namespace, fieldSelector: `metadata.name=${name}` });
  let object: T | undefined = list.items[0];
  if (wished(object)) return object;
  const watch = admin.watch(kind, { namespace, fieldSelector: `metadata.name=${name}`, resourceVersion: list.metadata.resourceVersion, signal: AbortSignal.any([seen.signal, stop.signal]) });
  for await (const event of watch) {
    object = event.type === 'DELETED' ? undefined : event.object;
    if (wished(object)) {
      seen.abort();
      return object;
    }
  }
  throw new Error(`the watch of ${name} ended`);
}
const gone = <T extends KubeObject>(kind: KindDefinition<T>, name: string, namespace?: string): Promise<unknown> => until(kind, name, namespace, (object) => object === undefined);

/** Resolves when the collector's copies have the object. */
async function copied(kind: KindDefinition, name: string): Promise<void> {
  const known = (): boolean => objects.get(kind, name, 'default') !== undefined;
  if (known()) return;
  await new Promise<void>((resolve) => objects.onChanges({ changes: () => known() && resolve(), kindsChanged: () => undefined }));
}

async function define(): Promise<void> {
  const spec = {
    group: 'example.com',
    names: { plural: 'widgets', kind: 'Widget' },
    scope: 'Namespaced',
    versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } } }],
  };
  await admin.create(customResourceDefinitionKind, { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata: { name: 'widgets.example.com' }, spec } as CustomResourceDefinition);
  await until(customResourceDefinitionKind, 'widgets.example.com', undefined, (crd) => crd !== undefined && isEstablished(crd));
}

const ownedBy = (...owners: { apiVersion: string; kind: string; metadata: ObjectMeta }[]): ObjectMeta => ({
  ownerReferences: owners.map(({ apiVersion, kind, metadata }) => ({ apiVersion, kind, name: metadata.name!, uid: metadata.uid! })),
});
const widget = (name: string, metadata: ObjectMeta = {}): Promise<KubeObject> => admin.create(widgets, { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name, namespace: 'default', ...metadata } });
const map = (name: string, metadata: ObjectMeta = {}): Promise<ConfigMap> => admin.create(configMapKind, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default', ...metadata } });
const namespace = (name: string): Promise<Namespace> => admin.create(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });

async function eventOf(name: string, reason: string): Promise<Event> {
  const seen = new AbortController();
  for await (const { object } of admin.watch(eventKind, { resourceVersion: '0', signal: AbortSignal.any([seen.signal, stop.signal]) })) {
    if (object.involvedObject.name !== name || object.reason !== reason) continue;
    seen.abort();
    return object;
  }
  throw new Error('no such event');
}

describe('garbage collection', () => {
  it('follows owners and dependents of kinds that users bring', async () => {
    await define();
    const owner = await widget('owner');
    const child = await map('child', ownedBy(owner));
    await widget('grandchild', ownedBy(child));
    await admin.delete(widgets, 'owner', 'default');
    await gone(widgets, 'grandchild', 'default');
    await gone(configMapKind, 'child', 'default');
  });

  it('goes on when another version of a kind takes over', async () => {
    await define();
    const owner = await map('owner');
    await widget('kept', ownedBy(owner));
    await copied(widgets, 'kept');
    const { spec } = await admin.get(customResourceDefinitionKind, 'widgets.example.com');
    const [v1] = spec.versions;
    await admin.mergePatch(customResourceDefinitionKind, 'widgets.example.com', undefined, { spec: { versions: [{ ...v1, served: false, storage: false }, { ...v1, name: 'v2' }] } });
    const v2 = { ...widgets, version: 'v2' };
    await until(v2, 'kept', 'default', (object) => object !== undefined);
    await admin.delete(configMapKind, 'owner', 'default');
    await gone(v2, 'kept', 'default');
  });

  it('deletes in the foreground, and orphans, across kinds that users bring', async () => {
    await define();
    const first = await map('first');
    await widget('blocking', { ownerReferences: [{ ...ownedBy(first).ownerReferences![0]!, blockOwnerDeletion: true }], finalizers: ['example.com/hold'] });
    await admin.delete(configMapKind, 'first', 'default', { propagationPolicy: 'Foreground' });
    await until(widgets, 'blocking', 'default', (object) => Boolean(object?.metadata.deletionTimestamp));
    expect((await admin.get(configMapKind, 'first', 'default')).metadata.finalizers).toEqual(['foregroundDeletion']);
    await admin.mergePatch(widgets, 'blocking', 'default', { metadata: { finalizers: null } });
    await gone(configMapKind, 'first', 'default');

    const second = await widget('second');
    await map('kept', ownedBy(second));
    await admin.delete(widgets, 'second', 'default', { propagationPolicy: 'Orphan' });
    await gone(widgets, 'second', 'default');
    expect((await admin.get(configMapKind, 'kept', 'default')).metadata.ownerReferences).toBeUndefined();
  });

  it('leaves what an unknown kind owns, until the kind is there and the owner is not', async () => {
    const owner = { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'never', uid: 'u-1' } };
    const absent = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'never', uid: 'u-2' } };
    await map('left', ownedBy(owner));
    await map('both', ownedBy(owner, absent));
    // That the lost one of the two is forgotten shows that the collector has looked.
    await until(configMapKind, 'both', 'default', (object) => object?.metadata.ownerReferences?.length === 1);
    expect((await admin.get(configMapKind, 'left', 'default')).metadata.deletionTimestamp).toBeUndefined();
    await define();
    await gone(configMapKind, 'left', 'default');
    await gone(configMapKind, 'both', 'default');
  });

  it('knows owners of no namespace, and tasks by the name of pods', async () => {
    const node = await admin.create(nodeKind, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'm1' } } as Node);
    const task = await admin.create(taskKind, { apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name: 't', namespace: 'default' }, spec: { command: ['true'] } } as Task);
    await map('of-node', ownedBy(node));
    await map('of-pod', ownedBy({ apiVersion: 'v1', kind: 'Pod', metadata: task.metadata }));
    await map('lost', ownedBy(node, { apiVersion: 'v1', kind: 'Pod', metadata: { name: 't', uid: 'another' } }));
    await until(configMapKind, 'lost', 'default', (object) => object?.metadata.ownerReferences?.length === 1);
    await admin.delete(taskKind, 't', 'default');
    await gone(configMapKind, 'of-pod', 'default');
    await admin.delete(nodeKind, 'm1');
    await gone(configMapKind, 'of-node', 'default');
  });

  it('takes an owner in another namespace for absent, and says so', async () => {
    await namespace('other');
    const owner = await map('owner', { namespace: 'other' });
    await map('dependent', ownedBy(owner));
    const event = await eventOf('dependent', 'OwnerRefInvalidNamespace');
    expect(event).toMatchObject({ type: 'Warning', message: `ownerRef [v1/ConfigMap, namespace: default, name: owner, uid: ${owner.metadata.uid}] does not exist in namespace "default"` });
    await gone(configMapKind, 'dependent', 'default');
    expect((await admin.get(configMapKind, 'owner', 'other')).metadata.deletionTimestamp).toBeUndefined();
  });

  it('keeps what is in no namespace when its owner would be in one, and says so', async () => {
    const owner = await map('owner');
    await admin.create(nodeKind, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'm1', ...ownedBy(owner) } } as Node);
    await eventOf('m1', 'OwnerRefInvalidNamespace');
    await admin.delete(configMapKind, 'owner', 'default');
    expect((await admin.get(nodeKind, 'm1')).metadata.deletionTimestamp).toBeUndefined();
  });

  it('heeds references that come and go', async () => {
    const owner = await map('owner');
    await map('freed', ownedBy(owner));
    await map('taken');
    await admin.mergePatch(configMapKind, 'freed', 'default', { metadata: { ownerReferences: null } });
    await admin.mergePatch(configMapKind, 'taken', 'default', { metadata: ownedBy(owner) });
    await admin.delete(configMapKind, 'owner', 'default');
    await gone(configMapKind, 'taken', 'default');
    expect((await admin.get(configMapKind, 'freed', 'default')).metadata.deletionTimestamp).toBeUndefined();
  });
});

describe('the copies of all metadata', () => {
  it('follow kinds that come and go, for whoever leads next, and hold nothing but metadata', async () => {
    await objects.synced;
    definitions.detachHandlers();
    objects.detachHandlers();
    const seen: string[] = [];
    let wake = (): void => undefined;
    const tell = (what: string): void => {
      seen.push(what);
      wake();
    };
    objects.onChanges({
      changes: (kind, changes) => {
        for (const { type, object } of changes) if (kind.kind === 'Widget') tell(`${type} ${object.metadata.name} ${Object.keys(object).join()}`);
      },
      kindGone: (kind) => tell(`${kind.kind} gone`),
    });
    const until = async (count: number): Promise<void> => {
      while (seen.length < count) await new Promise<void>((resolve) => (wake = resolve));
    };
    await define();
    await widget('a', { labels: { some: 'label' } });
    await until(1);
    expect([...objects.values(widgets)][0]?.metadata).not.toHaveProperty('labels');
    await admin.delete(widgets, 'a', 'default');
    await until(2);
    // As its controller does when there are no instances left.
    await admin.delete(customResourceDefinitionKind, 'widgets.example.com');
    await admin.mergePatch(customResourceDefinitionKind, 'widgets.example.com', undefined, { metadata: { finalizers: null } }).catch(() => undefined);
    await until(3);
    expect(seen).toEqual(['added a apiVersion,kind,metadata', 'deleted a apiVersion,kind,metadata', 'Widget gone']);
    expect(objects.hasSynced).toBe(true);
  });
});

describe('the deletion of a namespace', () => {
  it('empties it of what users have brought, and tells what it waits for', async () => {
    await define();
    await namespace('team');
    await widget('held', { namespace: 'team', finalizers: ['example.com/hold'] });
    await widget('free', { namespace: 'team' });
    await map('settings', { namespace: 'team' });
    expect(await admin.delete(namespaceKind, 'team')).toMatchObject({ spec: { finalizers: ['kubernetes'] }, status: { phase: 'Terminating' } });
    await expect(map('late', { namespace: 'team' })).rejects.toMatchObject({ code: 403, details: { causes: [{ reason: 'NamespaceTerminating' }] } });
    const waiting = await until(namespaceKind, 'team', undefined, (object) => findCondition(object?.status?.conditions, 'NamespaceFinalizersRemaining')?.status === 'True');
    expect(waiting?.status).toMatchObject({
      phase: 'Terminating',
      conditions: [
        { type: 'NamespaceDeletionDiscoveryFailure', status: 'False', reason: 'ResourcesDiscovered' },
        { type: 'NamespaceDeletionGroupVersionParsingFailure', status: 'False', reason: 'ParsedGroupVersions' },
        { type: 'NamespaceDeletionContentFailure', status: 'False', reason: 'ContentDeleted' },
        { type: 'NamespaceContentRemaining', status: 'True', reason: 'SomeResourcesRemain', message: 'Some resources are remaining: widgets.example.com has 1 resource instances' },
        { type: 'NamespaceFinalizersRemaining', status: 'True', reason: 'SomeFinalizersRemain', message: 'Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances' },
      ],
    });
    expect((await admin.list(configMapKind, { namespace: 'team' })).items).toEqual([]);
    await admin.mergePatch(widgets, 'held', 'team', { metadata: { finalizers: null } });
    await gone(namespaceKind, 'team');
  });

  it('can be forced by who finalizes it by hand', async () => {
    const stored = await namespace('team');
    await map('held', { namespace: 'team', finalizers: ['example.com/hold'] });
    await admin.delete(namespaceKind, 'team');
    const { resourceVersion: _any, ...metadata } = stored.metadata;
    await admin.update(namespaceKind, { ...stored, metadata, spec: { finalizers: [] } }, { subresource: 'finalize' });
    await gone(namespaceKind, 'team');
  });
});
