import { describe, expect, it } from '@jest/globals';
import { EventEmitter } from 'node:events';
import type { Etcd3 } from 'etcd3';
import { FakeClock } from '../../../lib/fake-clock.js';
import type { EtcdEndpoints } from './etcd-endpoints.js';
import { EtcdKeepAlives } from './etcd-keep-alives.js';

/** A keep-alive stream whose answers the test gives. */
class FakeStream extends EventEmitter {
  readonly asked: string[] = [];
  write({ ID }: { ID: string }): void {
    this.asked.push(ID);
  }
  answer(ID: string, alive = true): void {
    this.emit('data', { ID, TTL: alive ? '8' : '0' });
  }
  end(): void {}
  cancel(): void {}
}

function world() {
  const streams: FakeStream[] = [];
  const clock = new FakeClock();
  const leaseKeepAlive = async (): Promise<FakeStream> => {
    const stream = new FakeStream();
    streams.push(stream);
    return stream;
  };
  const endpoints: Pick<EtcdEndpoints, 'current' | 'failed'> = { current: { leaseClient: { leaseKeepAlive } } as unknown as Etcd3, failed: () => {} };
  return { streams, clock, keepAlives: new EtcdKeepAlives({ endpoints, clock }) };
}

/** What has become of the promise, once all that is ready has run. */
async function stateOf(promise: Promise<boolean>): Promise<boolean | 'open' | 'failed'> {
  let state: boolean | 'open' | 'failed' = 'open';
  promise.then(
    (alive) => (state = alive),
    () => (state = 'failed'),
  );
  await new Promise((resolve) => setImmediate(resolve));
  return state;
}

describe('EtcdKeepAlives', () => {
  it('counts for a caller only what was asked after it came: an answer on its way began the time to live earlier', async () => {
    const { streams, keepAlives } = world();
    const first = keepAlives.keep('7');
    expect(await stateOf(first)).toBe('open');
    const second = keepAlives.keep('7');
    expect(await stateOf(second)).toBe('open');
    expect(streams[0]!.asked).toEqual(['7', '7']);
    streams[0]!.answer('7');
    expect([await stateOf(first), await stateOf(second)]).toEqual([true, 'open']);
    streams[0]!.answer('7', false);
    expect(await stateOf(second)).toBe(false);
    keepAlives.close();
  });

  it('does not take an answer of a stream that was given up for one of the next', async () => {
    const { streams, clock, keepAlives } = world();
    const first = keepAlives.keep('7');
    expect(await stateOf(first)).toBe('open');
    await clock.advance(5_000);
    expect(await stateOf(first)).toBe('failed');
    const second = keepAlives.keep('7');
    expect(await stateOf(second)).toBe('open');
    streams[0]!.answer('7');
    expect(await stateOf(second)).toBe('open');
    streams[1]!.answer('7');
    expect(await stateOf(second)).toBe(true);
    expect(clock.pendingTimers).toBe(0);
    keepAlives.close();
  });

  it('gives a stream up when its oldest question is open for too long, however many were answered meanwhile', async () => {
    const { streams, clock, keepAlives } = world();
    const stuck = keepAlives.keep('1');
    expect(await stateOf(stuck)).toBe('open');
    await clock.advance(3_000);
    const other = keepAlives.keep('2');
    expect(await stateOf(other)).toBe('open');
    streams[0]!.answer('2');
    await clock.advance(1_999);
    expect(await stateOf(stuck)).toBe('open');
    await clock.advance(1);
    expect([await stateOf(stuck), await stateOf(other)]).toEqual(['failed', true]);
    expect(clock.pendingTimers).toBe(0);
  });
});
