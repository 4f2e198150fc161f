// exec-process.ts
//
// A command beside a running attempt. All that it shares with the attempt is read from the attempt's wrapper (wrapper.ts), which
// lives as long as the attempt and knows it whatever agent started it: its environment, its directory, and on its command line
// the user. So nothing is kept for commands that most tasks never see, and a restart of the agent makes no difference.
//
// The command is the leader of its own session, and in a control group of its own inside the attempt's. It ends with the attempt,
// because that group does; where there are no groups, because everything that carries the attempt's marks is killed. Its
// directory `exec-…` in the attempt's says who it is, until it is gone: an agent that finds one ends what it names (endLeftovers).
//
// What the command leaves running when it ends is ended too, as it is for the attempt itself.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { basename, join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { sleep, type Clock } from '../lib/clock.js';
import { AttemptFiles, signalNumber } from './attempt-files.js';
import { killPid, type AttemptGroup } from './cgroup.js';
import { resolveProgram } from './command.js';
import { NotRunningError, type ExecProcess, type ExecSpec } from './driver.js';
import { makePipes } from './exec-pipes.js';
import { allPids, isAlive, readStat } from './proc.js';
import { openTerminal, type Terminal } from './pty.js';
import { shellFor } from './shell.js';
import type { Watchdog } from './watchdog.js';

export interface ExecContext {
  /** Of the attempt. */
  key: string;
  files: AttemptFiles;
  group: AttemptGroup | undefined;
  /** The wrapper. */
  pid: number;
  startTicks: string;
  /** Path of the shim (exec-shim.ts). */
  shimPath: string;
  watchdog: Watchdog;
  clock: Clock;
}

/** What the attempt's wrapper was started with. */
interface Surroundings {
  env: Record<string, string>;
  /** setpriv with its arguments, when the attempt runs as another user than the agent. */
  asUser: string[];
  owner: { uid: number; gid: number } | undefined;
}

const prefix = 'exec-';
/** Beyond this a process that does not die (stuck in the kernel) is left to the end of its attempt. */
const stuckMs = 10_000;
let started = 0;

/** @throws NotRunningError, StartError when the command is not there or cannot be executed, or an Error of the kernel's */
export async function startExec(context: ExecContext, spec: ExecSpec): Promise<ExecProcess> {
  const { key, group, watchdog, clock } = context;
  const { env, asUser, owner } = readSurroundings(context);
  if (spec.tty) env['TERM'] ??= 'xterm';
  const cwd = `/proc/${context.pid}/cwd`;
  const command = [...asUser, resolveProgram(spec.argv[0] ?? '', env['PATH'] ?? '', cwd), ...spec.argv.slice(1)];
  const name = `${prefix}${process.pid}-${++started}`;
  const place = new ExecPlace(name, context);
  try {
    place.make();
    const terminal = spec.tty ? await openTerminal(owner, clock) : undefined;
    try {
      const names = terminal ? [] : (['stdin', 'stdout', 'stderr'] as const).filter((channel) => spec[channel]);
      const pipes = await makePipes(place.dir, names, owner);
      const theirs = [pipes.get('stdin')?.read, pipes.get('stdout')?.write, pipes.get('stderr')?.write] as const;
      const ours = { stdin: pipes.get('stdin')?.write, stdout: pipes.get('stdout')?.read, stderr: pipes.get('stderr')?.read };
      try {
        if (!isAlive(context.pid, context.startTicks)) throw new NotRunningError();
        const guarded = watchdog.isGuarded(key);
        if (guarded && !group) watchdog.guard(place.slot, undefined, place.dir);
        const child = spawn(
          shellFor(env),
          [context.shimPath, place.dir, guarded ? watchdog.deadlineFile : '', terminal?.path ?? '', ...place.procsFiles, '--', ...command],
          { cwd, env, detached: true, stdio: theirs.map((fd) => fd ?? 'ignore') },
        );
        if (child.pid === undefined) throw ((await once(child, 'error')) as [Error])[0];
        return new RunningExec({ child, pid: child.pid, place, terminal, stdin: ours.stdin, stdout: ours.stdout, stderr: ours.stderr, spec });
      } catch (error) {
        for (const fd of Object.values(ours)) if (fd !== undefined) closeSync(fd);
        throw error;
      } finally {
        for (const fd of theirs) if (fd !== undefined) closeSync(fd);
      }
    } catch (error) {
      terminal?.close();
      throw error;
    }
  } catch (error) {
    await place.remove();
    throw (error as NodeJS.ErrnoException).code === 'ENOENT' && !isAlive(context.pid, context.startTicks) ? new NotRunningError() : error;
  }
}

