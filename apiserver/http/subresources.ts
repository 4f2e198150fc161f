// subresources.ts: what hangs below an object beside its status. Discovery, authorization and dispatch read this table.

import type { KindDefinition } from '../../api/kind.js';
import { nodeKind } from '../../api/node.js';
import { podKind } from '../../api/pod.js';
import { taskKind } from '../../api/task.js';

export interface Subresource {
  name: string;
  verbs: readonly string[];
  /** What it holds, where that is another kind than its owner's. */
  kind: { group: string; version: string; kind: string };
  /** Methods that it answers; the tunnel answers none, it is opened by an upgrade. */
  methods: readonly string[];
}

const statusOf = (kind: KindDefinition): Subresource => ({
  name: 'status',
  verbs: ['get', 'patch', 'update'],
  kind,
  methods: ['GET', 'HEAD', 'PUT', 'PATCH'],
});

const log = (kind: KindDefinition): Subresource => ({ name: 'log', verbs: ['get'], kind, methods: ['GET', 'HEAD'] });

const others = new Map<string, readonly Subresource[]>([
  ['taskplane.dev/tasks', [{ name: 'binding', verbs: ['create'], kind: { group: '', version: 'v1', kind: 'Binding' }, methods: ['POST'] }, log(taskKind)]],
  ['/pods', [log(podKind)]],
  [
    '/nodes',
    [
      { name: 'presence', verbs: ['create'], kind: { group: 'taskplane.dev', version: 'v1', kind: 'Presence' }, methods: ['POST'] },
      { name: 'tunnel', verbs: ['get'], kind: nodeKind, methods: [] },
    ],
  ],
]);

const byKind = new Map<KindDefinition, readonly Subresource[]>();

export function subresourcesOf(kind: KindDefinition): readonly Subresource[] {
  let found = byKind.get(kind);
  if (!found) {
    const readOnly = kind.verbs !== undefined && !kind.verbs.includes('update');
    const status = statusOf(kind);
    found = [
      ...(kind.statusSubresource ? [readOnly ? { ...status, verbs: ['get'], methods: ['GET', 'HEAD'] } : status] : []),
      ...(others.get(`${kind.group}/${kind.plural}`) ?? []),
    ];
    byKind.set(kind, found);
  }
  return found;
}

export const defaultVerbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'] as const;
