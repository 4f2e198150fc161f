import { describe, expect, it } from '@jest/globals';
import type { Task } from '../api/task.js';
import { keptTask } from './kept-task.js';

const task = (uid: string, generation: number | undefined, phase = 'Pending', spec: object = { command: ['a'], ttlSecondsAfterFinished: 5 }): Task =>
  ({ apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name: 'a', uid, ...(generation === undefined ? {} : { generation }) }, spec, status: { phase } }) as Task;

describe('what controllers keep of a task', () => {
  it('has one spec for all states of a task between two changes of it', () => {
    const first = keptTask(task('1', 1), undefined);
    const second = keptTask(task('1', 1, 'Running'), first);
    expect(second.spec).toBe(first.spec);
    expect(second.status?.phase).toBe('Running');
  });

  it.each([
    ['its spec has changed', task('1', 1), task('1', 2, 'Running', { command: ['b'] })],
    ['another task has its name', task('1', 1), task('2', 1, 'Pending', { command: ['b'] })],
    ['nobody has counted', task('1', undefined), task('1', undefined, 'Pending', { command: ['b'] })],
  ])('has a spec of its own when %s', (_when, previous, next) => {
    expect(keptTask(next, previous).spec).toMatchObject({ command: ['b'] });
  });

  it('is no work of one that has finished', () => {
    const running = keptTask(task('1', 1, 'Running'), undefined);
    const finished = keptTask(task('1', 1, 'Succeeded'), running);
    expect(finished.spec).toEqual({ ttlSecondsAfterFinished: 5 });
    expect(keptTask(task('1', 1, 'Running'), finished).spec).toMatchObject({ command: ['a'] });
  });
});
