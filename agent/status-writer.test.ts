import { describe, expect, it } from '@jest/globals';
import type { BulkOutcome, EventItem, StatusBulk } from '../api/protocol.js';
import type { TaskReport } from '../api/task-status.js';
import { Deferred } from '../lib/deferred.js';
import { FakeClock } from '../lib/fake-clock.js';
import { silentLogger } from '../lib/log.js';
import { SeededRandom } from '../lib/random.js';
import { StatusWriter, type StatusWriterOptions } from './status-writer.js';

const report = (name: string, phase: TaskReport['phase'], attempt = 1): TaskReport => ({ namespace: 'default', name, uid: name, bindings: 1, attempt, phase });

function world(outcome: (item: TaskReport) => BulkOutcome = () => ({ code: 200 }), events?: StatusWriterOptions['events']) {
  const clock = new FakeClock();
  const sent: string[][] = [];
  let gate: Deferred<void> | undefined;
  let failing = false;
  const writer = new StatusWriter({
    nodeName: 'n1',
    bulk: async (_path, body) => {
      const { items, events: along = [] } = body as StatusBulk;
      sent.push([...items.map((item) => `${item.name} ${item.phase}`), ...along.map(({ reason }) => `event ${reason}`)]);
      await gate?.promise;
      if (failing) throw new Error('away');
      return [...items.map(outcome), ...along.map(() => ({ code: 201 }))];
    },
    ...(events ? { events } : {}),
    clock,
    random: new SeededRandom(1),
    logger: silentLogger,
  });
  const stop = new AbortController();
  const run = writer.run(stop.signal);
  return {
    clock, sent, writer,
    hold: () => (gate = new Deferred()),
    release: () => {
      gate?.resolve();
      gate = undefined;
    },
    fail: (value: boolean) => (failing = value),
    async end() {
      stop.abort();
      await clock.advance(0);
      await run;
      expect(clock.pendingTimers).toBe(0);
    },
  };
}

describe('StatusWriter', () => {
  it('sends at once, and what comes together travels together', async () => {
    const { clock, sent, writer, end } = world();
    const settled = Promise.all([writer.submit(report('a', 'Running')), writer.submit(report('b', 'Running'))]);
    await clock.advance(0);
    expect(sent).toEqual([['a Running', 'b Running']]);
    expect(await settled).toEqual(['accepted', 'accepted']);
    await end();
  });

  it('leaves a server that took its time as long again, and says then what has come together', async () => {
    const { clock, sent, writer, hold, release, end } = world();
    hold();
    void writer.submit(report('a', 'Running'));
    await clock.advance(0);
    await clock.advance(200);
    release();
    await clock.advance(0);
    void writer.submit(report('a', 'Succeeded'));
    await clock.advance(199);
    void writer.submit(report('b', 'Running'));
    expect(sent).toEqual([['a Running']]);
    await clock.advance(1);
    expect(sent).toEqual([['a Running'], ['a Succeeded', 'b Running']]);
    void writer.submit(report('c', 'Running'));
    await clock.advance(0);
    expect(sent[2]).toEqual(['c Running']);
    await end();
  });

  it('keeps only the newest report of a task while a request is under way', async () => {
    const { clock, sent, writer, hold, release, end } = world();
    hold();
    void writer.submit(report('a', 'Running'));
    await clock.advance(0);
    const overtaken = writer.submit(report('b', 'Running'));
    const newest = writer.submit(report('b', 'Succeeded'));
    release();
    await clock.advance(0);
    expect(sent).toEqual([['a Running'], ['b Succeeded']]);
    expect(await Promise.all([overtaken, newest])).toEqual(['accepted', 'accepted']);
    await writer.idle;
    await end();
  });

  it('keeps back for a moment that tasks run, of many that begin together, and says of those that have ended only that', async () => {
    const { clock, sent, writer, end } = world();
    const names = Array.from({ length: 25 }, (_, index) => `t${index}`);
    const running = names.map((name) => writer.submit(report(name, 'Running')));
    await clock.advance(0);
    expect(sent).toEqual([names.slice(0, 20).map((name) => `${name} Running`)]);
    const ended = [writer.submit(report('t20', 'Succeeded')), writer.submit(report('t21', 'Failed'))];
    await clock.advance(0);
    expect(sent.slice(1)).toEqual([['t20 Succeeded', 't21 Failed']]);
    await Promise.all([...ended, ...running.slice(0, 22)]);
    await clock.advance(150);
    await clock.advance(0);
    expect(sent.slice(2)).toEqual([names.slice(22).map((name) => `${name} Running`)]);
    await Promise.all([...running, writer.idle]);
    await end();
  });

  it('tries for ever while the server is away, and then sends the newest', async () => {
    const { clock, sent, writer, fail, end } = world();
    fail(true);
    const first = writer.submit(report('a', 'Running'));
    // The first try needs no time, only a turn of the event loop.
    await clock.advance(0);
    await clock.advance(0);
    await clock.advance(60_000);
    const tries = sent.length;
    expect(tries).toBeGreaterThan(10);
    expect(tries).toBeLessThan(40);
    const last = writer.submit(report('a', 'Failed'));
    fail(false);
    await clock.advance(6_000);
    expect(sent.at(-1)).toEqual(['a Failed']);
    expect(await Promise.all([first, last])).toEqual(['accepted', 'accepted']);
    await end();
  });

  it.each([404, 409, 422])('says that a report was refused with %i, and does not repeat it', async (code) => {
    const { clock, sent, writer, end } = world((item) => ({ code: item.name === 'bad' ? code : 200 }));
    const settled = Promise.all([writer.submit(report('bad', 'Running')), writer.submit(report('good', 'Running'))]);
    await clock.advance(10_000);
    expect(await settled).toEqual(['refused', 'accepted']);
    expect(sent).toHaveLength(1);
    await end();
  });

  it('repeats single items that the server could not take just then', async () => {
    let busy = true;
    const { clock, sent, writer, end } = world((item) => ({ code: busy && item.name === 'a' ? 503 : 200 }));
    const settled = Promise.all([writer.submit(report('a', 'Running')), writer.submit(report('b', 'Running'))]);
    await clock.advance(0);
    busy = false;
    await clock.advance(1_000);
    expect(await settled).toEqual(['accepted', 'accepted']);
    expect(sent).toEqual([['a Running', 'b Running'], ['a Running']]);
    await end();
  });

  it('takes events along, and those that it could not deliver no second time', async () => {
    const told: unknown[] = [];
    const { clock, sent, writer, fail, end } = world(undefined, { take: () => ({ items: [{ reason: 'Started' } as EventItem], told: (outcomes) => told.push(outcomes) }) });
    void writer.submit(report('a', 'Running'));
    await clock.advance(0);
    expect(sent).toEqual([['a Running', 'event Started']]);
    expect(told).toEqual([[{ code: 201 }]]);
    fail(true);
    const last = writer.submit(report('a', 'Succeeded'));
    await clock.advance(0);
    fail(false);
    await clock.advance(6_000);
    expect(sent.slice(1)).toEqual([['a Succeeded', 'event Started'], ['a Succeeded']]);
    expect(told.slice(1)).toEqual([undefined]);
    expect(await last).toBe('accepted');
    await end();
  });
});
