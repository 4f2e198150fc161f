import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { channels } from '../../api/stream-frames.js';
import { allPids, readBootId, readStat } from '../proc.js';
import { exitCodeOf, StreamFixture } from '../testing/stream-fixture.js';
import type { Execution } from '../driver.js';

const root = userInfo().uid === 0;
const sleeper = { argv: ['sleep', '1000'] };

describe.each(root ? [true, false] : [false])('exec beside a task (cgroups: %s)', (withCgroups) => {
  let fixture: StreamFixture;
  beforeEach(async () => {
    fixture = await StreamFixture.make(withCgroups);
  });
  afterEach(() => fixture.dispose());

  const attemptDir = (execution: Execution): string => join(fixture.dataDir, 'attempts', execution.key);
  const execDirs = (execution: Execution): string[] => readdirSync(attemptDir(execution)).filter((name) => name.startsWith('exec-'));
  const gone = async (pid: number): Promise<void> => {
    while (!['gone', 'Z'].includes(readStat(pid)?.state ?? 'gone')) await new Promise((resolve) => setImmediate(resolve));
  };

  it('hands on both outputs and the exit code', async () => {
    const task = await fixture.start(sleeper);
    for (const code of [0, 1, 3, 126, 255]) {
      const { stdout, stderr, status } = await fixture.exec(task, ['sh', '-c', `echo out; echo err >&2; exit ${code}`]).end();
      expect({ stdout, stderr, code: exitCodeOf(status) }).toEqual({ stdout: 'out\n', stderr: 'err\n', code });
    }
    const { status } = await fixture.exec(task, ['sh', '-c', 'exit 3']).end();
    expect(status).toMatchObject({ status: 'Failure', reason: 'NonZeroExitCode', message: 'command terminated with exit code 3', details: { causes: [{ reason: 'ExitCode', message: '3' }] } });
    expect(execDirs(task)).toEqual([]);
  });

  it('says how a signal ended the command', async () => {
    const task = await fixture.start(sleeper);
    expect(exitCodeOf((await fixture.exec(task, ['sh', '-c', 'kill -KILL $$']).end()).status)).toBe(137);
    expect(exitCodeOf((await fixture.exec(task, ['sh', '-c', 'kill -TERM $$']).end()).status)).toBe(143);
  });

  it('answers as a shell would for a command that is not there, or cannot be executed', async () => {
    const task = await fixture.start(sleeper);
    const missing = await fixture.exec(task, ['no-such-program', '--password=secret']).end();
    expect(missing.stderr).toContain('no-such-program: command not found in PATH');
    expect(exitCodeOf(missing.status)).toBe(127);
    const directory = await fixture.exec(task, ['/tmp']).end();
    expect(directory.stderr).toBe('exec failed: /tmp: is a directory\n');
    expect(exitCodeOf(directory.status)).toBe(126);
  });

  it('gives the command the environment and the directory of the task, and none of the agent', async () => {
    const directory = join(fixture.dataDir, 'some dir');
    mkdirSync(directory);
    const task = await fixture.start({ ...sleeper, workingDir: directory, env: { SECRET: 'a b\nc', 'odd.name': '1', PATH: process.env['PATH']! } });
    const { stdout } = await fixture.exec(task, ['env', '-0']).end();
    const env = stdout.split('\0').filter((field) => !/^(PWD|OLDPWD|SHLVL|_)=/.test(field) && field !== '').toSorted();
    expect(env).toEqual(expect.arrayContaining(['SECRET=a b\nc', 'odd.name=1']));
    expect(env.filter((field) => /^(NODE_|__taskplane|JEST)/.test(field))).toEqual([]);
    expect((await fixture.exec(task, ['pwd']).end()).stdout).toBe(`${directory}\n`);
    writeFileSync(join(directory, 'tool'), '#!/bin/sh\necho here\n', { mode: 0o755 });
    expect((await fixture.exec(task, ['./tool']).end()).stdout).toBe('here\n');
  });

  it('hands on arguments as they are', async () => {
    const task = await fixture.start(sleeper);
    const args = ['a b', 'line\nbreak', `'"\`$HOME`, '', '--', '*', '\\', '-n'];
    const { stdout } = await fixture.exec(task, ['sh', '-c', 'for a in "$@"; do printf "<%s>" "$a"; done', 'x', ...args]).end();
    expect(stdout).toBe(args.map((arg) => `<${arg}>`).join(''));
  });

  (root ? it : it.skip)('runs as the user of the task, who can open its own streams by name', async () => {
    const task = await fixture.start({ ...sleeper, runAsUser: 'nobody' });
    const { stdout, stderr } = await fixture.exec(task, ['sh', '-c', 'id -un; id -gn; id -Gn; echo oops >/dev/stderr; pwd']).end();
    expect(stdout).toBe(`nobody\nnogroup\nnogroup\n${join(attemptDir(task), 'work')}\n`);
    expect(stderr).toBe('oops\n');
    const terminal = fixture.exec(task, ['sh', '-c', 'id -un; echo tty >/dev/tty; echo out >/dev/stdout'], { tty: true });
    expect((await terminal.end()).stdout).toBe('nobody\r\ntty\r\nout\r\n');
  });

  (withCgroups ? it : it.skip)("is held to the task's limits", async () => {
    const task = await fixture.start({ ...sleeper, limits: { memoryBytes: 48 * 1024 * 1024 } });
    const inside = (await fixture.exec(task, ['cat', '/proc/self/cgroup']).end()).stdout;
    expect(inside).toContain(task.key);
    const { status } = await fixture.exec(task, ['sh', '-c', 'x=0123456789; while :; do x=$x$x; done']).end();
    expect(exitCodeOf(status)).toBe(137);
  });

  it('moves 20 MB both ways intact, through a command that reads and writes at once', async () => {
    const task = await fixture.start(sleeper);
    const bytes = Buffer.alloc(20 * 1024 * 1024);
    for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE((at * 2_654_435_761) >>> 0, at);
    const client = fixture.exec(task, ['cat']);
    for (let at = 0; at < bytes.length; at += 100_000) await client.write(bytes.subarray(at, at + 100_000));
    await client.closeInput();
    expect((await client.status).status).toBe('Success');
    const digest = (buffer: Buffer): string => createHash('sha1').update(buffer).digest('hex');
    expect(digest(client.bytes())).toBe(digest(bytes));
  });

  it('reads no further than the client does, and sends what is left when it goes on', async () => {
    const task = await fixture.start(sleeper);
    const stream = fixture.open({ type: 'exec', namespace: 'default', name: 'web', uid: task.key.slice(0, 36), stdin: false, stdout: true, stderr: false, tty: false, command: ['sh', '-c', 'head -c 5000000 /dev/zero; touch done'] });
    const chunks = stream[Symbol.asyncIterator]();
    await chunks.next();
    // Nobody reads: the command fills its pipe and waits.
    const command = async (): Promise<number> => {
      for (;;) {
        const found = allPids().find((pid) => cmdline(pid).startsWith('head\0-c\x005000000'));
        if (found !== undefined && readStat(found)?.state === 'S' && wchan(found).includes('pipe')) return found;
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    await command();
    expect(existsSync(join(attemptDir(task), 'work/done'))).toBe(false);
    let read = 0;
    for (let next = await chunks.next(); !next.done; next = await chunks.next()) read += next.value.length;
    stream.end();
    expect(read).toBeGreaterThan(5_000_000 - 256 * 1024);
    expect(existsSync(join(attemptDir(task), 'work/done'))).toBe(true);
  });

  it('takes no more input than the command reads', async () => {
    const task = await fixture.start(sleeper);
    const client = fixture.exec(task, ['sh', '-c', 'echo ready; read -r line; echo "$line"; exec sleep 1000']);
    await client.says('ready');
    await client.write('first\n');
    let written = 0;
    const writing = (async () => {
      for (;;) {
        await client.write(Buffer.alloc(32 * 1024));
        written += 32 * 1024;
      }
    })().catch(() => undefined);
    await client.says('first');
    for (let before = -1; before !== written; await new Promise((resolve) => setTimeout(resolve, 50))) before = written;
    // The windows of mux and pipe, and what Node keeps of one write.
    expect(written).toBeLessThan(2 * 1024 * 1024);
    client.stream.reset('enough');
    await writing;
  });

  it('ends the input of the command when the client has no more', async () => {
    const task = await fixture.start(sleeper);
    const client = fixture.exec(task, ['sh', '-c', 'wc -c; exit 5']);
    await client.write('12345');
    await client.closeInput();
    expect((await client.end()).stdout.trim()).toBe('5');
    const unread = fixture.exec(task, ['true']);
    await unread.write('x').catch(() => undefined);
    expect((await unread.status).status).toBe('Success');
  });

  it('ends the command and all that it started when the client goes away', async () => {
    const task = await fixture.start(sleeper);
    const client = fixture.exec(task, ['sh', '-c', 'trap "" TERM HUP; setsid sleep 998 & echo $!; sleep 999 & echo $!; echo $$; wait']);
    const pids = (await client.says(/(\d+\n){3}/)).trim().split('\n').map(Number);
    client.stream.reset('the client is gone');
    // Without control groups, a process that left the session lives until the attempt ends.
    for (const pid of withCgroups ? pids : pids.slice(1)) await gone(pid);
    while (execDirs(task).length > 0) await new Promise((resolve) => setImmediate(resolve));
  });

  it('ends what a command leaves behind, and does not wait for it', async () => {
    const task = await fixture.start(sleeper);
    const { stdout, status } = await fixture.exec(task, ['sh', '-c', 'sleep 999 & echo $!']).end();
    expect(exitCodeOf(status)).toBe(0);
    await gone(Number(stdout));
  });

  it('waits a moment for the last words of those that a command has piped to', async () => {
    const task = await fixture.start(sleeper);
    const { stdout } = await fixture.exec(task, ['sh', '-c', '(sleep 0.02; echo late) & echo early']).end();
    expect(stdout).toBe('early\nlate\n');
  });

  it('ends with the task', async () => {
    const task = await fixture.start(sleeper);
    const client = fixture.exec(task, ['sh', '-c', 'trap "" TERM; echo $$; sleep 1000 & wait']);
    const pid = Number(await client.says('\n'));
    task.terminate();
    const { status } = await client.end();
    expect(exitCodeOf(status)).toBe(137);
    await gone(pid);
    await task.ended;
    const late = fixture.exec(task, ['true']);
    await expect(late.status).rejects.toThrow('cannot run a command beside task \\"web\\": no attempt of it runs on its node now');
  });

  it('runs beside a task that an earlier agent has started, and ends what that one ran beside it', async () => {
    const task = await fixture.start({ ...sleeper, env: { FROM: 'before', PATH: process.env['PATH']! }, ...(root ? { runAsUser: 'nobody' } : {}) });
    const process_ = await task.exec({ argv: ['sleep', '997'], stdin: false, stdout: false, stderr: false, tty: false });
    const left = await found((pid) => cmdline(pid).endsWith('sleep\x00997\0') && environ(pid).includes('FROM=before'));
    const again = await fixture.restart(task);
    await gone(left);
    await process_.close();
    expect(execDirs(task)).toEqual([]);
    const { stdout, stderr, status } = await fixture.exec(again, ['sh', '-c', 'echo $FROM; id -un']).end();
    expect({ stderr, status }).toMatchObject({ stderr: '', status: { status: 'Success' } });
    expect(stdout).toBe(`before\n${root ? 'nobody' : userInfo().username}\n`);
  });

  it('ends nobody who has the number of what an earlier agent ran', async () => {
    const task = await fixture.start(sleeper);
    const other = spawn('sleep', ['998'], { detached: true, stdio: 'ignore' });
    try {
      const stat = await new Promise<string>((resolve) => {
        const look = (): unknown => (cmdline(other.pid!).includes('998') ? resolve(readFileSync(`/proc/${other.pid}/stat`, 'utf8').trim()) : setImmediate(look));
        look();
      });
      const fields = stat.slice(stat.lastIndexOf(') ') + 2).split(' ');
      fields[19] = '1';
      const left = join(attemptDir(task), 'exec-1-1');
      mkdirSync(left);
      writeFileSync(join(left, 'run'), `${stat.slice(0, stat.lastIndexOf(') ') + 2)}${fields.join(' ')} ${readBootId()}\n`);
      await fixture.restart(task);
      expect(execDirs(task)).toEqual([]);
      expect(['R', 'S', 'D']).toContain(readStat(other.pid!)?.state);
    } finally {
      other.kill('SIGKILL');
    }
  });

  it('gives a command its own three descriptors, and none of the agent', async () => {
    // What whoever started this test left open is not the agent's.
    const inherited = new Set(readdirSync(`/proc/${process.ppid}/fd`));
    const task = await fixture.start({ ...sleeper, stdin: true });
    const beside = fixture.exec(task, ['sh', '-c', 'echo ready; cat'], { tty: true });
    await beside.says('ready');
    for (const tty of [false, true]) {
      const { stdout } = await fixture.exec(task, ['sh', '-c', 'for fd in /proc/$$/fd/*; do readlink "$fd" >/dev/null && echo "${fd##*/}"; done'], { tty }).end();
      expect(stdout.trim().split(/\s+/).filter((fd) => Number(fd) < 3 || !inherited.has(fd))).toEqual(['0', '1', '2']);
    }
    const command = await found((pid) => cmdline(pid).split('\0').slice(1).join() === '1000,' && [...task.pids()].includes(pid));
    expect(readdirSync(`/proc/${command}/fd`).filter((fd) => Number(fd) < 3 || !inherited.has(fd))).toEqual(['0', '1', '2']);
  });

  it('does not run a command once the fence has passed', async () => {
    const task = await fixture.start({ ...sleeper, fenced: true });
    await fixture.exec(task, ['true']).status;
    writeFileSync(join(fixture.dataDir, 'fence', 'deadline'), '1\n');
    const { stdout, status } = await fixture.exec(task, ['echo', 'ran']).end();
    expect(stdout).toBe('');
    expect(status.status).toBe('Failure');
  });

  it('is refused for an attempt that is not the one that runs', async () => {
    const task = await fixture.start(sleeper);
    await expect(fixture.exec(task, ['true'], { attempt: 2 }).status).rejects.toThrow('its attempt 2 has ended');
  });

  it('resets a stream whose frames make no sense', async () => {
    const task = await fixture.start(sleeper);
    const client = fixture.exec(task, ['sleep', '1000']);
    await client.stream.write(Buffer.from([0, 255, 255, 255, 255]));
    await expect(client.status).rejects.toThrow('at most 1048576 are sent');
  });

  it('opens a terminal that has a size, and changes it', async () => {
    const task = await fixture.start(sleeper);
    const client = fixture.exec(task, ['sh', '-c', 'trap "stty size" WINCH; stty size; echo $TERM; while :; do sleep 0.01; done'], { tty: true });
    await client.says('24 80\r\nxterm\r\n');
    await client.resize(132, 50);
    await client.says('50 132');
    await client.resize(-1, 70_000);
    await client.resize(81, 25);
    await client.says('25 81');
    client.stream.reset('bye');
  });

  it('hands Ctrl-C and Ctrl-D to whom they are for', async () => {
    const task = await fixture.start(sleeper);
    const interrupted = fixture.exec(task, ['sh', '-c', 'trap "echo caught; exit 7" INT; echo ready; while :; do sleep 0.01; done'], { tty: true });
    await interrupted.says('ready');
    await interrupted.write('\x03');
    const end = await interrupted.end();
    expect(end.stdout).toContain('caught');
    expect(exitCodeOf(end.status)).toBe(7);
    const reader = fixture.exec(task, ['sh', '-c', 'cat; tty -s && echo terminal'], { tty: true });
    await reader.write('hello\n\x04');
    expect((await reader.end()).stdout).toBe('hello\r\nhello\r\nterminal\r\n');
    const shell = fixture.exec(task, ['sh'], { tty: true });
    await shell.write('exit 9\n');
    expect(exitCodeOf((await shell.end()).status)).toBe(9);
  });

  it('hangs up a terminal when its client goes away', async () => {
    const task = await fixture.start(sleeper);
    const client = fixture.exec(task, ['sh', '-c', 'trap "echo hup >hung-up; exit" HUP; echo ready; while :; do sleep 0.01; done'], { tty: true });
    await client.says('ready');
    client.stream.reset('gone');
    while (!existsSync(join(attemptDir(task), 'work/hung-up'))) await new Promise((resolve) => setImmediate(resolve));
  });

  it('sends all of a long output over a terminal', async () => {
    const task = await fixture.start(sleeper);
    const { stdout } = await fixture.exec(task, ['sh', '-c', 'i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done'], { tty: true, stdin: false }).end();
    const lines = stdout.trimEnd().split('\r\n');
    expect(lines).toHaveLength(20_000);
    expect(lines.at(-1)).toBe('line 19999');
  });

  it('is not held up by input that a terminal has no room for', async () => {
    const task = await fixture.start(sleeper);
    const client = fixture.exec(task, ['sh', '-c', 'stty raw -echo; echo ready; sleep 0.3; head -c 300000 | wc -c'], { tty: true });
    await client.says('ready');
    const writing = client.write(Buffer.alloc(300_000, 'x'));
    expect((await fixture.exec(task, ['echo', 'meanwhile']).end()).stdout).toBe('meanwhile\n');
    await writing;
    expect((await client.end()).stdout).toContain('300000');
  });

  it('keeps terminals from other processes', async () => {
    const task = await fixture.start(sleeper);
    const client = fixture.exec(task, ['sh', '-c', 'echo ready; cat'], { tty: true });
    await client.says('ready');
    const { stdout } = await fixture.exec(task, ['sh', '-c', 'readlink /proc/$$/fd/*'], { stdin: false }).end();
    expect(stdout).not.toMatch(/\/pts\/|ptmx/);
    expect(client.text(channels.stdout)).toBe('ready\r\n');
  });
});

function cmdline(pid: number): string {
  return tryRead(`/proc/${pid}/cmdline`);
}

function environ(pid: number): string {
  return tryRead(`/proc/${pid}/environ`);
}

function wchan(pid: number): string {
  return tryRead(`/proc/${pid}/wchan`);
}

async function found(test: (pid: number) => boolean): Promise<number> {
  for (;;) {
    const pid = allPids().find(test);
    if (pid !== undefined) return pid;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function tryRead(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
