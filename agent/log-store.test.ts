import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, chmodSync, existsSync, mkdirSync, openSync, closeSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SystemClock } from '../lib/clock.js';
import { FakeClock } from '../lib/fake-clock.js';
import { silentLogger } from '../lib/log.js';
import { readLog, type LogQuery } from './log-reader.js';
import { LogStore, readStart, type LogKeep } from './log-store.js';

const key = 'u-1-1';

describe('LogStore', () => {
  let dataDir: string;
  let dir: string;
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'taskplane-logs-'));
    dir = join(dataDir, 'attempts', key);
    mkdirSync(dir, { recursive: true });
  });
  afterEach(() => rm(dataDir, { recursive: true, force: true }));

  const store = (keep: Partial<LogKeep> = {}, clock = new FakeClock()): LogStore => new LogStore({ dataDir, keep, clock, logger: silentLogger });

  async function read(parts: Partial<LogQuery> = {}): Promise<string> {
    let text = '';
    for await (const chunk of readLog({ dir, follow: false, running: () => false, onEnd: () => () => undefined, clock: new SystemClock(), signal: new AbortController().signal, ...parts })) text += chunk.toString();
    return text;
  }

  it('keeps the newest part of what a fast writer appends, without a gap and from the start of a line', async () => {
    const fd = openSync(join(dir, 'output.log'), 'a', 0o600);
    const writer = spawn('sh', ['-c', 'i=0; while [ $i -lt 200000 ]; do echo "line $i of many that are written"; i=$((i+1)); done'], { stdio: ['ignore', fd, 'ignore'] });
    closeSync(fd);
    const logs = store({ bytesPerAttempt: 256 * 1024 });
    logs.started(key);
    const ended = once(writer, 'exit');
    let over = false;
    void ended.then(() => (over = true));
    while (!over) {
      await logs.bound(key);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await logs.bound(key);
    expect(readStart(dir)).toBeGreaterThan(0);
    expect(statSync(join(dir, 'output.log')).blocks * 512).toBeLessThan(1024 * 1024);
    const lines = (await read()).trimEnd().split('\n').map((line) => Number(/^line (\d+) of many that are written$/.exec(line)![1]));
    expect(lines.at(-1)).toBe(199_999);
    // The last cut may have been after the last line: whole lines are kept, of 37 bytes.
    expect(lines.length * 37).toBeGreaterThan(256 * 1024 - 37);
    lines.forEach((line, index) => expect(line).toBe(lines[0]! + index));
  });

  it('goes on bounding where files could be cut before and cannot be any more', async () => {
    const path = process.env['PATH'];
    const write = (from: number, to: number): void => {
      for (let line = from; line < to; line++) appendFileSync(join(dir, 'output.log'), `${String(line).padStart(99)}\n`);
    };
    const logs = store({ bytesPerAttempt: 8_192 });
    logs.started(key);
    write(0, 400);
    await logs.bound(key);
    expect(readStart(dir)).toBeGreaterThan(0);
    try {
      process.env['PATH'] = dataDir;
      write(400, 800);
      await logs.bound(key);
    } finally {
      process.env['PATH'] = path;
    }
    write(800, 810);
    const lines = (await read()).trimEnd().split('\n').map(Number);
    expect([lines.at(-1), lines.length * 100 < 16_384]).toEqual([809, true]);
    lines.forEach((line, index) => expect(line).toBe(lines[0]! + index));
  });

  it.each([
    [0, ''], [1, 'c\n'], [2, 'b\nc\n'], [3, 'a\nb\nc\n'], [9, 'a\nb\nc\n'],
  ])('reads the last %i lines', async (tailLines, expected) => {
    writeFileSync(join(dir, 'output.log'), 'a\nb\nc\n');
    expect(await read({ tailLines })).toBe(expected);
  });

  it('counts a last line without an end as a line', async () => {
    writeFileSync(join(dir, 'output.log'), 'a\nb\nc');
    expect(await read({ tailLines: 2 })).toBe('b\nc');
    expect(await read({ limitBytes: 3 })).toBe('a\nb');
  });

  it('reads across the copy that stands in where files cannot be cut', async () => {
    writeFileSync(join(dir, 'output.1'), 'a\nb\n');
    writeFileSync(join(dir, 'output.log'), 'c\nd\n');
    expect(await read()).toBe('a\nb\nc\nd\n');
    expect(await read({ tailLines: 3 })).toBe('b\nc\nd\n');
    expect(await read({ tailLines: 2 })).toBe('c\nd\n');
  });

  it('keeps the newest ended attempts and removes the others', async () => {
    const logs = store({ attempts: 2 });
    for (const name of ['a-1-1', 'b-1-1', 'c-1-1']) {
      mkdirSync(join(dataDir, 'attempts', name));
      logs.started(name);
      logs.ended(name);
    }
    const stop = new AbortController();
    stop.abort();
    await logs.run(stop.signal);
    expect(['a-1-1', 'b-1-1', 'c-1-1'].map((name) => existsSync(join(dataDir, 'attempts', name)))).toEqual([false, true, true]);
  });

  it.each([0o700, 0o711])('removes all that a task has left, and nothing that its links point to (mode %o)', async (mode) => {
    const kept = join(dataDir, 'kept');
    mkdirSync(kept);
    writeFileSync(join(kept, 'file'), '');
    mkdirSync(join(dir, 'work', 'deep'), { recursive: true });
    symlinkSync(kept, join(dir, 'work', 'deep', 'link'));
    chmodSync(dir, mode);
    const logs = store({ attempts: 0 });
    logs.started(key);
    logs.ended(key);
    const stop = new AbortController();
    stop.abort();
    await logs.run(stop.signal);
    expect([existsSync(dir), existsSync(join(kept, 'file'))]).toEqual([false, true]);
  });

  it('finds the newest attempt, or the one asked for', () => {
    for (const name of ['u-1-2', 'u-2-10']) mkdirSync(join(dataDir, 'attempts', name));
    expect(store().find('u', undefined)?.key).toBe('u-2-10');
    expect(store().find('u', 2)?.key).toBe('u-1-2');
    expect(store().find('u', 3)).toBeUndefined();
  });
});
