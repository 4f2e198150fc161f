import { describe, expect, it } from '@jest/globals';
import { seriesOf } from './series.js';

describe('seriesOf', () => {
  it('counts what happened in each slice, per second', () => {
    expect(seriesOf([10, 100, 240, 300, 700], { sliceMs: 250 })).toEqual([
      { atSeconds: 0.25, perSecond: 12 },
      { atSeconds: 0.5, perSecond: 4 },
      { atSeconds: 0.7, perSecond: 5 },
    ]);
  });

  it('makes no peak of the last events of a run', () => {
    expect(seriesOf([100, 200, 300, 501], { sliceMs: 250 }).at(-1)).toEqual({ atSeconds: 0.501, perSecond: 8 });
    expect(seriesOf([1, 2], { sliceMs: 250 })).toEqual([{ atSeconds: 0.002, perSecond: 1_000 }]);
  });

  it('gives an event the weight of what it carries', () => {
    expect(seriesOf([1_000], { sliceMs: 1_000, weight: 500 })).toEqual([{ atSeconds: 1, perSecond: 500 }]);
  });

  it('is empty where nothing happened', () => {
    expect(seriesOf([])).toEqual([]);
  });
});
