// lifecycle.ts: whole lives of tasks: created, bound, running, succeeded, each of the four on disk.

import type { Task } from '../../../api/task.js';
import { check, type BenchCase } from '../../bench-case.js';
import { countCpu } from '../../cpu.js';
import { rounded, spreadOf } from '../../percentiles.js';
import { seriesOf } from '../../series.js';
import { allTasks, prepareCreates, sendCreates, within } from '../../tasks.js';
import { WallTime } from '../../wall-time.js';
import { startSchedulingCluster } from './cluster.js';
import { measuredTasks } from './throughput.js';

const endMsMax = 180_000;

function lifecycleCase(name: string, taskMs: number, how: string): BenchCase {
  return {
    name,
    description: `Tasks per second, from the first bulk create being sent (bodies are made before) to the server having the end of the last one on disk; p50 and p99 from the create of a task being sent to its agent having the answer that its end was taken. Nodes are hollow agents over real TLS connections; they bring their reports, and the event of each start, with a real agent's own code, those of many tasks in one request. ${how}`,
    stores: ['etcd', 'embedded'],
    nodes: 500,
    tasks: 10_000,
    targets: [{ figure: 'value', at: 'least', bound: 2_500 }],
    async run(context) {
      const { clock, tasks: count } = context;
      const cluster = await startSchedulingCluster(context, { holds: count, taskMs });
      const { processes, client, hollow } = cluster;
      const creates = prepareCreates(measuredTasks(count));
      const allEnded = hollow.reached('succeeded', count);
      const wall = new WallTime(clock);
      const cpu = await countCpu(processes);
      const start = wall.now();
      const sentAt = await sendCreates(client, creates, () => wall.now());
      context.progress(`created ${count} tasks`);
      await within(clock, endMsMax, 'running the tasks', allEnded);
      const used = await cpu();
      const { bound, succeeded } = await hollow.results();
      judge(await allTasks(client), new Set(sentAt.keys()), new Map(bound.map(([task, node]) => [task, node])), succeeded.length);
      check(bound.length === count, `${bound.length} bindings of ${count} tasks reached agents`);
      const ends = succeeded.map(([, at]) => at - start);
      const latenciesMs = succeeded.map(([task, at]) => at - sentAt.get(task)!);
      const seconds = ends.reduce((latest, at) => Math.max(latest, at), 0) / 1_000;
      return {
        value: rounded(count / seconds, 0),
        unit: 'tasks/s',
        ...spreadOf(latenciesMs),
        series: seriesOf(ends),
        latenciesMs: latenciesMs.map((latency) => rounded(latency, 1)),
        details: { seconds: rounded(seconds), ...cluster.details, ...used },
      };
    },
  };
}

/** Each task was bound once, ran on the node whose agent was told, and has succeeded with all that its agent said. */
function judge(found: readonly Task[], expected: ReadonlySet<string>, nodeOf: ReadonlyMap<string, string>, ends: number): void {
  check(ends === expected.size && found.length === expected.size, `${ends} ends of ${found.length} of ${expected.size} tasks`);
  const wrong = found.find(({ metadata, status }) => {
    const isWhole = status?.phase === 'Succeeded' && status.exitCode === 0 && Boolean(status.startTime && status.finishTime && status.scheduledTime);
    return !expected.has(metadata.name!) || !isWhole || status.bindings !== 1 || status.attempt !== 1 || status.nodeName !== nodeOf.get(metadata.name!);
  });
  check(!wrong, `task ${wrong?.metadata.name} did not live as it should: ${JSON.stringify(wrong?.status)}`);
}

const lastMs = 100;

export const lifecycleCases: readonly BenchCase[] = [
  lifecycleCase('lifecycle', lastMs, `Tasks last ${lastMs} ms; an agent tells of no end before the server has the start on disk, so that every task is written four times, and its event once.`),
  lifecycleCase('lifecycle/instant', 0, 'Tasks last no time, so that an agent has only their end to tell when it comes to it, start included: as of real tasks that are shorter than a report.'),
];
