// subresources.ts: what hangs below an object beside its status. Discovery, authorization and dispatch read this table.

import type { KindDefinition } from '../../api/kind.js';
import { namespaceKind } from '../../api/namespace.js';
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

const scale: Subresource = { name: 'scale', verbs: ['get', 'patch', 'update'], kind: { group: 'autoscaling', version: 'v1', kind: 'Scale' }, methods: ['GET', 'HEAD', 'PUT', 'PATCH'] };

const log = (kind: KindDefinition): Subresource => ({ name: 'log', verbs: ['get'], kind, methods: ['GET', 'HEAD'] });

/** Opened by an upgrade (streams/stream-server.ts). Kinds as Kubernetes names them, for tasks too: their options are the same. */
const streams: readonly Subresource[] = [
  ['exec', 'PodExecOptions'],
  ['attach', 'PodAttachOptions'],
  ['portforward', 'PodPortForwardOptions'],
].map(([name, kind]) => ({ name: name!, verbs: ['create', 'get'], kind: { group: '', version: 'v1', kind: kind! }, methods: [] }));

const eviction: Subresource = { name: 'eviction', verbs: ['create'], kind: { group: 'policy', version: 'v1', kind: 'Eviction' }, methods: ['POST'] };

const others = new Map<string, readonly Subresource[]>([
  ['taskplane.dev/tasks', [{ name: 'binding', verbs: ['create'], kind: { group: '', version: 'v1', kind: 'Binding' }, methods: ['POST'] }, eviction, log(taskKind), ...streams]],
  ['/namespaces', [{ name: 'finalize', verbs: ['update'], kind: namespaceKind, methods: ['PUT'] }]],
  ['/pods', [eviction, log(podKind), ...streams]],
  [
    '/nodes',
    [
      { name: 'presence', verbs: ['create'], kind: { group: 'taskplane.dev', version: 'v1', kind: 'Presence' }, methods: ['POST'] },
      { name: 'tunnel', verbs: ['get'], kind: nodeKind, methods: [] },
    ],
  ],
]);

/** Kinds of users come and go. */
const byKind = new WeakMap<KindDefinition, readonly Subresource[]>();

export function subresourcesOf(kind: KindDefinition): readonly Subresource[] {
  let found = byKind.get(kind);
  if (!found) {
    const readOnly = kind.verbs !== undefined && !kind.verbs.includes('update');
    const status = statusOf(kind);
    found = [
      ...(kind.statusSubresource ? [readOnly ? { ...status, verbs: ['get'], methods: ['GET', 'HEAD'] } : status] : []),
      ...(kind.scale ? [scale] : []),
      ...(others.get(`${kind.group}/${kind.plural}`) ?? []),
    ];
    byKind.set(kind, found);
  }
  return found;
}

export const defaultVerbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'] as const;
