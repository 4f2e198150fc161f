import { describe, expect, it } from '@jest/globals';
import { nodeKind } from '../../api/node.js';
import { taskKind } from '../../api/task.js';
import { RenderedObject } from '../resources/rendering.js';
import type { ListReply } from '../resources/service.js';
import { includeObject, objectsPerPart, shaperFor, type IncludeObject } from './table.js';

const now = Date.UTC(2026, 0, 1, 12);
const task = (name: string) =>
  new RenderedObject({
    apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name, namespace: 'default', resourceVersion: '5', creationTimestamp: '2026-01-01T11:55:00Z' },
    spec: { command: ['sleep', '1'] }, status: { phase: 'Running', nodeName: 'm7', attempt: 1, startTime: '2026-01-01T11:59:00Z' },
  });
const list = (count: number): ListReply => ({ items: Array.from({ length: count }, (_, i) => task(`t${i}`)), resourceVersion: '9', continue: 'next', remainingItemCount: 3 });
const textOf = (shape: 'plain' | 'table' | 'metadata', reply: ListReply, include: IncludeObject = 'Metadata') =>
  [...shaperFor(taskKind, { shape, version: 'v1' }, include, () => now).list(reply)];

describe('a list', () => {
  it.each([0, 1, objectsPerPart - 1, objectsPerPart, objectsPerPart + 1, 3 * objectsPerPart])('of %i objects is the same text whole and in parts', (count) => {
    const reply = list(count);
    const parts = textOf('plain', reply);
    expect(parts.length).toBe(1 + Math.floor(count / objectsPerPart));
    expect(JSON.parse(parts.join(''))).toEqual({
      kind: 'TaskList', apiVersion: 'taskplane.dev/v1', metadata: { resourceVersion: '9', continue: 'next', remainingItemCount: 3 }, items: reply.items.map(({ object }) => object),
    });
  });

  it('is a table to whom wants one, with ages made by the server', () => {
    const table = JSON.parse(textOf('table', list(1)).join(''));
    expect(table).toMatchObject({
      kind: 'Table', apiVersion: 'meta.k8s.io/v1', metadata: { resourceVersion: '9', continue: 'next', remainingItemCount: 3 },
      rows: [{ cells: ['t0', 'Running', 'm7', 1, '', '60s', '5m', 0, '', '', 'sleep 1', ''], object: { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: { name: 't0' } } }],
    });
    expect(table.columnDefinitions.map(({ name, priority }: { name: string; priority: number }) => `${name}${priority}`).join(' ')).toBe(
      'Name0 Status0 Node0 Attempt0 Exit0 Duration0 Age0 Priority1 CPU1 Memory1 Command1 Message1',
    );
    expect(table.rows[0].object.spec).toBeUndefined();
  });

  it('has rows with nothing, metadata or the object, as asked', () => {
    expect(JSON.parse(textOf('table', list(1), 'None').join('')).rows[0].object).toBeNull();
    expect(JSON.parse(textOf('table', list(1), 'Object').join('')).rows[0].object).toEqual(list(1).items[0]!.object);
    expect(includeObject(new URLSearchParams())).toBe('Metadata');
    expect(() => includeObject(new URLSearchParams('includeObject=All'))).toThrow('includeObject: Unsupported value: "All"');
  });

  it('is metadata only to whom wants that', () => {
    expect(JSON.parse(textOf('metadata', list(1)).join(''))).toMatchObject({ kind: 'PartialObjectMetadataList', apiVersion: 'meta.k8s.io/v1', items: [{ kind: 'PartialObjectMetadata', metadata: { name: 't0' } }] });
  });
});

describe('every kind', () => {
  it('has one column that is its name', () => {
    for (const kind of [taskKind, nodeKind]) expect(kind.columns.filter(({ format }) => format === 'name').length).toBe(1);
  });
});
