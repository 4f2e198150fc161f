// Lists: how new, how complete and in what shape an answer is.

import { expect, it } from '@jest/globals';
import { configMap, configMapsIn, names, task, tasksIn, type ConformanceCluster } from './cluster.js';
import type { Reply } from './wire.js';

export function lists(cluster: () => ConformanceCluster): void {
  const five = async (): Promise<string> => {
    const namespace = await cluster().namespace();
    for (const name of ['a', 'b', 'c', 'd', 'e']) await cluster().wire.create(configMapsIn(namespace), configMap(name, {}, { labels: { third: String('abcde'.indexOf(name) % 3) } }));
    return configMapsIn(namespace);
  };

  it('answers with a list of the kind that a watch can go on from', async () => {
    const { wire } = cluster();
    const path = await five();
    const { status, json, headers } = await wire.get(path);
    expect([status, headers['content-type'], json.kind, json.apiVersion]).toEqual([200, 'application/json', 'ConfigMapList', 'v1']);
    expect(names(json)).toEqual(['a', 'b', 'c', 'd', 'e']);
    const watch = await wire.watch(path, { resourceVersion: json.metadata.resourceVersion! });
    await wire.create(path, configMap('f'));
    expect(await watch.take(1)).toEqual(['ADDED f']);
    watch.stop();
  });

  it('gives the pages of a list as of one moment', async () => {
    const { wire } = cluster();
    const path = await five();
    const first = (await wire.get(path, { limit: '2' })).json;
    expect([names(first), first.metadata.remainingItemCount]).toEqual([['a', 'b'], 3]);
    await wire.create(path, configMap('bb'));
    await wire.delete(`${path}/d`);
    const second = (await wire.get(path, { limit: '2', continue: first.metadata.continue! })).json;
    expect([names(second), second.metadata.remainingItemCount, second.metadata.resourceVersion]).toEqual([['c', 'd'], 1, first.metadata.resourceVersion]);
    const third = (await wire.get(path, { limit: '2', continue: second.metadata.continue! })).json;
    expect([names(third), third.metadata.continue, third.metadata.remainingItemCount]).toEqual([['e'], undefined, undefined]);
    const selected = (await wire.get(path, { limit: '1', labelSelector: 'third=0' })).json;
    expect([names(selected), selected.metadata.remainingItemCount, typeof selected.metadata.continue]).toEqual([['a'], undefined, 'string']);
  });

  it('answers as of the resourceVersion that is asked for', async () => {
    const { wire } = cluster();
    const path = await five();
    const old = (await wire.get(path)).json.metadata.resourceVersion!;
    await wire.create(path, configMap('f'));
    const all = ['a', 'b', 'c', 'd', 'e', 'f'];
    const seen = async (query: Record<string, string>): Promise<unknown> => names((await wire.get(path, query)).json);
    expect(await seen({ resourceVersion: old, resourceVersionMatch: 'Exact' })).toEqual(all.slice(0, 5));
    expect(await seen({ resourceVersion: old, limit: '10' })).toEqual(all.slice(0, 5));
    expect(await seen({ resourceVersion: old, resourceVersionMatch: 'NotOlderThan' })).toEqual(all);
    expect(await seen({ resourceVersion: old })).toEqual(all);
    expect(await seen({ resourceVersion: '0', limit: '10' })).toEqual(all);
    expect(await seen({ resourceVersion: '0', resourceVersionMatch: 'NotOlderThan' })).toEqual(all);
  });

  it('refuses what makes no sense, in the words of Kubernetes', async () => {
    const { wire } = cluster();
    const path = await five();
    const { continue: token } = (await wire.get(path, { limit: '1' })).json.metadata;
    const refused = async (query: Record<string, string>): Promise<unknown[]> => shown(await wire.get(path, query));
    const options = 'ListOptions.meta.k8s.io "" is invalid: ';
    expect(await refused({ resourceVersionMatch: 'Exact' })).toEqual([422, 'Invalid', `${options}resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided`]);
    expect(await refused({ resourceVersionMatch: 'Exact', resourceVersion: '0' })).toEqual([422, 'Invalid', `${options}resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"`]);
    expect(await refused({ resourceVersionMatch: 'Newest', resourceVersion: '1' })).toEqual([422, 'Invalid', `${options}resourceVersionMatch: Unsupported value: "Newest": supported values: "Exact", "NotOlderThan", ""`]);
    expect(await refused({ resourceVersionMatch: 'NotOlderThan', continue: token!, resourceVersion: '1' })).toEqual([422, 'Invalid', `${options}resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided`]);
    expect(await refused({ sendInitialEvents: 'true' })).toEqual([422, 'Invalid', `${options}sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list`]);
    expect(await refused({ continue: token!, resourceVersion: '5' })).toEqual([400, 'BadRequest', 'specifying resource version is not allowed when using continue']);
    expect(await refused({ continue: 'bm9uc2Vuc2U' })).toEqual([400, 'BadRequest', expect.stringContaining('continue key is not valid')]);
    expect(await refused({ resourceVersion: 'newest' })).toEqual([400, 'BadRequest', expect.stringContaining('Invalid value: "newest"')]);
    expect(await refused({ labelSelector: 'a=(' })).toEqual([400, 'BadRequest', expect.stringContaining('unable to parse')]);
    expect(await refused({ fieldSelector: 'data.a=b' })).toEqual([400, 'BadRequest', expect.stringContaining('field label not supported: data.a')]);
    expect(await refused({ limit: 'many' })).toEqual([400, 'BadRequest', expect.stringContaining('limit')]);
  });

  it('says that a resourceVersion is from the future', async () => {
    const { wire } = cluster();
    const path = await five();
    const { status, json, headers } = await wire.get(path, { resourceVersion: '900000000000', resourceVersionMatch: 'NotOlderThan' });
    expect([status, json.reason, headers['retry-after']]).toEqual([504, 'Timeout', '1']);
    expect(json.message).toMatch(/^Timeout: Too large resource version: 900000000000, current: \d+$/);
    expect(json['details']).toMatchObject({ retryAfterSeconds: 1, causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }] });
  });

  it('says that pages have expired, and gives what a client can go on with that takes a changed list', async () => {
    const { wire } = cluster();
    const path = await five();
    const first = (await wire.get(path, { limit: '2' })).json;
    await cluster().forget();
    await wire.create(path, configMap('cc'));
    const expired = await wire.get(path, { limit: '2', continue: first.metadata.continue! });
    expect(shown(expired)).toEqual([410, 'Expired', expect.stringContaining('The provided continue parameter is too old to display a consistent list result.')]);
    const { json } = await wire.get(path, { limit: '2', continue: expired.json.metadata.continue! });
    expect(names(json)).toEqual(['c', 'cc']);
    expect(names((await wire.get(path, { limit: '5', continue: json.metadata.continue! })).json)).toEqual(['d', 'e']);
    const exact = await wire.get(path, { resourceVersion: first.metadata.resourceVersion!, resourceVersionMatch: 'Exact' });
    expect(shown(exact)).toEqual([410, 'Expired', 'The resourceVersion for the provided list is too old.']);
    const watch = await wire.watch(path, { resourceVersion: first.metadata.resourceVersion! });
    expect(watch.status).toBe(200);
    expect(await watch.next()).toMatchObject({ type: 'ERROR', object: { kind: 'Status', status: 'Failure', reason: 'Expired', code: 410, message: expect.stringMatching(/^too old resource version: \d+ \(\d+\)$/) } });
    expect(await watch.next()).toBeUndefined();
  });

  it('selects by labels and fields', async () => {
    const { wire } = cluster();
    const path = await five();
    const selected = async (query: Record<string, string>): Promise<unknown> => names((await wire.get(path, query)).json);
    expect(await selected({ labelSelector: 'third in (1,2)' })).toEqual(['b', 'c', 'e']);
    expect(await selected({ labelSelector: 'third!=0,third' })).toEqual(['b', 'c', 'e']);
    expect(await selected({ labelSelector: '!third' })).toEqual([]);
    expect(await selected({ fieldSelector: 'metadata.name=c' })).toEqual(['c']);
    expect(await selected({ fieldSelector: 'metadata.name!=c', labelSelector: 'third=2' })).toEqual([]);
    expect(names((await wire.get('/api/v1/namespaces/nowhere/configmaps')).json)).toEqual([]);
    expect(names((await wire.get('/api/v1/configmaps', { fieldSelector: `metadata.namespace=${path.split('/')[4]!}` })).json)).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('makes tables, metadata and YAML of it, or says that it cannot', async () => {
    const { wire } = cluster();
    const namespace = await cluster().namespace();
    await wire.create(tasksIn(namespace), task('a'));
    const as = (type: string, version = 'v1'): string => `application/json;as=${type};v=${version};g=meta.k8s.io`;
    const table = (await wire.get(tasksIn(namespace), {}, { accept: `${as('Table')},application/json` })).json;
    expect(table).toMatchObject({ kind: 'Table', apiVersion: 'meta.k8s.io/v1', columnDefinitions: expect.arrayContaining([expect.objectContaining({ name: 'Name', format: 'name' })]), rows: [{ cells: expect.arrayContaining(['a']), object: { kind: 'PartialObjectMetadata', metadata: { name: 'a' } } }] });
    expect((await wire.get(tasksIn(namespace, 'a'), { includeObject: 'Object' }, { accept: as('Table', 'v1beta1') })).json).toMatchObject({ kind: 'Table', apiVersion: 'meta.k8s.io/v1beta1', rows: [{ object: { kind: 'Task', spec: { script: 'true' } } }] });
    const partial = (await wire.get(tasksIn(namespace), {}, { accept: as('PartialObjectMetadataList') })).json;
    expect(partial).toMatchObject({ kind: 'PartialObjectMetadataList', items: [{ kind: 'PartialObjectMetadata', metadata: { name: 'a' } }] });
    expect(partial.items![0]!.spec).toBeUndefined();
    const yaml = await wire.get(tasksIn(namespace, 'a'), {}, { accept: 'application/yaml' });
    expect([yaml.headers['content-type'], yaml.text]).toEqual(['application/yaml', expect.stringMatching(/^apiVersion: taskplane.dev\/v1\nkind: Task\nmetadata:\n/)]);
    expect(shown(await wire.get(tasksIn(namespace), {}, { accept: 'text/html' }))).toEqual([406, 'NotAcceptable', expect.stringContaining('only the following media types are accepted')]);
    expect((await wire.get(tasksIn(namespace), {}, { accept: 'application/vnd.kubernetes.protobuf,application/json' })).headers['content-type']).toBe('application/json');
  });
}

export function shown({ status, json }: Reply): [number, string | undefined, string | undefined] {
  return [status, json.reason, json.message];
}
