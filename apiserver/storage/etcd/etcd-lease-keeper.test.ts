import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Deferred } from '../../../lib/deferred.js';
import { FakeClock } from '../../../lib/fake-clock.js';
import { LeaseKeeper } from './etcd-lease-keeper.js';

interface Sent {
  readonly at: number;
  readonly answer: Deferred<boolean>;
  late: boolean;
  closed: boolean;
}

describe('LeaseKeeper', () => {
  let clock: FakeClock;
  let sent: Sent[];
  let lost: number;
  let keeper: LeaseKeeper;
  let stop: AbortController;
  let ended: Promise<void>;

  beforeEach(() => {
    clock = new FakeClock();
    sent = [];
    lost = 0;
    stop = new AbortController();
    keeper = new LeaseKeeper({
      clock,
      ttlMs: 8_000,
      onLost: () => lost++,
      send: () => {
        const each: Sent = { at: clock.monotonic(), answer: new Deferred(), late: false, closed: false };
        sent.push(each);
        return {
          answer: each.answer.promise,
          late: () => (each.late = true),
          close: () => {
            each.closed = true;
            each.answer.reject(new Error('closed'));
          },
        };
      },
    });
    keeper.keep('7', 0);
    ended = keeper.run(stop.signal);
  });
  afterEach(async () => {
    stop.abort();
    await ended;
    await clock.advance(0);
    expect(sent.every(({ closed }) => closed)).toBe(true);
  });

  it('asks every quarter of the time to live, and counts from when it asked', async () => {
    for (let n = 0; n < 4; n++) {
      await clock.advance(300);
      sent.at(-1)!.answer.resolve(true);
      await clock.advance(1_700);
    }
    expect(sent.map(({ at }) => at)).toEqual([0, 2_000, 4_000, 6_000, 8_000]);
    expect(keeper.keptAt).toBe(6_000);
  });

  it('asks again while an answer is out, elsewhere, and takes that answer all the same when it comes', async () => {
    await clock.advance(3_000);
    expect(sent.map(({ late }) => late)).toEqual([true, false]);
    expect(sent[1]!.at).toBeLessThan(2_000);
    sent[0]!.answer.resolve(true);
    await clock.advance(0);
    expect(keeper.keptAt).toBe(0);
    sent[1]!.answer.resolve(true);
    await clock.advance(0);
    expect(keeper.keptAt).toBe(sent[1]!.at);
    expect(lost).toBe(0);
  });

  it('never moves back for an answer to an earlier question', async () => {
    await clock.advance(2_000);
    sent[1]!.answer.resolve(true);
    await clock.advance(10);
    sent[0]!.answer.resolve(true);
    await clock.advance(10);
    expect(keeper.keptAt).toBe(sent[1]!.at);
  });

  it('does not give the lease up however long nothing is answered, and leaves nothing open that is of no use', async () => {
    await clock.advance(60_000);
    expect(keeper.lease).toBe('7');
    expect(lost).toBe(0);
    expect(sent.length).toBeLessThan(60);
    expect(sent.filter(({ closed }) => !closed).length).toBeLessThanOrEqual(8);
  });

  it('asks again soon when the connection breaks, less and less often', async () => {
    sent[0]!.answer.reject(new Error('broken'));
    await clock.advance(60);
    expect(sent).toHaveLength(2);
    sent[1]!.answer.reject(new Error('broken'));
    await clock.advance(60);
    expect(sent).toHaveLength(2);
    await clock.advance(60);
    expect(sent).toHaveLength(3);
  });

  it('says at once that the lease is gone when etcd says so, and asks no more', async () => {
    sent[0]!.answer.resolve(false);
    await clock.advance(10_000);
    expect([lost, keeper.lease, keeper.keptAt, sent.length]).toEqual([1, undefined, -Infinity, 1]);
  });

  it('takes nothing that is said about a lease it kept before for the present one', async () => {
    keeper.keep('8', 1_000);
    sent[0]!.answer.resolve(false);
    await clock.advance(0);
    expect([lost, keeper.lease, keeper.keptAt]).toEqual([0, '8', 1_000]);
  });
});
