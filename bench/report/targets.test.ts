import { describe, expect, it } from '@jest/globals';
import { judge } from './targets.js';

describe('the targets of a case', () => {
  const benchCase = {
    nodes: 1,
    tasks: 10,
    targets: [
      { figure: 'value', at: 'least', bound: 500 },
      { figure: 'p99', at: 'most', bound: 50 },
      { figure: 'details.shareOfBare', at: 'least', bound: 0.8 },
    ],
  } as const;
  const result = { store: 'etcd', nodes: 1, tasks: 10, value: 600, p99: 60, unit: 'tasks/s', details: { shareOfBare: 0.7 } } as const;

  it('are of its value, its latencies and its details', () => {
    expect(judge(benchCase, result).map(({ met, text }) => [met, text])).toEqual([
      [true, '≥ 500 tasks/s'],
      [false, 'p99 ≤ 50 ms'],
      [false, 'shareOfBare ≥ 0.8'],
    ]);
  });

  it('are for the case as it stands, and for figures that there are', () => {
    expect(judge(benchCase, { ...result, tasks: 5 })).toEqual([]);
    expect(judge(benchCase, { ...result, p99: undefined, details: {} }).map(({ text }) => text)).toEqual(['≥ 500 tasks/s']);
  });

  it('may be a share of what another case reached, and are not judged without it', () => {
    const share = { nodes: 1, tasks: 10, targets: [{ figure: 'value', at: 'least', bound: 0.9, of: 'history/0' }] } as const;
    const judged = (whole: number) => judge(share, result, (name) => (name === 'history/0' ? { ...result, value: whole } : undefined));
    expect(judged(660).map(({ met, text }) => [met, text])).toEqual([[true, '≥ 90 % of history/0']]);
    expect(judged(670).map(({ met }) => met)).toEqual([false]);
    expect(judge(share, result)).toEqual([]);
  });
});
