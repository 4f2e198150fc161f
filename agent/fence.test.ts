import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { PresenceRequest, PresenceResponse } from '../api/protocol.js';
import { TransportError } from '../api/transport.js';
import { marginsMs, renewalTimes } from '../client/renewal-times.js';
import { FakeClock } from '../lib/fake-clock.js';
import { silentLogger } from '../lib/log.js';
import { Fence, type FenceKeeper } from './fence.js';

const ttlMs = 8_000;

function world(answer: (request: PresenceRequest) => PresenceResponse | Promise<PresenceResponse>, keeper?: FenceKeeper) {
  const clock = new FakeClock();
  const asked: PresenceRequest[] = [];
  let registrations = 0;
  const fence = new Fence({
    presence: async (request) => {
      asked.push(request);
      return answer(request);
    },
    load: () => ({ cpuMilli: 0, memoryBytes: 0, loadAverage: 0 }),
    register: () => {
      registrations++;
      return Promise.resolve();
    },
    session: 's',
    keeper,
    clock,
    logger: silentLogger,
  });
  const stop = new AbortController();
  const run = fence.run(stop.signal);
  return {
    clock, fence, asked, registrations: () => registrations,
    async end() {
      stop.abort();
      await clock.advance(0);
      await run;
      expect(clock.pendingTimers).toBe(0);
    },
  };
}

