// cold-start.ts: how long `taskplane dev` needs on an empty data directory.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Program } from '../../lib/testing/program.js';
import { taskplanePath } from '../../lib/testing/taskplane-processes.js';
import type { BenchCase } from '../bench-case.js';
import { spreadOf } from '../percentiles.js';

const starts = 5;

export const coldStart: BenchCase = {
  name: 'cold-start',
  description: `taskplane dev on an empty data directory, built already: from the start of the process to its line "ready" (API answers, agent's node is Ready), ${starts} times.`,
  stores: ['embedded'],
  nodes: 1,
  tasks: 0,
  async run({ clock, progress, afterwards }) {
    const samples: number[] = [];
    for (let round = 0; round < starts; round++) {
      progress(`start ${round + 1} of ${starts}`);
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
    return { value: spread.p50, unit: 'ms', ...spread };
  },
};
