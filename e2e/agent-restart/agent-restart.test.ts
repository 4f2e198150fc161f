// An agent comes and goes (crash, upgrade); its tasks do not notice, and their exit codes are not lost.

import { describe, expect } from '@jest/globals';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import type { Cluster } from '../cluster.js';
import { scriptTask } from '../cluster.js';
import { withCluster } from '../with-cluster.js';

/** Says its pid, then works until the file `NAME.go` is there, then exits with 7. */
async function startWaiting(cluster: Cluster, name: string): Promise<{ pid: number; release: () => Promise<void> }> {
  const script = `echo $$ >> ${cluster.path(name)}.pid\nwhile [ ! -e ${cluster.path(name)}.go ]; do sleep 0.05; done\necho done\nexit 7`;
  await cluster.create(scriptTask(name, script));
  await cluster.running(name);
  const pid = Number((await cluster.fileWritten(`${cluster.path(name)}.pid`)).trim());
  return { pid, release: () => writeFile(`${cluster.path(name)}.go`, '') };
}

describe('an agent that restarts while a task runs', () => {
  const { story } = withCluster({ store: 'embedded' });

  story('after kill -9 finds the same process again and reports its exit code', async (cluster) => {
    const { pid, release } = await startWaiting(cluster, 'crash');
    await cluster.agent('n1').kill();
    expect(existsSync(`/proc/${pid}`)).toBe(true);
    await cluster.agentBack('n1');
    expect(existsSync(`/proc/${pid}`)).toBe(true);
    await release();
    const task = await cluster.finished('crash');
    expect(task.status).toMatchObject({ phase: 'Failed', exitCode: 7, attempt: 1 });
    expect(await readFile(`${cluster.path('crash')}.pid`, 'utf8')).toBe(`${pid}\n`);
  });

  story('after an orderly stop finds the same process again and reports its exit code', async (cluster) => {
    const { pid, release } = await startWaiting(cluster, 'upgrade');
    await cluster.agent('n1').stop();
    expect(existsSync(`/proc/${pid}`)).toBe(true);
    await cluster.agentBack('n1');
    await release();
    expect((await cluster.finished('upgrade')).status).toMatchObject({ phase: 'Failed', exitCode: 7, attempt: 1 });
    expect(await readFile(`${cluster.path('upgrade')}.pid`, 'utf8')).toBe(`${pid}\n`);
  });

  story('reports the exit code of a task that ended while no agent ran', async (cluster) => {
    const { pid, release } = await startWaiting(cluster, 'meanwhile');
    await cluster.agent('n1').kill();
    await release();
    await cluster.processGone(pid);
    await cluster.agentBack('n1');
    expect((await cluster.finished('meanwhile')).status).toMatchObject({ phase: 'Failed', exitCode: 7, attempt: 1 });
    const logs = await cluster.taskplane(['logs', 'meanwhile']);
    expect(logs.stdout).toBe('done\n');
  });
});
