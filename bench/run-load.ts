// run-load.ts: one load.ts process from its start to its result, and what the servers did meanwhile.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Program } from '../lib/testing/program.js';
import type { TaskplaneProcesses } from '../lib/testing/taskplane-processes.js';
import { check, type CaseContext, type Measurement } from './bench-case.js';
import { countCpu } from './cpu.js';
import type { LoadOptions, LoadPlan, LoadResult } from './load.js';
import { rounded, spreadOf } from './percentiles.js';
import { seriesOf } from './series.js';

/** Of the bundle, every file of which is two levels below the checkout. */
export const benchMain = fileURLToPath(new URL('../../dist/bench/main.js', import.meta.url));

const loadMsMax = 180_000;

export interface Loaded {
  readonly result: LoadResult;
  /** countCpu's, between the first request and the last answer, and the load generator's own part. */
  readonly details: Record<string, number>;
}

/** @throws Error when an answer was wrong */
export async function load(context: CaseContext, processes: TaskplaneProcesses, { connections, plan }: { connections: number; plan: LoadPlan }): Promise<Loaded> {
  const options: LoadOptions = { kubeconfig: processes.adminKubeconfig, connections, plan, resultPath: join(processes.directory, `load-${plan.do}.json`) };
  const program = new Program({ name: `load ${plan.do}`, command: [process.execPath, benchMain, 'load', JSON.stringify(options)] });
  context.afterwards(async () => void (await program.stop()));
  context.progress(`preparing requests: ${plan.do}`);
  await program.line(/^prepared /);
  const counted = await countCpu(processes);
  context.progress(`${plan.count} × ${plan.do} over ${connections} connections`);
  program.signal('SIGUSR2');
  await program.line(/^result /, loadMsMax);
  const used = await counted();
  const result = JSON.parse(await readFile(options.resultPath, 'utf8')) as LoadResult;
  check(result.wrong === 0, `${result.wrong} of ${result.latenciesMs.length} answers were wrong, the first: ${result.wrongAnswer}`);
  return { result, details: { connections, seconds: rounded(result.seconds), ...used, cpuLoad: rounded(result.cpuSeconds) } };
}

/** What a load measured, per second. @param weight objects of one request */
export function loadMeasurement({ result, details }: Loaded, unit: string, weight = 1): Measurement {
  const { latenciesMs, atMs, seconds } = result;
  return { value: rounded((latenciesMs.length * weight) / seconds, 0), unit, ...spreadOf(latenciesMs), latenciesMs, series: seriesOf(atMs, { weight }), details };
}
