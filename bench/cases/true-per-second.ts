// true-per-second.ts: how many real processes agents run per second, from submission to a durable Succeeded, and what the
// same supervisors do without a control plane.

import { join } from 'node:path';
import { Deferred } from '../../lib/deferred.js';
import { Program } from '../../lib/testing/program.js';
import type { TaskplaneProcesses } from '../../lib/testing/taskplane-processes.js';
import { startAgents } from '../agents.js';
import { removeBareSupervisor, type BareSupervisorOptions, type BareSupervisorResult } from '../bare-supervisor.js';
import { check, type BenchCase, type CaseContext } from '../bench-case.js';
import { countCpu } from '../cpu.js';
import { rounded, spreadOf } from '../percentiles.js';
import { benchMain } from '../run-load.js';
import { seriesOf } from '../series.js';
import { allTasks, benchTask, createAll, followTasks, within } from '../tasks.js';

const perSecondPerAgent = 500;
/** Of what the same supervisors do with nobody to tell. */
const shareOfBareMin = 0.8;
/** Of the tasks, those that the bare supervisors run before and after the cluster does. */
const bareShare = 0.5;
const bareMsMax = 120_000;

interface Bare {
  perSecond: number;
  cpuSeconds: number;
}

/** As many bare supervisors as there are agents, at once. */
async function runBare(context: CaseContext, processes: TaskplaneProcesses, round: string): Promise<Bare> {
  const { nodes } = context;
  const tasks = Math.ceil((context.tasks * bareShare) / nodes);
  context.progress(`${nodes} bare supervisors, ${tasks} processes each`);
  const programs = Array.from({ length: nodes }, (_, index) => {
    const name = `bare-${round}-${index}`;
    const options: BareSupervisorOptions = { dataDir: join(processes.directory, 'agents', name), nodeName: `${name}-${startAgents.names(1)[0]}`, tasks };
    const program = new Program({ name, command: [process.execPath, benchMain, 'bare-supervisor', JSON.stringify(options)] });
    context.afterwards(async () => {
      await program.stop();
      await removeBareSupervisor(options);
    });
    return program;
  });
  await Promise.all(programs.map((program) => program.line(/^prepared/)));
  for (const program of programs) program.signal('SIGUSR2');
  const results = await Promise.all(programs.map(async (program) => JSON.parse((await program.line(/^result /, bareMsMax)).slice('result '.length)) as BareSupervisorResult));
  const seconds = Math.max(...results.map((result) => result.seconds));
  return { perSecond: (tasks * nodes) / seconds, cpuSeconds: results.reduce((sum, result) => sum + result.cpuSeconds, 0) };
}

function truePerSecond(agents: number): BenchCase {
  return {
    name: `true-per-second/${agents}Agent${agents === 1 ? '' : 's'}`,
    description: `${agents === 1 ? 'One agent' : `${agents} agents on this one machine`}, all tasks submitted at once, each a process /bin/true: tasks per second from the first create being sent to the last durable Succeeded. bareSupervisor is what as many agents' process drivers do on directories beside, journal, guard and logs included, with half as many processes before and after and nobody to tell; shareOfBare compares.`,
    stores: ['etcd', 'embedded'],
    nodes: agents,
    tasks: agents === 1 ? 3_000 : 4_000,
    targets: [
      { figure: 'value', at: 'least', bound: perSecondPerAgent * agents },
      { figure: 'details.shareOfBare', at: 'least', bound: shareOfBareMin },
    ],
    curve: { name: 'true-per-second', x: agents },
    async run(context) {
      const { clock, tasks, nodes } = context;
      const processes = await context.start({ nodes: startAgents.names(nodes) });
      const client = await context.connect(processes.adminKubeconfig);
      await startAgents(context, processes, client);
      const before = await runBare(context, processes, 'before');
      const succeededAt = new Map<string, number>();
      const all = new Deferred<void>();
      const stopFollowing = await followTasks(client, clock, (task) => {
        if (task.status?.phase === 'Failed') all.reject(new Error(`task ${task.metadata.name} failed: ${task.status.message}`));
        if (task.status?.phase !== 'Succeeded' || succeededAt.has(task.metadata.name!)) return;
        succeededAt.set(task.metadata.name!, clock.monotonic());
        if (succeededAt.size % 500 === 0) context.progress(`${succeededAt.size} of ${tasks} tasks`);
        if (succeededAt.size === tasks) all.resolve();
      });
      context.afterwards(stopFollowing);
      const items = Array.from({ length: tasks }, (_, index) => benchTask(`true-${index}`, { command: ['/bin/true'] }));
      const cpu = await countCpu(processes);
      const start = clock.monotonic();
      const sentAt = await createAll(client, items, () => clock.monotonic());
      const created = clock.monotonic();
      await within(clock, 300_000, 'running the tasks', all.promise);
      const end = clock.monotonic();
      const used = await cpu();
      await stopFollowing();
      const found = await allTasks(client);
      check(found.length === tasks && found.every(({ status }) => status?.phase === 'Succeeded' && status.exitCode === 0 && status.attempt === 1), 'not every task succeeded at its first attempt');
      const after = await runBare(context, processes, 'after');
      const bare = (before.perSecond + after.perSecond) / 2;
      const perSecond = (tasks * 1_000) / (end - start);
      const latenciesMs = [...succeededAt].map(([name, at]) => at - sentAt.get(name)!);
      return {
        value: rounded(perSecond, 1),
        unit: 'tasks/s',
        ...spreadOf(latenciesMs),
        latenciesMs,
        series: seriesOf([...succeededAt.values()].map((at) => at - start)),
        details: {
          bareSupervisor: rounded(bare, 1),
          bareBefore: rounded(before.perSecond, 1),
          bareAfter: rounded(after.perSecond, 1),
          shareOfBare: rounded(perSecond / bare),
          perAgent: rounded(perSecond / nodes, 1),
          bareCpuPerTaskMs: rounded(((before.cpuSeconds + after.cpuSeconds) * 1_000) / (tasks * bareShare * 2)),
          seconds: rounded((end - start) / 1_000),
          createSeconds: rounded((created - start) / 1_000),
          ...used,
        },
      };
    },
  };
}

export const truePerSecond1 = truePerSecond(1);
export const truePerSecond4 = truePerSecond(4);
