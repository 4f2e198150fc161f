// Stock kubectl, every version that this machine has, with nothing installed into the cluster: what people type first.

import { describe, expect } from '@jest/globals';
import { Program } from '../../lib/testing/program.js';
import { expectCode } from '../command.js';
import { fileBeside, scriptTask, type Cluster } from '../cluster.js';
import { stockKubectls, type Kubectl } from '../kubectls.js';
import { withCluster } from '../with-cluster.js';

const manifest = fileBeside(import.meta.url, 'task.yaml');
const kubectls = stockKubectls();

/** The minor version; the one on PATH may pick another by what the server says it is. */
function minorOf({ title }: Kubectl): number {
  return title === 'Debian' ? 20 : title === 'PATH' ? 99 : Number(title.split('.')[1]);
}

describe.each(kubectls)('kubectl $title', (kubectl) => {
  const { story } = withCluster({ store: 'embedded' });
  const run = (cluster: Cluster, ...args: string[]) => cluster.kubectl(args, { program: kubectl.path });
  const good = async (cluster: Cluster, ...args: string[]): Promise<string> => expectCode(await run(cluster, ...args)).stdout;

  story('applies a task, lists it in every form, describes and deletes it', async (cluster) => {
    expect(await good(cluster, 'apply', '-f', manifest)).toBe('task.taskplane.dev/from-kubectl created\n');
    await cluster.finished('from-kubectl');
    expect(await good(cluster, 'apply', '-f', manifest)).toBe('task.taskplane.dev/from-kubectl unchanged\n');

    expect(await good(cluster, 'get', 'tasks')).toMatch(/^NAME\s+STATUS\s+NODE\s+ATTEMPT\s+EXIT\s+DURATION\s+AGE\s*\nfrom-kubectl\s+Failed\s+n1-\w+\s+1\s+3\s/);
    expect(await good(cluster, 'get', 'tk', '-o', 'wide')).toMatch(/PRIORITY\s+CPU\s+MEMORY\s+COMMAND\s+MESSAGE/);
    expect(await good(cluster, 'get', 'task', 'from-kubectl', '-o', 'name')).toBe('task.taskplane.dev/from-kubectl\n');
    expect(JSON.parse(await good(cluster, 'get', 'tasks', '-l', 'app=kubectl', '-o', 'json'))).toMatchObject({ kind: 'List', items: [{ kind: 'Task', status: { phase: 'Failed', exitCode: 3 } }] });
    expect(await good(cluster, 'get', 'tasks', '-l', 'app=other', '-o', 'name')).toBe('');
    expect(await good(cluster, 'get', 'tasks', '--field-selector', 'status.phase=Failed', '-o', 'name')).toBe('task.taskplane.dev/from-kubectl\n');
    expect(await good(cluster, 'get', 'task', 'from-kubectl', '-o', 'jsonpath={.status.exitCode}')).toBe('3');
    expect(await good(cluster, 'get', 'tasks', '-A')).toMatch(/^NAMESPACE\s+NAME/);

    const described = await good(cluster, 'describe', 'task', 'from-kubectl');
    expect(described).toMatch(/Name:\s+from-kubectl/);
    expect(described).toMatch(/Exit Code:\s+3/);

    expect(await good(cluster, 'wait', 'task/from-kubectl', '--for=condition=Finished', '--timeout=20s')).toContain('condition met');
    expect(await good(cluster, 'delete', 'task', 'from-kubectl')).toBe('task.taskplane.dev "from-kubectl" deleted\n');
    const gone = expectCode(await run(cluster, 'get', 'task', 'from-kubectl'), 1);
    expect(gone.stderr).toBe('Error from server (NotFound): tasks.taskplane.dev "from-kubectl" not found\n');
  });

  story('shows nodes, describes and cordons them', async (cluster) => {
    const name = cluster.node('n1');
    expect(await good(cluster, 'get', 'nodes')).toMatch(new RegExp(`^NAME\\s+STATUS\\s+ROLES\\s+AGE\\s+VERSION\\s*\\n${name}\\s+Ready\\s+<none>\\s`));
    expect(await good(cluster, 'get', 'node', name, '-o', 'wide')).toMatch(/INTERNAL-IP/);
    const described = await good(cluster, 'describe', 'node', name);
    expect(described).toMatch(new RegExp(`Name:\\s+${name}`));
    expect(described).toMatch(/Allocatable:\n\s+cpu:/);
    expect(await good(cluster, 'cordon', name)).toBe(`node/${name} cordoned\n`);
    expect(await good(cluster, 'get', 'nodes')).toContain('Ready,SchedulingDisabled');
    expect(await good(cluster, 'uncordon', name)).toBe(`node/${name} uncordoned\n`);
    await cluster.nodes.untilObject(name, 'to be open again', (node) => !node.spec?.unschedulable);
  });

  story('watches tasks come and go', async (cluster) => {
    await cluster.create(scriptTask('listed', 'true'));
    await cluster.finished('listed');
    const watch = new Program({
      name: `kubectl get -w`,
      command: [kubectl.path, 'get', 'tasks', '-w', '--no-headers'],
      env: { KUBECONFIG: cluster.processes.adminKubeconfig, HOME: cluster.path('home'), TASKPLANE_PROCESSES: cluster.processes.directory },
    });
    try {
      // Once it shows what there is, it misses nothing that comes.
      await watch.line(/^listed\s+Succeeded/);
      await good(cluster, 'apply', '-f', manifest);
      await watch.line(/^from-kubectl\s+Pending/);
      await watch.line(/^from-kubectl\s+Failed\s+n1-\w+\s+1\s+3\s/);
      await good(cluster, 'delete', '-f', manifest);
    } finally {
      await watch.kill();
    }
  });

  story('reads logs through the view of tasks as pods', async (cluster) => {
    await good(cluster, 'apply', '-f', manifest);
    await cluster.finished('from-kubectl');
    expect(await good(cluster, 'logs', 'from-kubectl')).toBe('written by a task\n');
    expect(await good(cluster, 'logs', 'from-kubectl', '-f', '--tail=1')).toBe('written by a task\n');
    expect(await good(cluster, 'get', 'pods')).toMatch(/from-kubectl\s+Failed/);
    await good(cluster, 'delete', 'task/from-kubectl');
  });

  story('finds what there is and explains it', async (cluster) => {
    const resources = await good(cluster, 'api-resources');
    expect(resources).toMatch(/^tasks\s+tk\s+taskplane\.dev\/v1\s+true\s+Task$/m);
    expect(resources).toMatch(/^nodes\s+no\s+v1\s+false\s+Node$/m);
    const explained = await good(cluster, 'explain', 'task.spec.restartPolicy');
    expect(explained).toContain('Whether the command is started again');
    expect(await good(cluster, 'version')).toMatch(/Server Version:.*1\.?33|"33"/);
    expect(await good(cluster, 'get', '--raw', '/readyz')).toMatch(/ok/);
  });

  story('patches, labels and edits metadata', async (cluster) => {
    await good(cluster, 'apply', '-f', manifest);
    await cluster.finished('from-kubectl');
    expect(await good(cluster, 'label', 'task', 'from-kubectl', 'tier=gold')).toBe('task.taskplane.dev/from-kubectl labeled\n');
    expect(await good(cluster, 'annotate', 'task', 'from-kubectl', 'note=seen')).toMatch(/annotate/);
    expect(await good(cluster, 'patch', 'task', 'from-kubectl', '--type=merge', '-p', '{"spec":{"priority":7}}')).toMatch(/patched/);
    const task = await cluster.tasks.untilObject('default/from-kubectl', 'to be patched', ({ spec }) => spec.priority === 7);
    expect(task.metadata).toMatchObject({ labels: { tier: 'gold', app: 'kubectl' }, annotations: { note: 'seen' } });
    const refused = expectCode(await run(cluster, 'patch', 'task', 'from-kubectl', '--type=merge', '-p', '{"spec":{"script":"true"}}'), 1);
    expect(refused.stderr).toContain('delete the task and create it again');
    await good(cluster, 'delete', 'tasks', '--all');
  });

  story('makes namespaces, secrets and config maps from manifests', async (cluster) => {
    const objects = [
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team' } },
      { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'key', namespace: 'team' }, stringData: { value: 'hidden' } },
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings', namespace: 'team' }, data: { level: 'high' } },
    ];
    const apply = () => cluster.kubectl(['apply', '-f', '-'], { program: kubectl.path, input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }) });
    expect(expectCode(await apply()).stdout).toBe('namespace/team created\nsecret/key created\nconfigmap/settings created\n');
    expect(await good(cluster, 'get', 'secret', 'key', '-n', 'team', '-o', 'jsonpath={.data.value}')).toBe(Buffer.from('hidden').toString('base64'));
    expect(await good(cluster, 'describe', 'namespace', 'team')).toMatch(/Status:\s+Active/);
    expect(await good(cluster, 'delete', 'namespace', 'team', '--timeout=30s')).toContain('namespace "team" deleted');
  });

  // Older ones check by themselves, against the OpenAPI document.
  if (minorOf(kubectl) >= 27) {
    story('is told of unknown fields', async (cluster) => {
      const input = JSON.stringify({ apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name: 'odd', namespace: 'default' }, spec: { script: 'true', bogus: 1 } });
      const refused = await cluster.kubectl(['apply', '-f', '-'], { program: kubectl.path, input });
      expect(refused).toMatchObject({ code: 1 });
      expect(refused.stderr).toContain('unknown field "spec.bogus"');
    });
  }

  // From 1.32 on `create secret` and its like speak protobuf, which the server answers with 415.
  if (minorOf(kubectl) < 32) {
    story('creates secrets, config maps and namespaces by name', async (cluster) => {
      expect(await good(cluster, 'create', 'namespace', 'crew')).toBe('namespace/crew created\n');
      expect(await good(cluster, 'create', 'secret', 'generic', 'key', '--from-literal=value=hidden', '-n', 'crew')).toBe('secret/key created\n');
      expect(await good(cluster, 'create', 'configmap', 'settings', '--from-literal=level=high', '-n', 'crew')).toBe('configmap/settings created\n');
      expect(await good(cluster, 'delete', 'namespace', 'crew', '--timeout=30s')).toContain('namespace "crew" deleted');
    });
  }
});
