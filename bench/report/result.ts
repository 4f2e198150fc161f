// result.ts: one run of a case as a line of JSON: what --json prints, --compare and --report --from read, and
// docs/performance/results.jsonl keeps.

import type { StoreName } from '../../lib/testing/taskplane-processes.js';
import { betterOf, type BenchCase, type Better, type Measurement } from '../bench-case.js';
import type { Machine, Versions } from '../machine.js';
import { percentile, rounded } from '../percentiles.js';

export type Quantile = readonly [share: number, ms: number];
export type SeriesPoint = readonly [atSeconds: number, perSecond: number];

export interface Result {
  readonly case: string;
  readonly store: StoreName;
  readonly nodes: number;
  readonly tasks: number;
  readonly value: number;
  readonly unit: string;
  readonly better: Better;
  /** Milliseconds. */
  readonly p50?: number;
  readonly p99?: number;
  readonly details?: Readonly<Record<string, number | string>>;
  /** Throughput over time, at most 120 points. */
  readonly series?: readonly SeriesPoint[];
  /** Of the latencies: the largest of each share of the samples, milliseconds. */
  readonly quantiles?: readonly Quantile[];
  /** When it ended, RFC 3339. */
  readonly at: string;
  /** Results of one start of the bench bear the same: repeats are told by it from earlier measurements. */
  readonly run: string;
  readonly versions: Versions;
  readonly machine: Machine;
}

const seriesPointsMax = 120;

/** Every second percent, and finer towards the end, where the slow ones are. */
const shares: readonly number[] = [
  ...Array.from({ length: 49 }, (_, index) => rounded((index + 1) * 0.02)),
  ...[0.985, 0.99, 0.992, 0.994, 0.996, 0.998, 0.999, 0.9995, 0.9999, 1],
];

/** The quantiles of samples that have enough of them for each; undefined when there are none. */
export function quantilesOf(samples: readonly number[]): Quantile[] | undefined {
  if (samples.length === 0) return undefined;
  const sorted = [...samples].sort((a, b) => a - b);
  const told = shares.filter((share) => share === 1 || sorted.length * (1 - share) >= 1);
  return told.map((share) => [share, rounded(sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!)]);
}

/** The mean rate over neighbouring points, when there are too many. */
export function thinned(series: NonNullable<Measurement['series']>): SeriesPoint[] {
  const group = Math.max(1, Math.ceil(series.length / seriesPointsMax));
  const points: SeriesPoint[] = [];
  for (let index = 0; index < series.length; index += group) {
    const some = series.slice(index, index + group);
    const mean = some.reduce((sum, { perSecond }) => sum + perSecond, 0) / some.length;
    points.push([rounded(some.at(-1)!.atSeconds), rounded(mean, 1)]);
  }
  return points;
}

export interface ResultOrigin {
  readonly store: StoreName;
  readonly nodes: number;
  readonly tasks: number;
  readonly at: string;
  readonly run: string;
  readonly versions: Versions;
  readonly machine: Machine;
}

export function resultOf(benchCase: BenchCase, measured: Measurement, { store, nodes, tasks, at, run, versions, machine }: ResultOrigin): Result {
  const { value, unit, p50, p99, series, latenciesMs, details } = measured;
  const quantiles = quantilesOf(latenciesMs ?? []);
  return {
    case: benchCase.name, store, nodes, tasks, value, unit, better: betterOf(benchCase, unit),
    ...(p50 === undefined ? {} : { p50 }),
    ...(p99 === undefined ? {} : { p99 }),
    ...(details ? { details } : {}),
    ...(series?.length ? { series: thinned(series) } : {}),
    ...(quantiles ? { quantiles } : {}),
    at, run, versions, machine,
  };
}

/**
 * Reads what --json printed. Lines that are no JSON (of npm, of a terminal) are passed over.
 * @throws Error when a line is JSON and no result, or there is none
 */
export function parseResults(text: string, source: string): Result[] {
  const results = text.split('\n').flatMap((line, index): Result[] => {
    if (!line.startsWith('{')) return [];
    const found: unknown = JSON.parse(line);
    if (!isResult(found)) throw new Error(`${source}, line ${index + 1}: no result of npm run bench -- --json`);
    return [found];
  });
  if (results.length === 0) throw new Error(`${source} holds no result of npm run bench -- --json`);
  return results;
}

function isResult(found: unknown): found is Result {
  const result = found as Partial<Result>;
  return typeof result.case === 'string' && typeof result.value === 'number' && typeof result.unit === 'string' && typeof result.at === 'string' && typeof result.run === 'string' && typeof result.machine === 'object' && typeof result.versions === 'object';
}

/** What is measured again replaces what has the same key. */
export function keyOf({ case: name, store, nodes, tasks }: Pick<Result, 'case' | 'store' | 'nodes' | 'tasks'>): string {
  return `${name} ${store} ${nodes} ${tasks}`;
}

export interface Spread {
  readonly min: number;
  readonly max: number;
}

/** Of the repeats of a case in one run: the median of each figure, and between which values they were. */
export interface Summary extends Result {
  readonly repeats: number;
  readonly spread: Spread;
}

/** One summary per case, store, nodes and tasks, of the newest run that has it; in the order of the results. */
export function summarize(results: readonly Result[]): Summary[] {
  const groups = new Map<string, Result[]>();
  for (const result of results) {
    const key = keyOf(result);
    const group = groups.get(key);
    if (!group) groups.set(key, [result]);
    else if (group[0]!.run === result.run) group.push(result);
    else if (newest(group) < result.at) groups.set(key, [result]);
  }
  return [...groups.values()].map(summaryOf);
}

/** Of all results, those that summarize takes: of each case the newest run. */
export function newestOf(results: readonly Result[]): Result[] {
  const runs = new Map(summarize(results).map((summary) => [keyOf(summary), summary.run]));
  return results.filter((result) => runs.get(keyOf(result)) === result.run);
}

/** For keeping: of repeats only the one that is told has its pictures and details. */
export function slimmed(results: readonly Result[]): Result[] {
  const nameOf = (result: Result): string => `${keyOf(result)} ${result.at} ${result.value}`;
  const told = new Set(summarize(results).map(nameOf));
  return results.map((result) => (told.has(nameOf(result)) ? result : { ...result, series: undefined, quantiles: undefined, details: undefined }));
}

function newest(group: readonly Result[]): string {
  return group.reduce((latest, { at }) => (at > latest ? at : latest), '');
}

/** The repeat whose value is the median gives the pictures and the details; percentiles are medians of their own. */
function summaryOf(group: readonly Result[]): Summary {
  const byValue = [...group].sort((a, b) => a.value - b.value);
  const middle = byValue[Math.ceil(byValue.length / 2) - 1]!;
  const medianOf = (pick: (result: Result) => number | undefined): number | undefined => {
    const found = group.map(pick).filter((value) => value !== undefined);
    return found.length === 0 ? undefined : percentile(found, 0.5);
  };
  const [p50, p99] = [medianOf((result) => result.p50), medianOf((result) => result.p99)];
  return { ...middle, ...(p50 === undefined ? {} : { p50 }), ...(p99 === undefined ? {} : { p99 }), repeats: group.length, spread: { min: byValue[0]!.value, max: byValue.at(-1)!.value } };
}
