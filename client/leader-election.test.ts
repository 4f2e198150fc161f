import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ApiError, notFound } from '../api/errors.js';
import { leaseKind, type Lease } from '../api/lease.js';
import type { ApiRequest, ApiResponse, Transport } from '../api/transport.js';
import type { Clock, Timer } from '../lib/clock.js';
import { FakeClock } from '../lib/fake-clock.js';
import { silentLogger } from '../lib/log.js';
import { SeededRandom } from '../lib/random.js';
import { aborted } from '../lib/service.js';
import { ApiClient } from './api-client.js';
import { FaultyTransport, type Faults } from './faulty-transport.js';
import { LeaderElection } from './leader-election.js';

/** One Lease behind the verbs that an election uses. */
class LeaseServer implements Transport {
  lease: Lease | undefined;
  #revision = 0;

  async request({ method, body }: ApiRequest): Promise<ApiResponse> {
    const sent = body === undefined ? undefined : (JSON.parse(body) as Lease);
    if (method === 'GET') return this.lease ? ok(this.lease) : refused(notFound(leaseKind, 'l'));
    if (method === 'POST' && this.lease) return refused(new ApiError('AlreadyExists', 'already'));
    if (method === 'PUT' && sent!.metadata.resourceVersion !== this.lease?.metadata.resourceVersion) return refused(new ApiError('Conflict', 'modified'));
    this.lease = { ...sent!, metadata: { ...sent!.metadata, resourceVersion: String(++this.#revision) } };
    return ok(this.lease);
  }
  stream(): never {
    throw new Error('not used');
  }
  async close(): Promise<void> {}
}

const ok = (object: unknown): ApiResponse => ({ status: 200, headers: {}, body: JSON.stringify(object) });
const refused = (error: ApiError): ApiResponse => ({ status: error.code, headers: {}, body: JSON.stringify(error.toStatus()) });

/** A clock that runs at another rate than the true one, as real ones do. */
class SkewedClock implements Clock {
  constructor(private readonly inner: FakeClock, private readonly rate: number, private readonly offsetMs: number) {}
  now(): number {
    return this.inner.now() * this.rate + this.offsetMs;
  }
  monotonic(): number {
    return this.inner.monotonic() * this.rate + this.offsetMs;
  }
  timer(delayMs: number, fn: () => void): Timer {
    return this.inner.timer(delayMs / this.rate, fn);
  }
}

function world() {
  const time = new FakeClock();
  const server = new LeaseServer();
  const leading = new Set<string>();
  const history: string[] = [];
  const candidate = (identity: string, options: { rate?: number; offsetMs?: number; faults?: Faults; seed?: number } = {}) => {
    const clock = new SkewedClock(time, options.rate ?? 1, options.offsetMs ?? 0);
    const random = new SeededRandom(options.seed ?? 1);
    const transport = new FaultyTransport({ transport: server, clock: time, random, faults: options.faults });
    const election = new LeaderElection({
      client: new ApiClient({ transport, clock: time }),
      name: 'l',
      identity,
      leaseDurationMs: 10_000,
      clock,
      random,
      logger: silentLogger,
      async lead(signal) {
        expect([...leading]).toEqual([]);
        leading.add(identity);
        history.push(identity);
        await aborted(signal);
        leading.delete(identity);
      },
    });
    const stop = new AbortController();
    const ended = election.run(stop.signal);
    return {
      election, transport,
      async end() {
        stop.abort();
        await time.advance(60_000);
        await ended;
      },
    };
  };
  return { time, server, leading, history, candidate };
}

describe('leader election', () => {
  it('lets one candidate lead, and the next at once when the first stops in order', async () => {
    const { time, leading, candidate } = world();
    const a = candidate('a');
    await time.advance(100);
    const b = candidate('b');
    await time.advance(30_000);
    expect([...leading]).toEqual(['a']);
    const ending = a.end();
    await time.advance(3_000);
    expect([...leading]).toEqual(['b']);
    await ending;
    await b.end();
    expect(time.pendingTimers).toBe(0);
  });

  it('stops a leader that is cut off before another one starts, which is within the lease', async () => {
    const { time, leading, history, candidate } = world();
    const a = candidate('a');
    await time.advance(100);
    const b = candidate('b');
    await time.advance(20_000);
    a.transport.partition();
    await time.advance(8_500);
    expect(a.election.leads).toBe(false);
    expect(leading.has('a')).toBe(false);
    await time.advance(6_000);
    expect([...leading]).toEqual(['b']);
    a.transport.heal();
    await time.advance(30_000);
    expect(history).toEqual(['a', 'b']);
    await a.end();
    await b.end();
    expect(time.pendingTimers).toBe(0);
  });

  it.each([1, 2, 3, 4])('follows a dead leader a lease after its last renewal, and at most an eighth more (seed %i)', async (seed) => {
    const { time, leading, candidate } = world();
    const a = candidate('a', { seed });
    await time.advance(100);
    const b = candidate('b', { seed });
    await time.advance(20_000 + seed * 300);
    a.transport.partition();
    await time.advance(11_300);
    expect([...leading]).toEqual(['b']);
    await a.end();
    await b.end();
  });

  it('does not take over from a run of the same process that may still be there', async () => {
    const { time, server, leading, candidate } = world();
    server.lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: 'l', resourceVersion: '0' }, spec: { holderIdentity: 'a', leaseDurationSeconds: 10 } };
    const a = candidate('a');
    await time.advance(9_000);
    expect(leading.size).toBe(0);
    await time.advance(5_000);
    expect(leading.size).toBe(1);
    await a.end();
  });

  it('goes on leading when the answer to a renewal was lost', async () => {
    const { time, history, candidate } = world();
    const a = candidate('a', { faults: { loseAnswer: 0.4 }, seed: 7 });
    await time.advance(300_000);
    expect(new Set(history)).toEqual(new Set(['a']));
    await a.end();
  });

  it('ends when lead ends by itself, and fails when lead fails', async () => {
    const { time, server } = world();
    const options = { client: new ApiClient({ transport: server }), name: 'l', clock: time, random: new SeededRandom(1), logger: silentLogger };
    const { signal } = new AbortController();
    await new LeaderElection({ ...options, identity: 'a', lead: async () => {} }).run(signal);
    await expect(new LeaderElection({ ...options, identity: 'b', lead: () => Promise.reject(new Error('defect')) }).run(signal)).rejects.toThrow('defect');
    expect(server.lease?.spec?.holderIdentity).toBe('');
    expect(time.pendingTimers).toBe(0);
  });

  it('never has two leaders, whatever the network does and though clocks run at different rates; someone leads in the end', async () => {
    const faults = fc.record({ loseRequest: fc.constantFrom(0, 0.3), loseAnswer: fc.constantFrom(0, 0.3), duplicate: fc.constantFrom(0, 0.3), delayMsMax: fc.constantFrom(0, 500, 9_000) });
    const person = fc.record({ rate: fc.double({ min: 0.9, max: 1.1, noNaN: true }), offsetMs: fc.integer({ min: 0, max: 1e9 }), faults, seed: fc.integer() });
    const step = fc.record({ who: fc.nat(2), cut: fc.boolean(), ms: fc.integer({ min: 0, max: 15_000 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(person, { minLength: 3, maxLength: 3 }), fc.array(step, { maxLength: 12 }), async (people, steps) => {
        const { time, leading, candidate } = world();
        const all = people.map((options, index) => candidate('abc'[index]!, options));
        for (const { who, cut, ms } of steps) {
          all[who]!.transport[cut ? 'partition' : 'heal']();
          for (let left = ms; left > 0; left -= 500) {
            await time.advance(500);
            expect(leading.size).toBeLessThanOrEqual(1);
          }
        }
        for (const { transport } of all) {
          transport.faults = {};
          transport.heal();
        }
        await time.advance(60_000);
        expect(leading.size).toBe(1);
        await Promise.all(all.map((each) => each.end()));
        expect(time.pendingTimers).toBe(0);
      }),
      { numRuns: 60 },
    );
  });
});
