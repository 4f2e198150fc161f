// The typed APIs of client-node for the kinds that Kubernetes and Taskplane share, and what a controller written with it needs.

import {
  ApiextensionsV1Api, AuthorizationV1Api, CoordinationV1Api, CoreV1Api, CustomObjectsApi, EventsV1Api, KubernetesObjectApi, makeInformer, Metrics, PatchStrategy, setHeaderOptions, topNodes, V1MicroTime, VersionApi,
  type KubernetesObject, type V1Lease,
} from '@kubernetes/client-node';
import { describe, expect } from '@jest/globals';
import { Deferred } from '../../lib/deferred.js';
import { scriptTask, type Cluster } from '../cluster.js';
import { withCluster } from '../with-cluster.js';
import { configOf, failureOf } from './config.js';

const namespace = 'default';

describe('the typed APIs of client-node', () => {
  const { story } = withCluster({ store: 'embedded' });

  story('namespaces, config maps and secrets', async (cluster) => {
    const core = configOf(cluster).makeApiClient(CoreV1Api);
    const made = await core.createNamespace({ body: { metadata: { name: 'typed' } } });
    expect(made.status?.phase).toBe('Active');
    const map = await core.createNamespacedConfigMap({ namespace: 'typed', body: { metadata: { name: 'settings' }, data: { level: 'high' } } });
    expect(map.metadata?.creationTimestamp).toBeInstanceOf(Date);
    await core.replaceNamespacedConfigMap({ namespace: 'typed', name: 'settings', body: Object.assign({}, map, { data: { level: 'low' } }) });
    expect(await failureOf(core.replaceNamespacedConfigMap({ namespace: 'typed', name: 'settings', body: map }))).toEqual({ code: 409, reason: 'Conflict' });
    await core.patchNamespacedConfigMap({ namespace: 'typed', name: 'settings', body: { data: { more: '1' } } }, setHeaderOptions('Content-Type', PatchStrategy.StrategicMergePatch));
    await core.patchNamespacedConfigMap({ namespace: 'typed', name: 'settings', body: [{ op: 'remove', path: '/data/level' }] });
    expect((await core.readNamespacedConfigMap({ namespace: 'typed', name: 'settings' })).data).toEqual({ more: '1' });
    await core.createNamespacedSecret({ namespace: 'typed', body: { metadata: { generateName: 'key-' }, stringData: { a: 'b' } } });
    const { items } = await core.listNamespacedSecret({ namespace: 'typed', limit: 1 });
    expect(items[0]?.data).toEqual({ a: Buffer.from('b').toString('base64') });
    await core.deleteCollectionNamespacedSecret({ namespace: 'typed' });
    expect((await core.listNamespacedSecret({ namespace: 'typed' })).items).toEqual([]);
    await core.deleteNamespace({ name: 'typed' });
    await cluster.eventually('the namespace to go', async () => core.readNamespace({ name: 'typed' }).then(() => undefined, () => true));
  });

  story('nodes, pods, events and versions', async (cluster) => {
    const config = configOf(cluster);
    const core = config.makeApiClient(CoreV1Api);
    await cluster.create(scriptTask('typed-pod', 'echo from the pod'));
    await cluster.finished('typed-pod');
    const pod = await core.readNamespacedPod({ namespace, name: 'typed-pod' });
    expect(pod.status?.containerStatuses?.[0]?.state?.terminated?.exitCode).toBe(0);
    expect(await core.readNamespacedPodLog({ namespace, name: 'typed-pod' })).toBe('from the pod\n');
    expect((await core.listNamespacedPod({ namespace, fieldSelector: 'status.phase=Succeeded' })).items.map(({ metadata }) => metadata?.name)).toContain('typed-pod');
    const events = await cluster.eventually('the events of the task', async () => {
      const { items } = await core.listNamespacedEvent({ namespace, fieldSelector: 'involvedObject.name=typed-pod' });
      return items.length > 0 ? items : undefined;
    });
    expect(events[0]?.involvedObject).toMatchObject({ kind: 'Task', name: 'typed-pod' });
    const newer = await config.makeApiClient(EventsV1Api).listNamespacedEvent({ namespace });
    expect(newer.items.map(({ regarding }) => regarding?.name)).toContain('typed-pod');
    const node = await core.readNode({ name: cluster.node('n1') });
    expect(node.status?.nodeInfo?.operatingSystem).toBe('linux');
    expect(Number((await config.makeApiClient(VersionApi).getCode()).minor)).toBeGreaterThanOrEqual(32);
    const review = await config.makeApiClient(AuthorizationV1Api).createSelfSubjectAccessReview({ body: { spec: { resourceAttributes: { verb: 'create', group: 'taskplane.dev', resource: 'tasks', namespace } } } });
    expect(review.status?.allowed).toBe(true);
    await cluster.taskplane(['delete', 'task', 'typed-pod']);
  });

  story('measured use, by Metrics and topNodes', async (cluster) => {
    const config = configOf(cluster);
    const metrics = new Metrics(config);
    const { items } = await cluster.eventually('the node to be measured', async () => {
      const list = await metrics.getNodeMetrics();
      return list.items.length > 0 ? list : undefined;
    });
    expect(items[0]).toMatchObject({ metadata: { name: cluster.node('n1') }, usage: { cpu: expect.any(String), memory: expect.any(String) } });
    const [top] = await topNodes(config.makeApiClient(CoreV1Api));
    expect(top?.CPU.Capacity).toBeGreaterThan(0);
  });

  story('a lease elects one leader, and another one when it goes', async (cluster) => {
    const lease = { namespace, name: 'my-controller' };
    const led: string[] = [];
    const one = new Candidate(cluster, lease, 'one', led);
    const two = new Candidate(cluster, lease, 'two', led);
    expect(await one.tryToLead()).toBe(true);
    expect(await two.tryToLead()).toBe(false);
    expect(await one.tryToLead()).toBe(true);
    await one.release();
    expect(await two.tryToLead()).toBe(true);
    expect(await one.tryToLead()).toBe(false);
    expect(led).toEqual(['one', 'one', 'two']);
    const { spec } = await configOf(cluster).makeApiClient(CoordinationV1Api).readNamespacedLease(lease);
    expect(spec).toMatchObject({ holderIdentity: 'two', leaseTransitions: 1 });
    // Microseconds come back as they were sent.
    expect(String(spec?.renewTime instanceof Date ? spec.renewTime.toISOString() : spec?.renewTime)).toMatch(/\.\d{3,6}Z$/);
  });

  story('two writers of one lease never both get it', async (cluster) => {
    const lease = { namespace, name: 'contested' };
    const led: string[] = [];
    const candidates = ['a', 'b', 'c', 'd', 'e'].map((name) => new Candidate(cluster, lease, name, led));
    const outcomes = await Promise.all(candidates.map((candidate) => candidate.tryToLead()));
    expect(outcomes.filter(Boolean)).toHaveLength(1);
  });

  story('server-side apply with KubernetesObjectApi', async (cluster) => {
    const objects = KubernetesObjectApi.makeApiClient(configOf(cluster));
    const apply = (fieldManager: string, data: Record<string, string>, force = false) =>
      objects.patch({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'applied', namespace }, data } as KubernetesObject, undefined, undefined, fieldManager, force, PatchStrategy.ServerSideApply);
    await apply('first', { a: '1', b: '2' });
    expect(await failureOf(apply('second', { a: '2' }))).toEqual({ code: 409, reason: 'Conflict' });
    await apply('second', { a: '2' }, true);
    await apply('first', { b: '2' });
    const read = (await objects.read({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'applied', namespace } })) as KubernetesObject & { data: object };
    expect(read.data).toEqual({ a: '2', b: '2' });
    await objects.delete(read);
  });

  story('a kind of its own: definition, resources, status, scale, an informer', async (cluster) => {
    const config = configOf(cluster);
    const api = config.makeApiClient(CustomObjectsApi);
    const group = 'client-node.example.com';
    const kind = { group, version: 'v1', namespace, plural: 'widgets' };
    await config.makeApiClient(ApiextensionsV1Api).createCustomResourceDefinition({
      body: {
        apiVersion: 'apiextensions.k8s.io/v1',
        kind: 'CustomResourceDefinition',
        metadata: { name: `widgets.${group}` },
        spec: {
          group,
          scope: 'Namespaced',
          names: { plural: 'widgets', singular: 'widget', kind: 'Widget' },
          versions: [{
            name: 'v1', served: true, storage: true,
            subresources: { status: {}, scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas' } },
            schema: { openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object', properties: { replicas: { type: 'integer', _default: 1, minimum: 0 } } }, status: { type: 'object', properties: { replicas: { type: 'integer' } } } } } },
          }],
        },
      },
    });
    // Served as soon as the definition is there.
    const added = new Deferred<string>();
    const changed = new Deferred<unknown>();
    const informer = makeInformer<KubernetesObject & { spec?: { replicas?: number } }>(config, `/apis/${group}/v1/namespaces/${namespace}/widgets`, async () => (await api.listNamespacedCustomObject(kind)) as never);
    informer.on('add', ({ metadata }) => added.resolve(metadata?.name ?? ''));
    informer.on('update', ({ spec }) => spec?.replicas === 3 && changed.resolve(undefined));
    informer.on('error', () => undefined);
    await informer.start();
    await api.createNamespacedCustomObject({ ...kind, body: { apiVersion: `${group}/v1`, kind: 'Widget', metadata: { name: 'one' }, spec: {} } });
    expect(await added.promise).toBe('one');
    await api.patchNamespacedCustomObjectScale({ ...kind, name: 'one', body: { spec: { replicas: 3 } } }, setHeaderOptions('Content-Type', PatchStrategy.MergePatch));
    await changed.promise;
    await api.patchNamespacedCustomObjectStatus({ ...kind, name: 'one', body: { status: { replicas: 2 } } }, setHeaderOptions('Content-Type', PatchStrategy.MergePatch));
    expect(await api.getNamespacedCustomObjectScale({ ...kind, name: 'one' })).toMatchObject({ kind: 'Scale', spec: { replicas: 3 }, status: { replicas: 2 } });
    expect(await failureOf(api.createNamespacedCustomObject({ ...kind, body: { apiVersion: `${group}/v1`, kind: 'Widget', metadata: { name: 'bad' }, spec: { replicas: -1 } } }))).toEqual({ code: 422, reason: 'Invalid' });
    await informer.stop();
    await config.makeApiClient(ApiextensionsV1Api).deleteCustomResourceDefinition({ name: `widgets.${group}` });
    await cluster.eventually('the kind to go', async () => api.listNamespacedCustomObject(kind).then(() => undefined, () => true));
  });
});

