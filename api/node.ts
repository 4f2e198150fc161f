// node.ts: a machine that runs tasks. Its agent registers it; core v1 Node, with the fields that clients read.

import { Type, type Static } from 'typebox';
import { conditionIs } from './conditions.js';
import { duplicate, invalidValue, type FieldProblem } from './errors.js';
import { age, ageColumn, nameColumn, type KindDefinition } from './kind.js';
import { Condition, ObjectMeta, type KubeObject } from './meta.js';
import { labelValueProblem, qualifiedNameProblem, subdomainProblem } from './names.js';
import { ObjectSchema } from './schema.js';

const opt = Type.Optional;
const Quantities = (description: string) =>
  Type.Record(Type.String(), Type.Union([Type.String(), Type.Number()], { 'x-kubernetes-int-or-string': true }), { description });

export const Taint = Type.Object({
  key: Type.String({ minLength: 1, description: 'Key of the taint.' }),
  value: opt(Type.String({ description: 'Value of the taint.' })),
  effect: Type.String({ enum: ['NoSchedule', 'PreferNoSchedule', 'NoExecute'], description: 'What happens to tasks that do not tolerate it: NoSchedule keeps new ones away, PreferNoSchedule avoids it, NoExecute keeps them away and evicts those that are there.' }),
  timeAdded: opt(Type.String({ format: 'date-time', description: 'When the taint was added: set on a NoExecute taint that comes without it.' })),
});
export type Taint = Static<typeof Taint>;

const NodeSpec = Type.Object(
  {
    unschedulable: opt(Type.Boolean({ description: 'Whether new tasks are kept away (cordon).' })),
    taints: opt(Type.Array(Taint, { 'x-kubernetes-list-type': 'atomic', description: 'Marks that keep away tasks that do not tolerate them.' })),
    providerID: opt(Type.String({ description: 'Not used.' })),
    podCIDR: opt(Type.String({ description: 'Not used.' })),
  },
  { description: 'What people want of the machine.' },
);

