import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { SystemClock } from '../lib/clock.js';
import { silentLogger } from '../lib/log.js';
import type { AttemptGroup, Cgroups } from './cgroup.js';
import { detectCgroups } from './cgroup-detect.js';
import { driverContract, startSpec, type DriverFixture } from './driver-contract.js';
import { NativeLauncher } from './native-launcher.js';
import { findNativeWrapper } from './native-wrapper.js';
import { ProcessDriver } from './process-driver.js';
import { allPids, isAlive, readStat, uptimeCentiseconds } from './proc.js';
import { looksForEndedChildren } from './testing/ended-children.js';
import { Watchdog } from './watchdog.js';
import { MachineBusyError, StartError, type StartSpec } from './driver.js';

const root = userInfo().uid === 0;
const clock = new SystemClock();
/** Where nothing was built, or there was no compiler, only the shell's is judged. */
const nativeWrapper = findNativeWrapper(new URL('../dist/agent/main.js', import.meta.url).href);
let nodes = 0;

interface ProcessFixture extends DriverFixture {
  driver: ProcessDriver;
  dataDir: string;
  output(key: string): string;
}

async function makeNative(withCgroups: boolean): Promise<ProcessFixture> {
  const launcher = new NativeLauncher({ onChildEnded: looksForEndedChildren, logger: silentLogger });
  await launcher.ready();
  return makeFixture(withCgroups, nativeWrapper, launcher);
}

async function makeFixture(withCgroups: boolean, wrapper?: string, launcher?: NativeLauncher): Promise<ProcessFixture> {
  const dataDir = await mkdtemp(join(tmpdir(), 'taskplane-driver-'));
  const nodeName = `test-${process.pid}-${++nodes}`;
  const cgroups = withCgroups ? detectCgroups(nodeName) : undefined;
  const make = (): ProcessDriver => {
    const watchdog = new Watchdog({ dataDir, cgroups, logger: silentLogger });
    watchdog.setDeadline(uptimeCentiseconds() + 100_000);
    return new ProcessDriver({ dataDir, cgroups, watchdog, ...(launcher ? { launcher } : {}), ...(wrapper ? { wrapper } : {}), clock, logger: silentLogger });
  };
  const driver = make();
  return {
    driver,
    dataDir,
    next: make,
    running: (key) => claimed(join(dataDir, 'attempts', key, 'run')),
    output: (key) => readFileSync(join(dataDir, 'attempts', key, 'output.log'), 'utf8'),
    async dispose() {
      await driver.sweep(new Set());
      await driver.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

const commands = {
  exits: (code: number) => ({ argv: ['sh', '-c', `exit ${code}`] }),
  runsForever: () => ({ argv: ['sleep', '1000'] }),
  ignoresTerminate: () => ({ argv: ['sh', '-c', 'trap "" TERM; sleep 1000'] }),
  cannotStart: () => ({ argv: ['no-such-program'] }),
};

driverContract('ProcessDriver in process groups', () => makeFixture(false), commands);
if (root) driverContract('ProcessDriver in cgroups', () => makeFixture(true), commands);
driverContract('ProcessDriver with a native launcher and wrapper', () => makeNative(root), commands);

it.each([
  ['EAGAIN', MachineBusyError],
  ['EACCES', StartError],
])('tries again later when the kernel has no room for a cgroup just now (%s)', async (code, expected) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'taskplane-driver-'));
  const create = (): Promise<never> => Promise.reject(new Error('cannot make the cgroup', { cause: Object.assign(new Error('mkdir'), { code }) }));
  const cgroups = { create, adopt: () => ({ remove: () => true }), ownDirectories: () => [] } as unknown as Cgroups;
  const driver = new ProcessDriver({ dataDir, cgroups, watchdog: new Watchdog({ dataDir, cgroups, logger: silentLogger }), clock, logger: silentLogger });
  await expect(driver.start(startSpec({ argv: ['true'] }))).rejects.toThrow(expected);
  await driver.close();
  await rm(dataDir, { recursive: true, force: true });
});

it('runs commands by way of a shell when the wrapper has been taken away', async () => {
  const fixture = await makeFixture(false, '/no/such/wrapper');
  const execution = await fixture.driver.start(startSpec({ argv: ['sh', '-c', 'exit 3'] }));
  expect(await execution.ended).toMatchObject({ exitCode: 3 });
  await fixture.dispose();
});