/** Leader election as users of client-node write it: read, then replace under the resourceVersion that was read. */
class Candidate {
  readonly #api: CoordinationV1Api;

  constructor(cluster: Cluster, private readonly lease: { namespace: string; name: string }, private readonly identity: string, private readonly led: string[]) {
    this.#api = configOf(cluster).makeApiClient(CoordinationV1Api);
  }

  async tryToLead(): Promise<boolean> {
    const { namespace: ns, name } = this.lease;
    try {
      const now = new V1MicroTime();
      const held = await this.#api.readNamespacedLease(this.lease).catch(() => undefined);
      if (!held) {
        await this.#api.createNamespacedLease({ namespace: ns, body: { metadata: { name }, spec: { holderIdentity: this.identity, leaseDurationSeconds: 15, acquireTime: now, renewTime: now, leaseTransitions: 0 } } });
      } else {
        const holder = held.spec?.holderIdentity;
        if (holder && holder !== this.identity) return false;
        await this.#replace(held, { holderIdentity: this.identity, renewTime: now, leaseTransitions: (held.spec?.leaseTransitions ?? 0) + (holder === this.identity ? 0 : 1) });
      }
      this.led.push(this.identity);
      return true;
    } catch {
      return false;
    }
  }

  async release(): Promise<void> {
    await this.#replace(await this.#api.readNamespacedLease(this.lease), { holderIdentity: '' });
  }

  async #replace(held: V1Lease, spec: V1Lease['spec']): Promise<void> {
    await this.#api.replaceNamespacedLease({ ...this.lease, body: Object.assign({}, held, { spec: Object.assign({}, held.spec, spec) }) });
  }
}
