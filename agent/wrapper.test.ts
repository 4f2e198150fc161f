import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { AttemptFiles } from './attempt-files.js';
import { detectCgroups } from './cgroup-detect.js';
import { removeGroup } from './cgroup.js';
import { findNativeWrapper } from './native-wrapper.js';
import { wrapperScript } from './wrapper.js';

const nativeWrapper = findNativeWrapper(new URL('../dist/agent/main.js', import.meta.url).href);

describe.each(nativeWrapper ? [nativeWrapper, '/bin/sh'] : ['/bin/sh'])('the wrapper (%s)', (program) => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'taskplane-wrapper-'));
    await writeFile(join(directory, 'wrapper.sh'), wrapperScript);
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  const start = (args: string[]): ChildProcess => spawn(program, [join(directory, 'wrapper.sh'), ...args], { detached: true, stdio: 'ignore' });

  it('leaves the exit code as its last word where the kernel cannot kill a group at once, and kills what it can', async () => {
    const files = new AttemptFiles(join(directory, 'attempt'));
    await mkdir(files.dir);
    const wrapper = start([files.dir, join(directory, 'cgroup.kill', 'none'), '', 'boot 1', '--', '/bin/sh', '-c', 'exit 3']);
    expect(await once(wrapper, 'exit')).toEqual([null, 'SIGKILL']);
    expect(files.readExit()).toMatchObject({ exitCode: 3 });
    expect(files.readRun()).toMatchObject({ pid: wrapper.pid, bootId: 'boot', startedAt: 1 });
  });

  it.each([
    ['somebody has claimed the attempt', 'run', []],
    ['it cannot join a group', 'cgroup', ['none/cgroup.procs']],
    ['there is no deadline', 'fence', []],
  ])('runs nothing when %s', async (_why, what, groups) => {
    const files = new AttemptFiles(join(directory, 'attempt'));
    await mkdir(files.dir);
    if (what === 'run') files.claimForNobody();
    const fence = what === 'fence' ? join(directory, 'deadline') : '';
    const wrapper = start([files.dir, '', fence, 'boot 1', ...groups.map((group) => join(directory, group)), '--', '/bin/sh', '-c', `echo ran >${directory}/ran`]);
    expect(await once(wrapper, 'exit')).toEqual([expect.any(Number), null]);
    expect(existsSync(join(directory, 'ran'))).toBe(false);
    expect(files.readExit()).toBeUndefined();
  });

  (userInfo().uid === 0 && ['setpriv', 'prlimit'].every((name) => existsSync(`/usr/bin/${name}`)) ? it : it.skip)('leaves no exit code when it cannot fork', async () => {
    const files = new AttemptFiles(join(directory, 'attempt'));
    await mkdir(files.dir);
    const own = join(directory, 'program');
    await copyFile(program, own);
    for (const path of [directory, files.dir, own]) await chmod(path, 0o777);
    // A number that nobody else has: the limit counts the processes of its user.
    const user = ['/usr/bin/setpriv', `--reuid=${1_000_000 + process.pid}`, '--clear-groups', '/usr/bin/prlimit', '--nproc=1:1'];
    const wrapper = spawn(user[0]!, [...user.slice(1), own, join(directory, 'wrapper.sh'), files.dir, '', '', 'boot 1', '--', '/bin/true'], { detached: true, stdio: 'ignore' });
    expect(await once(wrapper, 'exit')).toEqual([expect.any(Number), null]);
    expect(files.readRun()).toMatchObject({ bootId: 'boot' });
    expect(files.readExit()).toBeUndefined();
    expect(files.readShellWords()).toMatch(/cannot fork/i);
  });

  it('does not end by a signal to its group before the command does', async () => {
    const files = new AttemptFiles(join(directory, 'attempt'));
    await mkdir(files.dir);
    const wrapper = start([files.dir, '', '', 'boot 1', '--', '/bin/sh', '-c', 'trap : HUP INT QUIT USR1 USR2 PIPE ALRM TERM; for s in HUP INT QUIT USR1 USR2 PIPE ALRM TERM; do kill -$s 0; done; exit 4']);
    expect(await once(wrapper, 'exit')).toEqual([null, 'SIGKILL']);
    expect(files.readExit()).toMatchObject({ exitCode: 4 });
  });
});

(nativeWrapper ? it : it.skip).each(['INT', 'PIPE'])('the wrapper as a program tells SIG%s from an exit code, too', async (signal) => {
  const directory = await mkdtemp(join(tmpdir(), 'taskplane-wrapper-'));
  const wrapper = spawn(nativeWrapper!, ['', directory, '', '', 'boot 1', '--', '/bin/sh', '-c', `kill -${signal} $$`], { detached: true, stdio: 'ignore' });
  await once(wrapper, 'exit');
  expect(new AttemptFiles(directory).readExit()).toMatchObject({ signal: `SIG${signal}` });
  await rm(directory, { recursive: true });
});

(nativeWrapper && userInfo().uid === 0 ? it : it.skip)('the wrapper as a program has its command born into the cgroups, and follows when that lasts', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'taskplane-wrapper-'));
  const cgroups = detectCgroups(`wrapper-${process.pid}`)!;
  const group = await cgroups.create('born', { limits: {}, requests: {} });
  const wrapper = spawn(nativeWrapper!, ['', directory, group.killFile ?? '', '', 'boot 1', ...group.procsFiles, '--', '/bin/sh', '-c', 'cat /proc/self/cgroup; echo; read -r end'], { detached: true, stdio: ['pipe', 'pipe', 'ignore'] });
  const joined = (text: string): number => text.split('\n').filter((line) => line.endsWith('/born')).length;
  let output = '';
  for await (const part of wrapper.stdout!) if ((output += String(part)).endsWith('\n\n')) break;
  expect(joined(output)).toBe(group.procsFiles.length);
  while (joined(readFileSync(`/proc/${wrapper.pid}/cgroup`, 'utf8')) < group.procsFiles.length) await new Promise((resolve) => setImmediate(resolve));
  const ended = once(wrapper, 'exit');
  wrapper.stdin!.end();
  await ended;
  expect(new AttemptFiles(directory).readExit()).toMatchObject({ exitCode: 1 });
  while (!group.remove()) await new Promise((resolve) => setImmediate(resolve));
  cgroups.ownDirectories().forEach(removeGroup);
  await rm(directory, { recursive: true });
});

(nativeWrapper && userInfo().uid === 0 ? it : it.skip)('the wrapper as a program has its command run in a group where all was killed before', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'taskplane-wrapper-'));
  const cgroups = detectCgroups(`wrapper-${process.pid}`)!;
  const group = await cgroups.create('killed', { limits: {}, requests: {} });
  group.kill();
  const wrapper = spawn(nativeWrapper!, ['', directory, group.killFile ?? '', '', 'boot 1', ...group.procsFiles, '--', '/bin/sh', '-c', 'exit 3'], { detached: true, stdio: 'ignore' });
  await once(wrapper, 'exit');
  expect(new AttemptFiles(directory).readExit()).toMatchObject({ exitCode: 3 });
  while (!group.remove()) await new Promise((resolve) => setImmediate(resolve));
  cgroups.ownDirectories().forEach(removeGroup);
  await rm(directory, { recursive: true });
});
