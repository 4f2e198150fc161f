// true-per-second.ts: how many real processes one agent runs per second, from submission to a durable Succeeded.

import { Deferred } from '../../lib/deferred.js';
import { startAgents } from '../agents.js';
import { countCpu } from '../cpu.js';
import { check, type BenchCase } from '../bench-case.js';
import { rounded, spreadOf } from '../percentiles.js';
import { allTasks, benchTask, createAll, followTasks, within } from '../tasks.js';

export const truePerSecond: BenchCase = {
  name: 'true-per-second',
  description: 'One agent, all tasks submitted at once, each runs /bin/true: tasks per second from the first create to the last durable Succeeded.',
  stores: ['etcd', 'embedded'],
  nodes: 1,
  tasks: 3_000,
  async run(context) {
    const { clock, tasks, nodes } = context;
    const processes = await context.start({ nodes: startAgents.names(nodes) });
    const client = await context.connect(processes.adminKubeconfig);
    await startAgents(context, processes, client);
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
    const cpu = await countCpu(processes);
    const start = clock.monotonic();
    const sentAt = await createAll(client, Array.from({ length: tasks }, (_, index) => benchTask(`true-${index}`, { command: ['/bin/true'] })), () => clock.monotonic());
    const created = clock.monotonic();
    await within(clock, 300_000, 'running the tasks', all.promise);
    const end = clock.monotonic();
    const used = await cpu();
    const found = await allTasks(client);
    check(found.length === tasks && found.every(({ status }) => status?.phase === 'Succeeded' && status.exitCode === 0 && status.attempt === 1), 'not every task succeeded at its first attempt');
    const spread = spreadOf([...succeededAt].map(([name, at]) => at - sentAt.get(name)!));
    return { value: rounded((tasks * 1_000) / (end - start), 1), unit: 'tasks/s', ...spread, details: { seconds: rounded((end - start) / 1_000), createSeconds: rounded((created - start) / 1_000), ...used } };
  },
};
