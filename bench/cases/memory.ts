// memory.ts: what each component holds when nothing happens.

import { readFile } from 'node:fs/promises';
import { sleep } from '../../lib/clock.js';
import { startAgents } from '../agents.js';
import { check, type BenchCase } from '../bench-case.js';
import { rounded } from '../percentiles.js';

/** What was allocated at the start is given back meanwhile. */
const settleMs = 15_000;

async function residentMiB(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const kilobytes = Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]);
  check(kilobytes > 0, `the memory of process ${pid} cannot be read`);
  return rounded(kilobytes / 1_024, 1);
}

export const memory: BenchCase = {
  name: 'memory',
  description: `Resident memory ${settleMs / 1_000} s after start, nothing running: API server and controllers together; single components in the details.`,
  stores: ['etcd', 'embedded'],
  nodes: 1,
  tasks: 0,
  async run(context) {
    const processes = await context.start({ nodes: startAgents.names(context.nodes) });
    const client = await context.connect(processes.adminKubeconfig);
    await startAgents(context, processes, client);
    context.progress('waiting for memory to settle');
    await sleep(context.clock, settleMs);
    const apiserver = await residentMiB(processes.apiserver.pid);
    const controllers = await residentMiB(processes.controllers.pid);
    const agent = await residentMiB([...processes.agents.values()][0]?.pid);
    const details: Record<string, number> = { apiserver, controllers, agent };
    if (processes.etcd) details['etcd'] = await residentMiB(processes.etcd.pid);
    return { value: rounded(apiserver + controllers, 1), unit: 'MiB', details };
  },
};
