// describe.ts: all that is worth knowing of an object, for people, with what happened to it.

import { isReason } from '../../api/errors.js';
import { eventKind, type Event } from '../../api/event.js';
import { age, apiVersionOf, type KindDefinition } from '../../api/kind.js';
import type { KubeObject } from '../../api/meta.js';
import { nodeKind } from '../../api/node.js';
import { taskKind } from '../../api/task.js';
import type { CommandContext } from '../context.js';
import { failureText } from '../failure.js';
import { lastAppliedAnnotation } from '../manifests/merge.js';
import { describeText, mapLines, type Field } from '../print/description.js';
import { readResourceArgs } from '../resource-args.js';
import { nodeFields } from './describe-node.js';
import { taskFields } from './describe-task.js';

export interface DescribeOptions {
  selector?: string;
  allNamespaces?: boolean;
  showEvents?: boolean;
}

export async function describe(context: CommandContext, args: readonly string[], options: DescribeOptions): Promise<number> {
  const { client, io } = context;
  const found: { kind: KindDefinition; object: KubeObject }[] = [];
  let exitCode = 0;
  for (const { kind, name } of await readResourceArgs(context.client, args)) {
    const namespace = kind.namespaced && !options.allNamespaces ? context.namespace : undefined;
    try {
      const objects = name === undefined ? (await client.list(kind, { namespace, labelSelector: options.selector })).items : [await client.get(kind, name, namespace)];
      found.push(...objects.map((object) => ({ kind, object })));
    } catch (error) {
      if (!isReason(error, 'NotFound', 'Forbidden')) throw error;
      exitCode = 1;
      io.err.write(`${failureText(error)}\n`);
    }
  }
  if (found.length === 0 && exitCode === 0) io.err.write('No resources found\n');
  for (const [index, { kind, object }] of found.entries()) {
    if (index > 0) io.out.write('\n\n');
    io.out.write(await text(context, kind, object, options));
  }
  return exitCode;
}

async function text(context: CommandContext, kind: KindDefinition, object: KubeObject, options: DescribeOptions): Promise<string> {
  const now = context.clock.now();
  const special = kind.kind === taskKind.kind ? taskFields(object, now) : kind.kind === nodeKind.kind ? await nodeFields(context, object) : otherFields(kind, object);
  const events = options.showEvents === false || kind.kind === eventKind.kind ? [] : await eventFields(context, kind, object);
  return describeText([...headFields(kind, object), ...special, ...events]);
}

function headFields(kind: KindDefinition, { metadata }: KubeObject): Field[] {
  const { [lastAppliedAnnotation]: _own, ...annotations } = metadata.annotations ?? {};
  return [
    ['Name', metadata.name],
    ['Namespace', kind.namespaced ? metadata.namespace : undefined],
    ['Labels', mapLines(metadata.labels)],
    ['Annotations', mapLines(annotations, ': ')],
    ['Created', metadata.creationTimestamp ?? undefined],
    ['Deletion', metadata.deletionTimestamp ? `asked for at ${metadata.deletionTimestamp}, grace period ${metadata.deletionGracePeriodSeconds ?? 0}s` : undefined],
    ['Controlled By', metadata.ownerReferences?.map((owner) => `${owner.kind}/${owner.name}`)],
  ];
}

/** Secrets say how much they hold, never what. */
function otherFields(kind: KindDefinition, object: KubeObject): Field[] {
  if (kind.kind === 'Secret') {
    const data = Object.entries((object['data'] as Record<string, string> | undefined) ?? {});
    return [['Type', String(object['type'] ?? 'Opaque')], ['Data', { table: data.map(([key, value]) => [`${key}:`, `${Buffer.from(value, 'base64').length} bytes`]) }]];
  }
  const { apiVersion: _a, kind: _k, metadata: _m, ...rest } = object;
  return [['API Version', apiVersionOf(kind)], ['Kind', kind.kind], ...Object.entries(rest).map(([key, value]): Field => [title(key), generic(value)])];
}

function generic(value: unknown): Field[1] {
  if (Array.isArray(value)) return value.every((item) => typeof item !== 'object') ? value.map(String) : { fields: value.map((item, i): Field => [`Item ${i + 1}`, generic(item)]) };
  if (typeof value === 'object' && value !== null) return { fields: Object.entries(value).map(([key, inner]): Field => [key, generic(inner)]) };
  return value === undefined || value === null ? undefined : String(value);
}

function title(key: string): string {
  return key.charAt(0).toUpperCase() + key.slice(1).replaceAll(/([a-z])([A-Z])/g, '$1 $2');
}

async function eventFields({ client, clock }: CommandContext, kind: KindDefinition, { metadata }: KubeObject): Promise<Field[]> {
  const selector = metadata.uid ? `involvedObject.uid=${metadata.uid}` : `involvedObject.kind=${kind.kind},involvedObject.name=${metadata.name}`;
  const { items } = await client.list<Event>(eventKind, { namespace: metadata.namespace, fieldSelector: selector });
  if (items.length === 0) return [['Events', '<none>']];
  const time = (event: Event): string => event.lastTimestamp ?? event.eventTime ?? event.metadata.creationTimestamp ?? '';
  const now = clock.now();
  const rows = [...items].sort((a, b) => (time(a) < time(b) ? -1 : 1)).map((event) => {
    const last = age(time(event), now);
    const seen = (event.count ?? 1) > 1 ? `${last} (x${event.count} over ${age(event.firstTimestamp ?? time(event), now)})` : last;
    return [event.type ?? '', event.reason ?? '', seen, event.source?.component ?? event.reportingComponent ?? '', event.message ?? ''];
  });
  return [['Events', { table: [['Type', 'Reason', 'Age', 'From', 'Message'], ...rows] }]];
}
