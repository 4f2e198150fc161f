import { describe, expect, it } from '@jest/globals';
import { configMapKind } from '../../api/config.js';
import type { KindDefinition } from '../../api/kind.js';
import type { Namespace } from '../../api/namespace.js';
import { taskKind } from '../../api/task.js';
import { conditionsOf, isOurs, released } from './plan.js';

const maps = configMapKind as unknown as KindDefinition;
const tasks = taskKind as unknown as KindDefinition;
const namespace = (parts: Partial<Namespace>): Namespace => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'a', deletionTimestamp: 'x', resourceVersion: '7' }, ...parts });

describe('a namespace that is being deleted', () => {
  it('is ours as long as a finalizer of ours is on it, of today or of an earlier version', () => {
    expect(isOurs(namespace({ spec: { finalizers: ['kubernetes'] } }))).toBe(true);
    expect(isOurs(namespace({ metadata: { name: 'a', deletionTimestamp: 'x', finalizers: ['taskplane.dev/namespace-contents'] } }))).toBe(true);
    expect(isOurs(namespace({ spec: { finalizers: ['example.com/backup'] } }))).toBe(false);
    expect(isOurs({ ...namespace({ spec: { finalizers: ['kubernetes'] } }), metadata: { name: 'a' } })).toBe(false);
    expect(released(namespace({ spec: { finalizers: ['example.com/backup', 'kubernetes'] } }))).toMatchObject({ spec: { finalizers: ['example.com/backup'] }, metadata: { name: 'a', deletionTimestamp: 'x' } });
  });

  it('tells what is left, who holds it and what went wrong, and since when', () => {
    const remaining = [
      { kind: tasks, objects: 2, finalizers: new Map([['example.com/x', 1]]) },
      { kind: maps, objects: 3, finalizers: new Map([['example.com/x', 2], ['example.com/a', 1]]) },
    ];
    const told = conditionsOf({ remaining, failures: [{ kind: maps, message: 'no' }] }, undefined, 0);
    expect(told.map(({ type, status, message }) => [type, status, message])).toEqual([
      ['NamespaceDeletionDiscoveryFailure', 'False', 'All resources successfully discovered'],
      ['NamespaceDeletionGroupVersionParsingFailure', 'False', 'All legacy kube types successfully parsed'],
      ['NamespaceDeletionContentFailure', 'True', 'Failed to delete all resource types, 1 remaining: no'],
      ['NamespaceContentRemaining', 'True', 'Some resources are remaining: configmaps. has 3 resource instances, tasks.taskplane.dev has 2 resource instances'],
      ['NamespaceFinalizersRemaining', 'True', 'Some content in the namespace has finalizers remaining: example.com/a in 1 resource instances, example.com/x in 3 resource instances'],
    ]);
    const later = conditionsOf({ remaining: [], failures: [] }, told, 60_000);
    expect(later.map(({ status, lastTransitionTime }) => [status, lastTransitionTime])).toEqual([
      ['False', '1970-01-01T00:00:00Z'], ['False', '1970-01-01T00:00:00Z'], ['False', '1970-01-01T00:01:00Z'], ['False', '1970-01-01T00:01:00Z'], ['False', '1970-01-01T00:01:00Z'],
    ]);
  });
});
