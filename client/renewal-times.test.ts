import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { marginsMs, renewalRetryMs, renewalTimes } from './renewal-times.js';

describe('when an agent renews', () => {
  it('is every quarter of its time to live, or as seldom as the server says', () => {
    expect(renewalTimes(8_000)).toEqual({ everyMs: 2_000, patienceMs: 1_800, timeoutMs: 3_375 });
    expect(renewalTimes(8_000, 3_200)).toEqual({ everyMs: 3_200, patienceMs: 1_320, timeoutMs: 2_475 });
  });

  it('is never so seldom that there is no time to ask again, nor so often as to be a burden', () => {
    expect(renewalTimes(8_000, 60_000).everyMs).toBe(3_250);
    expect(renewalTimes(8_000, 1).everyMs).toBe(2_000);
  });

  it('leaves time for another way, and then for another asking, whatever the time to live', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1_000, max: 600_000 }), fc.double({ min: 0, max: 2, noNaN: true }), (ttlMs, part) => {
        const { everyMs, patienceMs, timeoutMs } = renewalTimes(ttlMs, ttlMs * part);
        const holdMs = ttlMs - marginsMs(ttlMs).watchdog;
        expect(patienceMs).toBeGreaterThan(0);
        expect(timeoutMs).toBeGreaterThan(patienceMs * 1.5);
        const leftMs = holdMs - everyMs - timeoutMs - renewalRetryMs(ttlMs, 1);
        expect(leftMs).toBeGreaterThanOrEqual((holdMs - everyMs) / 8);
      }),
    );
  });

  it('asks soon after a failure, and ever less often', () => {
    expect([1, 2, 10, 100].map((failures) => renewalRetryMs(8_000, failures))).toEqual([100, 200, 1_000, 1_000]);
    expect(renewalRetryMs(1_000, 1)).toBeCloseTo(31, 0);
  });
});
