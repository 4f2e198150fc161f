// reading.ts: what kubectl shows.

import { expect } from '@jest/globals';
import type { Task } from '../../api/task.js';
import { expectCode } from '../command.js';
import { area } from './check.js';
import type { Kube } from './kube.js';

/** Before the checks: a task that succeeded, one that failed, one that fits nowhere, and some settings. */
export async function prepareReading(kube: Kube): Promise<void> {
  await kube.task('done', 'echo written by a task', { priority: 5 }, { labels: { app: 'read', tier: 'gold' } });
  await kube.task('failed', 'exit 3', {}, { labels: { app: 'read' } });
  await kube.task('waiting', 'true', { nodeSelector: { nowhere: 'yes' } });
  await kube.with({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings' }, data: { level: 'high' } }, 'create');
  await kube.with({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'key' }, stringData: { value: 'hidden' } }, 'create');
  await kube.finished('done');
  await kube.finished('failed');
}

const names = (text: string): string[] => text.split('\n').filter(Boolean).map((line) => line.split(/\s+/)[0]!);

export const reading = area('Reading', (check) => {
  check('version', '', async (kube) => {
    expect(await kube.ok('version')).toMatch(/Server Version:.*(v1\.33|Minor:"33")/);
    expect(JSON.parse(await kube.ok('version -o json'))).toMatchObject({ serverVersion: { major: '1', platform: expect.stringContaining('linux/') } });
  });
  check('cluster-info', '', async (kube) => expect(await kube.ok('cluster-info')).toMatch(/is running at .*https:\/\/127\.0\.0\.1/));
  check('api-versions', '', async (kube) => expect((await kube.ok('api-versions')).split('\n')).toEqual(expect.arrayContaining(['v1', 'taskplane.dev/v1', 'coordination.k8s.io/v1', 'apiextensions.k8s.io/v1'])));
  check('api-resources', '', async (kube) => {
    const all = await kube.ok('api-resources');
    expect(all).toMatch(/^tasks\s+tk\s+taskplane\.dev\/v1\s+true\s+Task$/m);
    expect(all).toMatch(/^nodes\s+no\s+v1\s+false\s+Node$/m);
    expect(all).toMatch(/^customresourcedefinitions\s+crd,crds\s+apiextensions\.k8s\.io\/v1\s+false\s+CustomResourceDefinition$/m);
  });
  check('api-resources', '-o wide --api-group --namespaced --verbs -o name', async (kube) => {
    expect(await kube.ok('api-resources --api-group=taskplane.dev -o wide')).toMatch(/^tasks .*create.*delete.*deletecollection.*get.*list.*patch.*update.*watch/m);
    expect((await kube.ok('api-resources --namespaced=false -o name')).split('\n')).toEqual(expect.arrayContaining(['namespaces', 'nodes']));
    expect(await kube.ok('api-resources --verbs=watch -o name')).toContain('tasks.taskplane.dev');
  });
  check('api-resources', '--categories', async (kube) => expect(await kube.ok('api-resources --categories=all -o name')).toContain('tasks.taskplane.dev\n'), { since: 26 });

  check('get', 'tasks', async (kube) => {
    const table = await kube.ok('get tasks');
    expect(table).toMatch(/^NAME\s+STATUS\s+NODE\s+ATTEMPT\s+EXIT\s+DURATION\s+AGE\s*\n/);
    expect(table).toMatch(/^done\s+Succeeded\s+n1-\w+\s+1\s+0\s/m);
    expect(table).toMatch(/^failed\s+Failed\s+n1-\w+\s+1\s+3\s/m);
    expect(table).toMatch(/^waiting\s+Pending\s/m);
  });
  check('get', '-o wide', async (kube) => expect(await kube.ok('get tk -o wide')).toMatch(/PRIORITY\s+CPU\s+MEMORY\s+COMMAND\s+MESSAGE/));
  check('get', '-o json', async (kube) => {
    const list = JSON.parse(await kube.ok('get tasks -o json')) as { kind: string; items: Task[] };
    expect(list.kind).toBe('List');
    expect(list.items.map((task) => task.kind)).toEqual(['Task', 'Task', 'Task']);
  });
  check('get', '-o yaml', async (kube) => expect(await kube.ok('get task done -o yaml')).toMatch(/^apiVersion: taskplane\.dev\/v1\nkind: Task\nmetadata:\n[\s\S]*\n {2}phase: Succeeded\n/));
  check('get', '-o name', async (kube) => expect(await kube.ok('get task done -o name')).toBe('task.taskplane.dev/done\n'));
  check('get', '-o jsonpath', async (kube) => {
    expect(await kube.ok('get task failed -o', 'jsonpath={.status.exitCode}')).toBe('3');
    expect(await kube.ok('get tasks -o', 'jsonpath={range .items[?(@.status.phase=="Failed")]}{.metadata.name}{"\\n"}{end}')).toBe('failed\n');
  });
  check('get', '-o custom-columns', async (kube) => {
    expect(await kube.ok('get tasks --no-headers -o custom-columns=N:.metadata.name,P:.status.phase')).toMatch(/^done\s+Succeeded\s*\nfailed\s+Failed\s*\nwaiting\s+Pending\s*\n$/);
  });
  check('get', '-o go-template', async (kube) => expect(await kube.ok('get task done -o', 'go-template={{.spec.priority}}')).toBe('5'));
  check('get', '--show-labels -L --no-headers', async (kube) => {
    expect(await kube.ok('get tasks --show-labels')).toMatch(/LABELS\s*\n.*app=read,tier=gold/);
    expect(await kube.ok('get tasks -L tier')).toMatch(/TIER\s*\n(.*\n)*done.*gold/);
    expect(names(await kube.ok('get tasks --no-headers'))).toEqual(['done', 'failed', 'waiting']);
  });
  check('get', '-l', async (kube) => {
    expect(await kube.ok('get tasks -o name -l app=read,tier=gold')).toBe('task.taskplane.dev/done\n');
    expect(await kube.ok('get tasks -o name -l', 'app in (read, write), tier notin (gold)')).toBe('task.taskplane.dev/failed\n');
    expect(await kube.ok('get tasks -o name -l !app')).toBe('task.taskplane.dev/waiting\n');
  });
  check('get', '--field-selector', async (kube) => {
    expect(await kube.ok('get tasks -o name --field-selector status.phase=Failed')).toBe('task.taskplane.dev/failed\n');
    expect(await kube.ok('get tasks -o name --field-selector metadata.name!=done,status.phase!=Pending')).toBe('task.taskplane.dev/failed\n');
    expect(await kube.fails('get tasks --field-selector spec.bogus=1')).toMatch(/field label not supported|spec\.bogus/);
  });
  check('get', '--sort-by', async (kube) => expect(names(await kube.ok('get tasks --no-headers --sort-by=.status.phase'))).toEqual(['failed', 'waiting', 'done']));
  check('get', '--chunk-size', async (kube) => expect(names(await kube.ok('get tasks --chunk-size=1'))).toEqual(['NAME', 'done', 'failed', 'waiting']));
  check('get', '-A', async (kube) => {
    const all = await kube.ok('get tasks -A');
    expect(all).toMatch(/^NAMESPACE\s+NAME/);
    expect(all).toMatch(new RegExp(`^${kube.namespace}\\s+done\\s`, 'm'));
  });
  check('get', 'several kinds and names', async (kube) => {
    expect(await kube.ok('get tasks,cm,nodes')).toMatch(/task\.taskplane\.dev\/done[\s\S]*configmap\/settings[\s\S]*node\/n1-/);
    expect(await kube.ok('get task/done cm/settings -o name')).toBe('task.taskplane.dev/done\nconfigmap/settings\n');
    expect(await kube.ok('get task done failed -o name')).toBe('task.taskplane.dev/done\ntask.taskplane.dev/failed\n');
  });
  check('get', 'all', async (kube) => expect(await kube.ok('get all')).toMatch(/^(task\.taskplane\.dev\/)?done\s+Succeeded/m));
  check('get', '-f FILE', async (kube) => expect(await kube.ok(`get -f ${kube.file('done.json', kube.manifest('done', 'true'))} -o name`)).toBe('task.taskplane.dev/done\n'));
  check('get', '--ignore-not-found', async (kube) => {
    expect(await kube.ok('get task nothing --ignore-not-found')).toBe('');
    expect(await kube.fails('get task nothing')).toBe('Error from server (NotFound): tasks.taskplane.dev "nothing" not found\n');
  });
  check('get', '--subresource=status', async (kube) => expect(await kube.ok('get task failed --subresource=status -o', 'jsonpath={.status.phase}')).toBe('Failed'), { since: 24 });
  check('get', '--server-print=false', async (kube) => expect(await kube.ok('get tasks --server-print=false')).toMatch(/^NAME\s+AGE\s*\ndone\s/));
  check('get', '--show-managed-fields', async (kube) => {
    expect(await kube.ok('get cm settings -o yaml --show-managed-fields')).toMatch(/managedFields:\n[\s\S]*f:level[\s\S]*manager: kubectl/);
    expect(await kube.ok('get cm settings -o yaml')).not.toContain('managedFields');
  }, { since: 21 });
  check('get', '--raw', async (kube) => {
    expect(await kube.ok('get --raw /readyz')).toMatch(/ok/);
    expect(JSON.parse(await kube.ok(`get --raw /apis/taskplane.dev/v1/namespaces/${kube.namespace}/tasks`))).toMatchObject({ kind: 'TaskList' });
  });
  check('get', '-w', async (kube) => {
    const watch = kube.start('get tasks -w --no-headers');
    try {
      await watch.line(/^done\s+Succeeded/);
      await kube.task('watched', 'exit 4');
      await watch.line(/^watched\s+Pending/);
      await watch.line(/^watched\s+Failed\s+n1-\w+\s+1\s+4\s/);
    } finally {
      await watch.kill();
    }
    await kube.ok('delete task watched');
  });
  check('get', 'NAME -w', async (kube) => {
    const go = kube.path('one-go');
    await kube.task('one', `until [ -e ${go} ]; do sleep 0.05; done`);
    await kube.running('one');
    const watch = kube.start('get task one -w --no-headers');
    try {
      // It drops the first event of its watch, whatever that tells: only when it has told of a change is it sure to tell of the next.
      await kube.cluster.eventually('the watch to tell', async () => {
        await kube.ok('annotate task one --overwrite', `seen=${kube.cluster.clock.now()}`);
        return watch.lines.length > 1 || undefined;
      });
      kube.file('one-go', '');
      await watch.line(/^one\s+Succeeded/);
    } finally {
      await watch.kill();
    }
    await kube.ok('delete task one');
  });
  check('get', '--watch-only --output-watch-events', async (kube) => {
    const watch = kube.start('get cm --watch-only --output-watch-events --no-headers');
    try {
      // It says nothing when it is ready: what it missed it gets again.
      await kube.cluster.eventually('the watch to tell', async () => {
        await kube.ok('annotate cm settings --overwrite', `seen=${kube.cluster.clock.now()}`);
        return watch.lines.some((line) => /^MODIFIED\s+settings/.test(line)) || undefined;
      });
    } finally {
      await watch.kill();
    }
  });

  check('describe', 'task, with its events', async (kube) => {
    const described = await kube.ok('describe task failed');
    expect(described).toMatch(/Name:\s+failed/);
    expect(described).toMatch(/Exit Code:\s+3/);
    expect(described).toMatch(/Events:\n\s+Type\s+Reason\s+Age\s+From\s+Message\n[\s\S]*Normal\s+Scheduled/);
  });
  check('describe', '-l', async (kube) => expect((await kube.ok('describe tasks -l app=read')).match(/^Name:/gm)).toHaveLength(2));
  check('describe', 'node', async (kube) => {
    const described = await kube.ok(`describe node ${kube.cluster.node('n1')}`);
    expect(described).toMatch(/Allocatable:\n\s+cpu:/);
    expect(described).toMatch(/HolderIdentity:\s+\S+/);
    expect(described).toMatch(/Non-terminated Pods:/);
    expect(described).not.toContain('<unset>\n  AcquireTime');
  });
  check('describe', 'pod', async (kube) => {
    const described = await kube.ok('describe pod failed');
    expect(described).toMatch(/Status:\s+Failed/);
    expect(described).toMatch(/Exit Code:\s+3/);
    expect(described).toMatch(/Controlled By:\s+Task\/failed/);
  });
  check('describe', 'namespace, secret, configmap', async (kube) => {
    expect(await kube.ok(`describe namespace ${kube.namespace}`)).toMatch(/Status:\s+Active/);
    const secret = await kube.ok('describe secret key');
    expect(secret).toMatch(/value:\s+6 bytes/);
    expect(secret).not.toContain('hidden');
    expect(await kube.ok('describe cm settings')).toMatch(/level:\n----\nhigh/);
  });

  check('events', '', async (kube) => expect(await kube.ok('events')).toMatch(/Normal\s+Scheduled\s+Task\/done/), { since: 27 });
  check('events', '--for --types', async (kube) => {
    const told = await kube.ok('events --for task/failed');
    expect(told).toContain('Task/failed');
    expect(told).not.toContain('Task/done');
    expect(await kube.ok('events --for task/waiting --types=Warning')).toMatch(/FailedScheduling|Unschedulable/);
  }, { since: 27 });
  check('events', '--for -w', async (kube) => {
    const watch = kube.start('events --for task/eventful -w --no-headers');
    try {
      await kube.task('eventful', 'true');
      await watch.line(/Scheduled\s+Task\/eventful/);
    } finally {
      await watch.kill();
    }
    await kube.ok('delete task eventful');
  }, { since: 27 });
  check('get events', '--sort-by --field-selector', async (kube) => {
    expect(await kube.ok('get events --sort-by=.lastTimestamp --field-selector involvedObject.name=done')).toMatch(/Scheduled\s+task\/done/);
  });

  check('explain', 'KIND', async (kube) => expect(await kube.ok('explain task')).toMatch(/KIND:\s+Task\n/));
  check('explain', 'KIND.FIELD.PATH', async (kube) => {
    expect(await kube.ok('explain task.spec.restartPolicy')).toContain('Whether the command is started again');
    expect(await kube.ok('explain tasks.status.conditions.type')).toMatch(/FIELD:\s+type <string>/);
    expect(await kube.fails('explain task.spec.bogus')).toMatch(/field "bogus" does not exist/);
  });
  check('explain', '--recursive', async (kube) => expect(await kube.ok('explain task --recursive')).toMatch(/spec\s+<Object>[\s\S]*activeDeadlineSeconds\s+<integer>/));
  check('explain', 'core kinds', async (kube) => {
    for (const [kind, text] of [['pod', 'KIND:\\s+Pod'], ['node.spec.taints', 'effect'], ['configmap.data', 'map\\[string\\]string'], ['crd.spec.versions', 'served']] as const) {
      expect(await kube.ok(`explain ${kind}`)).toMatch(new RegExp(text));
    }
  });
  check('explain', '--output=plaintext-openapiv2', async (kube) => expect(await kube.ok('explain task.spec --output=plaintext-openapiv2')).toContain('restartPolicy'), { since: 27 });

  check('diff', '', async (kube) => {
    const same = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'differing' }, data: { level: 'high' } };
    await kube.with(same, 'apply');
    expect(await kube.with(same, 'diff')).toBe('');
    const changed = expectCode(await kube.feed({ ...same, data: { level: 'low' } }, 'diff'), 1).stdout;
    expect(changed).toMatch(/^-\s+level: high$/m);
    expect(changed).toMatch(/^\+\s+level: low$/m);
    const task = kube.manifest('differing', 'true', { nodeSelector: { nowhere: 'yes' } });
    await kube.with(task, 'apply');
    const lines = expectCode(await kube.feed({ ...task, spec: { ...task.spec, priority: 9 } }, 'diff'), 1).stdout.split('\n');
    // The priority and what counts it: nothing else may look changed.
    // The oldest kubectl shows who wrote when, too.
    expect(lines.filter((line) => /^[+-][^+-]/.test(line) && !/^. +time: /.test(line)).map((line) => line.replaceAll(/\s+/g, ' '))).toEqual(['- generation: 1', '+ generation: 2', '- priority: 0', '+ priority: 9']);
    await kube.ok('delete cm/differing task/differing');
  });
  check('diff', '--server-side', async (kube) => {
    const settings = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'differing-server' }, data: { level: 'high' } };
    await kube.with(settings, 'apply --server-side');
    expect(await kube.with(settings, 'diff --server-side')).toBe('');
    expect(expectCode(await kube.feed({ ...settings, data: { level: 'low' } }, 'diff --server-side'), 1).stdout).toMatch(/^\+\s+level: low$/m);
    await kube.ok('delete cm differing-server');
  });

  check('top', 'node', async (kube) => expect(await kube.ok('top node')).toMatch(new RegExp(`^NAME\\s+CPU.*\\n${kube.cluster.node('n1')}\\s+\\d+m\\s+\\d+%\\s+\\d+Mi\\s+\\d+%`)));
  check('top', 'pod --containers -l --sort-by', async (kube) => {
    await kube.task('busy', 'sleep 600', {}, { labels: { app: 'busy' } });
    await kube.running('busy');
    const measured = await kube.cluster.eventually('the use of the task to be measured', async () => {
      const result = await kube.run('top pod -l app=busy --containers --sort-by=cpu --no-headers');
      return /^busy\s+task\s+\d+m\s+\d+Mi/.test(result.stdout) ? result : undefined;
    });
    expect(measured.code).toBe(0);
    await kube.ok('delete task busy --now');
  });

  check('wait', '--for=condition', async (kube) => {
    expect(await kube.ok('wait task/done --for=condition=Finished --timeout=20s')).toBe('task.taskplane.dev/done condition met\n');
    await kube.task('later', 'sleep 0.3', {}, { labels: { app: 'later' } });
    expect(await kube.ok('wait tasks -l app=later --for=condition=Complete --timeout=30s')).toBe('task.taskplane.dev/later condition met\n');
    await kube.ok('delete task later');
    expect(await kube.fails('wait task/waiting --for=condition=Ready --timeout=50ms')).toContain('timed out waiting for the condition');
  });
  check('wait', '--for=jsonpath', async (kube) => expect(await kube.ok('wait task/failed --timeout=20s --for', 'jsonpath={.status.phase}=Failed')).toBe('task.taskplane.dev/failed condition met\n'), { since: 23 });
  check('wait', '--for=delete', async (kube) => {
    // It is killed only after three seconds: the oldest kubectl fails when there is nothing to wait for any more.
    await kube.task('leaving', 'trap "" TERM; while :; do sleep 0.1; done');
    await kube.running('leaving');
    await kube.ok('delete task leaving --wait=false --grace-period=3');
    await kube.ok('wait task/leaving --for=delete --timeout=60s');
    expect(await kube.ok('get task leaving --ignore-not-found')).toBe('');
    expect(await kube.ok('wait task/waiting --for=condition=Scheduled=false --timeout=20s')).toContain('condition met');
  });
  check('wait', '--for=create', async (kube) => {
    const wait = kube.start('wait task/coming --for=create --timeout=60s');
    await kube.task('coming', 'true');
    expect((await wait.ended).code).toBe(0);
    await kube.ok('delete task coming');
  }, { since: 31 });

  check('completion', 'bash, and names as they are typed', async (kube) => {
    expect(await kube.ok('completion bash')).toContain('__start_kubectl');
    if (kube.minor >= 24) expect(await kube.ok('__complete get tasks', 'd')).toMatch(/^done\n/m);
  });
  check('config', 'view --minify', async (kube) => expect(await kube.ok('config view --minify')).toContain(kube.namespace));
  check('proxy', '', async (kube) => {
    const proxy = kube.start('proxy --port=0');
    try {
      const port = /127\.0\.0\.1:(\d+)/.exec(await proxy.line(/Starting to serve on 127\.0\.0\.1:\d+/))![1]!;
      const answer = await fetch(`http://127.0.0.1:${port}/apis/taskplane.dev/v1/namespaces/${kube.namespace}/tasks/done`);
      expect(await answer.json()).toMatchObject({ kind: 'Task', metadata: { name: 'done' } });
    } finally {
      await proxy.kill();
    }
  });
  check('auth', 'can-i', async (kube) => {
    expect(await kube.ok('auth can-i create tasks')).toBe('yes\n');
    expect(await kube.ok('auth can-i --list')).toMatch(/\*\.\*\s+\[\]\s+\[\]\s+\[\*\]/);
  });
  check('auth', 'whoami', async (kube) => expect(await kube.ok('auth whoami')).toMatch(/Username\s+\S*admin[\s\S]*system:masters/), { since: 27 });
});

