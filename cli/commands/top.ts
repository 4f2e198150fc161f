import { isReady, nodeKind, type Node } from '../../api/node.js';
import { notFound } from '../../api/errors.js';
import { parseMilli } from '../../api/quantity.js';
import type { CommandContext } from '../context.js';
import { columnsText } from '../print/table.js';

/** Measured use of nodes, by everything that runs on them, as `kubectl top nodes` prints it. */
export async function topNodes(context: CommandContext, names: readonly string[], options: { selector?: string; headers?: boolean; sortBy?: 'cpu' | 'memory' }): Promise<number> {
  const { client, io } = context;
  const [loads, list] = await Promise.all([client.nodeLoads(), client.list<Node>(nodeKind, { labelSelector: options.selector })]);
  for (const name of names) if (!list.items.some(({ metadata }) => metadata.name === name)) throw notFound(nodeKind, name);
  const byName = new Map(loads.items.map((item) => [item.name, item.load]));
  const shown = list.items.filter(({ metadata }) => names.length === 0 || names.includes(metadata.name!));
  const use = (node: Node): number => {
    const load = byName.get(node.metadata.name!);
    return (options.sortBy === 'memory' ? load?.memoryBytes : load?.cpuMilli) ?? -1;
  };
  if (options.sortBy) shown.sort((a, b) => use(b) - use(a));
  const rows = shown.map((node) => {
    const load = isReady(node) ? byName.get(node.metadata.name!) : undefined;
    if (!load) return [node.metadata.name!, '<unknown>', '<unknown>', '<unknown>', '<unknown>', '<unknown>'];
    const capacity = node.status?.capacity ?? {};
    return [
      node.metadata.name!,
      `${Math.round(load.cpuMilli)}m`,
      percent(load.cpuMilli, parseMilli(capacity['cpu'] ?? '')),
      `${Math.round(load.memoryBytes / 2 ** 20)}Mi`,
      percent(load.memoryBytes * 1000, parseMilli(capacity['memory'] ?? '')),
      load.loadAverage.toFixed(2),
    ];
  });
  const header = options.headers === false ? [] : [['NAME', 'CPU(cores)', 'CPU%', 'MEMORY(bytes)', 'MEMORY%', 'LOAD']];
  if (rows.length === 0) io.err.write('No resources found\n');
  else io.out.write(columnsText([...header, ...rows]));
  return 0;
}

function percent(used: number, total: number | undefined): string {
  return total ? `${Math.round((100 * used) / total)}%` : '<unknown>';
}
