// api-list.ts: lists of everything, whole and in pages, as clients read them.

import { taskKind } from '../../api/task.js';
import { check, type BenchCase } from '../bench-case.js';
import { rounded, spreadOf } from '../percentiles.js';
import { benchTask, createAll } from '../tasks.js';

const lists = 20;
const pageSize = 500;

export const apiList: BenchCase = {
  name: 'api-list',
  description: 'API server alone: milliseconds to list all tasks in one answer (p50, p99); in pages of 500 in the details. The text is received, not parsed.',
  stores: ['etcd', 'embedded'],
  nodes: 0,
  tasks: 10_000,
  async run(context) {
    const { clock, tasks } = context;
    const processes = await context.start();
    const client = await context.connect(processes.adminKubeconfig);
    await createAll(client, Array.from({ length: tasks }, (_, index) => benchTask(`list-${index}`, { command: ['/bin/true'] })), () => clock.monotonic());
    const whole: number[] = [];
    let bytes = 0;
    for (let round = 0; round < lists; round++) {
      const start = clock.monotonic();
      const answer = await client.transport.request({ method: 'GET', path: '/apis/taskplane.dev/v1/tasks', headers: { accept: 'application/json' } });
      whole.push(clock.monotonic() - start);
      bytes = answer.body.length;
      if (round === 0) check((JSON.parse(answer.body) as { items: unknown[] }).items.length === tasks, 'the list is not whole');
    }
    const paged: number[] = [];
    for (let round = 0; round < 3; round++) {
      const start = clock.monotonic();
      const names = new Set<string>();
      let token: string | undefined;
      do {
        const page = await client.list(taskKind, { limit: pageSize, ...(token ? { continue: token } : {}) });
        for (const item of page.items) names.add(item.metadata.name!);
        token = page.metadata.continue;
      } while (token);
      paged.push(clock.monotonic() - start);
      check(names.size === tasks, 'the pages together are not whole');
    }
    const spread = spreadOf(whole);
    return { value: spread.p50, unit: 'ms', ...spread, details: { objectsPerSecond: rounded((tasks * 1_000) / spread.p50, 0), mebibytes: rounded(bytes / 2 ** 20, 1), pagedP50: spreadOf(paged).p50 } };
  },
};
