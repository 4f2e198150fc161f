// basic.ts: many tasks that fit anywhere, onto few nodes and many: as SchedulingBasic of Kubernetes' scheduler_perf, with an
// agent on every node instead of nobody.

import type { BenchCase } from '../../bench-case.js';
import { startSchedulingCluster } from './cluster.js';
import { counted, measureBinding, measuredTasks } from './throughput.js';

const perSecond = 5_000;
/** Of the figure at few nodes, so much may be lost at many. */
const lossMax = 0.15;
const manyNodes = 10_000;

function basicCase(nodes: number, tasks: number, onCurve: boolean): BenchCase {
  return {
    name: `SchedulingBasic/${nodes}Nodes_${tasks}Tasks`,
    description: `${counted} Tasks of four sizes that fit on every node.`,
    // More agents than one server may have connections: only with etcd can there be several.
    stores: nodes > manyNodes ? ['etcd'] : ['etcd', 'embedded'],
    nodes,
    tasks,
    targets: [{ figure: 'value', at: 'least', bound: nodes >= manyNodes ? perSecond * (1 - lossMax) : perSecond }],
    ...(onCurve ? { curve: { name: 'nodes', x: nodes } } : {}),
    async run(context) {
      const cluster = await startSchedulingCluster(context, { holds: context.tasks });
      return measureBinding(context, cluster, measuredTasks(context.tasks));
    },
  };
}

export const basicCases: readonly BenchCase[] = [
  basicCase(5_000, 10_000, true),
  basicCase(5_000, 50_000, false),
  ...[500, 1_000, 10_000, 20_000].map((nodes) => basicCase(nodes, 10_000, true)),
];
