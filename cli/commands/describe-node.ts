import type { KubeObject } from '../../api/meta.js';
import type { Node } from '../../api/node.js';
import { formatResource, parseMilli } from '../../api/quantity.js';
import { displayStatus, holdsRoom, taskKind, type Task } from '../../api/task.js';
import type { CommandContext } from '../context.js';
import { conditionFields, mapLines, type Field } from '../print/description.js';

export async function nodeFields({ client }: CommandContext, object: KubeObject): Promise<Field[]> {
  const node = object as Node;
  const { spec = {}, status = {} } = node;
  const { items } = await client.list<Task>(taskKind, { fieldSelector: `status.nodeName=${node.metadata.name}` });
  const held = items.filter(holdsRoom);
  return [
    ['Taints', (spec.taints ?? []).length > 0 ? spec.taints!.map(({ key, value, effect }) => `${key}${value ? `=${value}` : ''}:${effect}`) : '<none>'],
    ['Unschedulable', String(spec.unschedulable ?? false)],
    ...conditionFields(status.conditions),
    ['Addresses', (status.addresses ?? []).map(({ type, address }) => `${type}: ${address}`)],
    ['Capacity', { fields: resourceFields(status.capacity) }],
    ['Allocatable', { fields: resourceFields(status.allocatable) }],
    ['System Info', { fields: Object.entries(status.nodeInfo ?? {}).map(([key, value]): Field => [key, value]) }],
    ['Tasks', { table: [['Namespace', 'Name', 'Status', 'CPU', 'Memory'], ...held.map((task) => [task.metadata.namespace ?? '', task.metadata.name ?? '', displayStatus(task), requested(task, 'cpu'), requested(task, 'memory')])] }],
    ['Allocated', { table: [['Resource', 'Requests', 'Share'], ...allocated(held, status.allocatable ?? {})] }],
  ];
}

function resourceFields(resources: Readonly<Record<string, string | number>> | undefined): Field[] {
  return mapLines(resources, '\0').filter((line) => line !== '<none>').map((line): Field => line.split('\0') as unknown as Field);
}

function requested(task: Task, resource: string): string {
  return String(task.spec.resources?.requests?.[resource] ?? '');
}

function allocated(tasks: readonly Task[], allocatable: Readonly<Record<string, string | number>>): string[][] {
  return Object.keys(allocatable).sort().map((resource) => {
    const sum = tasks.reduce((total, task) => total + (resource === 'tasks' ? 1000 : (parseMilli(task.spec.resources?.requests?.[resource] ?? '0') ?? 0)), 0);
    const whole = parseMilli(allocatable[resource]!) ?? 0;
    return [resource, formatResource(resource, sum), whole > 0 ? `${Math.round((100 * sum) / whole)}%` : ''];
  });
}
