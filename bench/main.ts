// main.ts: `npm run bench`. Figures on standard output, one JSON object per case and run; everything else elsewhere.

import { parseArgs } from 'node:util';
import { SystemClock } from '../lib/clock.js';
import type { StoreName } from '../lib/testing/taskplane-processes.js';
import type { BenchCase, Measurement } from './bench-case.js';
import { cases, casesNamed } from './cases.js';
import { machineOf, versionsOf } from './machine.js';
import { runCase } from './run-case.js';

const help = `npm run bench -- [flags]

  --list           name the cases and end
  --case NAME      run this case (may be repeated; all when absent); watch-fanout runs both of its sizes
  --store STORE    etcd or embedded (default: each that the case knows)
  --nodes N        instead of the case's own number
  --tasks N        instead of the case's own number
  --repeat K       run each K times (default 1)
  --json           one JSON object per run (default: a line of text)
`;

const [role, argument] = process.argv.slice(2);
// The other processes of a measurement are this program, too.
if (role === 'hollow-agents') await (await import('./hollow-agents.js')).runHollowAgents(JSON.parse(argument!));
else if (role === 'watchers') await (await import('./watchers.js')).runWatchers(JSON.parse(argument!));
else if (role === 'load') await (await import('./load.js')).runLoad(JSON.parse(argument!));
else process.exitCode = await main();

interface Flags {
  cases: readonly BenchCase[];
  stores: readonly StoreName[] | undefined;
  nodes: number | undefined;
  tasks: number | undefined;
  repeat: number;
  json: boolean;
}

async function main(): Promise<number> {
  let flags: Flags | undefined;
  try {
    flags = readFlags();
  } catch (error) {
    process.stderr.write(`error: ${(error as Error).message}\n\n${help}`);
    return 1;
  }
  if (!flags) return 0;
  const [machine, versions] = await Promise.all([machineOf(new SystemClock()), versionsOf()]);
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  let failures = 0;
  for (const benchCase of flags.cases) {
    for (const store of flags.stores?.filter((name) => benchCase.stores.includes(name)) ?? benchCase.stores) {
      for (let round = 0; round < flags.repeat && !stop.signal.aborted; round++) {
        const nodes = flags.nodes ?? benchCase.nodes;
        const tasks = flags.tasks ?? benchCase.tasks;
        try {
          const measured = await runCase(benchCase, { store, nodes, tasks, progress: progressFor(benchCase, store), signal: stop.signal });
          const { details, ...figures } = measured;
          const line = { case: benchCase.name, store, nodes, tasks, ...figures, details, versions, machine };
          process.stdout.write(flags.json ? `${JSON.stringify(line)}\n` : `${textOf(benchCase, store, measured)}\n`);
        } catch (error) {
          failures++;
          process.stderr.write(`${benchCase.name} on ${store} failed: ${(error as Error).message}\n`);
        }
      }
    }
  }
  return failures > 0 || stop.signal.aborted ? 1 : 0;
}

/** @returns undefined when help or the list was all that was wanted */
function readFlags(): Flags | undefined {
  const { values } = parseArgs({
    options: {
      list: { type: 'boolean' }, help: { type: 'boolean', short: 'h' }, case: { type: 'string', multiple: true }, store: { type: 'string' },
      nodes: { type: 'string' }, tasks: { type: 'string' }, repeat: { type: 'string' }, json: { type: 'boolean' },
    },
  });
  if (values.help) return void process.stdout.write(help);
  if (values.list) return void process.stdout.write(cases.map(({ name, description, nodes, tasks }) => `${name}  (${nodes} nodes, ${tasks} tasks)\n    ${description}\n`).join(''));
  const chosen = values.case?.flatMap((name) => {
    const found = casesNamed(name);
    if (found.length === 0) throw new Error(`there is no case ${name}; --list names them`);
    return found;
  });
  if (values.store !== undefined && values.store !== 'etcd' && values.store !== 'embedded') throw new Error(`--store ${values.store}: expected etcd or embedded`);
  return {
    cases: chosen ?? cases,
    stores: values.store ? [values.store as StoreName] : undefined,
    nodes: number('--nodes', values.nodes),
    tasks: number('--tasks', values.tasks),
    repeat: number('--repeat', values.repeat) ?? 1,
    json: values.json ?? false,
  };
}

function number(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d+$/.test(text)) throw new Error(`${flag} ${text}: expected a number`);
  return Number(text);
}

function textOf({ name }: BenchCase, store: StoreName, { value, unit, p50, p99, details = {} }: Measurement): string {
  const spread = p50 === undefined ? '' : `  p50 ${p50} ms  p99 ${p99} ms`;
  return `${name.padEnd(20)} ${store.padEnd(9)} ${String(value).padStart(9)} ${unit}${spread}  ${Object.entries(details).map(([key, detail]) => `${key}=${detail}`).join(' ')}`;
}

/** A line that is written over on a terminal; nothing in a pipe. */
function progressFor({ name }: BenchCase, store: StoreName): (text: string) => void {
  if (!process.stderr.isTTY) return () => undefined;
  return (text) => void process.stderr.write(`\r\u001b[K${name} on ${store}: ${text}\r`);
}
