// api-get.ts: reads of single objects.

import { check, type BenchCase } from '../bench-case.js';
import { load, loadMeasurement } from '../run-load.js';
import { benchTask, createAll } from '../tasks.js';

const connections = 64;
const objects = 1_000;

export const apiGet: BenchCase = {
  name: 'api-get',
  description: `API server alone, ${connections} connections with one request in flight each, GET of one of ${objects} tasks per request, each as new as the newest acknowledged write: answers per second. "tasks" is the number of requests.`,
  stores: ['etcd', 'embedded'],
  nodes: 0,
  tasks: 50_000,
  async run(context) {
    const { clock, tasks } = context;
    const processes = await context.start();
    const client = await context.connect(processes.adminKubeconfig);
    await createAll(client, Array.from({ length: objects }, (_, index) => benchTask(`get-${index}`, { command: ['/bin/true'] })), () => clock.monotonic());
    const loaded = await load(context, processes, { connections, plan: { do: 'get', prefix: 'get-', count: tasks, of: objects } });
    // Each answer is a whole task: shorter ones are of something else.
    check(loaded.result.bytes / tasks > 300, 'an answer is too short to be a task');
    return loadMeasurement(loaded, 'requests/s');
  },
};
