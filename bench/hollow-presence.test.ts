import { describe, expect, it } from '@jest/globals';
import { decodeMessage, encodeMessage } from '../api/tunnel-message.js';
import { Deferred } from '../lib/deferred.js';
import { FakeClock } from '../lib/fake-clock.js';
import type { Mux } from '../lib/mux.js';
import { SeededRandom } from '../lib/random.js';
import { HollowPresence } from './hollow-presence.js';

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
};

describe('the presence of a hollow agent', () => {
  async function started(mayCall = true) {
    const clock = new FakeClock();
    const calls: { message: Buffer; answer: Deferred<Buffer> }[] = [];
    const told: string[] = [];
    const mux = { mayCall, call: (message: Buffer) => (calls.push({ message, answer: new Deferred() }), calls.at(-1)!.answer.promise) } as unknown as Mux;
    const presence = new HollowPresence({
      nodeName: 'n', request: { session: 's', announce: false }, userAgent: 'test', announced: { present: true, ttlMs: 8_000 }, mux: () => mux,
      direct: async () => (told.push('direct'), { present: true, ttlMs: 8_000 }), comeBack: async () => void told.push('back'), clock, random: new SeededRandom(1),
    });
    const stop = new AbortController();
    void presence.run(stop.signal);
    const period = async (): Promise<void> => {
      await clock.advance(2_000);
      await settle();
    };
    await period();
    return { clock, calls, told, period, stop };
  }
  const answer = (status: number, body: object): Buffer => encodeMessage({ status, headers: {} }, JSON.stringify(body));

  it('is renewed over the tunnel once in each period, by a request like that of a real agent', async () => {
    const { calls, told, period, stop } = await started();
    for (const { answer: reply } of calls) reply.resolve(answer(200, { present: true, ttlMs: 8_000 }));
    await settle();
    const before = calls.length;
    await period();
    stop.abort();
    expect(calls.length).toBe(before + 1);
    expect(told).toEqual([]);
    const { head, body } = decodeMessage(calls[0]!.message)!;
    expect(head).toMatchObject({ method: 'POST', url: '/api/v1/nodes/n/presence' });
    expect(JSON.parse(body.toString())).toEqual({ session: 's', announce: false });
  });

  it('is renewed as seldom as the server says', async () => {
    const { clock, calls, period } = await started();
    calls[0]!.answer.resolve(answer(200, { present: true, ttlMs: 8_000, renewAfterMs: 3_200 }));
    await settle();
    await period();
    const before = calls.length;
    for (let renewals = 1; renewals <= 3; renewals++) {
      calls.at(-1)!.answer.resolve(answer(200, { present: true, ttlMs: 8_000, renewAfterMs: 3_200 }));
      await clock.advance(3_200);
      await settle();
      expect(calls.length).toBe(before + renewals);
    }
  });

  it('is asked for beside the tunnel while that does not answer, or is none', async () => {
    const { calls, told, period } = await started();
    await period();
    expect([calls.length, told[0]]).toEqual([1, 'direct']);
    expect((await started(false)).told[0]).toBe('direct');
  });

  it.each<[string, Buffer, string[]]>([
    ['comes back when it has expired', answer(200, { present: false, ttlMs: 8_000 }), ['back']],
    ['comes back when its node is gone', answer(404, { kind: 'Status' }), ['back']],
    ['waits when the server is in trouble', answer(503, { kind: 'Status' }), []],
  ])('%s', async (_, reply, expected) => {
    const { calls, told } = await started();
    calls[0]!.answer.resolve(reply);
    await settle();
    expect(told).toEqual(expected);
  });
});
