// submit-to-running.ts: how long after the POST of a task its process runs, one task at a time: on an idle cluster, and on
// one that carries a thousand other tasks per second. The process itself writes the time.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bulkPaths } from '../../api/protocol.js';
import { isFinished, taskKind } from '../../api/task.js';
import type { ApiClient } from '../../client/api-client.js';
import { sleep } from '../../lib/clock.js';
import { Deferred } from '../../lib/deferred.js';
import type { TaskplaneProcesses } from '../../lib/testing/taskplane-processes.js';
import { nodesReady, startAgents } from '../agents.js';
import { check, type BenchCase, type CaseContext } from '../bench-case.js';
import { countCpu } from '../cpu.js';
import { measuredPrefix } from '../hollow-agents.js';
import { startHollowCluster } from '../hollow-cluster.js';
import { rounded, spreadOf } from '../percentiles.js';
import { seriesOf } from '../series.js';
import { benchTask, followTasks, within } from '../tasks.js';
import { WallTime } from '../wall-time.js';

/** The first tasks warm up what is compiled and connected once. */
const warmUp = 20;

interface Submits {
  /** From the POST being sent to the time that the process wrote, milliseconds. */
  started: number[];
  /** From the POST being sent to its answer. */
  answered: number[];
}

/** Submits tasks to the node, each when the one before has finished. */
async function submit(context: CaseContext, processes: TaskplaneProcesses, client: ApiClient, { nodeName, prefix, count }: { nodeName: string; prefix: string; count: number }): Promise<Submits> {
  const { clock } = context;
  const wall = new WallTime(clock);
  const submits: Submits = { started: [], answered: [] };
  const finished = new Map<string, Deferred<void>>();
  const stopFollowing = await followTasks(
    client,
    clock,
    (task) => {
      if (isFinished(task)) finished.get(task.metadata.name!)?.resolve();
    },
    `status.nodeName=${nodeName}`,
  );
  try {
    for (let index = 0; index < count; index++) {
      const name = `${prefix}${index}`;
      const file = join(processes.directory, name);
      finished.set(name, new Deferred());
      const sentAt = wall.now();
      await client.create(taskKind, benchTask(name, { command: ['/bin/sh', '-c', `exec date +%s.%N > ${file}`], nodeSelector: { 'kubernetes.io/hostname': nodeName } }));
      const answeredAt = wall.now();
      await within(clock, 30_000, `task ${name}`, finished.get(name)!.promise);
      const startedAt = Number(await readFile(file, 'utf8')) * 1_000;
      check(startedAt > sentAt - 1, `task ${name} ran before it was submitted`);
      submits.started.push(startedAt - sentAt);
      submits.answered.push(answeredAt - sentAt);
      if (index % 50 === 0) context.progress(`${index} of ${count} tasks`);
    }
  } finally {
    await stopFollowing();
  }
  return submits;
}

function details({ started, answered }: Submits): Record<string, number> {
  const create = spreadOf(answered);
  return { createP50: create.p50, createP99: create.p99, max: rounded(Math.max(...started)) };
}

export const submitToRunning: BenchCase = {
  name: 'submit-to-running',
  description: 'Idle cluster, one agent, one task at a time: from the POST being sent to the time that the process (a shell that becomes date) writes.',
  stores: ['etcd', 'embedded'],
  nodes: 1,
  tasks: 500,
  targets: [
    { figure: 'p50', at: 'most', bound: 10 },
    { figure: 'p99', at: 'most', bound: 50 },
  ],
  async run(context) {
    const processes = await context.start({ nodes: startAgents.names(1) });
    const client = await context.connect(processes.adminKubeconfig);
    await startAgents({ ...context, nodes: 1 }, processes, client);
    const nodeName = startAgents.names(1)[0]!;
    await submit(context, processes, client, { nodeName, prefix: 'warm-', count: warmUp });
    const counted = await countCpu(processes);
    const submits = await submit(context, processes, client, { nodeName, prefix: 'now-', count: context.tasks });
    const used = await counted();
    const spread = spreadOf(submits.started);
    return { value: spread.p50, unit: 'ms', ...spread, latenciesMs: submits.started, details: { ...details(submits), ...used } };
  },
};

