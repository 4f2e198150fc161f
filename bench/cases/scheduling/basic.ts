// basic.ts: many tasks that fit anywhere, onto few nodes and many: as SchedulingBasic of Kubernetes' scheduler_perf, with an
// agent on every node instead of nobody.

import type { BenchCase, Target } from '../../bench-case.js';
import { startSchedulingCluster } from './cluster.js';
import { counted, measureBinding, measuredTasks } from './throughput.js';

const perSecond = 5_000;
const fewNodes = 500;
/** Of the figure at few nodes, so much may be lost at more. */
const lossMax = 0.15;
/** Of more, one server cannot have the connections. */
const manyNodes = 10_000;

const nameOf = (nodes: number, tasks: number): string => `SchedulingBasic/${nodes}Nodes_${tasks}Tasks`;

function targetsOf(nodes: number): readonly Target[] {
  const rate: Target = { figure: 'value', at: 'least', bound: perSecond };
  const growth: Target = { figure: 'value', at: 'least', bound: 1 - lossMax, of: nameOf(fewNodes, 10_000) };
  return nodes === fewNodes ? [rate] : nodes < manyNodes ? [rate, growth] : [growth];
}

function basicCase(nodes: number, tasks: number, onCurve: boolean): BenchCase {
  return {
    name: nameOf(nodes, tasks),
    description: `${counted} Tasks of four sizes that fit on every node.`,
    // More agents than one server may have connections: only with etcd can there be several.
    stores: nodes > manyNodes ? ['etcd'] : ['etcd', 'embedded'],
    nodes,
    tasks,
    targets: targetsOf(nodes),
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
  ...[fewNodes, 1_000, 10_000, 20_000].map((nodes) => basicCase(nodes, 10_000, true)),
];
