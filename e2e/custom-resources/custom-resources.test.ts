// The CronTab of the Kubernetes documentation, from the user's side: stock kubectls bring the kind and use it, a controller
// written with client-node makes it do something, the API server restarts in between, and in the end all of it is gone.

import { CustomObjectsApi, KubeConfig } from '@kubernetes/client-node';
import { describe, expect } from '@jest/globals';
import { fileURLToPath } from 'node:url';
import { customResourceDefinitionKind } from '../../api/custom-resource-definition.js';
import { isReason } from '../../api/errors.js';
import { stores, type Cluster } from '../cluster.js';
import { expectCode } from '../command.js';
import { stockKubectls } from '../kubectls.js';
import { withCluster } from '../with-cluster.js';
import { runCrontabController, type CronTab } from './crontab-controller.js';

const manifest = (name: string): string => fileURLToPath(new URL(`../../manifests/custom-resources/${name}`, import.meta.url));
const definition = manifest('crontab-definition.yaml');
const crontab = manifest('my-crontab.yaml');
const name = 'my-new-cron-object';
const crontabs = { group: 'stable.example.com', version: 'v1', namespace: 'default', plural: 'crontabs' };
/** One of each way to speak to a server: OpenAPI v2 only, v2 with v3, v3 only. */
const kubectls = stockKubectls().filter(({ title }) => ['1.28', '1.32', 'Debian'].includes(title));

function configOf(cluster: Cluster): KubeConfig {
  const config = new KubeConfig();
  config.loadFromFile(cluster.processes.adminKubeconfig);
  return config;
}

const gone = (cluster: Cluster): Promise<true> =>
  cluster.eventually('the definition to be gone', async () => {
    try {
      await cluster.client.get(customResourceDefinitionKind, 'crontabs.stable.example.com');
      return undefined;
    } catch (error) {
      if (isReason(error, 'NotFound')) return true;
      throw error;
    }
  });

describe.each(stores)('a kind of the user on %s', (store) => {
  const { story } = withCluster({ store });

  for (const { title, path } of kubectls) {
    story(`comes, is used and goes with kubectl ${title}`, async (cluster) => {
      const run = async (...args: string[]): Promise<string> => expectCode(await cluster.kubectl(args, { program: path })).stdout;
      const fails = async (...args: string[]): Promise<string> => expectCode(await cluster.kubectl(args, { program: path }), 1).stderr;
      expect(await run('create', '-f', definition)).toBe('customresourcedefinition.apiextensions.k8s.io/crontabs.stable.example.com created\n');
      await run('wait', '--for=condition=Established', 'crd/crontabs.stable.example.com', '--timeout=20s');
      expect(await run('api-resources', '--api-group=stable.example.com')).toMatch(/^crontabs\s+ct\s+stable\.example\.com\/v1\s+true\s+CronTab\s*$/m);
      expect(await run('create', '-f', crontab)).toBe(`crontab.stable.example.com/${name} created\n`);
      expect(await run('get', 'ct')).toMatch(/^NAME\s+SPEC\s+REPLICAS\s+AGE\s*\nmy-new-cron-object\s+\* \* \* \* \*\/5\s+1\s+\d+s\s*\n$/);
      expect(await run('get', 'crontab', '-o', 'jsonpath={.items[0].spec.image}')).toBe('my-awesome-cron-image');
      expect(await run('get', 'all')).toContain(`crontab.stable.example.com/${name}`);
      expect(await run('explain', 'crontab')).toContain('A CronTab runs an image at times.');
      expect(await run('explain', 'crontab.spec.cronSpec')).toContain('When it runs, as in crontab(5).');
      expect(await run('describe', 'crontab', name)).toMatch(/Cron Spec:\s+\* \* \* \* \*\/5/);
      expect(await run('scale', '--replicas=3', `crontabs/${name}`)).toMatch(/scaled\n$/);
      expect(await run('get', 'crontab', name, '-o', 'jsonpath={.spec.replicas}')).toBe('3');
      expect(await fails('scale', '--replicas=11', `crontabs/${name}`)).toMatch(/spec\.replicas: Invalid value: 11/);
      expect(await fails('patch', 'crontab', name, '--type=merge', '-p', '{"spec":{"cronSpec":"* * * *"}}')).toMatch(/spec\.cronSpec: Invalid value: "\* \* \* \*"/);
      expect(await run('apply', '-f', crontab)).toMatch(/configured\n$/);
      expect(await run('label', 'crontab', name, 'by=kubectl')).toMatch(/labeled\n$/);
      const edited = await cluster.kubectl(['edit', 'crontab', name], { program: path, env: { KUBE_EDITOR: `sed -i 's/my-awesome-cron-image/other-image/'` } });
      expect(expectCode(edited).stdout).toMatch(/edited\n$/);
      expect(await run('get', 'crontab', name, '-o', 'jsonpath={.spec.image}')).toBe('other-image');
      expect(await run('delete', '-f', definition)).toMatch(/deleted\n$/);
      expect(await fails('get', 'crontabs')).toMatch(/the server doesn't have a resource type "crontabs"|could not find the requested resource/);
    });
  }

  story('is served again by an API server that restarts, while a controller makes tasks of it', async (cluster) => {
    const stop = new AbortController();
    expectCode(await cluster.taskplane(['apply', '-f', definition]));
    const controller = runCrontabController(configOf(cluster), cluster.clock, stop.signal);
    try {
      const api = configOf(cluster).makeApiClient(CustomObjectsApi);
      expectCode(await cluster.taskplane(['apply', '-f', crontab]));
      await cluster.running(`${name}-0`);

      await cluster.processes.apiserver!.stop();
      await cluster.processes.startApiserver();
      // The first answer after the start already knows the kind.
      const tab = (await api.getNamespacedCustomObject({ ...crontabs, name })) as CronTab;
      expect(tab.metadata!.name).toBe(name);
      await api.patchNamespacedCustomObject({ ...crontabs, name, body: [{ op: 'add', path: '/spec/replicas', value: 3 }] });
      await Promise.all([cluster.running(`${name}-1`, 60_000), cluster.running(`${name}-2`, 60_000)]);
      expectCode(await cluster.kubectl(['scale', `crontabs/${name}`, '--replicas=1']));
      await cluster.tasks.until('two tasks to be gone', () => cluster.tasks.objects.size === 1, 60_000);
      expect(expectCode(await cluster.taskplane(['get', 'ct'])).stdout).toMatch(/my-new-cron-object\s+\* \* \* \* \*\/5\s+1\s/);
    } finally {
      stop.abort();
      await controller;
    }
    // Deleting the definition takes the object with it, and the object its tasks.
    expectCode(await cluster.kubectl(['delete', 'crd', 'crontabs.stable.example.com']));
    await gone(cluster);
    await cluster.tasks.until('all tasks to be gone', () => cluster.tasks.objects.size === 0, 60_000);
  }, 180_000);
});
