// real-against-hollow.ts: whether figures that hollow agents make hold for real ones. The same tasks, in turn, for as many real
// and hollow agents of one cluster: what each kind asks of the API server, and how fast its tasks are bound.

import { readFile } from 'node:fs/promises';
import { bulkPaths } from '../../api/protocol.js';
import type { Task } from '../../api/task.js';
import type { ApiClient } from '../../client/api-client.js';
import { sleep } from '../../lib/clock.js';
import { Deferred } from '../../lib/deferred.js';
import type { TaskplaneProcesses } from '../../lib/testing/taskplane-processes.js';
import { nodesReady, startAgents } from '../agents.js';
import { check, type BenchCase, type CaseContext, type Measurement } from '../bench-case.js';
import { countCpu } from '../cpu.js';
import { measuredPrefix } from '../hollow-agents.js';
import { startHollowCluster } from '../hollow-cluster.js';
import { rounded, spreadOf } from '../percentiles.js';
import { allTasks, benchTask, createAll, followTasks, within } from '../tasks.js';

type AgentKind = 'real' | 'hollow';
const kinds: readonly AgentKind[] = ['real', 'hollow'];
const roleLabel = 'bench.taskplane.dev/role';
/** As many a second that real agents keep up on this machine, and both are asked at the same pace. */
const pacePerSecond = 100;
const paceSliceMs = 100;
/** About as long as /bin/true takes, with its shell around it. */
const hollowTaskMs = 10;
const idleMs = 4_000;
const capacity = { cpu: '64', memory: '256Gi', tasks: '1000' };
const runMsMax = 120_000;

/** What one kind of agent cost in one run. */
interface Run {
  requests: number;
  cpuSeconds: number;
  receivedBytes: number;
  sentBytes: number;
  seconds: number;
}

/** Of all reads and writes of a process: sockets and, the same for both kinds of agents, the embedded store's file. */
async function bytesOf(pid: number): Promise<{ received: number; sent: number }> {
  const text = await readFile(`/proc/${pid}/io`, 'utf8');
  return { received: Number(/^rchar: (\d+)/m.exec(text)![1]), sent: Number(/^wchar: (\d+)/m.exec(text)![1]) };
}

async function counted({ clock }: CaseContext, processes: TaskplaneProcesses, work: () => Promise<void>): Promise<Run> {
  const { pid } = processes.apiserver;
  const [counts, bytes, start] = [await countCpu(processes), await bytesOf(pid), clock.monotonic()];
  await work();
  const [used, after] = [await counts(), await bytesOf(pid)];
  return {
    requests: used['requests'] ?? Number.NaN,
    cpuSeconds: used['cpuApiserver'] ?? Number.NaN,
    receivedBytes: after.received - bytes.received,
    sentBytes: after.sent - bytes.sent,
    seconds: (clock.monotonic() - start) / 1_000,
  };
}

/** When each task was seen to be bound and to have succeeded, monotonic milliseconds. */
class Progress {
  readonly boundAt = new Map<string, number>();
  readonly succeeded = new Set<string>();
  #wanted: { prefix: string; count: number; reached: Deferred<void> } | undefined;

  constructor(private readonly now: () => number) {}

