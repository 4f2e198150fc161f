// cold-start.ts: how long `taskplane dev` needs on an empty data directory, and an API server over what a cluster has stored.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { taskKind } from '../../api/task.js';
import { SystemRandom } from '../../lib/random.js';
import { Program } from '../../lib/testing/program.js';
import { taskplanePath } from '../../lib/testing/taskplane-processes.js';
import { check, type BenchCase } from '../bench-case.js';
import { percentile, rounded, spreadOf } from '../percentiles.js';
import { residentMiB } from '../resident.js';
import { fillAndRestart } from '../stored-tasks.js';

const devStarts = 5;

export const coldStartDev: BenchCase = {
  name: 'cold-start/dev',
  description: `taskplane dev on an empty data directory, built already: from the start of the process to its line "ready" (API answers, agent's node is Ready), ${devStarts} times.`,
  stores: ['embedded'],
  nodes: 1,
  tasks: 0,
  targets: [{ figure: 'p50', at: 'most', bound: 2_000 }],
  async run({ clock, progress, afterwards }) {
    const samples: number[] = [];
    for (let round = 0; round < devStarts; round++) {
      progress(`start ${round + 1} of ${devStarts}`);
      const directory = await mkdtemp(join(tmpdir(), 'taskplane-bench-'));
      const start = clock.monotonic();
      const dev = new Program({ name: 'taskplane dev', command: [process.execPath, taskplanePath, 'dev', '--no-apply', '--listen', '127.0.0.1:0', '--data-dir', join(directory, 'data')] });
      const end = async (): Promise<void> => {
        await dev.stop();
        await rm(directory, { recursive: true, force: true });
      };
      // Also when the case is interrupted meanwhile.
      afterwards(end);
      await dev.line(/^ready /);
      samples.push(clock.monotonic() - start);
      await end();
    }
    const spread = spreadOf(samples);
    return { value: spread.p50, unit: 'ms', ...spread, latenciesMs: samples };
  },
};

const serverStarts = 3;

export const coldStartFull: BenchCase = {
  name: 'cold-start/100kObjects',
  description: `An API server over "tasks" finished tasks of about 1 KB in its store: from the start of its process to requests being answered out of its full cache, ${serverStarts} times. They have been put into the store directly, as the server would have stored them.`,
  stores: ['etcd', 'embedded'],
  nodes: 0,
  tasks: 100_000,
  targets: [{ figure: 'p50', at: 'most', bound: 5_000 }],
  async run(context) {
    const { clock, tasks, progress } = context;
    const processes = await context.start();
    const rssEmpty = await residentMiB(processes.apiserver.pid);
    progress(`storing ${tasks} tasks`);
    const samples = [await fillAndRestart(processes, { count: tasks, phase: 'Succeeded', clock, random: new SystemRandom() })];
    while (samples.length < serverStarts) {
      progress(`start ${samples.length + 1} of ${serverStarts}`);
      await processes.apiserver.stop();
      const start = clock.monotonic();
      await processes.startApiserver();
      samples.push(clock.monotonic() - start);
    }
    const rssFull = await residentMiB(processes.apiserver.pid);
    const client = await context.connect(processes.adminKubeconfig);
    const { items } = await client.list(taskKind);
    check(items.length === tasks && items.every(({ status }) => status?.phase === 'Succeeded'), `${items.length} of ${tasks} stored tasks are there`);
    const spread = spreadOf(samples);
    return { value: spread.p50, unit: 'ms', ...spread, latenciesMs: samples, details: { rssEmptyMiB: rssEmpty, rssFullMiB: rssFull, objectsPerSecond: rounded((tasks * 1_000) / percentile(samples, 0.5), 0) } };
  },
};
