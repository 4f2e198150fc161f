import { describe, expect, it } from '@jest/globals';
import { humanDuration } from './kind.js';
import { collectionPath, findByKind, findByPlural, findByWord, kinds, objectPath } from './kinds.js';
import { taskKind } from './task.js';
import type { SchemaNode } from './schema.js';

describe('the table of kinds', () => {
  it.each(['tasks', 'task', 'tk', 'Task', 'tasks.taskplane.dev'])('finds Task by %s', (word) => {
    expect(findByWord(word)).toBe(taskKind);
  });

  it('finds kinds by path and by apiVersion', () => {
    expect(findByPlural('taskplane.dev', 'v1', 'tasks')).toBe(taskKind);
    expect(findByKind('taskplane.dev/v1', 'Task')).toBe(taskKind);
    expect(findByWord('pizza')).toBeUndefined();
  });

  it('gives paths as Kubernetes has them', () => {
    expect(collectionPath(taskKind)).toBe('/apis/taskplane.dev/v1/tasks');
    expect(objectPath(taskKind, 'a', 'ns', 'status')).toBe('/apis/taskplane.dev/v1/namespaces/ns/tasks/a/status');
    expect(objectPath(findByWord('node')!, 'n1')).toBe('/api/v1/nodes/n1');
  });

  it('has words that name one kind each, and a name column in every table', () => {
    // Another group's or version's view of a kind bears its words; without a group they mean the kind itself.
    const words = kinds.filter((kind) => !kind.storedAs && findByPlural(kind.group, 'v1', kind.plural) === kind).flatMap((kind) => [...new Set([kind.plural, kind.singular, ...kind.shortNames])]);
    expect(new Set(words).size).toBe(words.length);
    for (const kind of kinds) expect([kind.kind, kind.columns.some((column) => column.format === 'name')]).toEqual([kind.kind, true]);
  });

  it('describes every field of a task', () => {
    const missing: string[] = [];
    const walk = (node: SchemaNode, path: string): void => {
      for (const [name, child] of Object.entries(node.properties ?? {})) {
        if (!child.description) missing.push(`${path}.${name}`);
        walk(child, `${path}.${name}`);
      }
      if (node.items) walk(node.items, `${path}[]`);
    };
    walk(taskKind.schema.root, 'task');
    expect(missing).toEqual([]);
  });
});

describe('humanDuration', () => {
  it.each([
    [0, '0s'], [59, '59s'], [119, '119s'], [120, '2m'], [192, '3m12s'], [600, '10m'], [3599 * 2, '119m'], [10_800, '3h'], [18_720, '5h12m'], [28_800, '8h'], [172_800, '2d'], [187_200, '2d4h'], [86_400 * 30, '30d'], [86_400 * 800, '2y70d'],
  ])('%d s is %s', (seconds, text) => {
    expect(humanDuration(seconds * 1000)).toBe(text);
  });
});
