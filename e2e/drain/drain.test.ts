// Maintenance of a machine, with stock kubectls: its tasks are asked to stop, end in their own time, and go on elsewhere.

import { describe, expect } from '@jest/globals';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { eventKind } from '../../api/event.js';
import type { Task, TaskSpec } from '../../api/task.js';
import { expectCode, type CommandResult } from '../command.js';
import { scriptTask, type Cluster } from '../cluster.js';
import { stockKubectls } from '../kubectls.js';
import { withCluster } from '../with-cluster.js';

/** The newest, one that speaks the older protocols, and the oldest. */
const kubectls = stockKubectls().filter(({ title }) => ['PATH', '1.28', 'Debian'].includes(title));

describe.each(kubectls)('kubectl $title', (kubectl) => {
  const { story } = withCluster({ store: 'embedded', nodes: ['n1', 'n2'] });
  const run = (cluster: Cluster, ...args: string[]): Promise<CommandResult> => cluster.kubectl(args, { program: kubectl.path });
  const good = async (cluster: Cluster, ...args: string[]): Promise<string> => expectCode(await run(cluster, ...args)).stdout;

  /** Runs until the story lets it go; asked to stop, it takes a moment to write down that it was. */
  function patient(cluster: Cluster, name: string, spec: Partial<TaskSpec> = {}, labels: Record<string, string> = {}): Task {
    const script = `trap 'sleep 0.3; echo stopped on $TASKPLANE_NODE_NAME >>${cluster.path(`${name}.log`)}; exit 1' TERM
while [ ! -e ${cluster.path(`${name}.go`)} ]; do sleep 0.05 || :; done`;
    return scriptTask(name, script, { terminationGracePeriodSeconds: 20, ...spec }, { labels });
  }

  /** Has the tasks running on n1, with both nodes open. */
  async function onFirst(cluster: Cluster, ...tasks: Task[]): Promise<void> {
    await good(cluster, 'cordon', cluster.node('n2'));
    await cluster.create(...tasks);
    for (const { metadata } of tasks) expect((await cluster.running(metadata.name!)).status?.nodeName).toBe(cluster.node('n1'));
    await good(cluster, 'uncordon', cluster.node('n2'));
  }

  const runsOn = (cluster: Cluster, name: string, short: string): Promise<Task> =>
    cluster.tasks.untilObject(`default/${name}`, `to run on ${short}`, ({ status }) => status?.phase === 'Running' && status.nodeName === cluster.node(short));
  const letGo = (cluster: Cluster, name: string): Promise<void> => writeFile(cluster.path(`${name}.go`), '');
  const written = (cluster: Cluster, name: string): Promise<string> => readFile(cluster.path(`${name}.log`), 'utf8').catch(() => '');

  story('drains a node: tasks stop in their own time and go on elsewhere', async (cluster) => {
    const [n1, n2] = [cluster.node('n1'), cluster.node('n2')];
    await cluster.create(scriptTask('done', 'true', { nodeName: n1 }));
    await cluster.finished('done');
    await onFirst(cluster, patient(cluster, 'work'), patient(cluster, 'more'));

    // The oldest asks the OpenAPI document first whether Pods can be patched without effect; they cannot be patched at all.
    if (kubectl.title !== 'Debian') {
      const wouldBe = await good(cluster, 'drain', n1, '--dry-run=server');
      expect(wouldBe).toMatch(/cordoned \(server dry run\)/);
      expect(wouldBe).toMatch(/(evicting|deleting) pod default\/work \(server dry run\)/);
      expect(cluster.tasks.objects.get('default/work')?.status?.eviction).toBeUndefined();
    }

    const drained = await good(cluster, 'drain', n1, '--timeout=60s');
    expect(drained).toMatch(new RegExp(`node/${n1} cordoned`));
    for (const name of ['work', 'more', 'done']) expect(drained).toMatch(new RegExp(`pod/${name} (evicted|deleted)`));
    expect(drained).toMatch(new RegExp(`node/${n1} (drained|evicted|deleted)`));
    for (const name of ['work', 'more']) {
      // drain came back: so nothing runs there any more, and what was to be written was.
      expect(await written(cluster, name)).toBe(`stopped on ${n1}\n`);
      expect((await runsOn(cluster, name, 'n2')).status).toMatchObject({ bindings: 2, attempt: 2, evictions: 1, lastAttempt: { nodeName: n1, exitCode: 1, reason: 'Evicted' } });
      await letGo(cluster, name);
      expect((await cluster.finished(name)).status).toMatchObject({ phase: 'Succeeded', nodeName: n2 });
    }
    expect(cluster.tasks.objects.get('default/done')?.status).toMatchObject({ phase: 'Succeeded', nodeName: n1 });
    expect(await good(cluster, 'get', 'pods', '--field-selector', `spec.nodeName=${n1}`, '-o', 'name')).toBe('');
    expect(await good(cluster, 'drain', n1)).not.toContain('pod/');
    expect(await good(cluster, 'uncordon', n1)).toBe(`node/${n1} uncordoned\n`);
    await good(cluster, 'delete', 'tasks', '--all');
  });

  story('shortens the grace, deletes instead of evicting, and takes only the tasks that are selected', async (cluster) => {
    const n1 = cluster.node('n1');
    const stubborn = "trap '' TERM; while :; do sleep 0.05 || :; done";
    await onFirst(cluster, patient(cluster, 'stays', {}, { app: 'a' }), patient(cluster, 'deleted', {}, { app: 'b' }), scriptTask('stubborn', stubborn, { terminationGracePeriodSeconds: 600 }, { labels: { app: 'c' } }));
    expect(await good(cluster, 'drain', n1, '--pod-selector=app=b', '--disable-eviction', '--timeout=60s')).toMatch(/pod\/deleted deleted/);
    expect(await written(cluster, 'deleted')).toBe(`stopped on ${n1}\n`);
    await runsOn(cluster, 'deleted', 'n2');
    expect(await good(cluster, 'drain', n1, '--pod-selector=app in (c)', '--grace-period=1', '--timeout=60s')).toMatch(/pod\/stubborn (evicted|deleted)/);
    expect((await runsOn(cluster, 'stubborn', 'n2')).status?.lastAttempt).toMatchObject({ signal: 'SIGKILL' });
    expect(cluster.tasks.objects.get('default/stays')?.status).toMatchObject({ phase: 'Running', nodeName: n1, attempt: 1 });
    await good(cluster, 'uncordon', n1);
    await good(cluster, 'delete', 'tasks', '--all', '--grace-period=1');
  });

  story('asks for --force where a task would fail', async (cluster) => {
    const n1 = cluster.node('n1');
    await onFirst(cluster, patient(cluster, 'once', { onNodeLost: 'Fail' }));
    const refused = expectCode(await run(cluster, 'drain', n1), 1);
    expect(refused.stderr).toMatch(/[Pp]ods.*declare no controller.*use --force.*default\/once|default\/once/s);
    expect(cluster.tasks.objects.get('default/once')?.status?.phase).toBe('Running');
    expect(await good(cluster, 'drain', n1, '--force', '--timeout=60s')).toMatch(/pod\/once (evicted|deleted)/);
    expect((await cluster.finished('once')).status).toMatchObject({ phase: 'Failed', reason: 'Evicted' });
    expect(await good(cluster, 'get', 'pods')).toMatch(/^once\s+0\/1\s+Evicted\s+0\s/m);
    await good(cluster, 'uncordon', n1);
    await good(cluster, 'delete', 'tasks', '--all');
  });

  story('deletes a Pod: the task goes on as another one', async (cluster) => {
    await cluster.create(patient(cluster, 'again'));
    const { metadata } = await cluster.running('again');
    const uid = await good(cluster, 'get', 'pod', 'again', '-o', 'jsonpath={.metadata.uid}');
    expect(await good(cluster, 'delete', 'pod', 'again', '--timeout=60s')).toMatch(/^pod "again" deleted/);
    expect(await written(cluster, 'again')).toMatch(/^stopped/);
    const task = await cluster.tasks.untilObject('default/again', 'to run again', ({ status }) => status?.phase === 'Running' && status.attempt === 2);
    expect(task.metadata.uid).toBe(metadata.uid);
    expect(await good(cluster, 'get', 'pod', 'again', '-o', 'jsonpath={.metadata.uid}')).not.toBe(uid);
    await letGo(cluster, 'again');
    await good(cluster, 'wait', 'task/again', '--for=condition=Complete', '--timeout=30s');
    await good(cluster, 'delete', 'task', 'again');
  });

  story('drives tasks off a tainted node, each when its toleration is over', async (cluster) => {
    const n1 = cluster.node('n1');
    const tolerating = (tolerationSeconds?: number): Partial<TaskSpec> => ({ tolerations: [{ key: 'broken', operator: 'Exists', ...(tolerationSeconds === undefined ? {} : { tolerationSeconds }) }] });
    await onFirst(cluster, patient(cluster, 'plain'), patient(cluster, 'brief', tolerating(3)), patient(cluster, 'hardened', tolerating()));
    expect(await good(cluster, 'taint', 'node', n1, 'broken=yes:NoExecute')).toBe(`node/${n1} tainted\n`);
    const taintedAt = cluster.clock.now();
    await runsOn(cluster, 'plain', 'n2');
    await cluster.tasks.untilObject('default/brief', 'to be evicted', ({ status }) => Boolean(status?.eviction));
    // timeAdded counts in whole seconds.
    expect(cluster.clock.now() - taintedAt).toBeGreaterThan(1_500);
    // It tolerates the taint for a time, and n2 has no taint: either will do.
    await cluster.tasks.untilObject('default/brief', 'to run again', ({ status }) => status?.phase === 'Running' && status.attempt === 2);
    expect(cluster.tasks.objects.get('default/hardened')?.status).toMatchObject({ phase: 'Running', nodeName: n1, attempt: 1 });
    const { items } = await cluster.client.list(eventKind, { namespace: 'default' });
    expect(items.filter(({ reason }) => reason === 'TaintManagerEviction').map(({ involvedObject }) => involvedObject.name).toSorted()).toEqual(['brief', 'plain']);
    await good(cluster, 'taint', 'node', n1, 'broken-');
    for (const name of ['plain', 'brief', 'hardened']) await letGo(cluster, name);
    for (const name of ['plain', 'brief', 'hardened']) expect((await cluster.finished(name)).status?.phase).toBe('Succeeded');
    await good(cluster, 'delete', 'tasks', '--all');
  });

  story('shows the tasks of a node as its Pods', async (cluster) => {
    const n1 = cluster.node('n1');
    await onFirst(cluster, patient(cluster, 'seen', { resources: { requests: { cpu: '100m', memory: '64Mi' }, limits: { cpu: '200m', memory: '128Mi' } } }));
    const described = await good(cluster, 'describe', 'node', n1);
    expect(described).toMatch(/Non-terminated Pods:\s+\(1 in total\)/);
    expect(described).toMatch(/default\s+seen\s+100m \(\d+%\)\s+200m \(\d+%\)\s+64Mi \(\d+%\)\s+128Mi \(\d+%\)/);
    expect(described).toMatch(/cpu\s+100m \(\d+%\)\s+200m \(\d+%\)/);
    expect(await good(cluster, 'get', 'pods', '-o', 'wide')).toMatch(new RegExp(`^NAME\\s+READY\\s+STATUS\\s+RESTARTS\\s+AGE\\s+IP\\s+NODE\\s+NOMINATED NODE\\s+READINESS GATES\\s*\\nseen\\s+1/1\\s+Running\\s+0\\s+\\S+\\s+\\S+\\s+${n1}\\s+<none>\\s+<none>`));
    const pod = await good(cluster, 'describe', 'pod', 'seen');
    expect(pod).toMatch(/Controlled By:\s+Task\/seen/);
    expect(pod).toMatch(/Node:\s+n1-\w+\/\d/);
    expect(pod).toMatch(/QoS Class:\s+Burstable/);
    // An event is recorded a moment after what it tells of.
    await cluster.eventually('the start in the description', async () => (/Started/.test(await good(cluster, 'describe', 'pod', 'seen')) ? true : undefined));
    expect(await good(cluster, 'wait', 'pod/seen', '--for=condition=Ready', '--timeout=10s')).toContain('condition met');
    await letGo(cluster, 'seen');
    await cluster.finished('seen');
    expect(await good(cluster, 'describe', 'node', n1)).toMatch(/Non-terminated Pods:\s+\(0 in total\)/);
    await good(cluster, 'delete', 'task', 'seen');
    expect(existsSync(cluster.path('seen.log'))).toBe(false);
  });
});
