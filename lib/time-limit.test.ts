import { describe, expect, it } from '@jest/globals';
import { runWithin } from './time-limit.js';

describe('runWithin', () => {
  it('returns what is returned, and throws what is thrown', () => {
    expect(runWithin(1_000, () => 7)).toEqual({ result: 7 });
    expect(() => runWithin(1_000, () => JSON.parse('{'))).toThrow(SyntaxError);
  });

  it('stops what does not end', () => {
    let steps = 0;
    const endless = (): never => {
      for (;;) steps++;
    };
    expect(runWithin(20, endless)).toBeUndefined();
    expect(steps).toBeGreaterThan(0);
    expect(runWithin(1_000, () => 'still works')).toEqual({ result: 'still works' });
  });
});
