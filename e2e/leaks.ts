// leaks.ts
//
// What a cluster must not leave behind. A process is the cluster's when its environment, working directory, output files or
// command line lead into the cluster's directory: components carry the directory in their environment, tasks write their
// output below it. The kernel tells nobody that a process that is not our child has ended, so this is read again until it
// is true or time is up.

import { readFile, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { sleep, type Clock } from '../lib/clock.js';

export interface FoundProcess {
  pid: number;
  commandLine: string;
}

/** Processes of the cluster in `directory`; zombies, which only wait to be read by their parent, are left out. */
export async function processesOf(directory: string): Promise<FoundProcess[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  const found = await Promise.all(pids.map((pid) => processIfOf(pid, directory)));
  return found.filter((process) => process !== undefined);
}

async function processIfOf(pid: string, directory: string): Promise<FoundProcess | undefined> {
  const folder = join('/proc', pid);
  try {
    const commandLine = (await readFile(join(folder, 'cmdline'), 'utf8')).replaceAll('\0', ' ').trim();
    // Threads of the kernel and zombies have none.
    if (commandLine === '') return undefined;
    const environment = await readFile(join(folder, 'environ'), 'utf8');
    const links = await Promise.all(['cwd', 'fd/1', 'fd/2'].map((name) => readlink(join(folder, name)).catch(() => '')));
    const traces = [commandLine, environment, ...links];
    return traces.some((trace) => trace.includes(directory)) ? { pid: Number(pid), commandLine } : undefined;
  } catch {
    // Ended while we looked, or another user's.
    return undefined;
  }
}

/** Control groups of attempts on the nodes: folders below `taskplane/NODE` in every hierarchy; not those of the nodes themselves. */
export async function attemptCgroupsOf(nodes: readonly string[]): Promise<string[]> {
  const found = await cgroupsOf(nodes);
  // taskplane/NODE-HASH is the node's own.
  return found.filter((path) => !/\/taskplane\/[^/]+$/.test(path) && !path.endsWith('/agent-helper'));
}

/** All control groups that bear the name of one of the nodes. */
export async function cgroupsOf(nodes: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  const walk = async (folder: string): Promise<void> => {
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
    for (const entry of entries.filter((candidate) => candidate.isDirectory())) {
      const path = join(folder, entry.name);
      if (nodes.some((node) => path.includes(`/taskplane/${node}`))) found.push(path);
      await walk(path);
    }
  };
  await walk('/sys/fs/cgroup');
  return found;
}

const askAgainMs = 25;

/** Resolves when `look` finds nothing. @throws Error with what it still found after `timeoutMs` */
export async function untilNothing<T>(what: string, look: () => Promise<readonly T[]>, clock: Clock, timeoutMs = 15_000): Promise<void> {
  const deadline = clock.monotonic() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found.length === 0) return;
    if (clock.monotonic() > deadline) throw new Error(`leaked ${what}:\n${found.map((item) => JSON.stringify(item)).join('\n')}`);
    await sleep(clock, askAgainMs);
  }
}

/** Resolves with the first answer of `look` that is not undefined. */
export async function untilSomething<T>(what: string, look: () => Promise<T | undefined>, clock: Clock, timeoutMs = 30_000): Promise<T> {
  const deadline = clock.monotonic() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (clock.monotonic() > deadline) throw new Error(`timed out after ${timeoutMs} ms waiting for ${what}`);
    await sleep(clock, askAgainMs);
  }
}
