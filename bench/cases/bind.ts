// bind.ts: many tasks onto many nodes. The nodes are hollow agents over real connections; every other part is as in
// production.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseMilli } from '../../api/quantity.js';
import { nodeKind } from '../../api/node.js';
import type { Task } from '../../api/task.js';
import { sleep } from '../../lib/clock.js';
import { Deferred } from '../../lib/deferred.js';
import { Program } from '../../lib/testing/program.js';
import { nodesReady } from '../agents.js';
import { countCpu } from '../cpu.js';
import { check, type BenchCase, type CaseContext } from '../bench-case.js';
import type { BoundTask, HollowAgentsOptions } from '../hollow-agents.js';
import { rounded, spreadOf } from '../percentiles.js';
import { allTasks, benchTask, createAll, within } from '../tasks.js';
import { WallTime } from '../wall-time.js';

const idleMs = 5_000;
const agentsPerProcess = 2_500;
const capacity = { cpu: '8', memory: '32Gi', tasks: '1000' };
const main = fileURLToPath(new URL('../../dist/bench/main.js', import.meta.url));

/** Requests as in a mixed cluster; each node has room for at least 16. */
const requests = [
  { cpu: '100m', memory: '128Mi' },
  { cpu: '250m', memory: '512Mi' },
  { cpu: '500m', memory: '1Gi' },
  { cpu: '100m', memory: '2Gi' },
];

interface HollowCluster {
  programs: Program[];
  /** Resolves when so many tasks have reached their agents. */
  bound(count: number): Promise<void>;
  /** Ends the agents. @returns every delivery */
  results(): Promise<BoundTask[]>;
}

async function startHollowAgents(context: CaseContext, directory: string, common: Pick<HollowAgentsOptions, 'server' | 'dataDirectory'>): Promise<HollowCluster> {
  const programs: Program[] = [];
  for (let from = 0; from < context.nodes; from += agentsPerProcess) {
    const count = Math.min(agentsPerProcess, context.nodes - from);
    const options: HollowAgentsOptions = { ...common, names: { prefix: 'hollow-', from, count }, capacity, resultPath: join(directory, `hollow-${from}.json`) };
    const program = new Program({ name: `hollow agents ${from}`, command: [process.execPath, main, 'hollow-agents', JSON.stringify(options)] });
    programs.push(program);
    context.afterwards(async () => void (await program.stop()));
  }
  const counts = programs.map(() => 0);
  const waits = new Set<{ count: number; reached: Deferred<void> }>();
  programs.forEach((program, index) =>
    program.onLine((line) => {
      const number = Number(/^bound (\d+)$/.exec(line)?.[1] ?? Number.NaN);
      if (Number.isNaN(number)) return;
      counts[index] = number;
      const sum = counts.reduce((total, count) => total + count, 0);
      for (const wait of waits) if (sum >= wait.count) wait.reached.resolve();
    }),
  );
  await Promise.all(programs.map((program, index) => program.line(new RegExp(`^registered ${Math.min(agentsPerProcess, context.nodes - index * agentsPerProcess)}$`), 300_000)));
  return {
    programs,
    bound: (count) => {
      const wait = { count, reached: new Deferred<void>() };
      waits.add(wait);
      return wait.reached.promise;
    },
    results: async () => {
      const read = programs.map(async (program, index) => {
        program.signal('SIGTERM');
        await program.line(/^result /);
        return JSON.parse(await readFile(join(directory, `hollow-${index * agentsPerProcess}.json`), 'utf8')) as BoundTask[];
      });
      return (await Promise.all(read)).flat();
    },
  };
}

export const bind: BenchCase = {
  name: 'bind-5000x10000',
  description: 'Hollow nodes over real TLS connections, tasks created in bulk: bound tasks per second, from the first create being sent to the last durable binding being in the hands of its agent.',
  stores: ['etcd', 'embedded'],
  nodes: 5_000,
  tasks: 10_000,
  async run(context) {
    const { clock, tasks, nodes } = context;
    const processes = await context.start();
    processes.startControllers();
    const client = await context.connect(processes.adminKubeconfig);
    const registering = clock.monotonic();
    context.progress(`starting ${nodes} hollow agents`);
    const hollow = await startHollowAgents(context, processes.directory, { server: processes.server, dataDirectory: processes.dataDirectory });
    await within(clock, 120_000, 'making the nodes ready', nodesReady(client, nodes, context));
    const registered = (clock.monotonic() - registering) / 1_000;

    const items = Array.from({ length: tasks }, (_, index) => benchTask(`bind-${index}`, { command: ['/bin/true'], resources: { requests: requests[index % requests.length]! } }));
    const allBound = hollow.bound(tasks);
    const wall = new WallTime(clock);
    // What thousands of agents cost that only say that they are there.
    const idle = await countCpu(processes);
    await sleep(clock, idleMs);
    const { cpuApiserver: idleSeconds = 0 } = await idle();
    const cpu = await countCpu(processes);
    const start = wall.now();
    const sentAt = await createAll(client, items, () => wall.now());
    const created = wall.now();
    context.progress(`created ${tasks} tasks`);
    await within(clock, 300_000, 'binding the tasks', allBound);

    const used = await cpu();
    const deliveries = await hollow.results();
    judge(await allTasks(client), deliveries, tasks);
    const end = deliveries.reduce((latest, [, , at]) => Math.max(latest, at), 0);
    check((await client.list(nodeKind, { limit: 1 })).items.length === 1, 'the nodes are gone');
    const spread = spreadOf(deliveries.map(([name, , at]) => at - sentAt.get(name)!));
    return {
      value: rounded((tasks * 1_000) / (end - start), 0),
      unit: 'tasks/s',
      ...spread,
      details: { seconds: rounded((end - start) / 1_000), createSeconds: rounded((created - start) / 1_000), registerSeconds: rounded(registered), idleApiserverCores: rounded((idleSeconds * 1_000) / idleMs), ...used },
    };
  },
};

/** Every task bound once, delivered once, to the node that it is bound to, and no node over what it has. */
function judge(found: readonly Task[], deliveries: readonly BoundTask[], count: number): void {
  check(found.length === count, `${found.length} of ${count} tasks are there`);
  const nodeOf = new Map(found.map((task) => [task.metadata.name!, task.status?.nodeName]));
  check(found.every(({ status }) => status?.nodeName && status.bindings === 1), 'a task was not bound exactly once');
  check(deliveries.length === count && deliveries.every(([name, nodeName]) => nodeOf.get(name) === nodeName), 'a task reached another agent than its own');
  const held = new Map<string, { cpu: number; memory: number; tasks: number }>();
  for (const task of found) {
    const sum = held.get(task.status!.nodeName!) ?? { cpu: 0, memory: 0, tasks: 0 };
    sum.cpu += parseMilli(task.spec.resources!.requests!['cpu']!)!;
    sum.memory += parseMilli(task.spec.resources!.requests!['memory']!)!;
    sum.tasks++;
    held.set(task.status!.nodeName!, sum);
  }
  const [cpu, memory, slots] = [parseMilli(capacity.cpu)!, parseMilli(capacity.memory)!, Number(capacity.tasks)];
  check([...held.values()].every((sum) => sum.cpu <= cpu && sum.memory <= memory && sum.tasks <= slots), 'a node holds more than it has');
}
