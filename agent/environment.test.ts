import { describe, expect, it } from '@jest/globals';
import type { Task } from '../api/task.js';
import { buildEnvironment, expand, MissingConfigError, sourcesNeeded, type ConfigSources } from './environment.js';

const task = (env: NonNullable<Task['spec']['env']>): Task => ({
  apiVersion: 'taskplane.dev/v1',
  kind: 'Task',
  metadata: { name: 't', namespace: 'ns', uid: 'u', labels: { app: 'web' } },
  spec: { command: ['x'], env },
});
const build = (env: NonNullable<Task['spec']['env']>, sources: Partial<ConfigSources> = {}) =>
  buildEnvironment({ task: task(env), attempt: 3, nodeName: 'n1', user: { name: 'media', home: '/home/media' }, sources: { secrets: new Map(), configMaps: new Map(), ...sources } });

describe('buildEnvironment', () => {
  it('tells the command who and where it is', () => {
    expect(build([])).toMatchObject({ HOME: '/home/media', USER: 'media', TASKPLANE_TASK_NAME: 't', TASKPLANE_TASK_NAMESPACE: 'ns', TASKPLANE_TASK_UID: 'u', TASKPLANE_TASK_ATTEMPT: '3', TASKPLANE_NODE_NAME: 'n1' });
  });

  it('lets the task replace what it is given', () => {
    expect(build([{ name: 'PATH', value: '/opt/bin:$(PATH)' }])['PATH']).toMatch(/^\/opt\/bin:\/usr\/local\/sbin/);
  });

  it('replaces variables that were defined before, and only those', () => {
    const env = build([{ name: 'A', value: '1' }, { name: 'B', value: '$(A)-$(C)-$$(A)' }, { name: 'C', value: '3' }]);
    expect(env['B']).toBe('1-$(C)-$(A)');
  });

  it('takes values from secrets, config maps and fields', () => {
    const secret = { apiVersion: 'v1' as const, kind: 'Secret' as const, metadata: {}, data: { v: Buffer.from('s3cret').toString('base64') } };
    const configMap = { apiVersion: 'v1' as const, kind: 'ConfigMap' as const, metadata: {}, data: { c: 'plain' } };
    const env = build(
      [
        { name: 'S', valueFrom: { secretKeyRef: { name: 's', key: 'v' } } },
        { name: 'M', valueFrom: { configMapKeyRef: { name: 'm', key: 'c' } } },
        { name: 'N', valueFrom: { fieldRef: { fieldPath: 'status.nodeName' } } },
        { name: 'T', valueFrom: { fieldRef: { fieldPath: 'status.attempt' } } },
        { name: 'L', valueFrom: { fieldRef: { fieldPath: "metadata.labels['app']" } } },
        { name: 'X', valueFrom: { fieldRef: { fieldPath: "metadata.labels['constructor']" } } },
      ],
      { secrets: new Map([['s', secret]]), configMaps: new Map([['m', configMap]]) },
    );
    expect(env).toMatchObject({ S: 's3cret', M: 'plain', N: 'n1', T: '3', L: 'web', X: '' });
  });

  it('waits for what is missing, unless it is optional', () => {
    expect(() => build([{ name: 'S', valueFrom: { secretKeyRef: { name: 's', key: 'v' } } }])).toThrow(MissingConfigError);
    expect(build([{ name: 'S', valueFrom: { secretKeyRef: { name: 's', key: 'v', optional: true } } }])).not.toHaveProperty('S');
  });
});

describe('expand', () => {
  it.each([
    ['$(A)', '1'], ['$$(A)', '$(A)'], ['$$$(A)', '$1'], ['$(B)', '$(B)'], ['$(A', '$(A'], ['$A', '$A'], ['a$', 'a$'], ['$()', '$()'], ['$(A)$(A)', '11'],
  ])('turns %s into %s', (text, expected) => {
    expect(expand(text, { A: '1' })).toBe(expected);
  });
});

describe('sourcesNeeded', () => {
  it('names each object once', () => {
    const ref = { name: 's', key: 'v' };
    expect(sourcesNeeded(task([{ name: 'A', valueFrom: { secretKeyRef: ref } }, { name: 'B', valueFrom: { secretKeyRef: ref } }]))).toEqual({ secrets: ['s'], configMaps: [] });
  });
});
