import { describe, expect, it } from '@jest/globals';
import { sleep, SystemClock } from './clock.js';
import { FakeClock } from './fake-clock.js';

describe('FakeClock', () => {
  it('fires timers in order of time, then of creation, and only when told to move', async () => {
    const clock = new FakeClock(0);
    const fired: string[] = [];
    clock.timer(20, () => fired.push('b'));
    clock.timer(10, () => fired.push('a'));
    clock.timer(20, () => fired.push('c'));
    expect(fired).toEqual([]);
    await clock.advance(19);
    expect(fired).toEqual(['a']);
    await clock.advance(1);
    expect(fired).toEqual(['a', 'b', 'c']);
    expect(clock.now()).toBe(20);
  });

  it('fires a timer that a timer made, at its own time', async () => {
    const clock = new FakeClock(0);
    const at: number[] = [];
    clock.timer(5, () => clock.timer(5, () => at.push(clock.now())));
    await clock.advance(100);
    expect(at).toEqual([10]);
  });

  it('forgets cancelled timers', async () => {
    const clock = new FakeClock(0);
    clock.timer(5, () => expect(1).toBe(2)).cancel();
    await clock.advance(10);
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('sleep', () => {
  it('ends at its time', async () => {
    const clock = new FakeClock(0);
    let ended = false;
    const done = sleep(clock, 100).then(() => (ended = true));
    await clock.advance(99);
    expect(ended).toBe(false);
    await clock.advance(1);
    await done;
  });

  it('ends at once when the signal aborts, and leaves no timer', async () => {
    const clock = new FakeClock(0);
    const stop = new AbortController();
    const done = sleep(clock, 1_000_000, stop.signal);
    stop.abort();
    await done;
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('SystemClock', () => {
  it('monotonic never goes back and now is the time of day', () => {
    const clock = new SystemClock();
    const first = clock.monotonic();
    expect(clock.monotonic()).toBeGreaterThanOrEqual(first);
    expect(Math.abs(clock.now() - Date.now())).toBeLessThan(1000);
  });

  it('timer calls once, and a delay beyond 32 bits does not fire at once', async () => {
    const clock = new SystemClock();
    const far = clock.timer(2 ** 33, () => expect(1).toBe(2));
    await new Promise<void>((resolve) => clock.timer(1, resolve));
    far.cancel();
  });
});