  see({ metadata, status }: Task): void {
    const name = metadata.name!;
    if (status?.nodeName && !this.boundAt.has(name)) this.boundAt.set(name, this.now());
    if (status?.phase === 'Failed') this.#wanted?.reached.reject(new Error(`task ${name} failed: ${status.message}`));
    if (status?.phase !== 'Succeeded' || this.succeeded.has(name)) return;
    this.succeeded.add(name);
    if (this.#wanted && name.startsWith(this.#wanted.prefix) && --this.#wanted.count === 0) this.#wanted.reached.resolve();
  }

  /** Resolves when so many more tasks of such names have succeeded. */
  more(prefix: string, count: number): Promise<void> {
    this.#wanted = { prefix, count, reached: new Deferred() };
    return this.#wanted.reached.promise;
  }
}

function tasksFor(kind: AgentKind, prefix: string, count: number): Task[] {
  return Array.from({ length: count }, (_, index) => benchTask(`${prefix}${index}`, { command: ['/bin/true'], nodeSelector: { [roleLabel]: kind } }));
}

/** At a steady pace, a slice at a time. */
async function createPaced({ clock }: CaseContext, client: ApiClient, tasks: readonly Task[]): Promise<void> {
  const slice = (pacePerSecond * paceSliceMs) / 1_000;
  const start = clock.monotonic();
  for (let from = 0; from < tasks.length; from += slice) {
    const outcomes = await client.bulk(bulkPaths.create, { items: tasks.slice(from, from + slice) });
    check(outcomes.every(({ code }) => code === 201), 'a create was refused');
    await sleep(clock, Math.max(0, start + ((from + slice) * 1_000) / pacePerSecond - clock.monotonic()));
  }
}

export const realAgainstHollow: BenchCase = {
  name: 'real-against-hollow',
  description: `As many real agents as hollow ones in one cluster. First "tasks" at ${pacePerSecond} per second for each kind, /bin/true or hollow tasks of ${hollowTaskMs} ms: requests of the API server, bytes that its process reads and writes (the embedded store's file included) and its processor time per task, less what the idle cluster takes. Then as many at once for each kind: tasks bound per second and the time from create to binding. The value is what a hollow agent's task asks of the server, in requests, of what a real one's does.`,
  stores: ['etcd', 'embedded'],
  nodes: 20,
  tasks: 1_000,
  targets: [
    { figure: 'value', at: 'least', bound: 80 },
    { figure: 'value', at: 'most', bound: 125 },
  ],
  better: 'higher',
  async run(context): Promise<Measurement> {
    const { clock, nodes, tasks } = context;
    const names = startAgents.names(nodes);
    const processes = await context.start({ nodes: names, agentFlags: ['--labels', `${roleLabel}=real`] });
    const client = await context.connect(processes.adminKubeconfig);
    await startAgents(context, processes, client);
    await startHollowCluster(context, processes, { count: nodes, capacity, shapes: [{ labels: { [roleLabel]: 'hollow' } }], taskMs: hollowTaskMs });
    await within(clock, 60_000, 'making the nodes ready', nodesReady(client, nodes * 2, context));
    const progress = new Progress(() => clock.monotonic());
    const stopFollowing = await followTasks(client, clock, (task) => progress.see(task));
    context.afterwards(stopFollowing);
    const run = async (kind: AgentKind, prefix: string, create: (items: Task[]) => Promise<unknown>): Promise<Run> => {
      context.progress(`${tasks} tasks for ${kind} agents`);
      const items = tasksFor(kind, prefix, tasks);
      const all = progress.more(prefix, tasks);
      return counted(context, processes, async () => {
        await create(items);
        await within(clock, runMsMax, `running the tasks of ${kind} agents`, all);
      });
    };

    const idle = await counted(context, processes, () => sleep(clock, idleMs));
    const details: Record<string, number> = { pacePerSecond };
    const requestsPerTask = new Map<AgentKind, number>();
    for (const kind of kinds) {
      const paced = await run(kind, `${measuredPrefix}${kind}-paced-`, (items) => createPaced(context, client, items));
      const perTask = (figure: keyof Run): number => (paced[figure] - (idle[figure] * paced.seconds) / idle.seconds) / tasks;
      requestsPerTask.set(kind, perTask('requests'));
      details[`${kind}RequestsPerTask`] = rounded(perTask('requests'));
      details[`${kind}ReceivedBytesPerTask`] = rounded(perTask('receivedBytes'), 0);
      details[`${kind}SentBytesPerTask`] = rounded(perTask('sentBytes'), 0);
      details[`${kind}CpuMicrosecondsPerTask`] = rounded(perTask('cpuSeconds') * 1e6, 0);
    }
    for (const kind of kinds) {
      const prefix = `${measuredPrefix}${kind}-burst-`;
      const sentAt = new Map<string, number>();
      const start = clock.monotonic();
      const burst = await run(kind, prefix, async (items) => {
        for (const [name, at] of await createAll(client, items, () => clock.monotonic())) sentAt.set(name, at);
      });
      const bound = [...progress.boundAt].filter(([name]) => name.startsWith(prefix));
      const latencies = spreadOf(bound.map(([name, at]) => at - sentAt.get(name)!));
      details[`${kind}BoundPerSecond`] = rounded((bound.length * 1_000) / (Math.max(...bound.map(([, at]) => at)) - start), 0);
      details[`${kind}BindP50`] = latencies.p50;
      details[`${kind}BindP99`] = latencies.p99;
      details[`${kind}BurstRequestsPerTask`] = rounded((burst.requests - (idle.requests * burst.seconds) / idle.seconds) / tasks);
      details[`${kind}BurstSeconds`] = rounded(burst.seconds);
    }
    await stopFollowing();
    const found = await allTasks(client);
    check(found.length === tasks * 4 && found.every(({ status }) => status?.phase === 'Succeeded' && status.bindings === 1), 'not every task was bound once and succeeded');
    check(found.every(({ spec, status }) => names.includes(status!.nodeName!) === (spec.nodeSelector?.[roleLabel] === 'real')), 'a task ran on an agent of the other kind');
    return { value: rounded((requestsPerTask.get('hollow')! * 100) / requestsPerTask.get('real')!, 1), unit: '%', details };
  },
};
