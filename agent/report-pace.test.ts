import { describe, expect, it } from '@jest/globals';
import { pauseAfterMs } from './report-pace.js';

describe('the pause after an answer', () => {
  it.each([
    [0, 0],
    [20, 0],
    [50, 0],
    [51, 51],
    [300, 300],
    [30_000, 500],
  ])('that took %d ms is %d ms', (tookMs, pauseMs) => {
    expect(pauseAfterMs(tookMs)).toBe(pauseMs);
  });
});
