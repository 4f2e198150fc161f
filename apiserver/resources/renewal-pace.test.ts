import { describe, expect, it } from '@jest/globals';
import { renewAfterMs } from './renewal-pace.js';

describe('how often agents renew', () => {
  it.each<[ttlMs: number, agents: number, afterMs: number | undefined]>([
    [8_000, 0, undefined],
    [8_000, 1_000, undefined],
    [8_000, 1_100, undefined],
    [8_000, 3_000, 2_600],
    [8_000, 5_000, 3_200],
    [8_000, 50_000, 3_200],
    [1_000, 50_000, 400],
    [60_000, 3_000, 19_500],
  ])('with a time to live of %s ms and %s agents: every %s ms', (ttlMs, agents, afterMs) => {
    expect(renewAfterMs(ttlMs, agents)).toBe(afterMs);
  });
});
