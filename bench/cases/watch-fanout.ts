// watch-fanout.ts: one stream of changes to many watchers.

import { fileURLToPath } from 'node:url';
import { taskKind } from '../../api/task.js';
import { Program } from '../../lib/testing/program.js';
import { check, type BenchCase } from '../bench-case.js';
import { rounded } from '../percentiles.js';
import { benchTask } from '../tasks.js';
import { WallTime } from '../wall-time.js';
import { sentAnnotation, type WatchersOptions, type WatchersResult } from '../watchers.js';

const main = fileURLToPath(new URL('../../dist/bench/main.js', import.meta.url));

/** `tasks` is the number of changes, sent one after the other. */
function watchFanout(watchers: number, changes: number): BenchCase {
  return {
    name: `watch-fanout-${watchers}`,
    description: `API server alone, one writer, ${watchers} watchers with a connection each: delivered events per second; p50 and p99 from a write being sent (and made durable) to a watcher having it. "tasks" is the number of changes.`,
    stores: ['etcd', 'embedded'],
    nodes: 0,
    tasks: changes,
    async run(context) {
      const { clock, tasks } = context;
      const processes = await context.start();
      const client = await context.connect(processes.adminKubeconfig);
      const created = await client.create(taskKind, benchTask('changing', { command: ['/bin/true'] }));
      const options: WatchersOptions = { kubeconfig: processes.adminKubeconfig, watchers, changes: tasks, resourceVersion: created.metadata.resourceVersion! };
      const program = new Program({ name: 'watchers', command: [process.execPath, main, 'watchers', JSON.stringify(options)] });
      context.afterwards(async () => void (await program.stop()));
      await program.line(/^watching /);
      const wall = new WallTime(clock);
      const start = wall.now();
      for (let change = 0; change < tasks; change++) {
        await client.mergePatch(taskKind, 'changing', 'default', { metadata: { annotations: { [sentAnnotation]: `${change} ${wall.now()}` } } });
        if (change % 100 === 0) context.progress(`${change} of ${tasks} changes to ${watchers} watchers`);
      }
      const written = wall.now();
      await program.line(/^seen /, 60_000);
      program.signal('SIGTERM');
      const result = JSON.parse((await program.line(/^result /)).slice('result '.length)) as WatchersResult;
      check(result.seen === tasks * watchers && result.wrong === 0, `a watcher missed a change or saw one twice (${result.seen} seen, ${result.wrong} out of order)`);
      const seconds = (result.lastAtMs - start) / 1_000;
      return { value: rounded(result.seen / seconds, 0), unit: 'events/s', p50: result.p50, p99: result.p99, details: { watchers, changesPerSecond: rounded((tasks * 1_000) / (written - start), 0) } };
    },
  };
}

export const watchFanout100 = watchFanout(100, 1_000);
export const watchFanout1000 = watchFanout(1_000, 300);
