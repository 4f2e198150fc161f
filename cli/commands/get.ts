// get.ts: lists objects as the server's table, or whole, once or as they change.

import { isReason } from '../../api/errors.js';
import { apiVersionOf, type KindDefinition } from '../../api/kind.js';
import type { KubeObject } from '../../api/meta.js';
import type { CommandContext } from '../context.js';
import { CliError, failureText } from '../failure.js';
import { readManifests } from '../manifests/read.js';
import { colorsFor } from '../print/colors.js';
import { objectsText } from '../print/objects.js';
import { TablePrinter } from '../print/table.js';
import { objectTitle, readResourceArgs, type Selection } from '../resource-args.js';
import { getTable, listTable, watchTable, type Table } from '../server-table.js';
import { withNamespace } from './apply.js';

export interface GetOptions {
  output?: string;
  selector?: string;
  fieldSelector?: string;
  allNamespaces?: boolean;
  watch?: boolean;
  watchOnly?: boolean;
  headers?: boolean;
  showLabels?: boolean;
  labelColumns?: string[];
  ignoreNotFound?: boolean;
  filename?: string[];
}

/** A kind with the names asked for; none means all. */
interface Group {
  kind: KindDefinition;
  names: { name: string; namespace?: string }[];
}

const outputs = ['wide', 'yaml', 'json', 'name'];

export async function get(context: CommandContext, args: readonly string[], options: GetOptions): Promise<number> {
  if (options.output && !outputs.includes(options.output)) throw new CliError(`unable to match a printer suitable for the output format "${options.output}", allowed formats are: ${outputs.join(',')}`);
  const groups = options.filename?.length ? await groupsOfFiles(context, options.filename) : groupsOf(await readResourceArgs(context.client, args), options);
  if (options.watch || options.watchOnly) return watch(context, groups, options);
  if (options.output && options.output !== 'wide') return whole(context, groups, options);
  return tables(context, groups, options);
}

function groupsOf(selections: readonly Selection[], options: GetOptions): Group[] {
  const groups = new Map<KindDefinition, Group>();
  for (const { kind, name } of selections) {
    const group = groups.get(kind) ?? { kind, names: [] };
    groups.set(kind, group);
    if (name === undefined) continue;
    if (options.selector) throw new CliError('name cannot be provided when a selector is specified');
    if (options.allNamespaces) throw new CliError('a resource cannot be retrieved by name across all namespaces');
    group.names.push({ name });
  }
  return [...groups.values()];
}

async function groupsOfFiles(context: CommandContext, filename: string[]): Promise<Group[]> {
  const groups = new Map<KindDefinition, Group>();
  for (const manifest of await readManifests(filename, { io: context.io, client: context.client })) {
    const group = groups.get(manifest.kind) ?? { kind: manifest.kind, names: [] };
    groups.set(manifest.kind, group);
    const { name, namespace } = withNamespace(manifest, context.namespace).metadata;
    group.names.push({ name: name!, namespace });
  }
  return [...groups.values()];
}

function namespaceOf(context: CommandContext, kind: KindDefinition, options: GetOptions): string | undefined {
  return kind.namespaced && !options.allNamespaces ? context.namespace : undefined;
}

function printerFor(context: CommandContext, kind: KindDefinition, options: GetOptions, prefixed: boolean): TablePrinter {
  return new TablePrinter({
    wide: options.output === 'wide',
    noHeaders: options.headers === false,
    withNamespace: options.allNamespaces && kind.namespaced,
    showLabels: options.showLabels,
    labelColumns: options.labelColumns,
    namePrefix: prefixed ? objectTitle(kind, '') : undefined,
    colors: colorsFor(context.io.out, context.io.env),
  });
}

async function tables(context: CommandContext, groups: readonly Group[], options: GetOptions): Promise<number> {
  const { io } = context;
  let printed = 0;
  let failed = false;
  for (const group of groups) {
    const { found, failures } = await tablesOf(context, group, options);
    for (const failure of failures) io.err.write(`${failure}\n`);
    failed ||= failures.length > 0;
    const rows = found.flatMap((table) => table.rows);
    if (rows.length === 0) continue;
    const columnDefinitions = found.find((table) => table.columnDefinitions.length > 0)?.columnDefinitions ?? [];
    if (printed > 0) io.out.write('\n');
    io.out.write(printerFor(context, group.kind, options, groups.length > 1).render({ kind: 'Table', columnDefinitions, rows }));
    printed += rows.length;
  }
  if (printed === 0 && !failed && !options.ignoreNotFound) io.err.write(nothingFound(context, groups, options));
  return failed ? 1 : 0;
}

