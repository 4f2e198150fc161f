// The verbs of bin/taskplane as a user and a script meet them: what they print, and how they exit.

import { describe, expect } from '@jest/globals';
import { writeFile } from 'node:fs/promises';
import { Program } from '../../lib/testing/program.js';
import { markVariable, taskplanePath } from '../../lib/testing/taskplane-processes.js';
import { expectCode } from '../command.js';
import { scriptTask, type Cluster } from '../cluster.js';
import { withCluster } from '../with-cluster.js';

/** A verb that goes on by itself. */
function follow(cluster: Cluster, ...args: string[]): Program {
  const env = { KUBECONFIG: cluster.processes.adminKubeconfig, [markVariable]: cluster.processes.directory };
  return new Program({ name: `taskplane ${args[0]}`, command: [process.execPath, taskplanePath, ...args], env });
}

describe('the command line', () => {
  const { story } = withCluster({ store: 'embedded' });

  story('run streams the output of a command and exits with its exit code', async (cluster) => {
    const good = await cluster.taskplane(['run', 'greet', '--', 'echo', 'hello']);
    expect(good).toMatchObject({ code: 0, stdout: 'hello\n' });
    const bad = await cluster.taskplane(['run', 'fail', '--shell', '--', 'echo out; echo err >&2; exit 42']);
    expect(bad.code).toBe(42);
    expect(bad.stdout.split('\n').filter(Boolean).sort()).toEqual(['err', 'out']);
    const removed = await cluster.taskplane(['run', 'removed', '--rm', '-e', 'WORD=x y', '--', 'sh', '-c', 'echo "$WORD"']);
    expect(removed).toMatchObject({ code: 0, stdout: 'x y\n' });
    expect(cluster.tasks.objects.has('default/removed')).toBe(false);
    expect((await cluster.taskplane(['run', 'greet', '--', 'true'])).code).toBe(1);
  });

  story('run is interrupted by Ctrl-C, and takes its task with it', async (cluster) => {
    const run = follow(cluster, 'run', 'endless', '--shell', '--', 'trap "exit 0" TERM; echo up; while :; do sleep 0.05; done');
    await run.line(/^up$/);
    run.signal('SIGINT');
    expect((await run.ended).code).toBe(130);
    await cluster.tasks.untilGone('default/endless');
  });

  story('logs -f follows a task to its end over its attempts', async (cluster) => {
    await cluster.create(scriptTask('talker', `echo "attempt $TASKPLANE_TASK_ATTEMPT"\nwhile [ ! -e ${cluster.path('go')} ]; do sleep 0.02; done\necho bye\n[ $TASKPLANE_TASK_ATTEMPT = 2 ]`, { restartPolicy: 'OnFailure' }));
    const logs = follow(cluster, 'logs', '-f', 'talker');
    await logs.line(/^attempt 1$/);
    await writeFile(cluster.path('go'), '');
    expect((await logs.ended).code).toBe(0);
    expect(logs.stdout).toEqual(['attempt 1', 'bye', 'attempt 2', 'bye']);
    expect(expectCode(await cluster.taskplane(['logs', 'talker', '--tail', '1'])).stdout).toBe('bye\n');
    expect(expectCode(await cluster.taskplane(['logs', 'talker', '--previous'])).stdout).toBe('attempt 1\nbye\n');
    expect(expectCode(await cluster.taskplane(['logs', 'nobody']), 1).stderr).toContain('tasks.taskplane.dev "nobody" not found');
  });

  story('wait tells by its exit code how a task ended', async (cluster) => {
    await cluster.create(scriptTask('fine', 'true'), scriptTask('broken', 'exit 3'), scriptTask('long', 'sleep 600', { terminationGracePeriodSeconds: 1 }));
    expectCode(await cluster.taskplane(['wait', 'task/fine', '--for=finished']));
    expectCode(await cluster.taskplane(['wait', 'task/broken', '--for=finished']), 1);
    expectCode(await cluster.taskplane(['wait', 'task', 'long', '--for=running']));
    expect(expectCode(await cluster.taskplane(['wait', 'task/long', '--for=finished', '--timeout=1s']), 1).stderr).toContain('timed out');
    const deleted = follow(cluster, 'wait', 'task/long', '--for=deleted', '--timeout=60s');
    expectCode(await cluster.taskplane(['delete', 'task', 'long', '--now']));
    expect((await deleted.ended).code).toBe(0);
    expectCode(await cluster.taskplane(['wait', 'task/nobody', '--for=finished']), 1);
  });

  story('get -w shows each change; get shows every form', async (cluster) => {
    const watch = follow(cluster, 'get', 'tasks', '-w', '-l', 'app=seen');
    await watch.line(/NAME|No resources/);
    await cluster.create(scriptTask('seen', 'exit 3', {}, { labels: { app: 'seen' } }), scriptTask('unseen', 'true'));
    await watch.line(/^seen\s+Failed\s/);
    watch.signal('SIGINT');
    await watch.ended;
    expect(watch.stdout.some((line) => line.startsWith('unseen'))).toBe(false);
    expect(expectCode(await cluster.taskplane(['get', 'tasks', '-l', 'app=seen', '-o', 'name'])).stdout).toBe('task.taskplane.dev/seen\n');
    expect(JSON.parse(expectCode(await cluster.taskplane(['get', 'task', 'seen', '-o', 'json'])).stdout)).toMatchObject({ kind: 'Task', status: { exitCode: 3 } });
    expect(expectCode(await cluster.taskplane(['get', 'task/seen', '-o', 'yaml'])).stdout).toMatch(/^apiVersion: taskplane.dev\/v1\nkind: Task\n/);
    expect(expectCode(await cluster.taskplane(['get', 'tasks', '-A', '-o', 'wide'])).stdout).toMatch(/^NAMESPACE\s+NAME\s.*COMMAND/);
    expect((await cluster.taskplane(['get', 'tasks', '-n', 'empty'])).stderr).toBe('No resources found in empty namespace.\n');
    expect(expectCode(await cluster.taskplane(['get', 'tsks']), 1).stderr).toMatch(/tsks/);
  });

  story('describe tells what happened to a task and to a node', async (cluster) => {
    await cluster.create(scriptTask('told', 'exit 3'));
    await cluster.finished('told');
    const describeTask = async (): Promise<string | undefined> => {
      const { stdout } = expectCode(await cluster.taskplane(['describe', 'task', 'told']));
      return /Events:[\s\S]*(Failed|Started|Scheduled)/.test(stdout) ? stdout : undefined;
    };
    const text = await cluster.eventually('events of the task to be described', describeTask);
    expect(text).toMatch(/Exit Code:\s+3/);
    expect(expectCode(await cluster.taskplane(['describe', 'node', cluster.node('n1')])).stdout).toMatch(/Ready\s+True/);
  });

  story('cordon, uncordon and top work on nodes', async (cluster) => {
    const node = cluster.node('n1');
    expect(expectCode(await cluster.taskplane(['cordon', node])).stdout).toBe(`node/${node} cordoned\n`);
    expect(expectCode(await cluster.taskplane(['cordon', node])).stdout).toBe(`node/${node} already cordoned\n`);
    expect(expectCode(await cluster.taskplane(['uncordon', node])).stdout).toBe(`node/${node} uncordoned\n`);
    expectCode(await cluster.taskplane(['cordon', 'nobody']), 1);
    const measured = async (): Promise<string | undefined> => {
      const { stdout } = expectCode(await cluster.taskplane(['top', 'nodes']));
      return /\d+m\s+\d+%\s+\d+Mi\s+\d+%/.test(stdout) ? stdout : undefined;
    };
    expect(await cluster.eventually('a measured load', measured)).toMatch(new RegExp(`^NAME\\s+CPU\\(cores\\)\\s+CPU%\\s+MEMORY\\(bytes\\)\\s+MEMORY%.*\\n${node}\\s`));
    await cluster.nodes.untilObject(node, 'to be open', ({ spec }) => !spec?.unschedulable);
  });

  story('delete works by name, by label and by file, and waits', async (cluster) => {
    await cluster.create(...['a', 'b', 'c'].map((name) => scriptTask(`sort-${name}`, 'true', {}, { labels: { sort: name < 'c' ? 'ab' : 'c' } })));
    expect(expectCode(await cluster.taskplane(['delete', 'tasks', '-l', 'sort=ab'])).stdout.split('\n').filter(Boolean).sort()).toEqual(['task.taskplane.dev "sort-a" deleted', 'task.taskplane.dev "sort-b" deleted']);
    expectCode(await cluster.taskplane(['delete', 'task', 'nobody']), 1);
    expectCode(await cluster.taskplane(['delete', 'task', 'nobody', '--ignore-not-found']));
    expectCode(await cluster.taskplane(['delete', 'tasks', '--all']));
    expect((await cluster.taskplane(['get', 'tasks'])).stderr).toBe('No resources found in default namespace.\n');
  });

  story('version and completion speak of this cluster', async (cluster) => {
    const version = JSON.parse(expectCode(await cluster.taskplane(['version', '-o', 'json'])).stdout) as { serverVersion: { gitVersion: string } };
    expect(version.serverVersion.gitVersion).toMatch(/^v1\.33\.\d+/);
    for (const shell of ['bash', 'zsh', 'fish']) expect(expectCode(await cluster.taskplane(['completion', shell])).stdout).toContain('taskplane');
    const script = await cluster.taskplane(['completion', 'bash']);
    const checked = await cluster.kubectl(['-n'], { program: 'bash', input: script.stdout });
    expectCode(checked);
    await cluster.create(scriptTask('completed-name', 'true'));
    await cluster.finished('completed-name');
    expect(expectCode(await cluster.taskplane(['__complete', 'get', 'task', 'comp'])).stdout).toContain('completed-name');
  });

  story('mistakes are one clear sentence and exit code 1', async (cluster) => {
    const nowhere = await cluster.taskplane(['get', 'tasks'], { env: { KUBECONFIG: '/nowhere/kubeconfig' } });
    expect(nowhere.code).toBe(1);
    expect(nowhere.stderr).toMatch(/\/nowhere\/kubeconfig/);
    const refused = await cluster.taskplane(['get', 'tasks', '--server', 'https://127.0.0.1:1']);
    expect(refused).toMatchObject({ code: 1 });
    expect(refused.stderr).toMatch(/refused/);
    expect((await cluster.taskplane(['frobnicate'])).code).toBe(1);
    for (const { stderr } of [nowhere, refused]) expect(stderr).not.toMatch(/\n\s+at /);
  });
});
