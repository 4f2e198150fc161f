import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { appendFileSync, existsSync, mkdirSync, readFileSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FakeClock } from '../lib/fake-clock.js';
import { silentLogger } from '../lib/log.js';
import { LineTimes, lineTime } from './line-times.js';
import { readLog, type LogQuery } from './log-reader.js';
import { encodeTimes, LogTimeIndex, readTimes, readTimesAfter, thinnedTimes, type LogTimeEntry } from './log-time-index.js';
import { LogStore } from './log-store.js';

const key = 'u-1-1';

describe('the times of log lines', () => {
  let dataDir: string;
  let dir: string;
  let output: string;
  let clock: FakeClock;
  let store: LogStore;
  let stop: AbortController;
  let running: Promise<void>;

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'taskplane-times-'));
    dir = join(dataDir, 'attempts', key);
    output = join(dir, 'output.log');
    mkdirSync(dir, { recursive: true });
    writeFileSync(output, '');
    clock = new FakeClock();
    stop = new AbortController();
    begin();
  });
  afterEach(async () => {
    await end();
    await rm(dataDir, { recursive: true, force: true });
  });

  function begin(): void {
    stop = new AbortController();
    store = new LogStore({ dataDir, keep: { bytesPerAttempt: 4_096 }, clock, logger: silentLogger });
  }
  const run = (): void => void (running = store.run(stop.signal));
  async function end(): Promise<void> {
    stop.abort();
    await running;
  }
  /** Appends, as the command would, at the time of the clock. */
  function write(text: string): void {
    appendFileSync(output, text);
    utimesSync(output, clock.now() / 1000, clock.now() / 1000);
  }
  async function read(parts: Partial<LogQuery> = {}): Promise<string> {
    let text = '';
    const timesAfter = (from: number): readonly LogTimeEntry[] => store.times.entriesAfter(key, from);
    const query: LogQuery = { dir, follow: false, timestamps: true, timesAfter, running: () => store.isRunning(key), onEnd: (handler) => store.onEnd(key, handler), clock, signal: stop.signal, ...parts };
    for await (const chunk of readLog(query)) text += chunk.toString('latin1');
    return text;
  }
  const at = (ms: number): string => lineTime(ms);

  it('are those at which the file was seen to grow', async () => {
    run();
    store.started(key);
    const start = clock.now();
    write('a\n');
    await clock.advance(1_000);
    write('b\nc');
    await clock.advance(1_000);
    write('\nd\n');
    await clock.advance(100);
    expect(await read()).toBe(`${at(start)} a\n${at(start + 1_000)} b\n${at(start + 1_000)} c\n${at(start + 2_000)} d\n`);
    expect(await read({ tailLines: 1 })).toBe(`${at(start + 2_000)} d\n`);
    expect(await read({ limitBytes: 33 })).toBe(`${at(start)} a\n`);
    store.ended(key);
    expect(await read({ sinceMs: start + 1_000 })).toBe(`${at(start + 1_000)} b\n${at(start + 1_000)} c\n${at(start + 2_000)} d\n`);
    expect(await read({ sinceMs: start + 1_001, timestamps: false })).toBe('d\n');
    expect(await read({ sinceMs: start + 500, tailLines: 2, timestamps: false })).toBe('c\nd\n');
    expect(await read({ sinceMs: start + 2_001 })).toBe('');
  });

  it('cost a short attempt no file: all its lines have the time of its last write', async () => {
    run();
    store.started(key);
    write('a\nb\n');
    const written = clock.now();
    await clock.advance(150);
    store.ended(key);
    expect(existsSync(join(dir, 'times'))).toBe(false);
    expect(await read()).toBe(`${at(written)} a\n${at(written)} b\n`);
  });

  it('wake an agent that rests while nothing is written, once', async () => {
    run();
    store.started(key);
    await clock.advance(3_000);
    // Only the one that bounds the logs: nobody looks at a quiet attempt.
    expect(clock.pendingTimers).toBe(1);
    write('late\n');
    while (store.times.sizeOf(key) !== 5) await new Promise((resolve) => setImmediate(resolve));
    const seen = clock.now();
    await clock.advance(5_000);
    expect(await read()).toBe(`${at(seen)} late\n`);
  });

  it('outlive the agent; what is written without one has the time of the last write', async () => {
    run();
    store.started(key);
    const start = clock.now();
    write('a\n');
    await clock.advance(200);
    await end();
    // Half an entry, as an agent leaves it that is killed.
    appendFileSync(join(dir, 'times'), Buffer.from([1, 2, 3]));
    await clock.advance(60_000);
    write('b\n');
    await clock.advance(60_000);
    write('c\n');
    const last = clock.now();
    await clock.advance(60_000);
    begin();
    store.recover(new Set([key]));
    run();
    write('d\n');
    const after = clock.now();
    await clock.advance(200);
    expect(await read()).toBe(`${at(start)} a\n${at(last)} b\n${at(last)} c\n${at(after)} d\n`);
    await end();
    expect(statSync(join(dir, 'times')).size % 12).toBe(0);
    running = Promise.resolve();
  });

  it('follow what is written, line by line, until the attempt ends', async () => {
    run();
    store.started(key);
    const start = clock.now();
    write('old\nhalf');
    await clock.advance(1_000);
    const text = read({ follow: true, sinceMs: start + 500 });
    write(' of an old line\nnew\nunfinished');
    const later = clock.now();
    await clock.advance(1_000);
    store.ended(key);
    expect(await text).toBe(`${at(later)} new\n${at(later)} unfinished`);
  });

  it('go with what is cut off', async () => {
    // Without the loop that cuts by itself: one at a time cuts a log.
    running = store.times.run(stop.signal);
    store.started(key);
    const start = clock.now();
    for (let line = 0; line < 100; line++) {
      write(`${String(line).padStart(99)}\n`);
      await clock.advance(200);
    }
    await store.bound(key);
    expect(readTimes(join(dir, 'times')).length).toBeLessThan(90);
    const lines = (await read()).trimEnd().split('\n').map((line) => line.split(/ +/));
    expect(lines.length).toBeGreaterThanOrEqual(30);
    for (const [time, line] of lines) expect(time).toBe(at(start + Number(line) * 200));
  });

  it('go with the copy where files cannot be cut', async () => {
    run();
    store.started(key);
    const start = clock.now();
    write('a\n');
    await clock.advance(1_000);
    write('b\n');
    await clock.advance(1_000);
    writeFileSync(join(dir, 'output.1'), 'b\n');
    truncateSync(output, 0);
    store.times.emptied(key, 2);
    write('c\n');
    await clock.advance(200);
    expect(await read()).toBe(`${at(start + 1_000)} b\n${at(start + 2_000)} c\n`);
    expect(await read({ sinceMs: start + 1_500 })).toBe(`${at(start + 2_000)} c\n`);
  });

  it('begin anew with a file that its task has emptied', async () => {
    run();
    store.started(key);
    write('long ago, and longer than what follows\n');
    await clock.advance(3_000);
    truncateSync(output, 0);
    write('a\n');
    const first = clock.now();
    while (store.times.sizeOf(key) !== 2) await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(1_000);
    write('b\n');
    const second = clock.now();
    await clock.advance(1_000);
    expect(await read()).toBe(`${at(first)} a\n${at(second)} b\n`);
    store.ended(key);
    expect(await read()).toBe(`${at(first)} a\n${at(second)} b\n`);
  });

  it('do without a file where there is no room', async () => {
    run();
    mkdirSync(join(dir, 'times'));
    mkdirSync(join(dir, 'times.new'));
    store.started(key);
    write('a\n');
    await clock.advance(1_000);
    store.times.cut(key, 1);
    store.times.emptied(key, 1);
    write('b\n');
    await clock.advance(2_000);
    store.ended(key);
    expect(await read({ timestamps: false })).toBe('a\nb\n');
  });

  it('are told of the newest half as finely as before when there are too many', () => {
    const entries = Array.from({ length: 100 }, (_, index) => ({ end: index + 1, at: index * 10 }));
    const thinned = thinnedTimes(entries);
    expect(thinned.length).toBe(75);
    const index = new LogTimeIndex(thinned, 0);
    for (let offset = 50; offset < 100; offset++) expect(index.timeAt(offset)).toBe(offset * 10);
    for (let offset = 0; offset < 50; offset++) expect(index.timeAt(offset) - offset * 10).toBeLessThanOrEqual(10);
  });

  it('are read from the end as from the beginning', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 300 }), fc.nat(3_000), (steps, after) => {
        let last: LogTimeEntry = { end: 0, at: 0 };
        const entries = steps.map((step) => (last = { end: last.end + step, at: last.at + step - 1 }));
        const path = join(dir, 'some');
        writeFileSync(path, encodeTimes(entries));
        expect(readTimes(path)).toEqual(entries);
        expect(readTimesAfter(path, after)).toEqual(entries.filter(({ end }) => end > after));
        expect(readFileSync(path).length).toBe(entries.length * 12);
      }),
      { numRuns: 50 },
    );
  });

  it('stand before each line, in whatever pieces, of whatever bytes, it comes', () => {
    const pieces = fc.array(fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes.map((byte) => (byte % 4 === 0 ? 10 : byte)))), { maxLength: 20 });
    fc.assert(
      fc.property(pieces, fc.boolean(), fc.nat(20), (parts, timestamps, since) => {
        const whole = Buffer.concat(parts);
        const index = new LogTimeIndex(Array.from({ length: 40 }, (_, step) => ({ end: (step + 1) * 10, at: step })), 40);
        const lines = new LineTimes({ timestamps, sinceMs: since });
        let offset = 0;
        const given: Buffer[] = [];
        for (const part of parts) {
          given.push(...lines.pass(part, offset, index));
          offset += part.length;
        }
        const expected: Buffer[] = [];
        for (let from = 0; from < whole.length; ) {
          const newline = whole.indexOf(10, from);
          const to = newline < 0 ? whole.length : newline + 1;
          const time = Math.floor(from / 10);
          if (time >= since) expected.push(Buffer.from(timestamps ? `${lineTime(time)} ` : ''), whole.subarray(from, to));
          from = to;
        }
        expect(Buffer.concat(given).toString('latin1')).toBe(Buffer.concat(expected).toString('latin1'));
      }),
    );
  });
});
