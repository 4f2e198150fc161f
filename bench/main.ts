// main.ts: `npm run bench`. Figures on standard output, everything else on standard error.

import { readFileSync } from 'node:fs';
import { SystemClock } from '../lib/clock.js';
import { SystemRandom } from '../lib/random.js';
import type { StoreName } from '../lib/testing/taskplane-processes.js';
import type { BenchCase } from './bench-case.js';
import { cases } from './cases.js';
import { help, readFlags, type Flags } from './flags.js';
import { machineOf, scratchDirectory, versionsOf } from './machine.js';
import { environmentProblems } from './production.js';
import { comparison } from './report/compare.js';
import { parseResults, resultOf, summarize, type Result } from './report/result.js';
import { updateReport } from './report/write.js';
import { runCase } from './run-case.js';
import { listText, progressLine, resultText } from './text.js';

/** The other processes of a measurement are this program, too: `main.js ROLE JSON`. */
const helpers: Readonly<Record<string, (options: string) => Promise<void>>> = {
  'bare-supervisor': async (options) => (await import('./bare-supervisor.js')).runBareSupervisor(JSON.parse(options)),
  'hollow-agents': async (options) => (await import('./hollow-agents.js')).runHollowAgents(JSON.parse(options)),
  load: async (options) => (await import('./load.js')).runLoad(JSON.parse(options)),
  watchers: async (options) => (await import('./watchers.js')).runWatchers(JSON.parse(options)),
};

const [role = '', argument = ''] = process.argv.slice(2);
const helper = helpers[role];
if (helper) await helper(argument);
// A case that was interrupted may still wait for something, minutes long.
else process.exit(await main(process.argv.slice(2)));

/** @returns the exit code: 1 when a case failed, or the flags are wrong */
async function main(args: readonly string[]): Promise<number> {
  try {
    const flags = readFlags(args, cases);
    if (flags.help) process.stdout.write(help);
    else if (flags.list) process.stdout.write(listText(flags.cases));
    else if (flags.from.length > 0) report(flags, flags.from.flatMap((file) => parseResults(readFileSync(file, 'utf8'), file)));
    else return await measure(flags);
    return 0;
  } catch (error) {
    process.stderr.write(`error: ${(error as Error).message}; --help names the flags\n`);
    return 1;
  }
}

async function measure(flags: Flags): Promise<number> {
  const problems = environmentProblems(process.env);
  if (problems.length > 0) throw new Error(`this is not what production runs: ${problems.join('; ')}`);
  const earlier = flags.compare === undefined ? undefined : parseResults(readFileSync(flags.compare, 'utf8'), flags.compare);
  process.env['TMPDIR'] = await scratchDirectory(process.env);
  const clock = new SystemClock();
  const [machine, versions] = await Promise.all([machineOf(clock), versionsOf()]);
  const run = new SystemRandom().suffix(8);
  const stop = new AbortController();
  // Heard each time: a second one must not end us before what was started has ended.
  const interrupt = (): void => {
    if (!stop.signal.aborted) process.stderr.write('\nending what was started\n');
    stop.abort();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt);
  // tools/bench.mjs has ended, however that was.
  process.on('disconnect', interrupt);
  const results: Result[] = [];
  let failures = 0;
  for (const { benchCase, store } of planned(flags)) {
    if (stop.signal.aborted) break;
    const nodes = flags.nodes ?? benchCase.nodes;
    const tasks = flags.tasks ?? benchCase.tasks;
    const line = progressLine(process.stderr, `${benchCase.name} on ${store}`);
    line.show('starting');
    try {
      const measured = await runCase(benchCase, { store, nodes, tasks, progress: line.show, signal: stop.signal });
      line.clear();
      const result = resultOf(benchCase, measured, { store, nodes, tasks, at: new Date(clock.now()).toISOString(), run, versions, machine });
      results.push(result);
      process.stdout.write(flags.json ? `${JSON.stringify(result)}\n` : resultText(benchCase, result));
    } catch (error) {
      line.clear();
      failures++;
      process.stderr.write(`${benchCase.name} on ${store} failed: ${(error as Error).message}\n`);
    }
  }
  // With --json, standard output is for programs.
  if (earlier) (flags.json ? process.stderr : process.stdout).write(comparison(summarize(results), summarize(earlier)));
  if (flags.report !== undefined && results.length > 0) report(flags, results);
  return failures > 0 || stop.signal.aborted ? 1 : 0;
}

/** Repeats follow one another, so that they meet the same machine. */
function planned(flags: Flags): { benchCase: BenchCase; store: StoreName }[] {
  return flags.cases.flatMap((benchCase) =>
    (flags.stores?.filter((name) => benchCase.stores.includes(name)) ?? benchCase.stores).flatMap((store) => Array.from({ length: flags.repeat }, () => ({ benchCase, store }))),
  );
}

function report(flags: Flags, results: readonly Result[]): void {
  for (const path of updateReport(flags.report!, cases, results)) process.stderr.write(`wrote ${path}\n`);
}
