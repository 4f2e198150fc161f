import { describe, expect, it } from '@jest/globals';
import { SeededRandom, SystemRandom, type Random } from './random.js';

describe.each<[string, () => Random]>([
  ['SystemRandom', () => new SystemRandom()],
  ['SeededRandom', () => new SeededRandom(7)],
])('%s', (_name, make) => {
  it('gives floats below one, integers below the bound, suffixes and UUIDs of the right shape', () => {
    const random = make();
    for (let i = 0; i < 1000; i++) {
      const float = random.float();
      expect(float >= 0 && float < 1).toBe(true);
      const integer = random.integer(3);
      expect([0, 1, 2]).toContain(integer);
    }
    expect(random.suffix(5)).toMatch(/^[bcdfghjklmnpqrstvwxz2456789]{5}$/);
    expect(random.uuid()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it('does not repeat UUIDs', () => {
    const random = make();
    expect(new Set(Array.from({ length: 1000 }, () => random.uuid())).size).toBe(1000);
  });
});

describe('SeededRandom', () => {
  it('replays by seed and differs between seeds', () => {
    const draw = (seed: number) => Array.from({ length: 5 }, (_, i) => new SeededRandom(seed + i * 0).integer(1e9));
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
  });
});
