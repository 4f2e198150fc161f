import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DelayedQueue } from './delayed-queue.js';
import { FakeClock } from './fake-clock.js';

function world() {
  const clock = new FakeClock();
  const due: string[] = [];
  return { clock, due, queue: new DelayedQueue<string>({ clock, due: (key) => due.push(key) }) };
}

describe('delayed queue', () => {
  it('passes keys on in order of their time', async () => {
    const { clock, due, queue } = world();
    queue.add('late', 300);
    queue.add('early', 100);
    queue.add('middle', 200);
    await clock.advance(99);
    expect(due).toEqual([]);
    await clock.advance(1);
    expect(due).toEqual(['early']);
    await clock.advance(1_000);
    expect(due).toEqual(['early', 'middle', 'late']);
    expect(clock.pendingTimers).toBe(0);
  });

  it('passes a key on once, at the earlier of two times', async () => {
    const { clock, due, queue } = world();
    queue.add('a', 300);
    queue.add('a', 100);
    queue.add('a', 200);
    await clock.advance(1_000);
    expect(due).toEqual(['a']);
  });

  it('forgets a key that was removed, and everything when it is closed', async () => {
    const { clock, due, queue } = world();
    queue.add('a', 100);
    queue.add('b', 100);
    queue.remove('a');
    await clock.advance(100);
    expect(due).toEqual(['b']);
    queue.add('c', 100);
    queue.close();
    await clock.advance(100);
    expect(due).toEqual(['b']);
    expect(clock.pendingTimers).toBe(0);
  });

  it('uses one timer however many keys wait', () => {
    const { clock, queue } = world();
    for (let i = 0; i < 1_000; i++) queue.add(String(i), (i * 7919) % 1_000);
    expect(clock.pendingTimers).toBe(1);
    queue.close();
  });

  it('passes on every key at its earliest time, in any order of asking', async () => {
    const asked = fc.array(fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd'), delayMs: fc.nat(500) }), { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(asked, async (adds) => {
        const { clock, queue } = world();
        const times = new Map<string, number>();
        const precise = new DelayedQueue<string>({ clock, due: (key) => times.set(key, clock.monotonic()) });
        const earliest = new Map<string, number>();
        for (const { key, delayMs } of adds) {
          precise.add(key, delayMs);
          earliest.set(key, Math.min(delayMs, earliest.get(key) ?? Infinity));
        }
        await clock.advance(1_000);
        expect(times).toEqual(earliest);
        queue.close();
      }),
      { numRuns: 50 },
    );
  });
});
