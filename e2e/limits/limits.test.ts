// What a task may use is enforced, and what it started ends with it.

import { beforeAll, describe, expect } from '@jest/globals';
import { accessSync, constants, existsSync, readdirSync } from 'node:fs';
import { isFinished, taskKind } from '../../api/task.js';
import { expectCode } from '../command.js';
import { scriptTask } from '../cluster.js';
import { processesOf } from '../leaks.js';
import { withCluster } from '../with-cluster.js';

/** Whether this machine lets us make memory control groups, which limits need. */
function memoryCgroupsWritable(): boolean {
  const roots = ['/sys/fs/cgroup/memory', '/sys/fs/cgroup'].filter((path) => existsSync(path) && readdirSync(path).includes('cgroup.procs'));
  return roots.some((root) => {
    try {
      accessSync(root, constants.W_OK);
      return process.getuid?.() === 0;
    } catch {
      return false;
    }
  });
}

const writable = memoryCgroupsWritable();

describe('limits', () => {
  const { story, cluster } = withCluster({ store: 'embedded' });

  beforeAll(() => {
    if (!writable) console.log('memory limits are not tested: control groups are not writable here (run the tests as root)');
  });

  const storyWithCgroups: typeof story = (name, ...rest) => {
    if (writable) story(name, ...rest);
  };

  storyWithCgroups('a task over its memory limit fails as OOMKilled', async () => {
    await cluster().create(scriptTask('greedy', 'echo eating\ntail /dev/zero', { resources: { limits: { memory: '32Mi' } } }));
    const task = await cluster().finished('greedy');
    expect(task.status).toMatchObject({ phase: 'Failed', reason: 'OOMKilled', exitCode: 137 });
    const table = expectCode(await cluster().kubectl(['get', 'task', 'greedy', '--no-headers']));
    expect(table.stdout).toContain('OOMKilled');
  });

  storyWithCgroups('the peak of its memory and its cpu time are told', async () => {
    await cluster().create(scriptTask('measured', 'head -c 20000000 /dev/zero | tail -c 20000000 > /dev/null'));
    const { status } = await cluster().finished('measured');
    expect(status?.usage?.memoryPeakBytes).toBeGreaterThan(10_000_000);
    expect(status?.usage?.cpuSeconds).toBeGreaterThan(0);
  });

  story('a deleted task takes its whole tree of processes with it, also those that left its session', async (it) => {
    // Three generations, ignoring SIGTERM, each in a session of its own.
    const leaf = `trap "" TERM; while :; do sleep 1000; done`;
    const script = `for i in 1 2 3; do setsid sh -c 'setsid sh -c "${leaf.replaceAll('"', '\\"')}" & ${leaf}' & done\ntrap '' TERM\necho started > ${it.path('tree')}\nwhile :; do sleep 1000; done`;
    await it.create(scriptTask('tree', script, { terminationGracePeriodSeconds: 1 }));
    await it.running('tree');
    await it.fileWritten(it.path('tree'));
    const sleeping = async (): Promise<number> => (await processesOf(it.processes.directory)).filter(({ commandLine }) => commandLine === 'sleep 1000').length;
    await it.eventually('the tree to have grown', async () => ((await sleeping()) === 7 ? true : undefined));
    expectCode(await it.taskplane(['delete', 'task', 'tree']));
    expect(await sleeping()).toBe(0);
    await it.tasks.untilGone('default/tree');
  });

  story('what a task left running ends with the task', async (it) => {
    await it.create(scriptTask('leaver', `setsid sleep 1001 &\nexit 0`));
    await it.finished('leaver');
    await it.eventually('the left process to be gone', async () => ((await processesOf(it.processes.directory)).some(({ commandLine }) => commandLine === 'sleep 1001') ? undefined : true));
  });

  story('a task stopped with its grace period may say goodbye', async (it) => {
    await it.create(scriptTask('polite', `trap 'echo bye > ${it.path('bye')}; exit 0' TERM\necho up > ${it.path('up')}\nwhile :; do sleep 0.05; done`));
    await it.fileWritten(it.path('up'));
    await it.client.delete(taskKind, 'polite', 'default');
    await it.tasks.untilGone('default/polite');
    expect(await it.fileWritten(it.path('bye'))).toBe('bye\n');
    expect([...it.tasks.objects.values()].every(isFinished)).toBe(true);
  });
});
