// api-list.ts: lists of everything, whole and in pages, as clients read them.

import { taskKind } from '../../api/task.js';
import { check, type BenchCase } from '../bench-case.js';
import { rounded, spreadOf } from '../percentiles.js';
import { residentMiB } from '../resident.js';
import { load } from '../run-load.js';
import { benchTask, createAll } from '../tasks.js';

const lists = 20;
const pageSize = 500;

export const apiList: BenchCase = {
  name: 'api-list-50k',
  description: `API server alone: objects per second of ${lists} lists of all tasks, each in one answer, one after the other; p50 and p99 of a list; memory of the API server with the tasks in it, its peak and afterwards. In pages of ${pageSize}, parsed, in the details.`,
  stores: ['etcd', 'embedded'],
  nodes: 0,
  tasks: 50_000,
  async run(context) {
    const { clock, tasks } = context;
    const processes = await context.start();
    const client = await context.connect(processes.adminKubeconfig);
    await createAll(client, Array.from({ length: tasks }, (_, index) => benchTask(`list-${index}`, { command: ['/bin/true'] })), () => clock.monotonic());
    const rssBefore = await residentMiB(processes.apiserver.pid);
    const { result, details } = await load(context, processes, { connections: 1, plan: { do: 'list', count: lists } });
    const rssAfter = await residentMiB(processes.apiserver.pid);
    const whole = await client.list(taskKind);
    check(new Set(whole.items.map(({ metadata }) => metadata.name)).size === tasks, 'the list is not whole');
    const start = clock.monotonic();
    const names = new Set<string>();
    let token: string | undefined;
    do {
      const page = await client.list(taskKind, { limit: pageSize, ...(token ? { continue: token } : {}) });
      for (const item of page.items) names.add(item.metadata.name!);
      token = page.metadata.continue;
    } while (token);
    const pagedMs = clock.monotonic() - start;
    check(names.size === tasks, 'the pages together are not whole');
    return {
      value: rounded((tasks * lists) / result.seconds, 0),
      unit: 'objects/s',
      ...spreadOf(result.latenciesMs),
      latenciesMs: result.latenciesMs,
      details: { ...details, mebibytesPerList: rounded(result.bytes / lists / 2 ** 20, 1), rssBeforeMiB: rssBefore, rssAfterMiB: rssAfter, pagedMs: rounded(pagedMs, 0) },
    };
  },
};
