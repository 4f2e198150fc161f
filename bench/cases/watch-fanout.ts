// watch-fanout.ts: one change to many watchers; then changes as fast as they are taken.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { taskKind } from '../../api/task.js';
import type { ApiClient } from '../../client/api-client.js';
import { Program } from '../../lib/testing/program.js';
import type { TaskplaneProcesses } from '../../lib/testing/taskplane-processes.js';
import { check, type BenchCase, type CaseContext } from '../bench-case.js';
import { countCpu } from '../cpu.js';
import { rounded, spreadOf } from '../percentiles.js';
import { benchMain } from '../run-load.js';
import { seriesOf } from '../series.js';
import { benchTask } from '../tasks.js';
import { WallTime } from '../wall-time.js';
import { sentAnnotation, type WatchersOptions, type WatchersResult } from '../watchers.js';

const watchersPerProcess = 2_500;
const connectMsMax = 120_000;
const seenMsMax = 60_000;
/** Of the changes, those that are sent one at a time, for the delay of a change. */
const singleShare = 0.4;

interface Watchers {
  /** Resolves when every watcher has seen so many changes. */
  seen(count: number): Promise<void>;
  /** Ends them. */
  results(): Promise<WatchersResult[]>;
}

async function startWatchers(context: CaseContext, processes: TaskplaneProcesses, count: number, resourceVersion: string): Promise<Watchers> {
  const started: { program: Program; resultPath: string }[] = [];
  for (let from = 0; from < count; from += watchersPerProcess) {
    const resultPath = join(processes.directory, `watchers-${from}.json`);
    const options: WatchersOptions = { kubeconfig: processes.adminKubeconfig, watchers: Math.min(watchersPerProcess, count - from), resourceVersion, resultPath };
    const program = new Program({ name: 'watchers', command: [process.execPath, benchMain, 'watchers', JSON.stringify(options)] });
    context.afterwards(async () => void (await program.stop()));
    started.push({ program, resultPath });
  }
  await Promise.all(started.map(({ program }) => program.line(/^watching /, connectMsMax)));
  return {
    seen: async (changes) => void (await Promise.all(started.map(({ program }) => program.line(new RegExp(`^seen ${changes}$`), seenMsMax)))),
    results: () =>
      Promise.all(
        started.map(async ({ program, resultPath }) => {
          program.signal('SIGTERM');
          await program.line(/^result /);
          return JSON.parse(await readFile(resultPath, 'utf8')) as WatchersResult;
        }),
      ),
  };
}

function changeNumber(client: ApiClient, change: number, at: number): Promise<unknown> {
  return client.mergePatch(taskKind, 'changing', 'default', { metadata: { annotations: { [sentAnnotation]: `${change} ${at}` } } });
}

/** `tasks` is the number of changes. */
function watchFanout(watchers: number, changes: number): BenchCase {
  return {
    name: `watch-fanout/${watchers}`,
    description: `API server alone, one writer, ${watchers} watchers with a connection each. First one change at a time: p50 and p99 from a write being sent (and made durable) to each watcher having it. Then changes one after the other as fast as writes are answered: events delivered per second until the last watcher has the last. "tasks" is the number of changes.`,
    stores: ['etcd', 'embedded'],
    nodes: 0,
    tasks: changes,
    curve: { name: 'watch-fanout', x: watchers },
    async run(context) {
      const { clock, tasks } = context;
      const processes = await context.start();
      const client = await context.connect(processes.adminKubeconfig);
      const created = await client.create(taskKind, benchTask('changing', { command: ['/bin/true'] }));
      context.progress(`connecting ${watchers} watchers`);
      const watching = await startWatchers(context, processes, watchers, created.metadata.resourceVersion!);
      const wall = new WallTime(clock);
      const singles = Math.max(1, Math.floor(tasks * singleShare));
      for (let change = 0; change < singles; change++) {
        await changeNumber(client, change, wall.now());
        await watching.seen(change + 1);
        if (change % 10 === 0) context.progress(`${change} of ${singles} single changes to ${watchers} watchers`);
      }
      const counted = await countCpu(processes);
      const start = wall.now();
      for (let change = singles; change < tasks; change++) await changeNumber(client, change, wall.now());
      const written = wall.now();
      context.progress(`${tasks - singles} changes sent`);
      await watching.seen(tasks);
      const used = await counted();
      const results = await watching.results();
      const wrong = results.reduce((sum, result) => sum + result.wrong, 0);
      const delaysOf = (change: number): number[] => results.flatMap((result) => result.delaysMs[change] ?? []);
      const delivered = Array.from({ length: tasks }, (_, change) => delaysOf(change).length);
      check(wrong === 0 && delivered.every((count) => count === watchers), `a watcher missed a change or saw one twice (${wrong} out of order)`);
      const completeAt = Array.from({ length: tasks - singles }, (_, index) => Math.max(...results.map((result) => result.completeAtMs[singles + index]!)) - start);
      const latenciesMs = Array.from({ length: singles }, (_, change) => delaysOf(change)).flat();
      const burst = spreadOf(Array.from({ length: tasks - singles }, (_, index) => delaysOf(singles + index)).flat());
      const seconds = completeAt.at(-1)! / 1_000;
      return {
        value: rounded(((tasks - singles) * watchers) / seconds, 0),
        unit: 'events/s',
        ...spreadOf(latenciesMs),
        latenciesMs,
        series: seriesOf(completeAt, { weight: watchers }),
        details: {
          watchers,
          seconds: rounded(seconds),
          changesPerSecond: rounded(((tasks - singles) * 1_000) / (written - start), 0),
          burstDelayP50: burst.p50,
          burstDelayP99: burst.p99,
          ...used,
        },
      };
    },
  };
}

export const watchFanout100 = watchFanout(100, 1_000);
export const watchFanout1000 = watchFanout(1_000, 250);
export const watchFanout5000 = watchFanout(5_000, 60);
