// page.ts
//
// docs/performance.md and its pictures: a pure function of the table of cases and of results, so that the same results give
// the same files, and nobody writes a figure by hand.

import type { BenchCase } from '../bench-case.js';
import { chart, type Panel } from './chart.js';
import { curvePanels, latencyPanels, throughputPanels } from './pictures.js';
import { publishedFigures } from './records.js';
import { summarize, type Result, type Summary } from './result.js';
import { sectionOf, sections, type Section } from './sections.js';
import { grouped, judge } from './targets.js';

/** @returns texts by path, relative to the directory of the page */
export function performancePage(cases: readonly BenchCase[], results: readonly Result[]): Map<string, string> {
  const files = new Map<string, string>();
  const summaries = summarize(results);
  const runs = runsOf(summaries);
  const parts = sections.flatMap((section): string[] => {
    const own = cases.filter(({ name }) => sectionOf(name) === section);
    return own.length === 0 ? [] : [sectionText(section, own, summaries, runs, files)];
  });
  files.set('performance.md', `${[introduction, runsText(runs), ...parts, publishedText(cases, summaries), reproduction].filter(Boolean).join('\n\n')}\n`);
  return files;
}

const introduction = `# Performance

<!-- Written by \`npm run bench -- --report\` from performance/results.jsonl. Do not edit. -->

Every case starts its own store and its own servers as production runs them: separate processes on this one machine, TLS and
client certificates, every acknowledged write synced to disk, validation and events on. The bench fails a case whose
processes were given a flag or a variable that production does not give them. Each case checks its result before it prints a
figure: every task there, bound once, delivered to its own agent, no node over what it has. Store, servers, agents and
the measuring program share the machine: the figures are of all of them together.

What was changed, and what it brought: [performance log](performance-log.md).`;

const reproduction = `## Measure it yourself

\`\`\`
npm run bench -- --list                          # what each case measures, from when to when
npm run bench                                    # every case, on each store that it knows
npm run bench -- --case submit-to-running --repeat 5
npm run bench -- --json > now.jsonl              # for programs, and for:
npm run bench -- --compare now.jsonl             # how it has changed since
npm run bench -- --report                        # measures all, and writes this page
npm run bench -- --report --from now.jsonl       # writes it without measuring
\`\`\`

Data is written to TMPDIR, else to /tmp: that should be the disk whose speed matters. Repeats are told as their median; below
it, what was between the least and the most.`;

interface Run {
  readonly letter: string;
  readonly of: Summary;
  readonly loads: readonly [number, number];
}

/** What was measured under the same circumstances bears the same letter, the newest first. */
function runsOf(summaries: readonly Summary[]): Map<string, Run> {
  const byRun = new Map<string, Summary[]>();
  for (const summary of [...summaries].sort((a, b) => (a.at < b.at ? 1 : -1))) byRun.set(summary.run, [...(byRun.get(summary.run) ?? []), summary]);
  return new Map([...byRun].map(([run, some], index) => {
    const loads = some.map((summary) => Number(summary.details?.['loadAverage'] ?? summary.machine.loadAverage));
    return [run, { letter: letterOf(index), of: some[0]!, loads: [Math.min(...loads), Math.max(...loads)] }];
  }));
}

function letterOf(index: number): string {
  return index < 26 ? String.fromCharCode(97 + index) : `${letterOf(Math.floor(index / 26) - 1)}${letterOf(index % 26)}`;
}

function runsText(runs: ReadonlyMap<string, Run>): string {
  if (runs.size === 0) return 'Nothing has been measured yet.';
  const machines = [...new Set([...runs.values()].map(({ of: { machine } }) => `${machine.cpus} cores of ${machine.cpu}, ${machine.memoryGiB} GiB, Linux ${machine.kernel}, ${machine.disk}`))];
  const rows = [...runs.values()].map(({ letter, of: { at, versions, machine }, loads }) => [
    letter, `${at.slice(0, 16).replace('T', ' ')} UTC`, versions.commit, versions.node, versions.etcd, `${machines.indexOf(`${machine.cpus} cores of ${machine.cpu}, ${machine.memoryGiB} GiB, Linux ${machine.kernel}, ${machine.disk}`) + 1}`,
    `${machine.fsyncMs} ms`, loads[0] === loads[1] ? String(loads[0]) : `${loads[0]}–${loads[1]}`,
  ]);
  const busy = [...runs.values()].some(({ loads, of }) => loads[1] > of.machine.cpus);
  return `## Where and when

${machines.map((machine, index) => `- Machine ${index + 1}: ${machine}`).join('\n')}

${table(['run', 'when', 'commit', 'Node', 'etcd', 'machine', 'fsync', 'load'], rows, 6)}

*fsync*: milliseconds that a write of 4 KiB needs to be on disk. *load*: load average of the minute before each case, its own
processes of the case before included.${busy ? ' Where it is above the number of cores, other work wanted the processors, too: read those figures as lower bounds.' : ''}`;
}

