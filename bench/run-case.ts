// run-case.ts: one case on one store, with everything it started ended again, whatever happened.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApiClient } from '../client/api-client.js';
import { HttpsTransport } from '../client/https-transport.js';
import { loadKubeConfig } from '../client/kubeconfig.js';
import { SystemClock } from '../lib/clock.js';
import { TaskplaneProcesses, type StoreName } from '../lib/testing/taskplane-processes.js';
import type { BenchCase, CaseContext, Measurement } from './bench-case.js';
import { childrenOf } from './children.js';
import { countCpu } from './cpu.js';
import { fsyncMs, loadAverage } from './machine.js';
import { watchProduction } from './production.js';

export interface RunOptions {
  store: StoreName;
  nodes: number;
  tasks: number;
  progress(text: string): void;
  /** Aborts on Ctrl-C: what was started is ended before the process is. */
  signal: AbortSignal;
}

/** No case may run for ever. */
const caseMsMax = 15 * 60_000;

/**
 * Measures. Beside the details of the case come those of the machine just before it (`fsyncMs`, `loadAverage`), and, unless
 * the case has counted a window of its own, processor time and the like of the whole case (see cpu.ts).
 * @throws Error, with what the components said, when the case fails, its result is wrong, it was interrupted, a process was
 *   not run as in production, or something was left behind
 */
export async function runCase(benchCase: BenchCase, options: RunOptions): Promise<Measurement> {
  const clock = new SystemClock();
  const cleanups: (() => Promise<unknown>)[] = [];
  let processes: TaskplaneProcesses | undefined;
  let counted: (() => Promise<Record<string, number>>) | undefined;
  const over = new AbortController();
  const context: CaseContext = {
    store: options.store,
    nodes: options.nodes,
    tasks: options.tasks,
    clock,
    signal: over.signal,
    progress: options.progress,
    start: async (given = {}) => {
      const starting = TaskplaneProcesses.start({ ...given, store: options.store });
      // From now on, even if the case is interrupted before it has started.
      cleanups.push(async () => (await starting.catch(() => undefined))?.stop());
      processes = await starting;
      counted = await countCpu(processes);
      return processes;
    },
    connect: async (kubeconfig, { maxSockets } = {}) => {
      const transport = new HttpsTransport({ access: await loadKubeConfig({ path: kubeconfig }), maxSockets });
      cleanups.push(() => transport.close());
      return new ApiClient({ transport, userAgent: 'taskplane-bench' });
    },
    afterwards: (cleanup) => void cleanups.push(cleanup),
  };
  const before = { fsyncMs: fsyncMs(clock), loadAverage: loadAverage() };
  const ended = new Promise<never>((_, reject) => {
    const timer = clock.timer(caseMsMax, () => reject(new Error(`the case took longer than ${caseMsMax / 1_000} s`)));
    over.signal.addEventListener('abort', () => timer.cancel(), { once: true });
    options.signal.addEventListener('abort', () => reject(new Error('interrupted')), { once: true, signal: over.signal });
    if (options.signal.aborted) reject(new Error('interrupted'));
  });
  const asInProduction = watchProduction({ pid: process.pid, clock, signal: over.signal });
  // Either may fail before the case has begun and somebody waits for it.
  for (const early of [ended, asInProduction]) early.catch(() => undefined);
  const scratch = await ownScratch();
  try {
    const running = benchCase.run(context);
    const measured = await Promise.race([running, ended, asInProduction.then(() => running)]);
    const whole = measured.details?.['cpuApiserver'] === undefined && counted ? await counted() : {};
    return { ...measured, details: { ...before, ...whole, ...measured.details } };
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : String(error)}\n${processes?.tails(20) ?? ''}`, { cause: error });
  } finally {
    over.abort();
    const problems: unknown[] = [];
    for (const cleanup of cleanups.reverse()) await cleanup().catch((error: unknown) => void problems.push(error));
    await scratch.remove();
    problems.push(...(await leftBehind()));
    for (const problem of problems) process.stderr.write(`while cleaning up after ${benchCase.name}: ${String(problem)}\n`);
  }
}

/** A directory that is the temporary one of this process, and of those it starts, until it is removed. */
async function ownScratch(): Promise<{ remove(): Promise<void> }> {
  const before = process.env['TMPDIR'];
  const path = await mkdtemp(join(tmpdir(), 'tpbench-'));
  process.env['TMPDIR'] = path;
  return {
    remove: async () => {
      if (before === undefined) delete process.env['TMPDIR'];
      else process.env['TMPDIR'] = before;
      await rm(path, { recursive: true, force: true });
    },
  };
}

/** Ends what a case has started and not ended. @returns a sentence on each */
async function leftBehind(): Promise<string[]> {
  const left = await childrenOf(process.pid);
  for (const { pid } of left) process.kill(pid, 'SIGKILL');
  return left.map(({ argv }) => `a process was left behind: ${argv.slice(0, 4).join(' ')}`);
}