it('kills the wrapper before its cgroup, so that it does not take the end of its command for one of its own accord', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'taskplane-driver-'));
  let wrapper = 0;
  let endedFirst = false;
  const group = {
    procsFiles: [],
    // As a zombie, which this process takes afterwards.
    kill: () => {
      for (let looks = 0; !endedFirst && looks < 100_000; looks++) endedFirst = readStat(wrapper)?.state === 'Z';
    },
    usageInAll: () => undefined,
    oomKilled: () => false,
    removeAside: () => Promise.resolve(true),
  } as unknown as AttemptGroup;
  const cgroups = { create: () => Promise.resolve(group), ownDirectories: () => [], helperProcsFiles: () => [] } as unknown as Cgroups;
  const driver = new ProcessDriver({ dataDir, cgroups, watchdog: new Watchdog({ dataDir, cgroups, logger: silentLogger }), clock, logger: silentLogger });
  const execution = await driver.start(startSpec({ argv: ['sleep', '1000'] }));
  wrapper = execution.pid!;
  execution.kill();
  expect(await execution.ended).toMatchObject({ exitCode: 137, killed: true });
  expect(endedFirst).toBe(true);
  await driver.close();
  await rm(dataDir, { recursive: true, force: true });
});

const kinds = (root ? [true, false] : [false]).flatMap((withCgroups) => (nativeWrapper ? [nativeWrapper, undefined] : [undefined]).map((wrapper) => ({ withCgroups, wrapper })));

