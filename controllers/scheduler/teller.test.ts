import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { BulkOutcome, SchedulingBulk } from '../../api/protocol.js';
import { TransportError } from '../../api/transport.js';
import { FakeClock } from '../../lib/fake-clock.js';
import { silentLogger } from '../../lib/log.js';
import { SeededRandom } from '../../lib/random.js';
import { SchedulerCore } from './core.js';
import { Teller } from './teller.js';
import { asking, bindAll, makeNode, makeTask } from './test-world.js';

describe('telling why tasks wait', () => {
  let clock: FakeClock;
  let core: SchedulerCore;
  let teller: Teller;
  let told: { name: string; message: string }[];
  let events: number;
  let requests: number;
  let answer: (items: SchedulingBulk['items']) => BulkOutcome[];
  let stop: AbortController;
  let running: Promise<void>;

  beforeEach(() => {
    clock = new FakeClock();
    core = new SchedulerCore({ random: new SeededRandom(1) });
    told = [];
    events = 0;
    requests = 0;
    answer = (items) => items.map(() => ({ code: 200 }));
    const bulk = async (_path: string, body: object): Promise<BulkOutcome[]> => {
      const { items } = body as SchedulingBulk;
      requests++;
      const outcomes = answer(items);
      told.push(...items.map(({ name, message }) => ({ name, message })));
      return outcomes;
    };
    teller = new Teller({ client: { bulk }, core, recorder: { record: () => void events++ }, clock, random: new SeededRandom(1), logger: silentLogger });
    stop = new AbortController();
    running = teller.run(stop.signal);
  });
  afterEach(async () => {
    stop.abort();
    await running;
    expect(clock.pendingTimers).toBe(0);
  });

  function look(): void {
    core.queue.wake();
    core.next(Infinity, (group) => teller.note(group));
    for (const group of core.queue.takeJoined()) teller.note(group);
  }

  it('waits a moment, and says nothing to a task that was bound meanwhile', async () => {
    core.setTask(makeTask('t', asking('1')));
    look();
    await clock.advance(400);
    core.setNode(makeNode('n'));
    expect(bindAll(core).size).toBe(1);
    await clock.advance(60_000);
    expect(told).toEqual([]);
  });

  it('stays below its rate, in few requests, with a few events for all', async () => {
    for (let i = 0; i < 3000; i++) core.setTask(makeTask(`t${i}`, asking('1')));
    look();
    await clock.advance(600);
    expect(told.length).toBeLessThanOrEqual(1_100);
    await clock.advance(2_000);
    expect(told.length).toBeLessThanOrEqual(2_200);
    await clock.advance(5_000);
    expect(new Set(told.map(({ name }) => name)).size).toBe(3000);
    expect(told.length).toBe(3000);
    expect(events).toBe(20);
    expect(requests).toBeLessThanOrEqual(12);
  });

  it('says nothing to those whose turn comes soon, as long as the others before them get theirs', async () => {
    for (let i = 0; i < 1000; i++) core.setTask(makeTask(`t${String(i).padStart(4, '0')}`, asking('1')));
    look();
    for (let i = 0; i < 200; i++) {
      core.removeTask(`default/t${String(i).padStart(4, '0')}`);
      await clock.advance(8);
    }
    expect(told).toEqual([]);
    await clock.advance(10_000);
    expect(told.length).toBe(800);
  });

  it('does not tell a backlog anew for each change of a node', async () => {
    core.setNode(makeNode('n0'));
    for (let i = 0; i < 3000; i++) core.setTask(makeTask(`t${i}`, asking('8')));
    look();
    for (let i = 1; i <= 100; i++) {
      await clock.advance(1_000);
      core.setNode(makeNode(`n${i}`));
      look();
    }
    expect(told.length).toBeLessThanOrEqual(2 * 3000);
    await clock.advance(600_000);
    expect(new Set(told.slice(-3000).map(({ name, message }) => `${name} ${message.slice(0, 12)}`)).size).toBe(3000);
    expect(told.at(-1)?.message).toContain('0/101 nodes fit');
  });

  it('tells the same task different things at growing intervals only, newest first', async () => {
    core.setNode(makeNode('n0'));
    core.setTask(makeTask('t', asking('8')));
    look();
    for (let i = 1; i <= 300; i++) {
      await clock.advance(1_000);
      core.setNode(makeNode(`n${i}`));
      look();
    }
    expect(told.length).toBeGreaterThanOrEqual(4);
    expect(told.length).toBeLessThanOrEqual(7);
    await clock.advance(300_000);
    expect(told.at(-1)?.message).toContain('0/301 nodes fit');
    const settled = told.length;
    await clock.advance(3_600_000);
    expect(told.length).toBe(settled);
  });

  it('says it again when it could not be said', async () => {
    core.setTask(makeTask('t', asking('8')));
    let failures = 2;
    answer = (items) => {
      if (failures-- > 0) throw new TransportError('connection refused');
      return items.map(() => ({ code: failures === -1 ? 503 : 200 }));
    };
    look();
    for (let second = 0; second < 10; second++) await clock.advance(1_000);
    expect(told.map(({ name }) => name)).toEqual(['t', 't']);
  });
});
