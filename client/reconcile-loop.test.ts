import { describe, expect, it } from '@jest/globals';
import { FakeClock } from '../lib/fake-clock.js';
import { silentLogger } from '../lib/log.js';
import { SeededRandom } from '../lib/random.js';
import { ReconcileLoop, TerminalError } from './reconcile-loop.js';

function world(reconcile: (key: string) => Promise<void | { againAfterMs: number }>, concurrency = 1) {
  const clock = new FakeClock();
  const loop = new ReconcileLoop({ name: 'test', reconcile, concurrency, clock, random: new SeededRandom(1), logger: silentLogger });
  const stop = new AbortController();
  const running = loop.run(stop.signal);
  return {
    clock, loop,
    async end() {
      stop.abort();
      await running;
      expect(clock.pendingTimers).toBe(0);
    },
  };
}

describe('reconcile loop', () => {
  it('looks at a key once for many wishes, and again when it was wished for meanwhile', async () => {
    const seen: string[] = [];
    const { loop, clock, end } = world(async (key) => void seen.push(key));
    for (let i = 0; i < 5; i++) loop.enqueue('a');
    await clock.advance(0);
    expect(seen.length).toBeLessThanOrEqual(2);
    const before = seen.length;
    loop.enqueue('a');
    await clock.advance(0);
    expect(seen).toHaveLength(before + 1);
    await end();
  });

  it('tries again after a growing delay while it fails, and forgets the failures when it works', async () => {
    const at: number[] = [];
    let fails = 4;
    const { loop, clock, end } = world(async () => {
      at.push(clock.monotonic());
      if (fails-- > 0) throw new Error('no');
    });
    loop.enqueue('a');
    await clock.advance(10_000);
    expect(at).toHaveLength(5);
    const gaps = at.slice(1).map((time, index) => time - at[index]!);
    for (let i = 1; i < gaps.length; i++) expect(gaps[i]!).toBeGreaterThanOrEqual(gaps[i - 1]!);
    await end();
  });

  it('comes back when it asked to, and does not after a TerminalError', async () => {
    const seen: string[] = [];
    const { loop, clock, end } = world(async (key) => {
      seen.push(key);
      if (key === 'bad') throw new TerminalError('never');
      if (seen.length === 1) return { againAfterMs: 500 };
    });
    loop.enqueue('good');
    await clock.advance(499);
    expect(seen).toEqual(['good']);
    await clock.advance(1);
    expect(seen).toEqual(['good', 'good']);
    loop.enqueue('bad');
    await clock.advance(1_000_000);
    expect(seen).toEqual(['good', 'good', 'bad']);
    await end();
  });

  it('works on different keys side by side, never on one key twice at a time', async () => {
    const active = new Map<string, number>();
    let most = 0;
    const { loop, clock, end } = world(async (key) => {
      active.set(key, (active.get(key) ?? 0) + 1);
      expect(active.get(key)).toBe(1);
      most = Math.max(most, [...active.values()].reduce((sum, count) => sum + count, 0));
      await new Promise<void>((resolve) => clock.timer(100, resolve));
      active.set(key, active.get(key)! - 1);
    }, 3);
    for (let round = 0; round < 5; round++) {
      for (const key of ['a', 'b', 'c', 'd']) loop.enqueue(key);
      await clock.advance(70);
    }
    await clock.advance(1_000);
    expect(most).toBe(3);
    await end();
  });
});
