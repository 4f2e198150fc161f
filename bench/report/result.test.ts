import { describe, expect, it } from '@jest/globals';
import { comparison, ratioText } from './compare.js';
import { newestOf, parseResults, quantilesOf, resultOf, summarize, thinned } from './result.js';
import { benchCase, result } from './testing/results.js';
import { merged } from './write.js';

describe('results', () => {
  it('keep quantiles and a thinned series instead of samples', () => {
    const own = benchCase();
    const { store, nodes, tasks, at, run, versions, machine } = result();
    const series = Array.from({ length: 1_000 }, (_, index) => ({ atSeconds: index + 1, perSecond: index % 2 }));
    const kept = resultOf(own, { value: 5, unit: 'ms', p50: 1, series, latenciesMs: Array.from({ length: 1_000 }, (_, index) => index + 1) }, { store, nodes, tasks, at, run, versions, machine });
    expect(kept).toMatchObject({ case: 'watch', better: 'lower', p50: 1 });
    expect(kept).not.toHaveProperty('latenciesMs');
    expect(kept.quantiles).toContainEqual([0.5, 500]);
    expect(kept.quantiles).toContainEqual([0.999, 999]);
    expect(kept.quantiles!.length).toBeLessThan(100);
    expect(kept.series!.length).toBeLessThanOrEqual(120);
    expect(parseResults(`> npm run bench\n${JSON.stringify(kept)}\n`, 'a file')).toEqual([kept]);
  });

  it('tell no quantile that is finer than the samples', () => {
    expect(quantilesOf([])).toBeUndefined();
    expect(quantilesOf([3, 1, 2])!.at(-1)).toEqual([1, 3]);
    expect(quantilesOf(Array.from({ length: 100 }, (_, index) => index))!.map(([share]) => share)).not.toContain(0.999);
    expect(thinned([{ atSeconds: 1, perSecond: 10 }])).toEqual([[1, 10]]);
  });

  it('are no other JSON', () => {
    expect(() => parseResults('{"case":"x"}\n', 'a file')).toThrow('a file, line 1: no result');
    expect(() => parseResults('nothing\n', 'a file')).toThrow('a file holds no result');
  });

  it('of one run are told as their median, with the least and the most', () => {
    const [summary, ...more] = summarize([result({ value: 30, p99: 5 }), result({ value: 10, p99: 9 }), result({ value: 20, p99: 7 })]);
    expect(more).toEqual([]);
    expect(summary).toMatchObject({ value: 20, p99: 7, repeats: 3, spread: { min: 10, max: 30 } });
  });

  it('are kept with pictures and details of the repeat that is told only', () => {
    const series = [[1, 5]] as const;
    const repeats = [30, 10, 20].map((value) => result({ value, series, details: { own: value } }));
    const kept = merged([benchCase()], [], repeats);
    expect(kept.filter((one) => one.series).map(({ value, details }) => [value, details])).toEqual([[20, { own: 20 }]]);
    expect(summarize(kept)).toEqual(summarize(repeats));
    expect(JSON.stringify(merged([benchCase()], kept, []))).toBe(JSON.stringify(kept));
  });

  it('of a newer run take the place of older ones of the same case, store and size', () => {
    const old = [result({ value: 1 }), result({ store: 'etcd', value: 2 }), result({ nodes: 11, value: 3 })];
    const now = [result({ run: 'second', at: '2026-01-03T00:00:00.000Z', value: 9 })];
    expect(newestOf([...now, ...old]).map(({ value }) => value).sort()).toEqual([2, 3, 9]);
    expect(merged([benchCase()], old, [...now, ...now, result({ case: 'no longer there' })]).map(({ value }) => value)).toEqual([9, 3, 2]);
  });
});

describe('a comparison', () => {
  it('says by how much, and whether that is better', () => {
    expect(ratioText(130, 100, 'higher')).toBe('1.30× (better)');
    expect(ratioText(130, 100, 'lower')).toBe('1.30× (worse)');
    expect(ratioText(101, 100, 'lower')).toBe('1.01× (same)');
    const now = summarize([result({ value: 2_000, p50: 4, p99: 10 }), result({ case: 'new' })]);
    expect(comparison(now, summarize([result({ p50: 5, p99: 10 })]))).toBe(
      'watch embedded (10 nodes, 100 tasks): 1,000 → 2,000 tasks/s 2.00× (better), higher is better; p50 5 → 4 ms 0.80× (better); p99 10 → 10 ms 1.00× (same)\nnew embedded (10 nodes, 100 tasks): not in the earlier run\n',
    );
  });

  it('says what else differs', () => {
    const other = result({ versions: { ...result().versions, commit: 'fff0000', wrapper: 'program' }, machine: { ...result().machine, cpus: 64, loadAverage: 7 } });
    const text = comparison(summarize([other]), summarize([result()]));
    expect(text).toContain('note: commit differs: abc1234 then, fff0000 now');
    expect(text).toContain('note: machine differs');
    expect(text).toContain('note: wrapper of attempts differs: shell then, program now');
    expect(text).toContain('load average up to 0.1 then, 7 now');
  });
});
