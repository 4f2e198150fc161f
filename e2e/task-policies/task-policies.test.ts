// What a task's own fields promise: restarts, limits in number and time, clean-up, environment, directory, user.

import { describe, expect } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { configMapKind, secretKind } from '../../api/config.js';
import { isFinished, taskKind } from '../../api/task.js';
import { expectCode } from '../command.js';
import { scriptTask } from '../cluster.js';
import { withCluster } from '../with-cluster.js';

describe('a task', () => {
  const { story } = withCluster({ store: 'embedded' });

  story('with restartPolicy OnFailure is started again until it succeeds', async (cluster) => {
    const file = cluster.path('third');
    await cluster.create(scriptTask('third', `echo try >> ${file}\n[ "$(wc -l < ${file})" -ge 3 ]`, { restartPolicy: 'OnFailure' }));
    expect((await cluster.finished('third')).status).toMatchObject({ phase: 'Succeeded', attempt: 3, exitCode: 0, lastAttempt: { attempt: 2, exitCode: 1 } });
    expect(await readFile(file, 'utf8')).toBe('try\ntry\ntry\n');
  });

  story('fails when its attempts are spent', async (cluster) => {
    const file = cluster.path('hopeless');
    await cluster.create(scriptTask('hopeless', `echo try >> ${file}; exit 9`, { restartPolicy: 'OnFailure', backoffLimit: 2 }));
    expect((await cluster.finished('hopeless')).status).toMatchObject({ phase: 'Failed', attempt: 2, exitCode: 9, reason: 'BackoffLimitExceeded' });
    expect(await readFile(file, 'utf8')).toBe('try\ntry\n');
    expect(expectCode(await cluster.taskplane(['logs', 'hopeless', '--previous'])).stdout).toBe('');
  });

  story('with restartPolicy Always is started again after success', async (cluster) => {
    await cluster.create(scriptTask('again', 'exit 0', { restartPolicy: 'Always' }));
    await cluster.tasks.untilObject('default/again', 'to be in its second attempt', (task) => (task.status?.attempt ?? 0) >= 2);
    await cluster.client.delete(taskKind, 'again', 'default', { gracePeriodSeconds: 0 });
    await cluster.tasks.untilGone('default/again');
  });

  story('is stopped at its deadline', async (cluster) => {
    await cluster.create(scriptTask('slow', 'sleep 600', { activeDeadlineSeconds: 1, terminationGracePeriodSeconds: 1 }));
    expect((await cluster.finished('slow')).status).toMatchObject({ phase: 'Failed', reason: 'DeadlineExceeded' });
  });

  story('is deleted when its time after finishing is over', async (cluster) => {
    await cluster.create(scriptTask('fleeting', 'true', { ttlSecondsAfterFinished: 1 }));
    await cluster.finished('fleeting');
    await cluster.tasks.untilGone('default/fleeting');
  });

  story('that cannot be started fails and says why', async (cluster) => {
    const task = { ...scriptTask('missing', ''), spec: { command: ['/no/such/program'] } };
    await cluster.create(task);
    const { status } = await cluster.finished('missing');
    expect(status).toMatchObject({ phase: 'Failed', exitCode: 127 });
    expect(status?.message).toContain('/no/such/program');
  });

  story('ended by a signal tells which', async (cluster) => {
    await cluster.create(scriptTask('shot', 'kill -9 $$'));
    expect((await cluster.finished('shot')).status).toMatchObject({ phase: 'Failed', exitCode: 137, signal: 'SIGKILL' });
  });

  story('gets its environment from values, secrets, config maps and its own fields', async (cluster) => {
    await cluster.client.create(secretKind, { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'key', namespace: 'default' }, stringData: { value: 'hidden' } });
    await cluster.client.create(configMapKind, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings', namespace: 'default' }, data: { level: 'high' } });
    const names = ['PLAIN', 'JOINED', 'SECRET', 'CONFIG', 'ABSENT', 'NAME', 'NAMESPACE', 'UID', 'LABEL', 'NODE', 'ATTEMPT'];
    const env = [
      { name: 'PLAIN', value: 'plain' },
      { name: 'JOINED', value: '$(PLAIN)-$$(PLAIN)' },
      { name: 'SECRET', valueFrom: { secretKeyRef: { name: 'key', key: 'value' } } },
      { name: 'CONFIG', valueFrom: { configMapKeyRef: { name: 'settings', key: 'level' } } },
      { name: 'ABSENT', valueFrom: { configMapKeyRef: { name: 'settings', key: 'nothing', optional: true } } },
      { name: 'NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      { name: 'NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
      { name: 'UID', valueFrom: { fieldRef: { fieldPath: 'metadata.uid' } } },
      { name: 'LABEL', valueFrom: { fieldRef: { fieldPath: "metadata.labels['app']" } } },
      { name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'status.nodeName' } } },
      { name: 'ATTEMPT', valueFrom: { fieldRef: { fieldPath: 'status.attempt' } } },
    ];
    const [created] = await cluster.create(scriptTask('environment', names.map((name) => `echo "${name}=\${${name}-unset}"`).join('\n'), { env }, { labels: { app: 'env' } }));
    await cluster.finished('environment');
    const lines = expectCode(await cluster.taskplane(['logs', 'environment'])).stdout.trim().split('\n');
    expect(lines).toEqual([
      'PLAIN=plain', 'JOINED=plain-$(PLAIN)', 'SECRET=hidden', 'CONFIG=high', 'ABSENT=unset', 'NAME=environment', 'NAMESPACE=default',
      `UID=${created!.metadata.uid}`, 'LABEL=env', `NODE=${cluster.node('n1')}`, 'ATTEMPT=1',
    ]);
  });

  story('waits for a secret that is not there yet, and says so', async (cluster) => {
    await cluster.create(scriptTask('patient', 'echo "$LATE"', { env: [{ name: 'LATE', valueFrom: { secretKeyRef: { name: 'late', key: 'value' } } }] }));
    const waiting = await cluster.tasks.untilObject('default/patient', 'to say what it lacks', (task) => /late/.test(task.status?.message ?? ''));
    expect(isFinished(waiting)).toBe(false);
    await cluster.client.create(secretKind, { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'late', namespace: 'default' }, stringData: { value: 'arrived' } });
    expect((await cluster.finished('patient')).status).toMatchObject({ phase: 'Succeeded' });
    expect(expectCode(await cluster.taskplane(['logs', 'patient'])).stdout).toBe('arrived\n');
  });

  story('runs in the directory and as the user that it names', async (cluster) => {
    const root = process.getuid?.() === 0;
    await cluster.create(scriptTask('placed', 'pwd; id -un', { workingDir: '/tmp', ...(root ? { runAsUser: 'nobody' } : {}) }));
    await cluster.finished('placed');
    expect(expectCode(await cluster.taskplane(['logs', 'placed'])).stdout).toBe(`/tmp\n${root ? 'nobody' : userInfo().username}\n`);
  });

  story('that is bound may change its priority, its limits in time and number, nothing else', async (cluster) => {
    await cluster.create(scriptTask('bound', 'sleep 600', { terminationGracePeriodSeconds: 1 }));
    await cluster.running('bound');
    await cluster.client.mergePatch(taskKind, 'bound', 'default', { spec: { priority: 3, activeDeadlineSeconds: 1 } });
    expect((await cluster.finished('bound')).status).toMatchObject({ phase: 'Failed', reason: 'DeadlineExceeded' });
    await cluster.create(scriptTask('fixed', 'sleep 600'));
    await cluster.running('fixed');
    await expect(cluster.client.mergePatch(taskKind, 'fixed', 'default', { spec: { script: 'true' } })).rejects.toMatchObject({ reason: 'Invalid', message: expect.stringContaining('delete the task and create it again') });
  });
});
