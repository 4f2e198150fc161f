// Several hands on one object, with stock clients: who owns what, who may change it, and what goes when somebody lets go.

import { KubeConfig, KubernetesObjectApi, PatchStrategy, type KubernetesObject } from '@kubernetes/client-node';
import { describe, expect, it } from '@jest/globals';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import type { ManagedFieldsEntry } from '../../api/meta.js';
import { stores, type Cluster } from '../cluster.js';
import type { CommandResult } from '../command.js';
import { stockKubectls } from '../kubectls.js';
import { withCluster } from '../with-cluster.js';

const config = (name: string, data: Record<string, string>, labels?: Record<string, string>): string =>
  JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default', ...(labels ? { labels } : {}) }, data });
const task = (spec: object): string => JSON.stringify({ apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name: 'shared', namespace: 'default' }, spec: { command: ['true'], nodeSelector: { nowhere: 'yes' }, ...spec } });

describe.each(stores)('server-side apply on %s', (store) => {
  const { story, cluster } = withCluster({ store, nodes: [] });

  const apply = (on: Cluster, manifest: string, ...flags: string[]): Promise<CommandResult> => on.kubectl(['apply', '--server-side', '-f', '-', ...flags], { input: manifest });
  const owners = async (on: Cluster, what: string): Promise<Record<string, ManagedFieldsEntry['fieldsV1']>> => {
    const { stdout } = await on.kubectl(['get', what, '-o', 'json', '--show-managed-fields']);
    const { metadata } = JSON.parse(stdout) as { metadata: { managedFields?: ManagedFieldsEntry[] } };
    return Object.fromEntries((metadata.managedFields ?? []).map(({ manager, operation, fieldsV1 }) => [`${manager} ${operation}`, fieldsV1]));
  };
  const dataOf = async (on: Cluster, name: string): Promise<unknown> => JSON.parse((await on.kubectl(['get', 'configmap', name, '-o', 'jsonpath={.data}'])).stdout) as unknown;

  story('two managers share a task, one refuses to be overruled, force overrules it', async (on) => {
    expect(await apply(on, task({ priority: 1, env: [{ name: 'A', value: '1' }] }))).toMatchObject({ code: 0, stdout: 'task.taskplane.dev/shared serverside-applied\n' });
    expect(await apply(on, task({ env: [{ name: 'B', value: '2' }] }), '--field-manager=second')).toMatchObject({ code: 0 });
    const refused = await apply(on, task({ priority: 2 }), '--field-manager=second');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('error: Apply failed with 1 conflict: conflict with "kubectl": .spec.priority\nPlease review the fields above');
    expect(await apply(on, task({ priority: 2 }), '--field-manager=second', '--force-conflicts')).toMatchObject({ code: 0 });
    expect(await owners(on, 'task/shared')).toEqual({
      'kubectl Apply': { 'f:spec': { 'f:command': {}, 'f:env': { 'k:{"name":"A"}': { '.': {}, 'f:name': {}, 'f:value': {} } }, 'f:nodeSelector': { 'f:nowhere': {} } } },
      'second Apply': { 'f:spec': { 'f:command': {}, 'f:nodeSelector': { 'f:nowhere': {} }, 'f:priority': {} } },
    });
    expect((await on.kubectl(['get', 'task', 'shared', '-o', 'jsonpath={.spec.env[*].name}'])).stdout).toBe('A');
  });

  story('the same file twice writes nothing, and a diff says what would change', async (on) => {
    const version = async (): Promise<string> => (await on.kubectl(['get', 'configmap', 'twice', '-o', 'jsonpath={.metadata.resourceVersion}'])).stdout;
    await apply(on, config('twice', { a: '1' }));
    const first = await version();
    await apply(on, config('twice', { a: '1' }));
    expect(await version()).toBe(first);
    const diff = await on.kubectl(['diff', '--server-side', '-f', '-'], { input: config('twice', { a: '2' }) });
    expect([diff.code, diff.stdout.match(/^[-+] .*/gm)?.filter((line) => !line.includes('generation'))]).toEqual([1, ['-  a: "1"', '+  a: "2"']]);
    expect(await on.kubectl(['diff', '--server-side', '-f', '-'], { input: config('twice', { a: '1' }) })).toMatchObject({ code: 0, stdout: '' });
    expect(await version()).toBe(first);
  });

  story('every verb leaves its name, and an apply over it is a conflict', async (on) => {
    await apply(on, config('verbs', { a: '1', b: '2' }));
    for (const verb of ['label', 'annotate']) expect((await on.kubectl([verb, 'configmap', 'verbs', 'by=hand'])).code).toBe(0);
    expect((await on.kubectl(['patch', 'configmap', 'verbs', '--type=merge', '-p', '{"data":{"c":"3"}}'])).code).toBe(0);
    expect((await on.kubectl(['edit', 'configmap', 'verbs'], { env: { KUBE_EDITOR: `sed -i 's/b: .*/b: "9"/'` } })).code).toBe(0);
    expect(Object.keys(await owners(on, 'configmap/verbs')).toSorted()).toEqual(['kubectl Apply', 'kubectl-annotate Update', 'kubectl-edit Update', 'kubectl-label Update', 'kubectl-patch Update']);
    expect((await apply(on, config('verbs', { a: '1', b: '2' }))).stderr).toContain('conflict with "kubectl-edit" using v1: .data.b');
    expect((await apply(on, config('verbs', { a: '1' }))).code).toBe(0);
    expect(await dataOf(on, 'verbs')).toEqual({ a: '1', b: '9', c: '3' });
    expect((await on.kubectl(['get', 'configmap', 'verbs', '-o', 'yaml'])).stdout).not.toContain('managedFields');
  });

  it.each(stockKubectls().filter(({ title }) => title !== 'Debian' && title !== 'PATH'))('a user of kubectl $title moves from client-side to server-side apply, and removes a field', async ({ title, path: program }) => {
    const on = cluster();
    const name = `moved-${title.replaceAll('.', '-')}`;
    const run = async (manifest: string, ...flags: string[]): Promise<void> => {
      const { code, stderr } = await on.kubectl(['apply', '-f', '-', ...flags], { input: manifest, program });
      expect([code, stderr]).toEqual([0, '']);
    };
    await run(config(name, { a: '1', b: '2' }));
    expect(Object.keys(await owners(on, `configmap/${name}`))).toEqual(['kubectl-client-side-apply Update']);
    await run(config(name, { a: '1', b: '2' }), '--server-side');
    await run(config(name, { a: 'one' }), '--server-side');
    expect(await dataOf(on, name)).toEqual({ a: 'one' });
    expect(Object.keys(await owners(on, `configmap/${name}`))).not.toContain('kubectl-client-side-apply Update');
    await run(config(name, { a: 'uno', c: '3' }));
    expect(await dataOf(on, name)).toEqual({ a: 'uno', c: '3' });
  }, 60_000);

  story('an apply set prunes what left it', async (on) => {
    const folder = on.path('set');
    await mkdir(folder);
    await writeFile(`${folder}/one.json`, config('member-one', { a: '1' }));
    await writeFile(`${folder}/two.json`, config('member-two', { a: '1' }));
    const applySet = (): Promise<CommandResult> => on.kubectl(['apply', '-n', 'default', '--server-side', '--prune', '--applyset=configmaps/the-set', '-f', folder], { env: { KUBECTL_APPLYSET: 'true' } });
    expect(await applySet()).toMatchObject({ code: 0, stdout: 'configmap/member-one serverside-applied\nconfigmap/member-two serverside-applied\n' });
    await rm(`${folder}/two.json`);
    expect(await applySet()).toMatchObject({ code: 0, stdout: 'configmap/member-one serverside-applied\nconfigmap/member-two pruned\n' });
    expect((await on.kubectl(['get', 'configmap', 'member-two'])).stderr).toContain('NotFound');
  });

  story('a program written with client-node applies and meets conflicts', async (on) => {
    const kubeconfig = new KubeConfig();
    kubeconfig.loadFromFile(on.processes.adminKubeconfig);
    const api = KubernetesObjectApi.makeApiClient(kubeconfig);
    const applyAs = (manager: string, data: Record<string, string>, force?: boolean): Promise<KubernetesObject> =>
      api.patch(JSON.parse(config('program', data)) as KubernetesObject, undefined, undefined, manager, force, PatchStrategy.ServerSideApply);
    expect(await applyAs('one', { a: '1', b: '2' })).toMatchObject({ metadata: { name: 'program' }, data: { a: '1', b: '2' } });
    const failure = await applyAs('two', { a: '3' }).then(() => undefined, (error: { code: number; body: string }) => error);
    expect([failure?.code, JSON.parse(failure!.body) as unknown]).toMatchObject([409, { reason: 'Conflict', details: { causes: [{ reason: 'FieldManagerConflict', message: 'conflict with "one"', field: '.data.a' }] } }]);
    expect(await applyAs('two', { a: '3' }, true)).toMatchObject({ data: { a: '3', b: '2' } });
    expect(await applyAs('one', { b: '2' })).toMatchObject({ data: { a: '3', b: '2' } });
  });
});
