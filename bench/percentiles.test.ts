import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { percentile, spreadOf } from './percentiles.js';

describe('percentiles', () => {
  it('are by nearest rank', () => {
    const samples = [15, 20, 35, 40, 50];
    expect([0.05, 0.3, 0.4, 0.5, 1].map((share) => percentile(samples, share))).toEqual([15, 20, 20, 35, 50]);
    expect(spreadOf(Array.from({ length: 100 }, (_, index) => index + 1))).toEqual({ p50: 50, p99: 99 });
    expect(percentile([], 0.5)).toBeNaN();
  });

  it('are samples, and at least their share of samples do not exceed them', () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 1 }), fc.double({ min: 0.01, max: 1, noNaN: true }), (samples, share) => {
        const found = percentile(samples, share);
        return samples.includes(found) && samples.filter((sample) => sample <= found).length >= share * samples.length;
      }),
    );
  });
});
