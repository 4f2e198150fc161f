import { describe, expect, it } from '@jest/globals';
import type { Taint } from '../../api/node.js';
import type { Task, TaskStatus, Toleration } from '../../api/task.js';
import { departure, mayLeave } from './plan.js';

const now = Date.UTC(2026, 0, 1, 1);
const at = (seconds: number): string => new Date(now + seconds * 1000).toISOString();

function task(tolerations: Toleration[] = [], status: TaskStatus = { phase: 'Running', nodeName: 'n' }): Task {
  return { apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name: 't' }, spec: { command: ['true'], tolerations }, status } as Task;
}

const gpu: Taint = { key: 'gpu', value: 'a', effect: 'NoExecute', timeAdded: at(-60) };
const old: Taint = { key: 'old', effect: 'NoExecute', timeAdded: at(-600) };

describe('departure', () => {
  it.each<[string, Toleration[], Taint[], number | undefined]>([
    ['no taint', [], [], undefined],
    ['no toleration', [], [gpu], 0],
    ['a toleration of another key', [{ key: 'x', operator: 'Exists' }], [gpu], 0],
    ['a toleration of another value', [{ key: 'gpu', value: 'b' }], [gpu], 0],
    ['a toleration of another effect', [{ key: 'gpu', operator: 'Exists', effect: 'NoSchedule' }], [gpu], 0],
    ['a toleration for ever', [{ key: 'gpu', value: 'a' }], [gpu], undefined],
    ['a toleration of everything', [{ operator: 'Exists' }], [gpu, old], undefined],
    ['a toleration for longer than it is there', [{ key: 'gpu', operator: 'Exists', tolerationSeconds: 90 }], [gpu], 30],
    ['a toleration whose time is over', [{ key: 'gpu', operator: 'Exists', tolerationSeconds: 10 }], [gpu], -50],
    ['a toleration for no time', [{ key: 'gpu', operator: 'Exists', tolerationSeconds: -1 }], [gpu], -60],
    ['two taints, each with its own time', [{ operator: 'Exists', tolerationSeconds: 700 }], [gpu, old], 100],
    ['two taints, one not tolerated', [{ key: 'gpu', operator: 'Exists', tolerationSeconds: 700 }], [gpu, old], 0],
    ['two tolerations: the first that fits counts', [{ key: 'gpu', value: 'a' }, { operator: 'Exists', tolerationSeconds: 1 }], [gpu], undefined],
    ['a taint without a time', [{ operator: 'Exists', tolerationSeconds: 5 }], [{ key: 'x', effect: 'NoExecute' }], 5],
  ])('with %s', (_what, tolerations, taints, seconds) => {
    expect(departure(task(tolerations), taints, now)?.at).toBe(seconds === undefined ? undefined : now + seconds * 1000);
  });

  it('counts from when the task came, if the taint was there already', () => {
    const late = task([{ operator: 'Exists', tolerationSeconds: 90 }], { phase: 'Running', nodeName: 'n', scheduledTime: at(-10) });
    expect(departure(late, [gpu], now)?.at).toBe(now + 80_000);
  });

  it('is for tasks that are on a node and not on their way already', () => {
    expect(mayLeave(task())).toBe(true);
    expect(mayLeave(task([], { phase: 'Scheduled', nodeName: 'n' }))).toBe(true);
    expect(mayLeave(task([], { phase: 'Pending' }))).toBe(false);
    expect(mayLeave(task([], { phase: 'Failed', nodeName: 'n' }))).toBe(false);
    expect(mayLeave(task([], { phase: 'Running', nodeName: 'n', eviction: { requestedTime: at(0), gracePeriodSeconds: 1, reason: 'r' } }))).toBe(false);
    expect(mayLeave({ ...task(), metadata: { deletionTimestamp: at(0) } })).toBe(false);
  });
});
