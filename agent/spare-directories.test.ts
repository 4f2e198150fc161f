import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SpareDirectories } from './spare-directories.js';

describe('SpareDirectories', () => {
  let dataDir: string;
  let spares: SpareDirectories;
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'taskplane-spares-'));
    spares = new SpareDirectories(dataDir);
  });
  afterEach(() => rm(dataDir, { recursive: true, force: true }));

  const path = (name: string): string => join(dataDir, name);

  function attempt(name: string, work = 0o700): string {
    mkdirSync(path(name), { mode: 0o700 });
    mkdirSync(join(path(name), 'work'), { mode: 0o700 });
    chmodSync(join(path(name), 'work'), work);
    for (const file of ['run', 'output.log']) writeFileSync(join(path(name), file), 'words');
    return path(name);
  }

  it('gives the directory of a removed attempt to the next, and nothing of what was in it', () => {
    const { ino } = statSync(attempt('one'));
    expect(spares.give(path('one'))).toBe(true);
    expect(existsSync(path('one'))).toBe(false);
    expect(spares.take(path('two'))).toBe(true);
    expect(statSync(path('two'))).toMatchObject({ ino, mode: 0o40700 });
    expect(readdirSync(path('two'))).toEqual(['work']);
    expect(readdirSync(join(path('two'), 'work'))).toEqual([]);
    expect(spares.take(path('three'))).toBe(false);
  });

  it('refuses directories that hold more, or that others may enter', () => {
    writeFileSync(join(attempt('full'), 'work', 'left'), '');
    writeFileSync(join(attempt('timed'), 'times'), '');
    attempt('open', 0o755);
    chmodSync(attempt('listed'), 0o744);
    chmodSync(attempt('inherited'), 0o2700);
    const root = process.getuid!() === 0;
    if (root) chownSync(attempt('given away'), 65_534, 65_534);
    mkdirSync(path('linked'));
    symlinkSync('/', join(path('linked'), 'work'));
    for (const name of ['full', 'timed', 'open', 'linked', 'listed', 'inherited', ...(root ? ['given away'] : [])]) expect([name, spares.give(path(name))]).toEqual([name, false]);
    expect(existsSync(join(path('full'), 'work', 'left'))).toBe(true);
    expect(spares.take(path('next'))).toBe(false);
  });

  it('makes one ahead, like that of an attempt', async () => {
    spares.prepare();
    spares.prepare();
    while (!spares.take(path('one'))) await new Promise((resolve) => setImmediate(resolve));
    expect(spares.take(path('two'))).toBe(false);
    for (const directory of [path('one'), join(path('one'), 'work')]) expect(statSync(directory).mode).toBe(0o40700);
    expect(readdirSync(path('one'))).toEqual(['work']);
    expect(readdirSync(path('spare'))).toEqual([]);
  });

  it('does not put one in the place of what is there already', () => {
    spares.give(attempt('one'));
    attempt('two');
    expect(spares.take(path('two'))).toBe(false);
    expect(existsSync(join(path('two'), 'run'))).toBe(true);
    expect(spares.take(path('three'))).toBe(true);
  });

  it('keeps a bounded number, and none of an earlier agent', () => {
    const given = Array.from({ length: 80 }, (_, index) => spares.give(attempt(`a${index}`))).filter(Boolean).length;
    expect(given).toBe(64);
    expect(new SpareDirectories(dataDir).take(path('next'))).toBe(false);
    expect(readdirSync(path('spare'))).toEqual([]);
  });
});
