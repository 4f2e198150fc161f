// api-patch.ts: merge patches of different tasks, and of one task by all clients at once.

import { taskKind } from '../../api/task.js';
import { check, type BenchCase } from '../bench-case.js';
import { rounded, spreadOf } from '../percentiles.js';
import { load, loadMeasurement } from '../run-load.js';
import { benchTask, createAll } from '../tasks.js';

const connections = 64;
const objects = 1_000;

export const apiPatch: BenchCase = {
  name: 'api-patch',
  description: `API server alone, ${connections} connections with one request in flight each, a JSON merge patch of one of ${objects} tasks per request: durable patches per second. In the details a fifth as many by all connections on one task. "tasks" is the number of patches.`,
  stores: ['etcd', 'embedded'],
  nodes: 0,
  tasks: 20_000,
  async run(context) {
    const { clock, tasks } = context;
    const processes = await context.start();
    const client = await context.connect(processes.adminKubeconfig);
    await createAll(client, Array.from({ length: objects }, (_, index) => benchTask(`patch-${index}`, { command: ['/bin/true'] })), () => clock.monotonic());
    await client.create(taskKind, benchTask('contended-0', { command: ['/bin/true'] }));
    const spread = await load(context, processes, { connections, plan: { do: 'patch', prefix: 'patch-', count: tasks, of: objects } });
    const patched = (await client.list(taskKind)).items.filter(({ metadata }) => metadata.annotations?.['bench.taskplane.dev/turn'] !== undefined);
    check(patched.length === Math.min(tasks, objects), `${patched.length} of ${Math.min(tasks, objects)} tasks have been patched`);
    const contended = await load(context, processes, { connections, plan: { do: 'patch', prefix: 'contended-', count: Math.ceil(tasks / 5), of: 1 } });
    const latencies = spreadOf(contended.result.latenciesMs);
    const measured = loadMeasurement(spread, 'patches/s');
    return {
      ...measured,
      details: {
        ...measured.details,
        contendedPerSecond: rounded(contended.result.latenciesMs.length / contended.result.seconds, 0),
        contendedP50: latencies.p50,
        contendedP99: latencies.p99,
        contendedCpuApiserver: contended.details['cpuApiserver'] ?? 0,
        contendedStoreWrites: contended.details['storeWrites'] ?? 0,
      },
    };
  },
};
