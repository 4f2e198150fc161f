// memory.ts: what the servers hold when nothing happens, and what nodes, queued and finished tasks add to that.

import { findCondition } from '../../api/conditions.js';
import type { ApiClient } from '../../client/api-client.js';
import { sleep } from '../../lib/clock.js';
import { Deferred } from '../../lib/deferred.js';
import { SystemRandom } from '../../lib/random.js';
import type { TaskplaneProcesses } from '../../lib/testing/taskplane-processes.js';
import { nodesReady, startAgents } from '../agents.js';
import { check, type BenchCase, type CaseContext, type Measurement } from '../bench-case.js';
import { startHollowCluster } from '../hollow-cluster.js';
import { rounded } from '../percentiles.js';
import { residentMiB } from '../resident.js';
import { fillAndRestart } from '../stored-tasks.js';
import { allTasks, benchTask, createAll, followTasks, within } from '../tasks.js';

/** What was allocated at the start is given back meanwhile. */
const settleMs = 15_000;
/** The scheduler tells 500 tasks a second. */
const tellMsMax = 90_000;
const capacity = { cpu: '8', memory: '32Gi', tasks: '100' };

/** Follows the tasks until so many have been told why they wait; what is still being written is no memory of tasks. */
async function tellingOf(client: ApiClient, { clock, progress }: CaseContext, count: number): Promise<{ told: Promise<void>; stop(): Promise<void> }> {
  const told = new Set<string | undefined>();
  const all = new Deferred<void>();
  const stop = await followTasks(client, clock, ({ metadata, status }) => {
    if (findCondition(status?.conditions, 'Scheduled')?.reason !== 'Unschedulable') return;
    told.add(metadata.name);
    if (told.size % 1_000 === 0) progress(`${told.size} of ${count} tasks have been told why they wait`);
    if (told.size === count) all.resolve();
  });
  return { told: all.promise, stop };
}

/** MiB of each component, once they have settled. */
async function settled(context: CaseContext, processes: TaskplaneProcesses): Promise<Record<string, number>> {
  context.progress('waiting for memory to settle');
  await sleep(context.clock, settleMs, context.signal);
  const sizes: Record<string, number> = { apiserver: await residentMiB(processes.apiserver.pid), controllers: await residentMiB(processes.controllers.pid) };
  if (processes.etcd) sizes['etcd'] = await residentMiB(processes.etcd.pid);
  return sizes;
}

/** API server and controllers together, per `per` of the `count` things that were added. */
function growth(before: Record<string, number>, after: Record<string, number>, { count, per }: { count: number; per: number }): Measurement {
  const names = Object.keys(after);
  const perThing = (name: string): number => ((after[name]! - before[name]!) * per) / count;
  const suffixed = (sizes: Record<string, number>, suffix: string): Record<string, number> => Object.fromEntries(names.map((name) => [`${name}${suffix}`, sizes[name]!]));
  return {
    value: rounded(perThing('apiserver') + perThing('controllers'), 1),
    unit: 'MiB',
    details: { count, ...Object.fromEntries(names.map((name) => [`${name}Growth`, rounded(perThing(name), 1)])), ...suffixed(before, 'Before'), ...suffixed(after, 'After') },
  };
}

export const memoryIdle: BenchCase = {
  name: 'memory/idle',
  description: `Resident memory ${settleMs / 1_000} s after start, nothing running: API server and controllers together; single components in the details.`,
  stores: ['etcd', 'embedded'],
  nodes: 1,
  tasks: 0,
  targets: [{ figure: 'value', at: 'most', bound: 150 }],
  async run(context) {
    const processes = await context.start({ nodes: startAgents.names(context.nodes) });
    const client = await context.connect(processes.adminKubeconfig);
    await startAgents(context, processes, client);
    const sizes = await settled(context, processes);
    return { value: rounded(sizes['apiserver']! + sizes['controllers']!, 1), unit: 'MiB', details: { ...sizes, agent: await residentMiB([...processes.agents.values()][0]?.pid) } };
  },
};

export const memoryNodes: BenchCase = {
  name: 'memory/1000Nodes',
  description: `Resident memory that 1,000 nodes add to API server and controllers together, their (hollow) agents connected and present, ${settleMs / 1_000} s after the last has come.`,
  stores: ['etcd', 'embedded'],
  nodes: 1_000,
  tasks: 0,
  targets: [{ figure: 'value', at: 'most', bound: 200 }],
  async run(context) {
    const { clock, nodes } = context;
    const processes = await context.start();
    processes.startControllers();
    const client = await context.connect(processes.adminKubeconfig);
    const before = await settled(context, processes);
    await startHollowCluster(context, processes, { count: nodes, capacity });
    await within(clock, 120_000, 'making the nodes ready', nodesReady(client, nodes, context));
    const measured = growth(before, await settled(context, processes), { count: nodes, per: 1_000 });
    await within(clock, 30_000, 'all nodes being ready still', nodesReady(client, nodes, context));
    return measured;
  },
};

export const memoryQueued: BenchCase = {
  name: 'memory/10kQueued',
  description: `Resident memory that 10,000 tasks add to API server and controllers together that wait for a node, ${settleMs / 1_000} s after the scheduler has told each why. There is no node.`,
  stores: ['etcd', 'embedded'],
  nodes: 0,
  tasks: 10_000,
  targets: [{ figure: 'value', at: 'most', bound: 150 }],
  async run(context) {
    const { clock, tasks } = context;
    const processes = await context.start();
    processes.startControllers();
    const client = await context.connect(processes.adminKubeconfig);
    const before = await settled(context, processes);
    const waiting = await tellingOf(client, context, tasks);
    await createAll(client, Array.from({ length: tasks }, (_, index) => benchTask(`queued-${index}`, { command: ['/bin/true'], resources: { requests: { cpu: '100m', memory: '128Mi' } } })), () => clock.monotonic());
    await within(clock, tellMsMax, 'telling the tasks why they wait', waiting.told);
    await waiting.stop();
    const measured = growth(before, await settled(context, processes), { count: tasks, per: 10_000 });
    const found = await allTasks(client);
    check(found.length === tasks && found.every(({ status }) => status?.phase === 'Pending'), 'not every task waits');
    return measured;
  },
};

export const memoryFinished: BenchCase = {
  name: 'memory/100kFinished',
  description: `Resident memory that 100,000 finished tasks of about 1 KB add to API server and controllers together, ${settleMs / 1_000} s after both have started over a store that has them.`,
  stores: ['etcd', 'embedded'],
  nodes: 0,
  tasks: 100_000,
  targets: [{ figure: 'value', at: 'most', bound: 600 }],
  async run(context) {
    const { clock, tasks } = context;
    const processes = await context.start();
    processes.startControllers();
    const before = await settled(context, processes);
    await processes.controllers.stop();
    context.progress(`storing ${tasks} tasks`);
    await fillAndRestart(processes, { count: tasks, phase: 'Succeeded', clock, random: new SystemRandom() });
    processes.startControllers();
    const measured = growth(before, await settled(context, processes), { count: tasks, per: 100_000 });
    const client = await context.connect(processes.adminKubeconfig);
    check((await allTasks(client)).length === tasks, 'a stored task is missing');
    return measured;
  },
};
