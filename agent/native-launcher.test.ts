import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '../lib/log.js';
import type { Launched } from './launcher.js';
import { NativeLauncher } from './native-launcher.js';
import { readStat } from './proc.js';
import { looksForEndedChildren } from './testing/ended-children.js';

describe('NativeLauncher', () => {
  let directory: string;
  let launcher: NativeLauncher;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'taskplane-launcher-'));
    launcher = new NativeLauncher({ onChildEnded: looksForEndedChildren, logger: silentLogger });
    await launcher.ready();
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  async function launch(script: string, env: Record<string, string> = {}) {
    const path = join(directory, 'output');
    const output = openSync(path, 'w');
    try {
      const child = await launcher.launch({ file: '/bin/sh', args: ['-c', script], env, cwd: directory, stdio: ['ignore', output, output] });
      return { child, end: await ended(child), output: readFileSync(path, 'utf8') };
    } finally {
      closeSync(output);
    }
  }
  const ended = (child: Launched) => new Promise((resolve) => child.onExit((code, signal) => resolve({ code, signal })));

  it('tells exit codes and signals apart', async () => {
    expect((await launch('exit 0')).end).toEqual({ code: 0, signal: null });
    expect((await launch('exit 137')).end).toEqual({ code: 137, signal: null });
    expect((await launch('kill -KILL $$')).end).toEqual({ code: null, signal: 'SIGKILL' });
  });

  it('hands on directory, environment and descriptors, and nothing to read', async () => {
    const { output } = await launch('pwd; env; read -r line || echo no input; echo error >&2', { NAME: 'a\nb=ü' });
    expect(output).toBe(`${directory}\nNAME=a\nb=ü\nPWD=${directory}\nno input\nerror\n`);
  });

  it('makes leaders of sessions that hear every signal', async () => {
    const child = await launcher.launch({ file: '/bin/sleep', args: ['1000'], env: {}, cwd: '/', stdio: ['ignore', 'ignore', 'ignore'] });
    const session = readStat(child.pid)?.session;
    const masks = /SigBlk:\s*(\w+)\nSigIgn:\s*(\w+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'));
    process.kill(child.pid, 'SIGTERM');
    const end = await ended(child);
    expect(session).toBe(child.pid);
    expect(masks?.slice(1)).toEqual(['0000000000000000', '0000000000000000']);
    expect(end).toEqual({ code: null, signal: 'SIGTERM' });
  });

  it('throws what the kernel says, when there is no process', async () => {
    const parts = { env: {}, cwd: '/', stdio: ['ignore', 'ignore', 'ignore'] as const };
    await expect(launcher.launch({ ...parts, file: '/no/such', args: [] })).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(launcher.launch({ ...parts, file: '/bin/true', args: ['x'.repeat(200_000)] })).rejects.toMatchObject({ code: 'E2BIG' });
    await expect(launcher.launch({ ...parts, file: '/bin/true', args: [], cwd: '/no/such' })).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('tells the end of each of many that end at once', async () => {
    const children = await Promise.all(Array.from({ length: 40 }, (_, index) => launcher.launch({ file: '/bin/sh', args: ['-c', `exit ${index}`], env: {}, cwd: '/', stdio: ['ignore', 'ignore', 'ignore'] })));
    expect(await Promise.all(children.map(ended))).toEqual(children.map((_, index) => ({ code: index, signal: null })));
  });
});
