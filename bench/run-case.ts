// run-case.ts: one case on one store, with everything it started ended again, whatever happened.

import { ApiClient } from '../client/api-client.js';
import { HttpsTransport } from '../client/https-transport.js';
import { loadKubeConfig } from '../client/kubeconfig.js';
import { SystemClock } from '../lib/clock.js';
import { TaskplaneProcesses, type StoreName } from '../lib/testing/taskplane-processes.js';
import type { BenchCase, CaseContext, Measurement } from './bench-case.js';
import { within } from './tasks.js';

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

/** @throws Error, with what the components said, when the case fails or its result is wrong */
export async function runCase(benchCase: BenchCase, options: RunOptions): Promise<Measurement> {
  const clock = new SystemClock();
  const cleanups: (() => Promise<unknown>)[] = [];
  let processes: TaskplaneProcesses | undefined;
  const over = new AbortController();
  const context: CaseContext = {
    store: options.store,
    nodes: options.nodes,
    tasks: options.tasks,
    clock,
    signal: over.signal,
    progress: options.progress,
    start: async (given = {}) => {
      const started = await TaskplaneProcesses.start({ ...given, store: options.store });
      processes = started;
      cleanups.push(() => started.stop());
      return started;
    },
    connect: async (kubeconfig, { maxSockets } = {}) => {
      const transport = new HttpsTransport({ access: await loadKubeConfig({ path: kubeconfig }), maxSockets });
      cleanups.push(() => transport.close());
      return new ApiClient({ transport, userAgent: 'taskplane-bench' });
    },
    afterwards: (cleanup) => void cleanups.push(cleanup),
  };
  const interrupted = new Promise<never>((_, reject) => options.signal.addEventListener('abort', () => reject(new Error('interrupted')), { once: true }));
  try {
    return await Promise.race([within(clock, caseMsMax, `case ${benchCase.name}`, benchCase.run(context)), interrupted]);
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : String(error)}\n${processes?.tails(20) ?? ''}`, { cause: error });
  } finally {
    over.abort();
    for (const cleanup of cleanups.reverse()) await cleanup().catch((error: unknown) => void process.stderr.write(`while cleaning up after ${benchCase.name}: ${String(error)}\n`));
  }
}
