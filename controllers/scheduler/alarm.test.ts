import { getEventListeners } from 'node:events';
import { describe, expect, it } from '@jest/globals';
import { FakeClock } from '../../lib/fake-clock.js';
import { Alarm } from './alarm.js';

describe('alarm', () => {
  it('wakes at a ring, keeps one that comes early, and at the time given', async () => {
    const clock = new FakeClock();
    const alarm = new Alarm(clock);
    const { signal } = new AbortController();
    alarm.ring();
    await alarm.wait(signal);
    const woken = alarm.wait(signal);
    alarm.ring();
    await woken;
    const timed = alarm.wait(signal, clock.monotonic() + 50);
    await clock.advance(50);
    await timed;
    expect(clock.pendingTimers).toBe(0);
  });

  it('wakes when the signal aborts, whichever one it waits with, and however often it waited before', async () => {
    const alarm = new Alarm(new FakeClock());
    const [first, second] = [new AbortController(), new AbortController()];
    for (const stop of [first, second]) {
      for (let turn = 0; turn < 10; turn++) {
        const woken = alarm.wait(stop.signal);
        alarm.ring();
        await woken;
      }
      expect(getEventListeners(stop.signal, 'abort')).toHaveLength(1);
    }
    expect(getEventListeners(first.signal, 'abort')).toHaveLength(0);
    const woken = alarm.wait(second.signal);
    second.abort();
    await woken;
    await alarm.wait(second.signal);
  });
});
