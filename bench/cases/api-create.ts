// api-create.ts: creates, one task in a request and a thousand, as many clients at once would send them.

import type { ApiClient } from '../../client/api-client.js';
import { taskKind } from '../../api/task.js';
import { check, type BenchCase, type CaseContext } from '../bench-case.js';
import type { LoadPlan } from '../load.js';
import { load, loadMeasurement, type Loaded } from '../run-load.js';

const connections = 64;
const bulkSize = 1_000;
const bulkConnections = 4;

/** Runs the load, then looks whether everything is there, once. */
async function createsOf(context: CaseContext, options: { connections: number; plan: LoadPlan }): Promise<Loaded> {
  const processes = await context.start();
  const loaded = await load(context, processes, options);
  await checkNames(await context.connect(processes.adminKubeconfig), context.tasks);
  return loaded;
}

async function checkNames(client: ApiClient, count: number): Promise<void> {
  const names = new Set<string>();
  let token: string | undefined;
  do {
    const page = await client.list(taskKind, { limit: 5_000, ...(token ? { continue: token } : {}) });
    for (const { metadata } of page.items) names.add(metadata.name!);
    token = page.metadata.continue;
  } while (token);
  check(names.size === count, `${names.size} of ${count} created tasks are there`);
}

export const apiCreate: BenchCase = {
  name: 'api-create',
  description: `API server alone, ${connections} connections with one request in flight each, one task of about 1 KB per request: from the first request being sent to the last answer, each of which says that the task is on disk. The requests are made before.`,
  stores: ['etcd', 'embedded'],
  nodes: 0,
  tasks: 30_000,
  targets: [{ figure: 'value', at: 'least', bound: 6_000 }],
  async run(context) {
    return loadMeasurement(await createsOf(context, { connections, plan: { do: 'create', prefix: 'create-', count: context.tasks } }), 'creates/s');
  },
};

export const apiBulkCreate: BenchCase = {
  name: 'api-bulk-create',
  description: `API server alone, ${bulkSize} tasks of about 0.3 KB per request, ${bulkConnections} requests in flight: objects per second from the first request being sent to the last answer, which says that they are on disk. p50 and p99 are of requests.`,
  stores: ['etcd', 'embedded'],
  nodes: 0,
  tasks: 100_000,
  targets: [{ figure: 'value', at: 'least', bound: 25_000 }],
  async run(context) {
    const { tasks } = context;
    const plan: LoadPlan = { do: 'bulk-create', prefix: 'bulk-', count: tasks, perRequest: bulkSize };
    const loaded = await createsOf(context, { connections: bulkConnections, plan });
    return loadMeasurement(loaded, 'objects/s', tasks / loaded.result.latenciesMs.length);
  },
};
