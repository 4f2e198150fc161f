// flags.ts: what `npm run bench` is asked for.

import { parseArgs } from 'node:util';
import type { StoreName } from '../lib/testing/taskplane-processes.js';
import type { BenchCase } from './bench-case.js';

export const help = `npm run bench -- [flags]

  --list           name the cases and end
  --case NAME      run this case (may be repeated; all when absent); a family by the part before the slash
  --store STORE    etcd or embedded (default: each that the case knows)
  --nodes N        instead of the case's own number
  --tasks N        instead of the case's own number
  --repeat K       run each K times (default 1)
  --json           one JSON object per run (default: a line of text)
  --compare FILE   compare with an earlier output of --json: ratio of the medians
  --report [DIR]   write DIR/performance.md and its pictures (default: docs); what is not measured now stays as it was
  --from FILE      with --report: measure nothing, take what --json has printed (may be repeated)

Data is written to TMPDIR, else to /tmp (to /var/tmp where /tmp is memory).
`;

export interface Flags {
  readonly help: boolean;
  readonly list: boolean;
  readonly cases: readonly BenchCase[];
  readonly stores: readonly StoreName[] | undefined;
  readonly nodes: number | undefined;
  readonly tasks: number | undefined;
  readonly repeat: number;
  readonly json: boolean;
  readonly compare: string | undefined;
  /** The directory of the page. */
  readonly report: string | undefined;
  readonly from: readonly string[];
}

const reportDefault = 'docs';

/** @throws Error in one sentence */
export function readFlags(args: readonly string[], cases: readonly BenchCase[]): Flags {
  const { values, tokens } = parseArgs({
    args: [...args],
    allowPositionals: true,
    tokens: true,
    options: {
      list: { type: 'boolean' }, help: { type: 'boolean', short: 'h' }, case: { type: 'string', multiple: true }, store: { type: 'string' },
      nodes: { type: 'string' }, tasks: { type: 'string' }, repeat: { type: 'string' }, json: { type: 'boolean' }, compare: { type: 'string' },
      report: { type: 'boolean' }, from: { type: 'string', multiple: true },
    },
  });
  // One word after --report is its directory; files follow one another after --from, as a shell expands a pattern.
  const from: string[] = [];
  let report = values.report ? reportDefault : undefined;
  let before = '';
  for (const token of tokens) {
    if (token.kind === 'option') {
      before = token.name;
      if (token.name === 'from') from.push(token.value!);
    } else if (token.kind === 'positional' && before === 'from') from.push(token.value);
    else if (token.kind === 'positional' && before === 'report') {
      report = token.value;
      before = '';
    } else throw new Error(`${token.kind === 'positional' ? token.value : '--'}: unexpected; cases are named by --case`);
  }
  if (from.length > 0 && !values.report) throw new Error('--from goes with --report');
  if (values.store !== undefined && values.store !== 'etcd' && values.store !== 'embedded') throw new Error(`--store ${values.store}: expected etcd or embedded`);
  const repeat = number('--repeat', values.repeat) ?? 1;
  if (repeat === 0) throw new Error('--repeat 0: expected at least 1');
  return {
    help: values.help ?? false,
    list: values.list ?? false,
    cases: values.case ? [...new Set(values.case.flatMap((name) => named(name, cases)))] : cases.filter(({ onRequest }) => values.list || !onRequest),
    stores: values.store ? [values.store as StoreName] : undefined,
    nodes: number('--nodes', values.nodes),
    tasks: number('--tasks', values.tasks),
    repeat,
    json: values.json ?? false,
    compare: values.compare,
    report,
    from,
  };
}

/** A case by its name, or all of a family but those on request: `watch-fanout` means `watch-fanout/100` and the others. @throws Error */
export function named(name: string, cases: readonly BenchCase[]): BenchCase[] {
  const exact = cases.filter((found) => found.name === name);
  if (exact.length > 0) return exact;
  const usual = cases.filter(({ onRequest }) => !onRequest);
  const family = usual.filter((found) => found.name.startsWith(`${name}/`));
  const found = family.length > 0 ? family : usual.filter((candidate) => candidate.name.startsWith(`${name}-`));
  if (found.length === 0) throw new Error(`there is no case ${name}; --list names them`);
  return found;
}

function number(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d+$/.test(text)) throw new Error(`${flag} ${text}: expected a number`);
  return Number(text);
}
