// api-create.ts: single creates, as many clients at once would send them.

import { taskKind } from '../../api/task.js';
import { check, type BenchCase } from '../bench-case.js';
import { rounded, spreadOf } from '../percentiles.js';
import { allTasks, benchTask } from '../tasks.js';

const connections = 64;

export const apiCreate: BenchCase = {
  name: 'api-create',
  description: `API server alone, ${connections} connections, one task of about 1 KB per request: durable creates per second.`,
  stores: ['etcd', 'embedded'],
  nodes: 0,
  tasks: 20_000,
  async run(context) {
    const { clock, tasks } = context;
    const processes = await context.start();
    const client = await context.connect(processes.adminKubeconfig, { maxSockets: connections });
    const padding = 'x'.repeat(600);
    const samples: number[] = [];
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < tasks) {
        const index = next++;
        const start = clock.monotonic();
        await client.create(taskKind, benchTask(`create-${index}`, { command: ['/bin/true'], env: [{ name: 'PADDING', value: padding }] }));
        samples.push(clock.monotonic() - start);
        if (index % 2_000 === 0) context.progress(`${index} of ${tasks} creates`);
      }
    };
    const start = clock.monotonic();
    await Promise.all(Array.from({ length: connections }, worker));
    const seconds = (clock.monotonic() - start) / 1_000;
    check((await allTasks(client)).length === tasks, 'a create is missing');
    return { value: rounded(tasks / seconds, 0), unit: 'creates/s', ...spreadOf(samples), details: { connections, seconds: rounded(seconds) } };
  },
};