function nothingFound(context: CommandContext, groups: readonly Group[], options: GetOptions): string {
  const scoped = !options.allNamespaces && groups.some(({ kind }) => kind.namespaced);
  return scoped ? `No resources found in ${context.namespace} namespace.\n` : 'No resources found\n';
}

async function tablesOf(context: CommandContext, { kind, names }: Group, options: GetOptions): Promise<{ found: Table[]; failures: string[] }> {
  const namespace = namespaceOf(context, kind, options);
  if (names.length === 0) return { found: [await listTable(context.client, kind, { namespace, labelSelector: options.selector, fieldSelector: options.fieldSelector })], failures: [] };
  return eachName(names, options, (entry) => getTable(context.client, kind, entry.name, entry.namespace ?? namespace));
}

/** What is missing is told, and does not keep the rest from being shown. */
async function eachName<T>(names: Group['names'], options: GetOptions, one: (entry: Group['names'][number]) => Promise<T>): Promise<{ found: T[]; failures: string[] }> {
  const found: T[] = [];
  const failures: string[] = [];
  for (const entry of names) {
    try {
      found.push(await one(entry));
    } catch (error) {
      if (!isReason(error, 'NotFound', 'Forbidden')) throw error;
      if (!(options.ignoreNotFound && isReason(error, 'NotFound'))) failures.push(failureText(error));
    }
  }
  return { found, failures };
}

async function whole(context: CommandContext, groups: readonly Group[], options: GetOptions): Promise<number> {
  const { io, client } = context;
  const objects: { kind: KindDefinition; object: KubeObject }[] = [];
  let failed = false;
  for (const { kind, names } of groups) {
    const namespace = namespaceOf(context, kind, options);
    const { found, failures } =
      names.length > 0
        ? await eachName(names, options, (entry) => client.get(kind, entry.name, entry.namespace ?? namespace))
        : { found: (await client.list(kind, { namespace, labelSelector: options.selector, fieldSelector: options.fieldSelector })).items, failures: [] };
    for (const failure of failures) io.err.write(`${failure}\n`);
    failed ||= failures.length > 0;
    objects.push(...found.map((object) => ({ kind, object: { ...object, apiVersion: apiVersionOf(kind), kind: kind.kind } })));
  }
  if (options.output === 'name') {
    for (const { kind, object } of objects) io.out.write(`${objectTitle(kind, object.metadata.name ?? '')}\n`);
  } else {
    const asList = !(groups.length === 1 && groups[0]!.names.length === 1);
    if (asList || objects.length > 0) io.out.write(objectsText(objects.map(({ object }) => object), options.output as 'json' | 'yaml', asList));
  }
  return failed ? 1 : 0;
}

/** Ends when the server ends the watch, as kubectl does, or on Ctrl-C. */
async function watch(context: CommandContext, groups: readonly Group[], options: GetOptions): Promise<number> {
  const { io, client, signal } = context;
  const group = groups[0];
  if (groups.length !== 1 || !group || group.names.length > 1) throw new CliError('you may only watch a single resource or type of resource at a time');
  const { kind } = group;
  const namespace = group.names[0]?.namespace ?? namespaceOf(context, kind, options);
  const byName = group.names[0] ? `metadata.name=${group.names[0].name}` : undefined;
  const query = { namespace, labelSelector: options.selector, fieldSelector: byName ?? options.fieldSelector };
  if (options.output && options.output !== 'wide') {
    const list = await client.list(kind, query);
    const show = (object: KubeObject): void => {
      const complete = { ...object, apiVersion: apiVersionOf(kind), kind: kind.kind };
      if (options.output === 'name') io.out.write(`${objectTitle(kind, object.metadata.name ?? '')}\n`);
      else io.out.write(`${options.output === 'yaml' ? '---\n' : ''}${objectsText([complete], options.output as 'json' | 'yaml', false)}`);
    };
    if (!options.watchOnly) list.items.forEach(show);
    for await (const event of client.watch(kind, { ...query, resourceVersion: list.metadata.resourceVersion, signal })) if (event.type !== 'BOOKMARK') show(event.object);
    return 0;
  }
  const printer = printerFor(context, kind, options, false);
  if (group.names[0]) await getTable(client, kind, group.names[0].name, namespace);
  const first = await listTable(client, kind, query);
  if (!options.watchOnly && first.rows.length > 0) io.out.write(printer.render(first));
  else if (!options.watchOnly) io.err.write(nothingFound(context, groups, options));
  for await (const { table } of watchTable(client, kind, { ...query, resourceVersion: first.metadata?.resourceVersion, signal })) {
    io.out.write(printer.render({ ...table, columnDefinitions: table.columnDefinitions.length > 0 ? table.columnDefinitions : first.columnDefinitions }));
  }
  return 0;
}
