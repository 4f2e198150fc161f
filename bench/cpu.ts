// cpu.ts: processor time of the components while a case measures. It says who works, and changes less than the clock's
// figures do when others use the machine, too.

import { readFile } from 'node:fs/promises';
import type { TaskplaneProcesses } from '../lib/testing/taskplane-processes.js';
import { rounded } from './percentiles.js';

/** Clock ticks per second of /proc, on every Linux that Node runs on. */
const ticksPerSecond = 100;

async function cpuSeconds(pid: number | undefined): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // After the name, which may hold anything: state is the first field, utime and stime are the 12th and 13th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / ticksPerSecond;
}

/** Starts to count. @returns what answers the seconds of each component since then; agents together */
export async function countCpu(processes: TaskplaneProcesses): Promise<() => Promise<Record<string, number>>> {
  const pids: Record<string, (number | undefined)[]> = {
    cpuApiserver: [processes.apiserver.pid],
    cpuControllers: [processes.controllers.pid],
    cpuAgents: [...processes.agents.values()].map((agent) => agent.pid),
    cpuEtcd: processes.etcd ? [processes.etcd.pid] : [],
  };
  const read = async (): Promise<[string, number][]> =>
    Promise.all(Object.entries(pids).filter(([, some]) => some.length > 0).map(async ([name, some]): Promise<[string, number]> => [name, (await Promise.all(some.map(cpuSeconds))).reduce((sum, seconds) => sum + seconds, 0)]));
  const before = new Map(await read());
  return async () => Object.fromEntries((await read()).map(([name, seconds]) => [name, rounded(seconds - before.get(name)!)]));
}
