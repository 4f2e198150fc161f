// Stock @kubernetes/client-node 1.4.0: generic CRUD on tasks, typed nodes, watches and informers.

import { CoreV1Api, CustomObjectsApi, KubernetesObjectApi, makeInformer, PatchStrategy, setHeaderOptions, Watch, type KubernetesObject } from '@kubernetes/client-node';
import { describe, expect } from '@jest/globals';
import type { Task } from '../../api/task.js';
import { Deferred } from '../../lib/deferred.js';
import { scriptTask } from '../cluster.js';
import { withCluster } from '../with-cluster.js';
import { configOf, failureOf } from './config.js';

const collection = { group: 'taskplane.dev', version: 'v1', namespace: 'default', plural: 'tasks' };

describe('stock client-node', () => {
  const { story } = withCluster({ store: 'embedded' });

  story('creates, reads, lists, patches and deletes tasks', async (cluster) => {
    const api = configOf(cluster).makeApiClient(CustomObjectsApi);
    const created = (await api.createNamespacedCustomObject({ ...collection, body: scriptTask('crud', 'echo hello') })) as Task;
    expect(created.metadata.uid).toMatch(/^[0-9a-f-]{36}$/);
    await cluster.finished('crud');
    const read = (await api.getNamespacedCustomObject({ ...collection, name: 'crud' })) as Task;
    expect(read.status).toMatchObject({ phase: 'Succeeded', exitCode: 0 });
    const list = (await api.listNamespacedCustomObject(collection)) as { items: Task[] };
    expect(list.items.map((item) => item.metadata.name)).toEqual(['crud']);
    const patched = (await api.patchNamespacedCustomObject({ ...collection, name: 'crud', body: { metadata: { labels: { by: 'client-node' } } } }, setHeaderOptions('Content-Type', PatchStrategy.MergePatch))) as Task;
    expect(patched.metadata.labels).toEqual({ by: 'client-node' });
    expect(await failureOf(api.replaceNamespacedCustomObject({ ...collection, name: 'crud', body: read }))).toEqual({ code: 409, reason: 'Conflict' });
    expect(await failureOf(api.createNamespacedCustomObject({ ...collection, body: scriptTask('crud', 'true') }))).toEqual({ code: 409, reason: 'AlreadyExists' });
    await api.deleteNamespacedCustomObject({ ...collection, name: 'crud' });
    await cluster.tasks.untilGone('default/crud');
    expect(await failureOf(api.getNamespacedCustomObject({ ...collection, name: 'crud' }))).toEqual({ code: 404, reason: 'NotFound' });
    expect(await failureOf(api.createNamespacedCustomObject({ ...collection, body: { ...scriptTask('bad', 'true'), spec: {} } }))).toEqual({ code: 422, reason: 'Invalid' });
  });

  story('reads nodes and works with objects of any kind', async (cluster) => {
    const config = configOf(cluster);
    const nodes = await config.makeApiClient(CoreV1Api).listNode();
    const node = nodes.items.find((item) => item.metadata?.name === cluster.node('n1'));
    expect(node?.status?.conditions).toContainEqual(expect.objectContaining({ type: 'Ready', status: 'True' }));
    expect(node?.status?.allocatable?.['cpu']).toBeDefined();

    const objects = KubernetesObjectApi.makeApiClient(config);
    const secret = await objects.create({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'any', namespace: 'default' }, stringData: { a: 'b' } } as KubernetesObject);
    expect((secret as { data?: Record<string, string> }).data).toEqual({ a: Buffer.from('b').toString('base64') });
    await objects.delete(secret);
    expect(await failureOf(objects.read({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'any', namespace: 'default' } }))).toEqual({ code: 404, reason: 'NotFound' });
  });

  story('watches: every change once and in order', async (cluster) => {
    const seen: string[] = [];
    const finished = new Deferred<void>();
    const request = await new Watch(configOf(cluster)).watch(
      '/apis/taskplane.dev/v1/namespaces/default/tasks',
      {},
      (type: string, task: Task) => {
        if (task.metadata.name !== 'watched') return;
        seen.push(type === 'MODIFIED' ? (task.status?.phase ?? '') : type);
        if (type === 'DELETED') finished.resolve();
      },
      () => finished.reject(new Error('the watch ended early')),
    );
    await cluster.create(scriptTask('watched', 'true'));
    await cluster.finished('watched');
    await cluster.taskplane(['delete', 'task', 'watched']);
    await finished.promise;
    request.abort();
    expect(seen[0]).toBe('ADDED');
    expect(seen.at(-1)).toBe('DELETED');
    const phases = seen.slice(1, -1).filter((phase, index, all) => phase !== all[index - 1]);
    const order = ['Pending', 'Scheduled', 'Running', 'Succeeded'];
    expect(phases).toEqual(order.filter((phase) => phases.includes(phase)));
    expect(phases).toContain('Succeeded');
  });

  story('keeps an informer that survives a restart of the API server', async (cluster) => {
    const config = configOf(cluster);
    const api = config.makeApiClient(CustomObjectsApi);
    const informer = makeInformer<Task & KubernetesObject>(config, '/apis/taskplane.dev/v1/namespaces/default/tasks', async () => (await api.listNamespacedCustomObject(collection)) as never);
    const waits = new Map<string, Deferred<void>>();
    const heard = (what: string): Deferred<void> => {
      if (!waits.has(what)) waits.set(what, new Deferred());
      return waits.get(what)!;
    };
    let stopped = false;
    informer.on('add', (task) => heard(`add ${task.metadata.name}`).resolve());
    informer.on('update', (task) => heard(`${task.status?.phase} ${task.metadata.name}`).resolve());
    informer.on('delete', (task) => heard(`delete ${task.metadata.name}`).resolve());
    // Its own words: after any failure but a clean end it stays dead until it is started again.
    informer.on('error', () => {
      if (!stopped) cluster.clock.timer(100, () => void informer.start().catch(() => undefined));
    });
    await informer.start();
    await cluster.create(scriptTask('before', 'true'));
    await heard('add before').promise;
    await heard('Succeeded before').promise;
    await cluster.processes.apiserver.kill();
    await cluster.processes.startApiserver();
    await cluster.eventually('the API to take a task', async () => cluster.create(scriptTask('after', 'true')).catch(() => undefined));
    await heard('add after').promise;
    await heard('Succeeded after').promise;
    await cluster.taskplane(['delete', 'tasks', '--all']);
    await heard('delete before').promise;
    stopped = true;
    await informer.stop();
  });
});
