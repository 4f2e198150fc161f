import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { isSettled, taskPhases, type Task } from '../../api/task.js';
import { encodeObject, Entry } from '../storage/entry.js';
import { cacheIndexes, labelsOf, tasksByNodeIndex } from './object-cache.js';

const words = fc.constantFrom('status', 'ttlSecondsAfterFinished', 'nodeName', '"status":{"nodeName":"x"', 'plain');

const tasks = fc
  .record({
    labels: fc.dictionary(words, words),
    selector: fc.dictionary(words, words),
    owned: fc.boolean(),
    deleted: fc.boolean(),
    ttl: fc.boolean(),
    phase: fc.constantFrom(undefined, ...taskPhases),
    nodeName: fc.constantFrom(undefined, '', 'node-1'),
    message: words,
    status: fc.boolean(),
  })
  .map(({ labels, selector, owned, deleted, ttl, phase, nodeName, message, status }): Task => {
    const metadata = { name: 't', labels, ...(owned ? { ownerReferences: [{ apiVersion: 'v1', kind: 'K', name: 'o', uid: 'u' }] } : {}), ...(deleted ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}) };
    const spec = { command: ['status'], nodeSelector: selector, ...(ttl ? { ttlSecondsAfterFinished: 5 } : {}) };
    const told = { conditions: [{ type: 'Ready', status: 'True' as const }], message, ...(phase ? { phase } : {}), ...(nodeName === undefined ? {} : { nodeName }) };
    return { apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata, spec, ...(status ? { status: told } : {}) };
  });

describe('the indexes of tasks', () => {
  it('find the same in the text of a task as in the task', () => {
    const [byNode, unsettled] = [cacheIndexes.find(({ name }) => name === tasksByNodeIndex)!, cacheIndexes.find(({ name }) => name !== tasksByNodeIndex)!];
    fc.assert(
      fc.property(tasks, fc.boolean(), (task, atHand) => {
        const entry = new Entry('/k', encodeObject(task), 1, atHand ? task : undefined);
        expect(byNode.valueOf(entry)).toBe(task.status?.nodeName || undefined);
        expect(unsettled.valueOf(entry)).toBe(isSettled(task) ? undefined : 'false');
        expect(labelsOf(entry)).toEqual(task.metadata.labels);
      }),
      { numRuns: 500 },
    );
  });
});