const loadPerSecond = 1_000;
/** Under less than this share of it the figure would be that of another case. */
const carriedMin = 0.9;
const loadSliceMs = 50;
const hollowCapacity = { cpu: '64', memory: '256Gi', tasks: '1000' };
const hollowLabels = { 'bench.taskplane.dev/role': 'hollow' };

/** Creates tasks at a steady rate, whether or not those before have been answered, until the signal aborts. @returns how many */
async function keepLoading({ clock }: CaseContext, client: ApiClient, signal: AbortSignal): Promise<number> {
  const start = clock.monotonic();
  const answers: Promise<void>[] = [];
  let sent = 0;
  while (!signal.aborted) {
    const due = Math.floor(((clock.monotonic() - start) * loadPerSecond) / 1_000);
    if (due > sent) {
      const items = Array.from({ length: due - sent }, (_, offset) => benchTask(`${measuredPrefix}${sent + offset}`, { command: ['/bin/true'], nodeSelector: hollowLabels }));
      sent = due;
      answers.push(client.bulk(bulkPaths.create, { items }).then((outcomes) => check(outcomes.every(({ code }) => code === 201), 'a task of the load was refused')));
    }
    await sleep(clock, loadSliceMs, signal);
  }
  await Promise.all(answers);
  return sent;
}

export const loadedLatency: BenchCase = {
  name: 'loaded-latency',
  description: `One real agent beside hollow ones that carry a load of ${loadPerSecond} tasks per second: created in bulk every ${loadSliceMs} ms, whatever becomes of those before, bound, reported running and succeeded at once. Meanwhile one task at a time for the real agent: from its POST being sent to the time that its process writes. "nodes" are the hollow agents, "tasks" those of the real one; loadFinishedPerSecond is what the cluster really carried (checked: at least ${carriedMin * 100} % of the load).`,
  stores: ['etcd', 'embedded'],
  nodes: 50,
  tasks: 300,
  targets: [{ figure: 'p99', at: 'most', bound: 250 }],
  async run(context) {
    const { clock, nodes, tasks } = context;
    const processes = await context.start({ nodes: startAgents.names(1) });
    const client = await context.connect(processes.adminKubeconfig);
    await startAgents({ ...context, nodes: 1 }, processes, client);
    const nodeName = startAgents.names(1)[0]!;
    const hollow = await startHollowCluster(context, processes, { count: nodes, capacity: hollowCapacity, shapes: [{ labels: hollowLabels }], taskMs: 0 });
    await within(clock, 60_000, 'making the nodes ready', nodesReady(client, nodes + 1, context));
    await submit(context, processes, client, { nodeName, prefix: 'warm-', count: warmUp });

    const stop = new AbortController();
    context.afterwards(async () => stop.abort());
    const wall = new WallTime(clock);
    const start = wall.now();
    const loading = keepLoading(context, client, stop.signal);
    loading.catch(() => undefined);
    // Once the load is there.
    await within(clock, 30_000, 'a second of load', hollow.reached('succeeded', loadPerSecond));
    const counted = await countCpu(processes);
    const from = wall.now();
    const submits = await submit(context, processes, client, { nodeName, prefix: 'now-', count: tasks });
    const to = wall.now();
    const used = await counted();
    stop.abort();
    const sent = await loading;
    await within(clock, 60_000, 'finishing the load', hollow.reached('succeeded', sent));
    const { bound, succeeded } = await hollow.results();
    check(bound.length === sent && new Set(bound.map(([name]) => name)).size === sent, `of the load, ${bound.length} bindings reached agents for ${sent} tasks`);
    check(succeeded.length === sent, `of the load, ${succeeded.length} of ${sent} tasks succeeded`);
    const during = succeeded.filter(([, at]) => at >= from && at < to).length;
    const carried = (during * 1_000) / (to - from);
    check(carried >= loadPerSecond * carriedMin, `only ${rounded(carried, 0)} tasks per second of the load finished`);
    const spread = spreadOf(submits.started);
    return {
      value: spread.p50,
      unit: 'ms',
      ...spread,
      latenciesMs: submits.started,
      series: seriesOf(succeeded.map(([, at]) => at - start)),
      details: { ...details(submits), loadPerSecond, loadFinishedPerSecond: rounded(carried, 0), loadTasks: sent, seconds: rounded((to - from) / 1_000), ...used },
    };
  },
};