function sectionText(section: Section, cases: readonly BenchCase[], summaries: readonly Summary[], runs: ReadonlyMap<string, Run>, files: Map<string, string>): string {
  const measured = cases.flatMap((benchCase) => {
    const found = summaries.filter((summary) => summary.case === benchCase.name).map((summary) => ({ benchCase, summary }));
    return [...found.filter(ofOwnSize), ...found.filter((one) => !ofOwnSize(one))];
  });
  const missing = cases.filter(({ name }) => !summaries.some((summary) => summary.case === name));
  const pictures: [kind: string, panels: Panel[], alt: string][] = [
    ['curves', curvePanels(cases, summaries), 'the figure against what was varied'],
    ['throughput', throughputPanels(cases, summaries), 'throughput over time'],
    ['latency', latencyPanels(cases, summaries), 'distribution of latencies'],
  ];
  const images = pictures.filter(([, panels]) => panels.length > 0).map(([kind, panels, alt]) => {
    const path = `performance/${section.id}-${kind}.svg`;
    files.set(path, chart(panels));
    return `![${section.title}: ${alt}](${path})`;
  });
  return [
    `## ${section.title}`,
    section.text,
    measured.length > 0 ? figuresTable(measured, runs) : '',
    missing.length > 0 ? `Not measured yet: ${missing.map(({ name, onRequest }) => `\`${name}\`${onRequest === undefined ? '' : ' (on request only)'}`).join(', ')}.` : '',
    ...images,
    `What each counts:\n\n${descriptionsText(cases)}`,
    measured.length > 0 ? costTable(measured) : '',
  ].filter(Boolean).join('\n\n');
}

/** One item per case; cases that begin with the same sentences share them. */
function descriptionsText(cases: readonly BenchCase[]): string {
  const groups = new Map<string, { names: string[]; sentences: string[] }[]>();
  for (const { name, description } of cases) {
    const sentences = description.split(/(?<=\.) (?=[A-Z])/);
    const group = groups.get(sentences[0]!) ?? [];
    groups.set(sentences[0]!, group);
    const same = group.find((one) => one.sentences.join(' ') === description);
    if (same) same.names.push(name);
    else group.push({ names: [name], sentences });
  }
  const namesText = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(', ');
  return [...groups.values()].map((group) => {
    if (group.length === 1) return `- ${namesText(group[0]!.names)}: ${group[0]!.sentences.join(' ')}`;
    let shared = 1;
    while (group.every(({ sentences }) => sentences[shared] !== undefined && sentences[shared] === group[0]!.sentences[shared])) shared++;
    const items = group.map(({ names, sentences }) => `  - ${namesText(names)}${sentences.length > shared ? `: ${sentences.slice(shared).join(' ')}` : ''}`);
    return [`- ${group[0]!.sentences.slice(0, shared).join(' ')}`, ...items].join('\n');
  }).join('\n');
}

interface Measured {
  readonly benchCase: BenchCase;
  readonly summary: Summary;
}

function ofOwnSize({ benchCase, summary }: Measured): boolean {
  return summary.nodes === benchCase.nodes && summary.tasks === benchCase.tasks;
}

function figuresTable(measured: readonly Measured[], runs: ReadonlyMap<string, Run>): string {
  const rows = measured.map(({ benchCase, summary }) => {
    const { store, value, unit, p50, p99, repeats, spread, nodes, tasks, run } = summary;
    const own = ofOwnSize({ benchCase, summary });
    const range = repeats > 1 ? `<br>${grouped(spread.min)}–${grouped(spread.max)} (${repeats}×)` : '';
    const judged = judge(benchCase, summary, (name) => measured.find((other) => other.benchCase.name === name && other.summary.store === store && ofOwnSize(other))?.summary);
    return [
      `\`${benchCase.name}\`${own ? '' : `<br>${counted(nodes, 'node')}, ${counted(tasks, 'task')}`}`, store, `${grouped(value)} ${unit}${range}`,
      p50 === undefined ? '' : grouped(p50), p99 === undefined ? '' : grouped(p99),
      judged.map(({ text }) => text).join('<br>'), judged.map(({ met }) => (met ? 'yes' : '**no**')).join('<br>'), runs.get(run)!.letter,
    ];
  });
  return table(['case', 'store', 'figure', 'p50 ms', 'p99 ms', 'target', 'met', 'run'], rows, 2, [5, 6, 7]);
}