describe('Fence', () => {
  it('announces itself once and renews four times per time to live', async () => {
    const { clock, fence, asked, end } = world(() => ({ present: true, ttlMs }));
    await clock.advance(ttlMs);
    expect(asked.map(({ announce }) => announce)).toEqual([true, false, false, false, false]);
    expect(fence.open).toBe(true);
    await end();
  });

  it('renews as seldom as the server says, from when it asked, however long the answer took', async () => {
    const sentAt: number[] = [];
    const { clock, end } = world(async () => {
      sentAt.push(clock.monotonic());
      await new Promise<void>((resolve) => clock.timer(500, resolve));
      return { present: true, ttlMs, renewAfterMs: 3_000 };
    });
    await clock.advance(9_500);
    expect(sentAt).toEqual([0, 3_000, 6_000, 9_000]);
    await clock.advance(500);
    await end();
  });

  it('stays open over a renewal that is lost, whatever the time to live and however seldom the server wants it', async () => {
    const keeper: FenceKeeper = { uptime: () => 0, readDeadline: () => undefined, setDeadline: () => undefined };
    const legal = fc.record({ ttlMs: fc.integer({ min: 1_000, max: 120_000 }), part: fc.double({ min: 0, max: 1, noNaN: true }), lost: fc.integer({ min: 1, max: 4 }), slow: fc.double({ min: 0, max: 0.1, noNaN: true }) });
    await fc.assert(
      fc.asyncProperty(legal, async ({ ttlMs, part, lost, slow }) => {
        const renewAfterMs = ttlMs * part;
        const { everyMs } = renewalTimes(ttlMs, renewAfterMs);
        // Answers may be slow, too: by a tenth of the time that is left when a renewal is due.
        const answerMs = Math.min(3_000, slow * (ttlMs - marginsMs(ttlMs).watchdog - everyMs));
        let asked = 0;
        let answering = 0;
        const { clock, fence, end } = world(async () => {
          if (asked++ === lost) return new Promise<never>(() => undefined);
          answering++;
          await new Promise<void>((resolve) => clock.timer(answerMs, resolve));
          answering--;
          return { present: true, ttlMs, renewAfterMs };
        }, keeper);
        await clock.advance(answerMs);
        let killed = false;
        const release = fence.guard('k', () => (killed = true));
        await clock.advance(7 * everyMs);
        expect([killed, fence.open]).toEqual([false, true]);
        release();
        while (answering > 0) await clock.advance(1);
        await end();
      }),
      { numRuns: 100 },
    );
  });

  it('stays open while each answer comes after its renewal was taken for lost', async () => {
    const renewAfterMs = 3_200;
    let answerMs = 0;
    let answering = 0;
    const { clock, fence, end } = world(async () => {
      answering++;
      await new Promise<void>((resolve) => clock.timer(answerMs, resolve));
      answering--;
      return { present: true, ttlMs, renewAfterMs };
    });
    await clock.advance(1);
    answerMs = renewalTimes(ttlMs, renewAfterMs).timeoutMs + 50;
    for (let at = 0; at < 5 * ttlMs; at += 100) {
      await clock.advance(100);
      expect(fence.open).toBe(true);
    }
    answerMs = 0;
    while (answering > 0) await clock.advance(1);
    await end();
  });

  it('is not held open by a late answer to what was asked before the server said that its presence has expired', async () => {
    const answers: ((answer: PresenceResponse) => void)[] = [];
    let silent = false;
    const { clock, fence, end } = world(({ announce }) => (announce || !silent ? { present: true, ttlMs } : new Promise((resolve) => answers.push(resolve))));
    await clock.advance(1);
    silent = true;
    const release = fence.guard('k', () => undefined);
    const { everyMs, timeoutMs } = renewalTimes(ttlMs);
    await clock.advance(everyMs + timeoutMs + 200);
    expect(answers).toHaveLength(2);
    answers[1]!({ present: false, ttlMs });
    await clock.advance(1);
    answers[0]!({ present: true, ttlMs });
    await clock.advance(1);
    expect(fence.open).toBe(false);
    release();
    silent = false;
    await clock.advance(1);
    expect(fence.open).toBe(true);
    await end();
  });

  it('is not held open by an answer that comes after it has stopped', async () => {
    let late: ((answer: PresenceResponse) => void) | undefined;
    const { clock, fence, end } = world(({ announce }) => (announce ? { present: true, ttlMs } : new Promise((resolve) => (late = resolve))));
    await clock.advance(1);
    let killed = false;
    fence.guard('k', () => (killed = true));
    await clock.advance(renewalTimes(ttlMs).everyMs);
    await end();
    late!({ present: true, ttlMs });
    await clock.advance(2 * ttlMs);
    expect([killed, clock.pendingTimers]).toEqual([false, 0]);
  });

  it.each([true, false])('takes a refused connection for a renewal only from the sole API server (%s)', async (soleServer) => {
    let down = false;
    const refused = new TransportError('nobody listens', { cause: Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }) });
    const { clock, fence, end } = world(() => (down ? Promise.reject(refused) : { present: true, ttlMs, soleServer }));
    await clock.advance(1);
    down = true;
    let killed = false;
    const release = fence.guard('k', () => (killed = true));
    await clock.advance(10 * ttlMs);
    expect([killed, fence.open]).toEqual([!soleServer, soleServer]);
    release();
    await end();
  });

  it('does not say that it is open to who asks after its deadline and before its timer', async () => {
    let down = false;
    const { clock, fence, end } = world(() => (down ? Promise.reject(new TransportError('no answer')) : { present: true, ttlMs }));
    const { agent } = marginsMs(ttlMs);
    let said = false;
    let wasOpen: boolean | undefined;
    // Made before the fence's own timer for the same instant, and so called before it.
    clock.timer(ttlMs - agent, () => {
      wasOpen = fence.open;
      void fence.opened.then(() => (said = true));
    });
    await clock.advance(1);
    down = true;
    await clock.advance(ttlMs);
    expect([wasOpen, said]).toEqual([false, false]);
    down = false;
    await clock.advance(ttlMs);
    expect(said).toBe(true);
    await end();
  });

  it('kills at once what comes under guard when its time is up', async () => {
    const { clock, fence, end } = world(() => Promise.reject(new TransportError('no answer')));
    await clock.advance(1);
    let kills = 0;
    const release = fence.guard('started while the time ran out', () => kills++);
    expect(kills).toBe(1);
    release();
    await end();
  });

  it('is not opened again by a refused connection once its time was up', async () => {
    let answer: () => PresenceResponse | Promise<never> = () => ({ present: true, ttlMs, soleServer: true });
    const { clock, fence, end } = world(() => answer());
    await clock.advance(1);
    answer = () => Promise.reject(new TransportError('no answer'));
    await clock.advance(ttlMs);
    expect(fence.open).toBe(false);
    answer = () => Promise.reject(new TransportError('nobody listens', { cause: Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }) }));
    await clock.advance(ttlMs);
    expect(fence.open).toBe(false);
    await end();
  });

  it('kills what it guards before the server may think it gone, counted from sending', async () => {
    let away = false;
    const { clock, fence, end } = world(() => (away ? new Promise<never>(() => undefined) : { present: true, ttlMs }));
    await clock.advance(1);
    const sentAt = 0;
    away = true;
    let killedAt = NaN;
    const release = fence.guard('k', () => (killedAt = clock.monotonic()));
    await clock.advance(2 * ttlMs);
    expect(killedAt).toBe(sentAt + ttlMs - marginsMs(ttlMs).agent);
    expect(fence.open).toBe(false);
    release();
    await end();
  });

  it('comes back only when all that it guarded has ended', async () => {
    let lapsed = false;
    const { clock, fence, asked, registrations, end } = world(({ announce }) => ({ present: !lapsed || announce, ttlMs }));
    await clock.advance(1);
    let killed = 0;
    const release = fence.guard('k', () => killed++);
    lapsed = true;
    await clock.advance(ttlMs);
    expect(killed).toBe(1);
    expect(asked.filter(({ announce }) => announce)).toHaveLength(1);
    release();
    await clock.advance(1);
    expect(asked.filter(({ announce }) => announce)).toHaveLength(2);
    expect(registrations()).toBe(2);
    expect(fence.open).toBe(true);
    await end();
  });

  it('takes over the deadline of the agent before', async () => {
    const deadlines: number[] = [];
    const keeper: FenceKeeper = { uptime: () => 1_000, readDeadline: () => 1_100, setDeadline: (centiseconds) => deadlines.push(centiseconds) };
    const { clock, fence, end } = world(() => new Promise<never>(() => undefined), keeper);
    fence.inherit();
    expect(fence.open).toBe(true);
    await clock.advance(1_000);
    expect(fence.open).toBe(false);
    expect(deadlines).toEqual([]);
    await end();
  });
});