/** Ends the commands that an earlier agent ran beside the attempt: nobody listens to them any more. */
export async function endLeftovers(context: Omit<ExecContext, 'pid' | 'startTicks' | 'shimPath'>): Promise<void> {
  const names = entriesOf(context.files.dir).filter((name) => name.startsWith(prefix));
  await Promise.all(names.map((name) => new ExecPlace(name, context).remove()));
}

/** Directory, control group and guard of one command. */
class ExecPlace {
  readonly dir: string;
  readonly slot: string;
  readonly #name: string;
  readonly #context: Pick<ExecContext, 'key' | 'files' | 'group' | 'watchdog' | 'clock'>;
  #group: AttemptGroup | undefined;
  /** Set when this agent started it. */
  #leader: { pid: number; startTicks: string } | undefined;

  constructor(name: string, context: Pick<ExecContext, 'key' | 'files' | 'group' | 'watchdog' | 'clock'>) {
    this.#name = name;
    this.#context = context;
    this.dir = join(context.files.dir, name);
    this.slot = `${context.key}/${name}`;
    this.#group = context.group?.child(name);
  }

  make(): void {
    mkdirSync(this.dir, { mode: 0o700 });
    this.#group = this.#context.group?.makeChild(this.#name);
  }

  get procsFiles(): readonly string[] {
    return (this.#group ?? this.#context.group)?.procsFiles ?? [];
  }

  /** Whether the shim got as far as the command. */
  get ran(): boolean {
    return this.#run() !== undefined;
  }

  startedAs(pid: number): void {
    this.#leader = { pid, startTicks: readStat(pid)?.startTicks ?? '0' };
  }

  /** Its number may soon mean another process. */
  leaderEnded(): void {
    this.#leader = undefined;
  }

  kill(): void {
    // The shim may be so young that it is in no group yet.
    if (this.#leader) killPid(-this.#leader.pid, 'SIGKILL');
    if (this.#group) return this.#group.kill();
    for (const pid of this.#session()) killPid(pid, 'SIGKILL');
  }

  /** Resolves when everything in it is gone, or is stuck. */
  async killAll(): Promise<void> {
    const { clock } = this.#context;
    const startedAt = clock.monotonic();
    for (let waitMs = 1; clock.monotonic() - startedAt < stuckMs; waitMs = Math.min(100, waitMs * 2)) {
      this.kill();
      if (this.#isEmpty()) return;
      await sleep(clock, waitMs);
    }
  }

  async remove(): Promise<void> {
    await this.killAll();
    this.#context.watchdog.release(this.slot);
    rmSync(this.dir, { recursive: true, force: true });
  }

  #isEmpty(): boolean {
    return this.#group ? this.#group.remove() : this.#session().length === 0;
  }

  #session(): number[] {
    const leader = this.#leader ?? this.#run();
    return leader ? sessionOf(leader) : [];
  }

  #run(): { pid: number; startTicks: string } | undefined {
    const run = new AttemptFiles(this.dir).readRun();
    return run === 'nobody' ? undefined : run;
  }
}

class RunningExec implements ExecProcess {
  readonly stdin: Writable | undefined;
  readonly outputs: readonly { name: 'stdout' | 'stderr'; readable: Readable }[];
  readonly ended: Promise<{ exitCode: number } | { failed: string }>;
  readonly #pid: number;
  readonly #place: ExecPlace;
  readonly #terminal: Terminal | undefined;
  #over = false;
  #closed: Promise<void> | undefined;

  constructor(options: { child: ChildProcess; pid: number; place: ExecPlace; terminal: Terminal | undefined; stdin: number | undefined; stdout: number | undefined; stderr: number | undefined; spec: ExecSpec }) {
    const { child, pid, place, terminal, spec } = options;
    this.#pid = pid;
    this.#place = place;
    this.#terminal = terminal;
    place.startedAs(pid);
    this.stdin = terminal ? (spec.stdin ? terminal.input : undefined) : writerOf(options.stdin);
    // A terminal's output is there whether somebody reads it or not, and somebody has to.
    this.outputs = terminal
      ? [{ name: 'stdout', readable: terminal.output }]
      : ([['stdout', options.stdout], ['stderr', options.stderr]] as const).flatMap(([name, fd]) => (fd === undefined ? [] : [{ name, readable: readerOf(fd) }]));
    this.ended = once(child, 'exit').then(([code, signal]: (number | NodeJS.Signals | null)[]) => {
      this.#over = true;
      place.leaderEnded();
      if (!place.ran && signal === null) return { failed: 'its attempt has ended meanwhile, or its node has lost touch with the cluster' };
      return { exitCode: typeof code === 'number' ? code : 128 + signalNumber(String(signal)) };
    });
  }

  resize(size: { width: number; height: number }): void {
    this.#terminal?.resize(size);
  }

  hangUp(): void {
    if (!this.#over && !this.#terminal) killPid(-this.#pid, 'SIGTERM');
    this.#letGo();
  }

  killAll(): Promise<void> {
    return this.#place.killAll();
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#letGo();
    await this.#place.remove();
  }

  #letGo(): void {
    this.#terminal?.close();
    this.stdin?.destroy();
    for (const { readable } of this.outputs) readable.destroy();
  }
}

function writerOf(fd: number | undefined): Writable | undefined {
  if (fd === undefined) return undefined;
  const socket = new Socket({ fd, readable: false, writable: true });
  // A command that does not read all of its input is no error.
  socket.on('error', () => undefined);
  return socket;
}

function readerOf(fd: number): Readable {
  return new Socket({ fd, readable: true, writable: false });
}

/** @throws NotRunningError when the wrapper is gone */
function readSurroundings({ pid, startTicks }: ExecContext): Surroundings {
  try {
    const argv = fieldsOf(`/proc/${pid}/cmdline`);
    const environ = fieldsOf(`/proc/${pid}/environ`);
    if (!isAlive(pid, startTicks)) throw new NotRunningError();
    const env = Object.fromEntries(environ.map((field) => [field.slice(0, field.indexOf('=')), field.slice(field.indexOf('=') + 1)]));
    return { env, ...userOf(argv) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || (error as NodeJS.ErrnoException).code === 'ESRCH') throw new NotRunningError();
    throw error;
  }
}

/** Fields that end with a zero byte. */
function fieldsOf(path: string): string[] {
  return readFileSync(path, 'utf8').split('\0').slice(0, -1);
}

/** What process-driver.ts put before the task's own command, behind the `--` of the wrapper's arguments. */
export function userOf(wrapperArgv: readonly string[]): Pick<Surroundings, 'asUser' | 'owner'> {
  const [setpriv, reuid, regid, groups, end] = wrapperArgv.slice(wrapperArgv.indexOf('--') + 1);
  const uid = /^--reuid=(\d+)$/.exec(reuid ?? '')?.[1];
  const gid = /^--regid=(\d+)$/.exec(regid ?? '')?.[1];
  const isOurs = setpriv !== undefined && basename(setpriv) === 'setpriv' && /^--(init|clear)-groups$/.test(groups ?? '') && end === '--';
  if (!isOurs || uid === undefined || gid === undefined) return { asUser: [], owner: undefined };
  return { asUser: [setpriv, reuid!, regid!, groups!, end], owner: { uid: Number(uid), gid: Number(gid) } };
}

/**
 * Every process of the leader's session. Its number is not used again while somebody is in it: when the process of that number is
 * another one, nobody is, and who is in a session of that number now is nobody of ours.
 */
function sessionOf(leader: { pid: number; startTicks: string }): number[] {
  const holder = readStat(leader.pid);
  if (holder && holder.startTicks !== leader.startTicks) return [];
  return allPids().filter((pid) => {
    const stat = readStat(pid);
    return stat?.session === leader.pid && stat.state !== 'Z' && Number(stat.startTicks) >= Number(leader.startTicks);
  });
}

function entriesOf(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}
