// constrained.ts: tasks that may not run everywhere, and tasks that may run nowhere.

import type { Task, TaskSpec } from '../../../api/task.js';
import { sleep } from '../../../lib/clock.js';
import { check, type BenchCase, type Target } from '../../bench-case.js';
import type { NodeShape } from '../../hollow-agents.js';
import { rounded } from '../../percentiles.js';
import { allTasks, benchTask, createAll } from '../../tasks.js';
import { startSchedulingCluster } from './cluster.js';
import { counted, measureBinding, measuredTasks } from './throughput.js';

/** Half of what tasks without constraints are to reach. */
export const halfOfBasic: readonly Target[] = [{ figure: 'value', at: 'least', bound: 0.5, of: 'SchedulingBasic/5000Nodes_10000Tasks' }];

const size = { stores: ['etcd', 'embedded'], nodes: 5_000, tasks: 10_000, targets: halfOfBasic } as const;

const zones = Array.from({ length: 10 }, (_, index) => `zone-${index}`);
const disks = ['ssd', 'disk'];
/** Nodes in turn: each zone has both sorts of disks. */
const zoned: readonly NodeShape[] = zones.flatMap((zone) => disks.map((disk) => ({ labels: { 'topology.kubernetes.io/zone': zone, disk } })));

export const nodeSelector: BenchCase = {
  name: 'SchedulingNodeSelector',
  description: `${counted} Each task selects one of ${zones.length} zones and one of ${disks.length} sorts of disks by the labels of nodes, so that one node in ${zoned.length} will do.`,
  ...size,
  async run(context) {
    const cluster = await startSchedulingCluster(context, { holds: context.tasks, shapes: zoned });
    return measureBinding(context, cluster, measuredTasks(context.tasks, (index) => ({ nodeSelector: zoned[index % zoned.length]!.labels! })));
  },
};

const teams = ['red', 'green', 'blue', 'yellow'];
/** Four nodes in five belong to a team, the fifth to all. */
const tainted: readonly NodeShape[] = [...teams.map((value): NodeShape => ({ taints: [{ key: 'team', value, effect: 'NoSchedule' }] })), {}];

export const taints: BenchCase = {
  name: 'SchedulingTaints',
  description: `${counted} Four nodes in five have a taint of one of ${teams.length} teams; each task tolerates that of one team, so that two nodes in five will do.`,
  ...size,
  async run(context) {
    const cluster = await startSchedulingCluster(context, { holds: context.tasks, shapes: tainted });
    return measureBinding(context, cluster, measuredTasks(context.tasks, (index) => ({ tolerations: [{ key: 'team', operator: 'Equal', value: teams[index % teams.length]!, effect: 'NoSchedule' }] })));
  },
};

const backlogPrefix = 'backlog-';
/** Of so many sizes, each larger than any node. */
const backlogSizes = 100;
const toldMsMax = 60_000;

function backlogSpec(index: number): TaskSpec {
  return { command: ['/bin/true'], resources: { requests: { cpu: String(100_000 + (index % backlogSizes)), memory: '128Mi' } } } as TaskSpec;
}

export const unschedulable: BenchCase = {
  name: 'Unschedulable',
  description: `${counted} Beside them a backlog of as many tasks, of ${backlogSizes} sizes, that are larger than any node and were created just before: the clock does not wait until they have been looked at. In the end each of them is pending and says why.`,
  ...size,
  async run(context) {
    const { clock, tasks } = context;
    const cluster = await startSchedulingCluster(context, { holds: tasks });
    const { client } = cluster;
    const backlog = Array.from({ length: tasks }, (_, index) => benchTask(`${backlogPrefix}${index}`, backlogSpec(index)));
    const start = clock.monotonic();
    await createAll(client, backlog, () => clock.monotonic());
    const measured = await measureBinding(context, cluster, measuredTasks(tasks));
    const untold = async (): Promise<number> => tasks - (await allTasks(client)).filter(saysWhy).length;
    let left = await untold();
    for (; left > 0 && clock.monotonic() - start < toldMsMax; left = await untold()) await sleep(clock, 500);
    check(left === 0, `${left} of ${tasks} tasks of the backlog are not pending with a reason`);
    return { ...measured, details: { ...measured.details, backlogToldSeconds: rounded((clock.monotonic() - start) / 1_000) } };
  },
};

/** Of a task of the backlog: it waits, and people can read what for. */
function saysWhy({ metadata, status }: Task): boolean {
  const condition = status?.conditions?.find(({ type }) => type === 'Scheduled');
  return metadata.name!.startsWith(backlogPrefix) && status?.phase === 'Pending' && !status.nodeName && condition?.reason === 'Unschedulable' && Boolean(condition.message);
}
