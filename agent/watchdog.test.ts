import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '../lib/log.js';
import { readStat } from './proc.js';
import { Watchdog } from './watchdog.js';
import { watchdogScript } from './wrapper.js';

describe('Watchdog', () => {
  let dataDir: string;
  let watchdog: Watchdog;
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'taskplane-watchdog-'));
    watchdog = new Watchdog({ dataDir, cgroups: undefined, logger: silentLogger });
    watchdog.setDeadline(watchdog.uptime() + 100_000);
  });
  afterEach(async () => {
    watchdog.retain(new Set());
    await watchdog.close();
    await rm(dataDir, { recursive: true, force: true });
  });

  const slots = (): string[] => readdirSync(join(dataDir, 'fence', 'guarded'));
  const linesOf = (slot: string): string[] => readFileSync(join(dataDir, 'fence', 'guarded', slot), 'utf8').split('\n').slice(0, 4);

  it('says in four lines how to kill an attempt, also where a longer one was listed before', () => {
    watchdog.guard('a-long-key-of-an-attempt', undefined, '/a/long/path/of/a/directory');
    watchdog.release('a-long-key-of-an-attempt');
    watchdog.guard('short', undefined, '/d');
    expect(slots()).toEqual(['0']);
    expect(linesOf('0')).toEqual(['-', '-', '/d', 'short']);
    expect(new Watchdog({ dataDir, cgroups: undefined, logger: silentLogger }).isGuarded('short')).toBe(true);
  });

  it('lists nothing of what ended a while ago, and guards in its place', () => {
    watchdog.guard('one', undefined, '/d');
    watchdog.release('one');
    watchdog.setDeadline(watchdog.uptime() + 100_000);
    expect(linesOf('0')).toEqual(['']);
    watchdog.guard('two', undefined, '/e');
    expect(linesOf('0')).toEqual(['-', '-', '/e', 'two']);
  });

  it('lists more attempts than it keeps files open', () => {
    const keys = Array.from({ length: 100 }, (_, index) => `key-${index}`);
    for (const key of keys) watchdog.guard(key, undefined, `/d/${key}`);
    expect(slots().map((slot) => linesOf(slot)[3]).toSorted()).toEqual(keys.toSorted());
    for (const key of keys) watchdog.guard(key, undefined, `/e/${key}`);
    expect(slots().map((slot) => linesOf(slot)[2]).toSorted()).toEqual(keys.map((key) => `/e/${key}`).toSorted());
  });

  it.each(['/bin/sh', '/bin/bash'].filter((shell) => existsSync(shell)))('ends the wrapper with its process group, before the cgroup into which its command could be born afterwards (%s)', async (shell) => {
    const fence = join(dataDir, 'fence');
    const attempt = join(dataDir, 'key-of-attempt');
    const killFile = join(dataDir, 'cgroup.kill');
    mkdirSync(attempt);
    // Whoever writes into it waits, as nobody reads.
    execFileSync('mkfifo', [killFile]);
    const wrapper = spawn('/bin/sh', ['-c', 'read -r end', attempt], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
    writeFileSync(join(attempt, 'run'), `${wrapper.pid} boot 1\n`);
    writeFileSync(join(fence, 'guarded', '0'), `${killFile}\n-\n${attempt}\nkey-of-attempt\n`);
    writeFileSync(join(fence, 'deadline'), '1\n');
    const script = spawn(shell, ['-c', watchdogScript, 'watchdog', fence, String(process.pid), readStat(process.pid)!.startTicks, '', '--'], { stdio: 'ignore' });
    try {
      expect(await once(wrapper, 'exit', { signal: AbortSignal.timeout(10_000) })).toEqual([null, 'SIGKILL']);
    } finally {
      script.kill('SIGKILL');
      wrapper.kill('SIGKILL');
    }
  });
});
