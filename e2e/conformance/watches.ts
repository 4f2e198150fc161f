// Watches: every change once, in order, as the watcher's selection and shape have it.

import { expect, it } from '@jest/globals';
import { configMap, configMapsIn, names, task, tasksIn, type ConformanceCluster } from './cluster.js';
import { shown } from './lists.js';

export function watches(cluster: () => ConformanceCluster): void {
  it('replays what there is, then tells of every change', async () => {
    const { wire } = cluster();
    const path = configMapsIn(await cluster().namespace());
    await wire.create(path, configMap('a'));
    for (const query of [{}, { resourceVersion: '0' }] as Record<string, string>[]) {
      const watch = await wire.watch(path, query);
      expect(watch.status).toBe(200);
      expect(await watch.take(1)).toEqual(['ADDED a']);
      const made = await wire.create(path, configMap('b', { x: '1' }));
      expect(await watch.next()).toEqual({ type: 'ADDED', object: made });
      const changed = (await wire.patch(`${path}/b`, 'merge', { data: { x: '2' } })).json;
      expect(await watch.next()).toEqual({ type: 'MODIFIED', object: changed });
      await wire.delete(`${path}/b`);
      const gone = (await watch.next())!;
      expect([gone.type, gone.object.data]).toEqual(['DELETED', { x: '2' }]);
      expect(Number(gone.object.metadata.resourceVersion)).toBeGreaterThan(Number(changed.metadata.resourceVersion));
      watch.stop();
    }
  });

  it('goes on after any resourceVersion that it has given, without a gap or a repeat', async () => {
    const { wire } = cluster();
    const path = configMapsIn(await cluster().namespace());
    const versions: string[] = [];
    for (const name of ['a', 'b', 'c', 'd']) versions.push((await wire.create(path, configMap(name))).metadata.resourceVersion!);
    await wire.delete(`${path}/a`);
    const expected = ['ADDED a', 'ADDED b', 'ADDED c', 'ADDED d', 'DELETED a'];
    for (const [index, resourceVersion] of versions.entries()) {
      const watch = await wire.watch(path, { resourceVersion });
      expect(await watch.take(4 - index)).toEqual(expected.slice(index + 1));
      watch.stop();
    }
  });

  it('tells that an object enters and leaves a selection', async () => {
    const { wire } = cluster();
    const path = configMapsIn(await cluster().namespace());
    const watch = await wire.watch(path, { labelSelector: 'side=left', resourceVersion: (await wire.get(path)).json.metadata.resourceVersion! });
    const put = (side: string, x: string) => wire.patch(`${path}/a`, 'merge', { metadata: { labels: { side } }, data: { x } });
    await wire.create(path, configMap('a'));
    await put('left', '1');
    await put('left', '2');
    const left = (await put('right', '3')).json;
    await put('left', '4');
    await wire.delete(`${path}/a`);
    expect(await watch.take(2)).toEqual(['ADDED a', 'MODIFIED a']);
    expect(await watch.next()).toMatchObject({ type: 'DELETED', object: { data: { x: '2' }, metadata: { labels: { side: 'left' }, resourceVersion: left.metadata.resourceVersion } } });
    expect(await watch.take(2)).toEqual(['ADDED a', 'DELETED a']);
    watch.stop();
  });

  it('watches one object by its name, also by its own path', async () => {
    const { wire } = cluster();
    const path = configMapsIn(await cluster().namespace());
    await wire.create(path, configMap('a'));
    await wire.create(path, configMap('b'));
    const watches = [await wire.watch(path, { fieldSelector: 'metadata.name=b' }), await wire.watch(`${path}/b`)];
    await wire.patch(`${path}/a`, 'merge', { data: { x: '1' } });
    await wire.patch(`${path}/b`, 'merge', { data: { x: '1' } });
    for (const watch of watches) {
      expect(await watch.take(2)).toEqual(['ADDED b', 'MODIFIED b']);
      watch.stop();
    }
  });

  it.each<[string, string, object, object]>([
    ['as they are', 'application/json', { kind: 'ConfigMap', apiVersion: 'v1' }, { kind: 'ConfigMap' }],
    ['as tables', 'application/json;as=Table;v=v1;g=meta.k8s.io', { kind: 'Table', rows: [] }, { kind: 'Table', rows: [{ object: { kind: 'PartialObjectMetadata' } }] }],
    ['as metadata', 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io', { kind: 'PartialObjectMetadata' }, { kind: 'PartialObjectMetadata' }],
  ])('marks the end of the initial events, %s', async (_, accept, mark, later) => {
    const { wire } = cluster();
    const path = configMapsIn(await cluster().namespace());
    await wire.create(path, configMap('a'));
    const watch = await wire.watch(path, { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan', allowWatchBookmarks: 'true' }, { accept });
    expect((await watch.next())!.type).toBe('ADDED');
    const end = (await watch.next())!;
    expect(end).toMatchObject({ type: 'BOOKMARK', object: { ...mark, metadata: { annotations: { 'k8s.io/initial-events-end': 'true' } } } });
    await wire.create(path, configMap('b'));
    expect(await watch.next()).toMatchObject({ type: 'ADDED', object: later });
    watch.stop();
    const resumed = await wire.watch(path, { resourceVersion: end.object.metadata.resourceVersion! });
    expect(await resumed.take(1)).toEqual(['ADDED b']);
    resumed.stop();
  });

  it('begins with nothing where nothing is asked for', async () => {
    const { wire } = cluster();
    const path = configMapsIn(await cluster().namespace());
    await wire.create(path, configMap('a'));
    const watch = await wire.watch(path, { sendInitialEvents: 'false', resourceVersionMatch: 'NotOlderThan' });
    await wire.create(path, configMap('b'));
    expect(await watch.take(1)).toEqual(['ADDED b']);
    watch.stop();
  });

  it('refuses what makes no sense, in the words of Kubernetes', async () => {
    const { wire } = cluster();
    const path = configMapsIn(await cluster().namespace());
    const refused = async (query: Record<string, string>) => shown(await wire.get(path, { watch: '1', ...query }));
    const match = 'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: ';
    expect(await refused({ sendInitialEvents: 'true' })).toEqual([422, 'Invalid', `${match}Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan`]);
    expect(await refused({ resourceVersionMatch: 'NotOlderThan' })).toEqual([422, 'Invalid', `${match}Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided`]);
    expect(await refused({ sendInitialEvents: 'true', resourceVersionMatch: 'Exact' })).toEqual([422, 'Invalid', expect.stringContaining('supported values: "NotOlderThan"')]);
    expect(await refused({ resourceVersion: 'x' })).toEqual([400, 'BadRequest', expect.stringContaining('Invalid value: "x"')]);
  });

  it('ends when its time is up, with a bookmark where asked for', async () => {
    const { wire } = cluster();
    const path = configMapsIn(await cluster().namespace());
    const watch = await wire.watch(path, { timeoutSeconds: '1', allowWatchBookmarks: 'true', resourceVersion: (await wire.get(path)).json.metadata.resourceVersion! });
    expect(await watch.take(2)).toEqual(['BOOKMARK', 'the end']);
  });

  it('shows tasks as pods', async () => {
    const { wire } = cluster();
    const namespace = await cluster().namespace();
    const watch = await wire.watch(`/api/v1/namespaces/${namespace}/pods`, { labelSelector: 'app=x' });
    await wire.create(tasksIn(namespace), task('other'));
    await wire.create(tasksIn(namespace), task('a', { metadata: { labels: { app: 'x' } } }));
    expect(await watch.next()).toMatchObject({ type: 'ADDED', object: { kind: 'Pod', apiVersion: 'v1', metadata: { name: 'a' } } });
    watch.stop();
  });

  it('begins with very many objects, and misses nothing that happens meanwhile', async () => {
    const { wire } = cluster();
    const namespace = await cluster().namespace();
    const count = 3_000;
    const items = Array.from({ length: count }, (_, index) => task(`t${index}`, { metadata: { namespace, annotations: { padding: 'x'.repeat(2_000) } } }));
    for (let from = 0; from < count; from += 1_000) await wire.post('/apis/taskplane.dev/v1/bulk/tasks', { items: items.slice(from, from + 1_000) });
    const watch = await wire.watch(tasksIn(namespace), { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan', allowWatchBookmarks: 'true' });
    const seen = new Set<string | undefined>();
    const change = wire.delete(tasksIn(namespace, 't2999'), { gracePeriodSeconds: 0 });
    const late = wire.create(tasksIn(namespace), task('late'));
    let event = await watch.next();
    for (; event?.type === 'ADDED'; event = await watch.next()) seen.add(event.object.metadata.name);
    await Promise.all([change, late]);
    expect(event).toMatchObject({ type: 'BOOKMARK' });
    const rest = new Set<string>();
    while (!(seen.has('late') || rest.has('ADDED late')) || !(rest.has('DELETED t2999') || !seen.has('t2999'))) for (const text of await watch.take(1)) rest.add(text);
    expect(seen.size).toBeGreaterThanOrEqual(count - 1);
    watch.stop();
    expect(names((await wire.get(tasksIn(namespace), { labelSelector: 'none' })).json)).toEqual([]);
  });
}
