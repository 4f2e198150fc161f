// submit-to-running.ts: how long after the POST of a task its process runs, on an idle cluster, one task at a time. The
// process itself writes the time.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isFinished, taskKind } from '../../api/task.js';
import { Deferred } from '../../lib/deferred.js';
import { check, type BenchCase } from '../bench-case.js';
import { spreadOf } from '../percentiles.js';
import { benchTask, followTasks, within } from '../tasks.js';
import { startAgents } from '../agents.js';
import { WallTime } from '../wall-time.js';

/** The first tasks warm up what is compiled and connected once. */
const warmUp = 20;

export const submitToRunning: BenchCase = {
  name: 'submit-to-running',
  description: 'Idle cluster, one agent, one task at a time: from the POST being sent to the time that the process writes.',
  stores: ['etcd', 'embedded'],
  nodes: 1,
  tasks: 300,
  async run(context) {
    const { clock, tasks, nodes } = context;
    const processes = await context.start({ nodes: startAgents.names(nodes) });
    const client = await context.connect(processes.adminKubeconfig);
    await startAgents(context, processes, client);
    const wall = new WallTime(clock);
    const finished = new Map<string, Deferred<void>>();
    const stopFollowing = await followTasks(client, clock, (task) => {
      if (isFinished(task)) finished.get(task.metadata.name!)?.resolve();
    });
    context.afterwards(stopFollowing);
    const started: number[] = [];
    const answered: number[] = [];
    for (let index = 0; index < tasks + warmUp; index++) {
      const name = `now-${index}`;
      const file = join(processes.directory, name);
      finished.set(name, new Deferred());
      const sentAt = wall.now();
      await client.create(taskKind, benchTask(name, { command: ['/bin/sh', '-c', `exec date +%s.%N > ${file}`] }));
      const answeredAt = wall.now();
      await within(clock, 30_000, `task ${name}`, finished.get(name)!.promise);
      if (index < warmUp) continue;
      const startedAt = Number(await readFile(file, 'utf8')) * 1_000;
      check(startedAt > sentAt - 1, `task ${name} ran before it was submitted`);
      started.push(startedAt - sentAt);
      answered.push(answeredAt - sentAt);
      if (index % 50 === 0) context.progress(`${index - warmUp} of ${tasks} tasks`);
    }
    const spread = spreadOf(started);
    return { value: spread.p50, unit: 'ms', ...spread, details: { createP50: spreadOf(answered).p50, createP99: spreadOf(answered).p99, max: Number(Math.max(...started).toFixed(2)) } };
  },
};
