// resident.ts: what a process holds in memory.

import { readFile } from 'node:fs/promises';
import { check } from './bench-case.js';
import { rounded } from './percentiles.js';

/** Resident memory, MiB. @throws Error when the process is not there */
export async function residentMiB(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kilobytes = Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]);
  check(kilobytes > 0, `the memory of process ${pid} cannot be read`);
  return rounded(kilobytes / 1_024, 1);
}
