// writing.ts: what kubectl makes, changes and removes.

import { readFileSync } from 'node:fs';
import { expect } from '@jest/globals';
import type { ConfigMap, Secret } from '../../api/config.js';
import type { Node } from '../../api/node.js';
import { expectCode } from '../command.js';
import { area } from './check.js';
import type { Kube } from './kube.js';

const settings = (name: string, data: Record<string, string>, labels?: Record<string, string>): object => ({
  apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...(labels ? { labels } : {}) }, data,
});

/** A task that stays pending: it can be written to without running. */
const waiting = (kube: Kube, name: string, spec: object = {}): object => kube.manifest(name, 'true', { nodeSelector: { nowhere: 'yes' }, ...spec });

const dataOf = async (kube: Kube, name: string): Promise<ConfigMap['data']> => (await kube.object<ConfigMap>(`cm ${name}`)).data;

/** An editor that replaces one word in the file it is given. */
function editor(from: string, to: string): { env: { KUBE_EDITOR: string } } {
  return { env: { KUBE_EDITOR: `sed -i s/${from}/${to}/` } };
}

export const writing = area('Writing', (check) => {
  check('create', '-f', async (kube) => {
    expect(await kube.with([waiting(kube, 'made'), settings('made', { a: '1' })], 'create')).toBe('task.taskplane.dev/made created\nconfigmap/made created\n');
    expect(expectCode(await kube.feed(waiting(kube, 'made'), 'create'), 1).stderr).toMatch(/^Error from server \(AlreadyExists\): error when creating "STDIN": tasks\.taskplane\.dev "made" already exists/);
    await kube.ok('delete task/made cm/made');
  });
  check('create', 'generateName', async (kube) => {
    const { metadata: _metadata, ...task } = waiting(kube, 'x') as { metadata: object };
    expect(await kube.with({ ...task, metadata: { generateName: 'some-' } }, 'create')).toMatch(/^task\.taskplane\.dev\/some-[a-z0-9]{5} created\n$/);
    await kube.ok('delete tasks --all');
  });
  check('create', '--dry-run=client|server -o', async (kube) => {
    expect(await kube.with(waiting(kube, 'dry'), 'create --dry-run=client')).toBe('task.taskplane.dev/dry created (dry run)\n');
    expect(await kube.with(waiting(kube, 'dry'), 'create --dry-run=server')).toBe('task.taskplane.dev/dry created (server dry run)\n');
    expect(JSON.parse(await kube.with(waiting(kube, 'dry'), 'create --dry-run=server -o json'))).toMatchObject({ metadata: { uid: expect.any(String) }, spec: { restartPolicy: 'Never' } });
    await kube.fails('get task dry');
  });
  check('create', 'configmap', async (kube) => {
    const file = kube.file('level.txt', 'high');
    expect(await kube.ok(`create configmap by-name --from-literal=a=1 --from-file=${file}`)).toBe('configmap/by-name created\n');
    expect(await dataOf(kube, 'by-name')).toEqual({ a: '1', 'level.txt': 'high' });
    await kube.ok('delete cm by-name');
  });
  check('create', 'secret generic|docker-registry', async (kube) => {
    expect(await kube.ok('create secret generic by-name --from-literal=value=hidden')).toBe('secret/by-name created\n');
    expect((await kube.object<Secret>('secret by-name')).data).toEqual({ value: Buffer.from('hidden').toString('base64') });
    await kube.ok('create secret docker-registry registry --docker-server=r.example --docker-username=u --docker-password=p');
    expect(await kube.object<Secret>('secret registry')).toMatchObject({ type: 'kubernetes.io/dockerconfigjson' });
    await kube.ok('delete secret by-name registry');
  });
  check('create', 'namespace', async (kube) => {
    expect(await kube.ok(`create namespace ${kube.namespace}-more`)).toBe(`namespace/${kube.namespace}-more created\n`);
    await kube.with(settings('inside', { a: '1' }), `create -n ${kube.namespace}-more`);
    expect(await kube.ok(`delete namespace ${kube.namespace}-more --timeout=60s`)).toContain('deleted');
    expect(await kube.fails(`get cm inside -n ${kube.namespace}-more`)).toContain('NotFound');
  });
  check('create', '--validate=strict|warn|ignore', async (kube) => {
    const odd = waiting(kube, 'odd', { bogus: 1 });
    expect(expectCode(await kube.feed(odd, 'create --validate=strict'), 1).stderr).toContain('strict decoding error: unknown field "spec.bogus"');
    expect(expectCode(await kube.feed(odd, 'create --validate=warn')).stderr).toBe('Warning: unknown field "spec.bogus"\n');
    await kube.ok('delete task odd');
    expect(expectCode(await kube.feed(odd, 'create --validate=ignore')).stderr).toBe('');
    await kube.ok('delete task odd');
  }, { since: 27 });
  check('create', '--validate (on the client, from OpenAPI v2)', async (kube) => {
    expect(expectCode(await kube.feed(waiting(kube, 'odd', { bogus: 1 }), 'create'), 1).stderr).toMatch(/ValidationError\(Task\.spec\): unknown field "bogus"/);
  }, { until: 26 });
  check('create', 'a task that is not valid', async (kube) => {
    const invalid = waiting(kube, 'Bad_Name', { script: undefined, priority: 'high' });
    const { stderr } = expectCode(await kube.feed(invalid, 'create --validate=false'), 1);
    expect(stderr).toMatch(/Bad_Name|priority/);
    expect(stderr).not.toMatch(/InternalError|unknown reason/);
  });

  check('apply', '-f', async (kube) => {
    const task = waiting(kube, 'applied', { priority: 1 });
    expect(await kube.with(task, 'apply')).toBe('task.taskplane.dev/applied created\n');
    expect(await kube.with(task, 'apply')).toBe('task.taskplane.dev/applied unchanged\n');
    expect(await kube.with(waiting(kube, 'applied', { priority: 2 }), 'apply')).toBe('task.taskplane.dev/applied configured\n');
    expect((await kube.object('task applied')).spec.priority).toBe(2);
    // What is no longer in the file goes.
    await kube.with(settings('applied', { a: '1', b: '2' }), 'apply');
    await kube.with(settings('applied', { a: '1' }), 'apply');
    expect(await dataOf(kube, 'applied')).toEqual({ a: '1' });
    await kube.ok('delete task/applied cm/applied');
  });
  check('apply', '--dry-run=client|server', async (kube) => {
    await kube.with(settings('dry', { a: '1' }), 'apply');
    expect(await kube.with(settings('dry', { a: '2' }), 'apply --dry-run=client')).toBe('configmap/dry configured (dry run)\n');
    expect(await kube.with(settings('dry', { a: '2' }), 'apply --dry-run=server')).toBe('configmap/dry configured (server dry run)\n');
    expect(await dataOf(kube, 'dry')).toEqual({ a: '1' });
    await kube.ok('delete cm dry');
  });
  check('apply', '-R -f DIRECTORY, -k', async (kube) => {
    kube.file('tree/one.json', settings('tree-one', { a: '1' }));
    kube.file('tree/below/two.json', settings('tree-two', { a: '2' }));
    expect(await kube.ok(`apply -R -f ${kube.path('tree')}`)).toMatch(/tree-(one|two) created\nconfigmap\/tree-(one|two) created\n/);
    kube.file('kustom/kustomization.yaml', 'resources: [one.json]\nnamePrefix: my-\n');
    kube.file('kustom/one.json', settings('kustom', { a: '1' }));
    expect(await kube.ok(`apply -k ${kube.path('kustom')}`)).toBe('configmap/my-kustom created\n');
    await kube.ok('delete cm tree-one tree-two my-kustom');
  });
  check('apply', 'view-last-applied, set-last-applied', async (kube) => {
    await kube.with(settings('last', { a: '1' }), 'apply');
    expect(JSON.parse(await kube.ok('apply view-last-applied cm last -o json'))).toMatchObject({ data: { a: '1' } });
    await kube.ok(`apply set-last-applied -f ${kube.file('last.json', { ...settings('last', { a: '3' }) })}`);
    expect(JSON.parse(await kube.ok('apply view-last-applied cm last -o json'))).toMatchObject({ data: { a: '3' } });
    await kube.ok('delete cm last');
  });
  check('apply', '--prune -l', async (kube) => {
    const part = (name: string): object => settings(name, { a: '1' }, { app: 'pruned' });
    const allow = kube.minor >= 26 ? '--prune-allowlist' : '--prune-whitelist';
    await kube.with([part('kept'), part('pruned')], `apply --prune -l app=pruned ${allow}=core/v1/ConfigMap`);
    expect(await kube.with([part('kept')], `apply --prune -l app=pruned ${allow}=core/v1/ConfigMap`)).toContain('configmap/pruned pruned');
    expect(await kube.ok('get cm -l app=pruned -o name')).toBe('configmap/kept\n');
    await kube.ok('delete cm kept');
  }, { differs: 'name the kinds with --prune-allowlist (--prune-whitelist before 1.26): without it kubectl asks for all the kinds of a cluster of containers' });
  check('apply', '--prune --applyset', async (kube) => {
    const run = async (names: string[]): Promise<string> =>
      expectCode(await kube.run(`apply -n ${kube.namespace} --prune --applyset=configmaps/set -f`, [kube.file('set.yaml', names.map((name) => JSON.stringify(settings(name, { a: '1' }))).join('\n'))], { env: { KUBECTL_APPLYSET: 'true' } })).stdout;
    await run(['member-one', 'member-two']);
    expect(await run(['member-one'])).toContain('configmap/member-two pruned');
    await kube.ok('delete cm set member-one');
  }, { since: 27 });

  check('apply --server-side', 'creates, changes, removes', async (kube) => {
    expect(await kube.with(settings('owned', { a: '1', b: '2' }), 'apply --server-side')).toBe('configmap/owned serverside-applied\n');
    await kube.with(settings('owned', { a: '3' }), 'apply --server-side');
    expect(await dataOf(kube, 'owned')).toEqual({ a: '3' });
    const { managedFields } = (await kube.object<ConfigMap>(`cm owned${kube.minor >= 21 ? ' --show-managed-fields' : ''}`)).metadata;
    expect(managedFields).toEqual([expect.objectContaining({ manager: 'kubectl', operation: 'Apply', fieldsV1: { 'f:data': { 'f:a': {} } } })]);
    const task = waiting(kube, 'owned', { priority: 4 });
    await kube.with(task, 'apply --server-side');
    await kube.with(task, 'apply --server-side');
    expect((await kube.object('task owned')).metadata.generation).toBe(1);
    await kube.ok('delete cm/owned task/owned');
  });
  check('apply --server-side', 'conflicts, --force-conflicts, --field-manager', async (kube) => {
    await kube.with(settings('fought', { a: '1' }), 'apply --server-side --field-manager=first');
    const { stderr } = expectCode(await kube.feed(settings('fought', { a: '2' }), 'apply --server-side --field-manager=second'), 1);
    expect(stderr).toMatch(/Apply failed with 1 conflict: conflict with "first": \.data\.a/);
    expect(await kube.with(settings('fought', { a: '2' }), 'apply --server-side --field-manager=second --force-conflicts')).toBe('configmap/fought serverside-applied\n');
    expect(await dataOf(kube, 'fought')).toEqual({ a: '2' });
    // Shared fields stay as long as anybody applies them.
    await kube.with(settings('fought', { a: '2', b: '1' }), 'apply --server-side --field-manager=first --force-conflicts');
    await kube.with(settings('fought', { b: '1' }), 'apply --server-side --field-manager=first');
    expect(await dataOf(kube, 'fought')).toEqual({ a: '2', b: '1' });
    await kube.ok('delete cm fought');
  });
  check('apply --server-side', 'after client-side apply', async (kube) => {
    await kube.with(settings('moved', { a: '1', b: '2' }), 'apply');
    await kube.with(settings('moved', { a: '1' }), 'apply --server-side');
    expect(await dataOf(kube, 'moved')).toEqual(kube.minor >= 26 ? { a: '1' } : { a: '1', b: '2' });
    await kube.ok('delete cm moved');
  });
  check('managed fields', 'kept over updates and patches', async (kube) => {
    await kube.with(settings('kept', { a: '1' }), 'apply --server-side --field-manager=owner');
    await kube.ok('patch cm kept --type=merge -p', '{"data":{"b":"2"}}');
    await kube.ok('label cm kept tier=gold');
    const entries = (await kube.object<ConfigMap>(`cm kept${kube.minor >= 21 ? ' --show-managed-fields' : ''}`)).metadata.managedFields as { manager: string; fieldsV1: object }[];
    const ofManager = (manager: string): unknown => entries.find((entry) => entry.manager === manager)?.fieldsV1;
    expect(ofManager('owner')).toEqual({ 'f:data': { 'f:a': {} } });
    expect(ofManager(kube.minor >= 19 ? 'kubectl-patch' : 'kubectl')).toEqual({ 'f:data': { 'f:b': {} } });
    expect(ofManager('kubectl-label')).toEqual({ 'f:metadata': { 'f:labels': { '.': {}, 'f:tier': {} } } });
    const { stderr } = expectCode(await kube.feed(settings('kept', { b: '3' }), 'apply --server-side --field-manager=owner'), 1);
    expect(stderr).toMatch(/conflict with "kubectl-patch" using v1.*: \.data\.b/);
    await kube.ok('delete cm kept');
  });

  check('edit', '', async (kube) => {
    await kube.with(settings('edited', { level: 'high' }), 'create');
    expect(expectCode(await kube.run('edit cm edited', [], editor('high', 'low'))).stdout).toBe('configmap/edited edited\n');
    expect(await dataOf(kube, 'edited')).toEqual({ level: 'low' });
    await kube.with(waiting(kube, 'edited', { priority: 1234 }), 'create');
    expectCode(await kube.run('edit task edited', [], editor('1234', '4321')));
    expect((await kube.object('task edited')).spec.priority).toBe(4321);
    expect(expectCode(await kube.run('edit task edited', [], editor('nothing', 'something'))).stderr).toMatch(/no changes made/);
    // What the server refuses is kept for the person in a file.
    expect(expectCode(await kube.run('edit task edited', [], editor('4321', '"high"')), 1).stderr).toMatch(/is invalid[\s\S]*A copy of your changes has been stored/);
    await kube.ok('delete cm/edited task/edited');
  });
  check('replace', '-f', async (kube) => {
    await kube.with(settings('replaced', { a: '1' }), 'create');
    expect(await kube.with(settings('replaced', { b: '2' }), 'replace')).toBe('configmap/replaced replaced\n');
    expect(await dataOf(kube, 'replaced')).toEqual({ b: '2' });
    expect(expectCode(await kube.feed({ ...settings('replaced', {}), metadata: { name: 'replaced', resourceVersion: '1' } }, 'replace'), 1).stderr).toMatch(/Conflict.*the object has been modified/);
    await kube.ok('delete cm replaced');
  });
  check('replace', '--force', async (kube) => {
    await kube.with(waiting(kube, 'forced'), 'create');
    const { uid } = (await kube.object('task forced')).metadata;
    expect(await kube.with(waiting(kube, 'forced'), 'replace --force')).toMatch(/deleted[\s\S]*task\.taskplane\.dev\/forced replaced\n/);
    expect((await kube.object('task forced')).metadata.uid).not.toBe(uid);
    await kube.ok('delete task forced');
  });
  check('patch', '--type=merge|json', async (kube) => {
    await kube.with(waiting(kube, 'patched'), 'create');
    expect(await kube.ok('patch task patched --type=merge -p', '{"spec":{"priority":7}}')).toBe('task.taskplane.dev/patched patched\n');
    await kube.ok('patch task patched --type=json -p', '[{"op":"test","path":"/spec/priority","value":7},{"op":"replace","path":"/spec/priority","value":8}]');
    expect((await kube.object('task patched')).spec.priority).toBe(8);
    expect(await kube.fails('patch task patched --type=json -p', ['[{"op":"test","path":"/spec/priority","value":7}]'])).toMatch(/test|Invalid|unable/i);
    await kube.ok('delete task patched');
    await kube.task('finished', 'true');
    await kube.finished('finished');
    expect(await kube.fails('patch task finished --type=merge -p', ['{"spec":{"script":"false"}}'])).toContain('delete the task and create it again');
    await kube.ok('delete task finished');
  });
  check('patch', '--type=strategic', async (kube) => {
    await kube.with(settings('strategic', { a: '1', b: '2' }), 'create');
    await kube.ok('patch cm strategic -p', '{"data":{"a":null,"c":"3"}}');
    expect(await dataOf(kube, 'strategic')).toEqual({ b: '2', c: '3' });
    await kube.with(waiting(kube, 'strategic'), 'create');
    expect(await kube.fails('patch task strategic -p', ['{"spec":{"priority":7}}'])).toMatch(/application\/strategic-merge-patch\+json is not supported|UnsupportedMediaType/);
    await kube.ok('delete cm/strategic task/strategic');
  }, { differs: 'for core kinds; of tasks, as of every custom kind, kubectl says "not supported": use --type=merge' });
  check('patch', '--subresource=status', async (kube) => {
    await kube.with(waiting(kube, 'status'), 'create');
    await kube.ok('patch task status --subresource=status --type=merge -p', '{"status":{"message":"by hand"},"spec":{"priority":7}}');
    const task = await kube.object('task status');
    expect(task.status?.message).toBe('by hand');
    expect(task.spec.priority).toBe(0);
    await kube.ok('delete task status');
  }, { since: 24 });
  check('label', '', async (kube) => {
    await kube.with([settings('labelled', {}, { app: 'labelled' }), settings('labelled-too', {}, { app: 'labelled' })], 'create');
    expect(await kube.ok('label cm labelled tier=gold')).toBe('configmap/labelled labeled\n');
    expect(await kube.fails('label cm labelled tier=silver')).toContain('--overwrite');
    await kube.ok('label cm labelled tier=silver --overwrite');
    expect(await kube.ok('label cm labelled --list')).toMatch(/tier=silver/);
    await kube.ok('label cm labelled tier-');
    await kube.ok('label cm -l app=labelled all=yes');
    expect(await kube.ok('get cm -l all=yes,!tier -o name')).toBe('configmap/labelled\nconfigmap/labelled-too\n');
    expect(await kube.fails('label cm labelled a=-b-')).toMatch(/[Ii]nvalid/);
    await kube.ok('delete cm labelled labelled-too');
  });
  check('annotate', '', async (kube) => {
    await kube.with(waiting(kube, 'annotated'), 'create');
    expect(await kube.ok('annotate task annotated note=seen')).toMatch(/task\.taskplane\.dev\/annotated annotated?\n/);
    await kube.ok('annotate task annotated note-');
    expect((await kube.object('task annotated')).metadata.annotations).toBeUndefined();
    await kube.ok('delete task annotated');
  });
  check('taint', '', async (kube) => {
    const node = kube.cluster.node('n1');
    const taints = async (): Promise<unknown> => (await kube.object<Node>(`node ${node}`)).spec?.taints;
    expect(await kube.ok(`taint node ${node} for=${kube.namespace}:PreferNoSchedule`)).toBe(`node/${node} tainted\n`);
    expect(await kube.fails(`taint node ${node} for=other:PreferNoSchedule`)).toContain('--overwrite');
    await kube.ok(`taint node ${node} for=other:PreferNoSchedule --overwrite`);
    expect(await taints()).toEqual([{ key: 'for', value: 'other', effect: 'PreferNoSchedule' }]);
    expect(await kube.ok(`taint node ${node} for-`)).toBe(`node/${node} untainted\n`);
    expect(await taints()).toBeUndefined();
  }, { alone: true });

  check('delete', 'NAME', async (kube) => {
    await kube.task('leaving', 'sleep 600');
    await kube.running('leaving');
    expect(await kube.ok('delete task leaving')).toMatch(/^task\.taskplane\.dev "leaving" deleted/);
    expect(await kube.fails('get task leaving')).toContain('NotFound');
    expect(await kube.fails('delete task leaving')).toBe('Error from server (NotFound): tasks.taskplane.dev "leaving" not found\n');
    expect(await kube.ok('delete task leaving --ignore-not-found')).toBe('');
  });
  check('delete', '--grace-period --now --force --wait', async (kube) => {
    const stubborn = 'trap "" TERM; while :; do sleep 0.1; done';
    await kube.task('stubborn', stubborn);
    await kube.running('stubborn');
    await kube.ok('delete task stubborn --wait=false --grace-period=60');
    expect((await kube.object('task stubborn')).metadata).toMatchObject({ deletionGracePeriodSeconds: 60 });
    await kube.ok('delete task stubborn --now');
    await kube.fails('get task stubborn');
    await kube.task('stubborn-too', stubborn);
    await kube.running('stubborn-too');
    await kube.ok('delete task stubborn-too --grace-period=0 --force');
    await kube.fails('get task stubborn-too');
  });
  check('delete', '-l --all --field-selector -f', async (kube) => {
    await kube.with(['a', 'b', 'c', 'd', 'e'].map((name) => kube.manifest(`many-${name}`, 'true', { nodeSelector: { nowhere: 'yes' } }, { labels: { part: name < 'c' ? 'first' : 'second' } })), 'create');
    expect((await kube.ok('delete tasks -l part=first')).split('\n')).toHaveLength(3);
    expect(await kube.ok('delete tasks --field-selector metadata.name=many-c')).toContain('"many-c" deleted');
    expect(await kube.with(waiting(kube, 'many-d'), 'delete')).toContain('"many-d" deleted');
    expect(await kube.ok('delete tasks --all')).toContain('"many-e" deleted');
    expect(await kube.ok('get tasks -o name')).toBe('');
  });
  check('delete', '--dry-run=client|server', async (kube) => {
    await kube.with(settings('spared', {}), 'create');
    expect(await kube.ok('delete cm spared --dry-run=client')).toMatch(/^configmap "spared" deleted.*\(dry run\)/);
    expect(await kube.ok('delete cm spared --dry-run=server')).toMatch(/^configmap "spared" deleted.*\(server dry run\)/);
    await kube.ok('delete cm spared');
  });
  check('delete', '--cascade=background|foreground|orphan', async (kube) => {
    for (const [cascade, survives] of [['background', false], ['foreground', false], ['orphan', true]] as const) {
      await kube.with(settings(`owner-${cascade}`, {}), 'create');
      const { uid } = (await kube.object<ConfigMap>(`cm owner-${cascade}`)).metadata;
      const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: `owner-${cascade}`, uid, blockOwnerDeletion: true };
      await kube.with({ ...settings(`owned-${cascade}`, {}), metadata: { name: `owned-${cascade}`, ownerReferences: [owner] } }, 'create');
      await kube.ok(`delete cm owner-${cascade} --cascade=${cascade} --timeout=60s`);
      if (survives) {
        expect((await kube.object<ConfigMap>(`cm owned-${cascade}`)).metadata.ownerReferences).toBeUndefined();
        await kube.ok(`delete cm owned-${cascade}`);
      } else await kube.cluster.eventually('what it owned to go', async () => (await kube.ok(`get cm owned-${cascade} --ignore-not-found`)) === '' || undefined);
    }
  });
  check('finalizers', 'hold an object until they are taken off', async (kube) => {
    await kube.with({ ...settings('held', {}), metadata: { name: 'held', finalizers: ['example.com/hold'] } }, 'create');
    await kube.ok('delete cm held --wait=false');
    expect((await kube.object<ConfigMap>('cm held')).metadata.deletionTimestamp).toEqual(expect.any(String));
    await kube.ok('patch cm held --type=merge -p', '{"metadata":{"finalizers":null}}');
    await kube.fails('get cm held');
  });
  check('kustomize', '', async (kube) => {
    kube.file('local/kustomization.yaml', 'resources: [one.json]\n');
    kube.file('local/one.json', settings('local', { a: '1' }));
    expect(await kube.ok(`kustomize ${kube.path('local')}`)).toContain('name: local');
    expect(readFileSync(kube.path('local', 'one.json'), 'utf8')).toContain('local');
  });
});
