// pictures.ts: which results make which picture.

import type { BenchCase } from '../bench-case.js';
import type { Line, Panel } from './chart.js';
import { short } from './scale.js';
import { targetText } from './targets.js';
import type { Summary } from './result.js';

type Sized = Pick<BenchCase, 'name' | 'nodes' | 'tasks'>;

/** The results of a case at its own size; other sizes are in the tables only. */
function ownSize(benchCase: Sized, summaries: readonly Summary[]): Summary[] {
  return summaries.filter((summary) => summary.case === benchCase.name && summary.nodes === benchCase.nodes && summary.tasks === benchCase.tasks);
}

/** The same in every picture. */
function colourOf(store: string): number {
  return store === 'embedded' ? 0 : 1;
}

/** One panel per case that has a series: events per second over the run, a line per store. */
export function throughputPanels(cases: readonly BenchCase[], summaries: readonly Summary[]): Panel[] {
  return cases.flatMap((benchCase): Panel[] => {
    const found = ownSize(benchCase, summaries).filter(({ series = [] }) => series.length > 1);
    if (found.length === 0) return [];
    const lines = found.map(({ store, series = [] }): Line => ({ name: store, colour: colourOf(store), points: series }));
    return [{ title: benchCase.name, x: { label: 'seconds', kind: 'linear' }, y: { label: unitOf(found[0]!), kind: 'linear' }, lines }];
  });
}

function unitOf({ unit }: Summary): string {
  return unit.endsWith('/s') ? unit : 'per second';
}

/** Where a share of 0.9, 0.99 and so on lies: one step of the axis per nine. */
function nines(share: number): number {
  return -Math.log10(Math.max(1 - share, 1e-5));
}

const nineTicks = [0, 0.5, 0.9, 0.99, 0.999, 0.9999].map((share) => ({ at: nines(share), text: share === 0 ? '0' : `${Number((share * 100).toFixed(2))} %` }));

/** One panel per case that has latencies: how long at most so many of its operations took, a line per store. */
export function latencyPanels(cases: readonly BenchCase[], summaries: readonly Summary[]): Panel[] {
  return cases.flatMap((benchCase): Panel[] => {
    const found = ownSize(benchCase, summaries).filter(({ quantiles = [] }) => quantiles.length > 1);
    if (found.length === 0) return [];
    const lines = found.map(({ store, quantiles = [] }): Line => ({ name: store, colour: colourOf(store), points: quantiles.filter(([share]) => share < 1).map(([share, ms]) => [nines(share), Math.max(ms, 0.01)] as const) }));
    const target = benchCase.targets?.find(({ figure, at }) => figure === 'p99' && at === 'most');
    return [{
      title: benchCase.name,
      x: { label: 'of operations', kind: 'linear', ticks: nineTicks },
      y: { label: 'ms, at most', kind: 'log' },
      lines,
      ...(target ? { across: { at: target.bound, text: targetText(target, '') } } : {}),
    }];
  });
}

/** What was varied, where the name of the curve does not say it. */
const varied: Readonly<Record<string, string>> = { history: 'finished tasks behind', 'watch-fanout': 'watchers', 'true-per-second': 'agents' };

/** One panel per curve of at least two points: the value against what was varied, a line per store. */
export function curvePanels(cases: readonly BenchCase[], summaries: readonly Summary[]): Panel[] {
  const names = [...new Set(cases.flatMap(({ curve }) => curve?.name ?? []))];
  return names.flatMap((name): Panel[] => {
    const points = cases.flatMap((benchCase) => (benchCase.curve?.name === name ? ownSize(benchCase, summaries).map((summary) => ({ x: benchCase.curve!.x, summary })) : []));
    const stores = [...new Set(points.map(({ summary }) => summary.store))].sort();
    const lines = stores.map((store): Line => {
      const own = points.filter(({ summary }) => summary.store === store).sort((a, b) => a.x - b.x);
      return { name: store, colour: colourOf(store), points: own.map(({ x, summary }) => [x, summary.value] as const), marks: own.map(({ summary }) => summary.spread) };
    });
    const xs = [...new Set(points.map(({ x }) => x))].sort((a, b) => a - b);
    if (xs.length < 2) return [];
    const kind = xs[0]! > 0 && xs.at(-1)! / xs[0]! > 10 ? 'log' : 'linear';
    const label = varied[name] ?? name;
    const family = cases.find(({ curve }) => curve?.name === name)!.name.split('/')[0]!;
    return [{ title: `${family}: figure against ${label}`, x: { label, kind, ticks: xs.map((at) => ({ at, text: short(at) })) }, y: { label: points[0]!.summary.unit, kind: 'linear' }, lines }];
  });
}