describe.each(kinds)('ProcessDriver (cgroups: $withCgroups, wrapper: $wrapper)', ({ withCgroups, wrapper }) => {
  let fixture: ProcessFixture;
  beforeEach(async () => {
    fixture = await makeFixture(withCgroups, wrapper);
  });
  afterEach(() => fixture.dispose());

  async function run(parts: Partial<StartSpec>) {
    const spec = startSpec(parts);
    const execution = await fixture.driver.start(spec);
    const end = await execution.ended;
    return { end, output: fixture.output(spec.key), key: spec.key };
  }

  it('hands arguments on as they are', async () => {
    const args = ['a b', 'line\nbreak', `'"\`$HOME`, '', '--', '*', '\\', '-n'];
    const { output } = await run({ argv: ['sh', '-c', 'for a in "$@"; do printf "<%s>" "$a"; done', 'x', ...args] });
    expect(output).toBe(args.map((arg) => `<${arg}>`).join(''));
  });

  it('limits what it starts although the watchdog of an earlier agent has removed the groups that it found', async () => {
    await fixture.driver.close();
    const { end } = await run({ argv: ['true'], limits: { memoryBytes: 64 * 2 ** 20, cpuMilli: 500 } });
    expect(end).toMatchObject({ exitCode: 0 });
  });

  it('keeps standard output and error in the order of writing', async () => {
    const { output } = await run({ script: 'for i in 1 2 3; do echo out $i; echo err $i >&2; done' });
    expect(output).toBe('out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n');
  });

  it('runs programs that share their name with a word of the shell', async () => {
    const { end, output } = await run({ argv: ['echo', '-e', 'x'] });
    expect(end).toMatchObject({ exitCode: 0 });
    expect(output).toBe('x\n');
    await expect(run({ argv: ['exit', '3'] })).rejects.toThrow('exit: command not found in PATH');
  });

  it('asks a command that takes input to end, however young it is', async () => {
    for (let times = 0; times < 25; times++) {
      const execution = await fixture.driver.start(startSpec({ argv: ['sleep', '1000'], stdin: true }));
      execution.terminate();
      expect(await execution.ended).toMatchObject({ exitCode: 143, signal: 'SIGTERM' });
    }
  });

  it('stops a script at its first failing line and passes it arguments', async () => {
    const { end, output } = await run({ script: 'echo $0 $1\nfalse\necho never', argv: ['name', 'one'] });
    expect(output).toBe('name one\n');
    expect(end).toMatchObject({ exitCode: 1 });
  });

  it('runs scripts longer than an argument may be', async () => {
    const { end, output } = await run({ script: `${'# filler\n'.repeat(30_000)}echo "$1"; exit 4`, argv: ['name', 'one'] });
    expect(output).toBe('one\n');
    expect(end).toMatchObject({ exitCode: 4 });
  });

  it('hands on exactly the environment of the task, odd names included', async () => {
    const { output } = await run({ argv: ['env'], env: { PATH: process.env['PATH']!, 'odd.name-x': '1', MULTI: 'a\nb', EMPTY: '' } });
    expect(output).toContain('odd.name-x=1\n');
    expect(output).toContain('MULTI=a\nb\n');
    expect(output).toContain('EMPTY=\n');
    expect(output).not.toContain('__taskplane');
    expect(output).not.toContain('NODE_OPTIONS');
  });

  it.each(['KILL', 'TERM', 'SEGV', 'USR1'])('tells SIG%s from an exit code of the same number', async (signal) => {
    expect((await run({ script: `kill -${signal} $$` })).end).toMatchObject({ signal: `SIG${signal}` });
    const number = { KILL: 137, TERM: 143, SEGV: 139, USR1: 138 }[signal]!;
    const { end } = await run({ script: `exit ${number}` });
    expect(end).toMatchObject({ exitCode: number });
    expect(end).not.toHaveProperty('signal');
  });

  it('runs a script that does not say by what as one of the shell', async () => {
    const script = join(fixture.dataDir, 'script');
    await writeFile(script, 'echo "$1"; exit 6', { mode: 0o755 });
    expect(await run({ argv: [script, 'a b'] })).toMatchObject({ end: { exitCode: 6 }, output: 'a b\n' });
  });

  it('does not take a program for another machine for a script', async () => {
    const program = join(fixture.dataDir, 'program');
    await writeFile(program, Buffer.from('\x7fELF\x02\x01\x01\0\0\0\nexit 0\n'), { mode: 0o755 });
    const { end, output } = await run({ argv: [program] });
    expect(end).toMatchObject({ exitCode: 126 });
    expect(output).toContain(program);
  });

  it('tells a command where it is, whatever the environment of the task says', async () => {
    const { output } = await run({ argv: ['env'], workingDir: '/', env: { PATH: process.env['PATH']!, PWD: '/no/such' } });
    expect(output).toContain('PWD=/\n');
    expect(output).not.toContain('/no/such');
  });

  it('says in the log why a program that is there cannot be executed', async () => {
    const script = join(fixture.dataDir, 'script');
    await writeFile(script, '#!/no/such/interpreter\n', { mode: 0o755 });
    const { end, output } = await run({ argv: [script] });
    expect(end).toMatchObject({ exitCode: 127 });
    expect(output).toContain(`${script}: not found`);
  });

  it('survives a command that signals its whole process group', async () => {
    const { end } = await run({ script: 'trap : TERM; kill -TERM 0; exit 5' });
    expect(end).toMatchObject({ exitCode: 5 });
  });

  it('says what is wrong with a command that cannot be started', async () => {
    const notExecutable = join(fixture.dataDir, 'plain');
    await writeFile(notExecutable, 'x', { mode: 0o644 });
    await expect(run({ argv: ['no-such-program'] })).rejects.toMatchObject({ exitCode: 127, message: expect.stringContaining('no-such-program: command not found in PATH') });
    await expect(run({ argv: ['/no/such'] })).rejects.toMatchObject({ exitCode: 127, message: '/no/such: no such file' });
    await expect(run({ argv: [notExecutable] })).rejects.toMatchObject({ exitCode: 126, message: `${notExecutable}: is not executable` });
    await expect(run({ argv: ['/tmp'] })).rejects.toMatchObject({ exitCode: 126, message: '/tmp: is a directory' });
    await expect(run({ argv: ['true'], workingDir: '/no/such' })).rejects.toMatchObject({ exitCode: 128, message: 'workingDir /no/such does not exist on this node' });
    await expect(run({ argv: ['true'], runAsUser: 'no-such-user' })).rejects.toMatchObject({ exitCode: 128, message: 'user no-such-user does not exist on this node' });
    await expect(run({ argv: ['true', 'x'.repeat(200_000)] })).rejects.toMatchObject({ message: expect.stringContaining('too long') });
  });

  it('runs in the directory named, or in an empty one of its own', async () => {
    const directory = join(fixture.dataDir, 'some dir');
    await mkdir(directory);
    expect((await run({ argv: ['pwd'], workingDir: directory })).output).toBe(`${directory}\n`);
    const own = await run({ script: 'pwd; ls -A' });
    expect(own.output).toBe(`${join(fixture.dataDir, 'attempts', own.key, 'work')}\n`);
  });

  it('keeps logs and directories to the agent', async () => {
    const { key } = await run({ argv: ['true'] });
    const directory = join(fixture.dataDir, 'attempts', key);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(statSync(join(directory, 'output.log')).mode & 0o777).toBe(0o600);
  });

  (root ? it : it.skip)('runs as another user, with a directory of its own', async () => {
    const { output, end } = await run({ script: 'id -un; id -gn; touch x && ls -A; ls .. 2>/dev/null || echo closed', runAsUser: 'nobody' });
    expect(output).toBe('nobody\nnogroup\nx\nclosed\n');
    expect(end).toMatchObject({ exitCode: 0 });
  });

  it('kills what a command leaves behind when it ends', async () => {
    const { output } = await run({ script: 'setsid sleep 1000 & echo $!; (sleep 1000 & echo $!); sleep 1000 & echo $!' });
    const pids = output.trim().split('\n').map(Number);
    expect(pids).toHaveLength(3);
    for (const pid of pids) expect(readStat(pid)?.state ?? 'gone').toMatch(/^(gone|Z)$/);
  });

  it('kills a tree of processes that fork on and on', async () => {
    const spec = startSpec({ script: 'f() { if [ $1 -gt 0 ]; then f $(($1 - 1)) & f $(($1 - 1)) & fi; trap "" TERM; sleep 1000; }; setsid sleep 999 & f 5 & echo ready; sleep 1000' });
    const execution = await fixture.driver.start(spec);
    await outputHas(join(fixture.dataDir, 'attempts', spec.key, 'output.log'), 'ready');
    execution.kill();
    expect(await execution.ended).toMatchObject({ exitCode: 137, signal: 'SIGKILL' });
    const left = allPids().filter((pid) => environ(pid).includes(spec.env['TASKPLANE_TASK_UID']!));
    expect(left).toEqual([]);
  });

  it('never lets a wrapper run an attempt that was recovered as never started', async () => {
    const spec = startSpec({ argv: ['true'] });
    expect(await fixture.driver.recover(spec.key)).toBe('never-started');
    await expect(fixture.driver.start(spec)).rejects.toThrow('was started before');
  });

  it('does not run a guarded command once the fence has passed', async () => {
    const spec = startSpec({ script: 'echo ran', fenced: true });
    await writeFile(join(fixture.dataDir, 'fence', 'deadline'), '1\n');
    const execution = await fixture.driver.start(spec);
    await execution.ended;
    expect(fixture.output(spec.key)).toBe('');
  });

  it('finds out at once when an adopted attempt ends', async () => {
    const spec = startSpec({ script: 'read -r line <fifo; exit 9', workingDir: fixture.dataDir });
    const { execFileSync } = await import('node:child_process');
    execFileSync('mkfifo', [join(fixture.dataDir, 'fifo')]);
    const first = await fixture.driver.start(spec);
    await claimed(join(fixture.dataDir, 'attempts', spec.key, 'run'));
    first.detach();
    const found = await fixture.next().recover(spec.key);
    if (found === 'never-started' || !('ended' in found)) throw new Error('not running');
    expect(found.startedAt / 1000).toBeCloseTo(first.startedAt / 1000, 0);
    await writeFile(join(fixture.dataDir, 'fifo'), 'go\n');
    expect(await found.ended).toMatchObject({ exitCode: 9 });
    expect(isAlive(first.pid!, 'x')).toBe(false);
  });

  (withCgroups ? it : it.skip)('reports a command over its memory limit as killed for want of memory', async () => {
    const { end } = await run({ script: 'x=0123456789; while :; do x=$x$x; done', limits: { memoryBytes: 32 * 1024 * 1024 } });
    expect(end).toMatchObject({ exitCode: 137, signal: 'SIGKILL', oomKilled: true });
  });

  (withCgroups ? it : it.skip)('measures what a command used, and leaves no cgroup', async () => {
    const { end, key } = await run({ script: 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done', limits: { cpuMilli: 900 }, requests: { cpuMilli: 500 } });
    expect(end).toMatchObject({ usage: { cpuSeconds: expect.any(Number), memoryPeakBytes: expect.any(Number) } });
    expect((end as { usage: { cpuSeconds: number } }).usage.cpuSeconds).toBeGreaterThan(0.01);
    expect(detectCgroups(`test-${process.pid}-${nodes}`)!.keys()).not.toContain(key);
  });
});

function environ(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8');
  } catch {
    return '';
  }
}

async function claimed(path: string): Promise<void> {
  while (!existsSync(path) || !readFileSync(path, 'utf8').endsWith('\n')) await new Promise((resolve) => setImmediate(resolve));
}

async function outputHas(path: string, text: string): Promise<void> {
  while (!existsSync(path) || !readFileSync(path, 'utf8').includes(text)) await new Promise((resolve) => setImmediate(resolve));
}