const NodeStatus = Type.Object(
  {
    capacity: opt(Quantities('What the machine has: cpu, memory, ephemeral-storage, tasks (how many at once) and any resource its agent declares.')),
    allocatable: opt(Quantities('What tasks may take of it.')),
    conditions: opt(Type.Array(Condition, { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'], description: 'Ready, DiskPressure and others.' })),
    addresses: opt(Type.Array(Type.Object({ type: Type.String(), address: Type.String() }), { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'], description: 'Hostname and InternalIP.' })),
    nodeInfo: opt(
      Type.Object(
        {
          machineID: opt(Type.String()),
          systemUUID: opt(Type.String()),
          bootID: opt(Type.String()),
          kernelVersion: opt(Type.String()),
          osImage: opt(Type.String()),
          containerRuntimeVersion: opt(Type.String({ description: 'How tasks are isolated: cgroup-v2, cgroup-v1 or process-group.' })),
          kubeletVersion: opt(Type.String({ description: 'Version of the agent.' })),
          kubeProxyVersion: opt(Type.String()),
          operatingSystem: opt(Type.String()),
          architecture: opt(Type.String()),
        },
        { description: 'What the machine is.' },
      ),
    ),
  },
  { description: 'What the agent reports of the machine.', 'x-kubernetes-preserve-unknown-fields': true },
);
export type NodeSpec = Static<typeof NodeSpec>;
export type NodeStatus = Static<typeof NodeStatus>;

export interface Node extends KubeObject {
  apiVersion: 'v1';
  kind: 'Node';
  spec?: NodeSpec;
  status?: NodeStatus;
}

/** Taint that the node lifecycle controller puts on a node whose agent is gone. */
export const unreachableTaintKey = 'node.kubernetes.io/unreachable';
/** Taint that `kubectl cordon` implies; the scheduler treats spec.unschedulable as this taint. */
export const unschedulableTaintKey = 'node.kubernetes.io/unschedulable';

export function isReady(node: Node): boolean {
  return conditionIs(node.status?.conditions, 'Ready', 'True');
}

/** The address under which other machines reach the node. */
export function internalAddress(node: Node): string | undefined {
  return node.status?.addresses?.find(({ type }) => type === 'InternalIP')?.address;
}

function validate(node: Node): FieldProblem[] {
  const problems: FieldProblem[] = [];
  const seen = new Set<string>();
  (node.spec?.taints ?? []).forEach((taint, index) => {
    const field = `spec.taints[${index}]`;
    const keyProblem = qualifiedNameProblem(taint.key);
    if (keyProblem) problems.push(invalidValue(`${field}.key`, taint.key, keyProblem));
    const valueProblem = taint.value ? labelValueProblem(taint.value) : undefined;
    if (valueProblem) problems.push(invalidValue(`${field}.value`, taint.value, valueProblem));
    const identity = `${taint.key}:${taint.effect}`;
    if (seen.has(identity)) problems.push(duplicate(field, identity));
    seen.add(identity);
  });
  return problems;
}

function statusText(node: Node): string {
  const ready = node.status?.conditions?.find((condition) => condition.type === 'Ready')?.status;
  const text = ready === 'True' ? 'Ready' : ready === undefined ? 'Unknown' : 'NotReady';
  return node.spec?.unschedulable ? `${text},SchedulingDisabled` : text;
}

function roles(node: Node): string {
  const prefix = 'node-role.kubernetes.io/';
  const names = Object.keys(node.metadata.labels ?? {}).filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
  return names.join(',') || '<none>';
}

export const nodeKind: KindDefinition<Node> = {
  group: '',
  version: 'v1',
  kind: 'Node',
  plural: 'nodes',
  singular: 'node',
  shortNames: ['no'],
  categories: [],
  namespaced: false,
  description: 'A Node is a machine on which an agent runs tasks.',
  schema: new ObjectSchema(
    Type.Object({
      apiVersion: Type.String({ description: 'v1' }),
      kind: Type.String({ description: 'Node' }),
      metadata: ObjectMeta,
      spec: opt(NodeSpec),
      status: opt(NodeStatus),
    }),
  ),
  statusSubresource: true,
  statusAtCreation: true,
  nameProblem: subdomainProblem,
  validate,
  selectableFields: { 'spec.unschedulable': (node) => String(node.spec?.unschedulable ?? false) },
  columns: [
    nameColumn,
    { name: 'Status', type: 'string', priority: 0, description: 'Ready or not, and whether tasks are kept away.', cell: statusText },
    { name: 'Roles', type: 'string', priority: 0, description: 'Roles by label node-role.kubernetes.io/ROLE.', cell: roles },
    { ...ageColumn, cell: (node, now) => age(node.metadata.creationTimestamp, now) },
    { name: 'Version', type: 'string', priority: 0, description: 'Version of the agent.', cell: (node) => node.status?.nodeInfo?.kubeletVersion ?? '' },
    { name: 'CPU', type: 'string', priority: 1, description: 'CPU that tasks may take.', cell: (node) => String(node.status?.allocatable?.['cpu'] ?? '') },
    { name: 'Memory', type: 'string', priority: 1, description: 'Memory that tasks may take.', cell: (node) => String(node.status?.allocatable?.['memory'] ?? '') },
    { name: 'Internal-IP', type: 'string', priority: 1, description: 'Address.', cell: (node) => node.status?.addresses?.find((a) => a.type === 'InternalIP')?.address ?? '<none>' },
    { name: 'OS-Image', type: 'string', priority: 1, description: 'Operating system.', cell: (node) => node.status?.nodeInfo?.osImage ?? '<unknown>' },
    { name: 'Kernel-Version', type: 'string', priority: 1, description: 'Kernel.', cell: (node) => node.status?.nodeInfo?.kernelVersion ?? '<unknown>' },
    { name: 'Isolation', type: 'string', priority: 1, description: 'How tasks are isolated.', cell: (node) => node.status?.nodeInfo?.containerRuntimeVersion ?? '<unknown>' },
  ],
};
