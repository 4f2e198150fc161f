// The first thing a user does: apply a task, see it run, read its output, delete it.

import { describe, expect } from '@jest/globals';
import { expectCode } from '../command.js';
import { fileBeside, stores } from '../cluster.js';
import { withCluster } from '../with-cluster.js';

const manifest = fileBeside(import.meta.url, 'task.yaml');

describe.each(stores)('a first task, store %s', (store) => {
  const { story } = withCluster({ store });

  story('is applied, runs, shows its output and is deleted', async (cluster) => {
    const applied = expectCode(await cluster.taskplane(['apply', '-f', manifest]));
    expect(applied.stdout).toBe('task.taskplane.dev/hello created\n');

    const task = await cluster.finished('hello');
    expect(task.status).toMatchObject({ phase: 'Succeeded', exitCode: 0, attempt: 1, nodeName: cluster.node('n1') });
    const conditions = Object.fromEntries((task.status?.conditions ?? []).map(({ type, status }) => [type, status]));
    expect(conditions).toMatchObject({ Scheduled: 'True', Ready: 'False', Complete: 'True', Finished: 'True' });

    const logs = expectCode(await cluster.taskplane(['logs', 'hello']));
    expect(logs.stdout.split('\n').filter(Boolean).sort()).toEqual(['and a word on standard error', 'hello, world']);

    const table = expectCode(await cluster.taskplane(['get', 'tasks', '-l', 'app=hello']));
    expect(table.stdout).toMatch(/^NAME\s+STATUS\s+NODE\s+ATTEMPT\s+EXIT\s+DURATION\s+AGE\nhello\s+Succeeded\s+n1-\S+\s+1\s+0\s/);

    const deleted = expectCode(await cluster.taskplane(['delete', 'task', 'hello']));
    expect(deleted.stdout).toBe('task.taskplane.dev "hello" deleted\n');
    await cluster.tasks.untilGone('default/hello');
    const gone = expectCode(await cluster.taskplane(['get', 'task', 'hello']), 1);
    expect(gone.stderr).toContain('tasks.taskplane.dev "hello" not found');
  });

  story('is unchanged when it is applied again, and configured when it differs', async (cluster) => {
    expectCode(await cluster.taskplane(['apply', '-f', manifest]));
    await cluster.finished('hello');
    const version = cluster.tasks.objects.get('default/hello')?.metadata.resourceVersion;
    const again = expectCode(await cluster.taskplane(['apply', '-f', manifest]));
    expect(again.stdout).toBe('task.taskplane.dev/hello unchanged\n');
    expect(cluster.tasks.objects.get('default/hello')?.metadata.resourceVersion).toBe(version);

    const labelled = JSON.stringify({ apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name: 'hello', labels: { app: 'other' } }, spec: { script: 'echo "hello, $1"\necho "and a word on standard error" >&2\n', args: ['world'] } });
    const configured = expectCode(await cluster.taskplane(['apply', '-f', '-'], { input: labelled }));
    expect(configured.stdout).toBe('task.taskplane.dev/hello configured\n');
    await cluster.tasks.untilObject('default/hello', 'to have its new label', (task) => task.metadata.labels?.['app'] === 'other');
  });
});