/** Details that say where the time went, and their headings. */
const costs: readonly (readonly [detail: string, heading: string])[] = [
  ['cpuApiserver', 'API server'], ['cpuControllers', 'controllers'], ['cpuEtcd', 'etcd'], ['cpuAgents', 'agents'], ['cpuTasks', 'tasks'], ['cpuHollowAgents', 'hollow agents'],
  ['cpuLoad', 'requests sent'], ['cpuWatchers', 'watchers'], ['cpuDev', 'dev'], ['cpuBench', 'bench'], ['gcApiserver', 'of API server: GC'], ['rssPeakApiserverMiB', 'API server MiB'], ['loopDelayP99Ms', 'delay p99 ms'], ['loopDelayMaxMs', 'delay max ms'],
  ['requests', 'requests'], ['storeWrites', 'writes'], ['storeCommits', 'commits'], ['etcdFsyncP99Ms', 'etcd fsync p99 ms, at most'], ['fsyncMs', 'fsync ms'],
];

function costTable(measured: readonly Measured[]): string {
  const shown = costs.filter(([detail]) => measured.some(({ summary }) => summary.details?.[detail] !== undefined));
  const rows = measured
    .filter(({ summary }) => shown.some(([detail]) => summary.details?.[detail] !== undefined))
    .map((one) => {
      const { benchCase, summary: { store, nodes, tasks, details = {} } } = one;
      return [`\`${benchCase.name}\`${ofOwnSize(one) ? '' : ` (${grouped(nodes)}, ${grouped(tasks)})`}`, store, ...shown.map(([detail]) => detailText(details[detail]))];
    });
  if (rows.length === 0) return '';
  return `<details><summary>Where the time goes: seconds of processor time, memory, delays of the event loop, writes</summary>\n\n${table(['case', 'store', ...shown.map(([, heading]) => heading)], rows, 2)}\n\n</details>`;
}

function detailText(detail: number | string | undefined): string {
  if (detail === undefined) return '';
  return typeof detail === 'number' ? grouped(detail) : detail;
}

function publishedText(cases: readonly BenchCase[], summaries: readonly Summary[]): string {
  const rows = publishedFigures.map(({ system, figure, counts, on, source, beside }) => [system, figure, counts, on, source.startsWith('http') ? `<${source}>` : source, beside ? besideText(beside, cases, summaries) : '']);
  return `## What others have published

None of this was measured here, nor on such hardware, and hardly two count the same: each row says what it counts. The last
column is our case that comes nearest, and what it gave on the machine above.

${table(['system', 'figure', 'counts', 'on', 'source', 'beside it, here'], rows, 9)}`;
}

function besideText(name: string, cases: readonly BenchCase[], summaries: readonly Summary[]): string {
  const family = cases.filter((benchCase) => benchCase.name.startsWith(`${name}/`));
  const last = cases.find((benchCase) => benchCase.name === name) ?? family.findLast((benchCase) => summaries.some((summary) => summary.case === benchCase.name)) ?? family.at(-1);
  if (!last) return '';
  const figures = summaries
    .filter((summary) => summary.case === last.name && summary.nodes === last.nodes && summary.tasks === last.tasks)
    .map(({ store, value, unit }) => `${grouped(value)} ${unit} (${store})`);
  return `\`${last.name}\`${figures.length > 0 ? `: ${figures.join(', ')}` : ''}`;
}

function counted(count: number, what: string): string {
  return `${grouped(count)} ${what}${count === 1 ? '' : 's'}`;
}

/** @param firstNumber columns from this one on are numbers, unless they are among `texts` */
function table(headings: readonly string[], rows: readonly (readonly string[])[], firstNumber: number, texts: readonly number[] = []): string {
  const line = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(headings), line(headings.map((_, index) => (index >= firstNumber && !texts.includes(index) ? '---:' : '---'))), ...rows.map(line)].join('\n');
}

