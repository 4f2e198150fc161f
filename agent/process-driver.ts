// process-driver.ts
//
// Runs attempts as processes. What happens to them when agent or machine die is told in wrapper.ts (who may run, how the
// end is recorded); this file starts wrappers and finds them again.
//
//   start    make directory and cgroup → put it under guard → spawn the wrapper (own session, output straight to a file)
//   end      wrapper gone → read `run` → read what the cgroup counted → kill what is left → remove the cgroup
//   recover  `run` complete → ended; the wrapper named in `run` alive → watch it; otherwise it vanished, or never ran

import { closeSync, existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sleep, type Clock } from '../lib/clock.js';
import type { Logger } from '../lib/log.js';
import { AttemptFiles } from './attempt-files.js';
import { helperGroup, type AttemptGroup, type Cgroups } from './cgroup.js';
import { checkWorkingDir, resolveProgram } from './command.js';
import { busyCodes, isExecution, MachineBusyError, StartError, type Driver, type Execution, type Exit, type StartSpec, type Vanished } from './driver.js';
import { endLeftovers } from './exec-process.js';
import { execShimScript } from './exec-shim.js';
import { nodeLauncher, type Launched, type Launcher } from './launcher.js';
import { isAlive, readBootId } from './proc.js';
import { killMarked, ProcessExecution, removeGroupOf } from './process-execution.js';
import { shellFor } from './shell.js';
import type { SpareDirectories } from './spare-directories.js';
import { makeStdin, openStdin } from './stdin.js';
import { findUser, ownUser, type User } from './users.js';
import type { Watchdog } from './watchdog.js';
import { inputWrapperScript, wrapperScript } from './wrapper.js';

export interface ProcessDriverOptions {
  dataDir: string;
  /** Absent: process groups only. */
  cgroups: Cgroups | undefined;
  watchdog: Watchdog;
  /** @default by Node's own means */
  launcher?: Launcher;
  /** Path of the wrapper as a program (native-wrapper.ts). @default a shell's */
  wrapper?: string;
  /** @default every attempt's directory is made */
  spares?: SpareDirectories;
  clock: Clock;
  logger: Logger;
}

/** One argument of a program may be 128 KiB; longer scripts go through a file. */
const scriptArgumentBytesMax = 96 * 1024;

export class ProcessDriver implements Driver {
  readonly #options: ProcessDriverOptions;
  readonly #attemptsDir: string;
  readonly #wrapperPath: string;
  readonly #inputWrapperPath: string;
  readonly #shimPath: string;
  readonly #own: User = ownUser();
  #bootId: string | undefined;

  constructor(options: ProcessDriverOptions) {
    this.#options = options;
    this.#attemptsDir = join(options.dataDir, 'attempts');
    this.#wrapperPath = join(options.dataDir, 'wrapper.sh');
    mkdirSync(this.#attemptsDir, { recursive: true, mode: 0o711 });
    writeFileSync(this.#wrapperPath, wrapperScript, { mode: 0o600 });
    this.#inputWrapperPath = join(options.dataDir, 'wrapper-stdin.sh');
    writeFileSync(this.#inputWrapperPath, inputWrapperScript, { mode: 0o600 });
    this.#shimPath = join(options.dataDir, 'exec.sh');
    writeFileSync(this.#shimPath, execShimScript, { mode: 0o600 });
  }

  get isolation(): string {
    return this.#options.cgroups?.kind ?? 'process-group';
  }

  get isolationProblem(): string | undefined {
    if (this.#options.cgroups) return this.#options.cgroups.problem;
    return 'limits are not enforced and usage is not measured: no cgroup hierarchy can be written (run the agent as root, or delegate one to it)';
  }

  async start(spec: StartSpec): Promise<Execution> {
    const files = AttemptFiles.under(this.#attemptsDir, spec.key);
    const user = spec.runAsUser === undefined ? this.#own : await findUser(spec.runAsUser);
    const owner = user.uid === this.#own.uid ? undefined : user;
    if (owner && this.#own.uid !== 0) throw new StartError(`cannot run as user ${spec.runAsUser}: the agent runs as ${this.#own.name}, and only root may change users`, 128);
    if (files.claimed) throw new Error(`attempt ${spec.key} was started before`);
    // On another thread, beside the files.
    const making = this.#createGroup(spec);
    making.catch(() => undefined);
    try {
      const spare = !owner && this.#options.spares?.take(files.dir) === true;
      if (!spare) files.create(owner);
      const command = this.#command(spec, files, owner, spare);
      if (spec.stdin) await makeStdin(files.dir, owner);
      const group = await making;
      if (spec.fenced) this.#options.watchdog.guard(spec.key, group, files.dir);
      const child = await this.#spawn(spec, files, command, group);
      this.#options.spares?.prepare();
      return new ProcessExecution({ ...this.#options, shimPath: this.#shimPath, key: spec.key, files, group, child, pid: child.pid, startedAt: this.#options.clock.now() });
    } catch (error) {
      const group = await making.catch(() => undefined);
      group?.remove();
      this.#options.watchdog.release(spec.key);
      throw startFailure(error);
    }
  }

  async recover(key: string): Promise<Execution | Exit | Vanished | 'never-started'> {
    const files = AttemptFiles.under(this.#attemptsDir, key);
    const group = this.#options.cgroups?.adopt(key);
    const found = await this.#find(key, files, group);
    if (found === 'never-started' || !isExecution(found)) {
      if (group) await removeGroupOf(group, this.#options.clock);
      else await killMarked(key, this.#options.clock);
      this.#options.watchdog.release(key);
    } else {
      // So that a watchdog of this agent takes over.
      if (this.#options.watchdog.isGuarded(key)) this.#options.watchdog.guard(key, group, files.dir);
      await endLeftovers({ ...this.#options, key, files, group });
    }
    return found;
  }

  async sweep(keep: ReadonlySet<string>): Promise<void> {
    const { cgroups, clock, logger, watchdog } = this.#options;
    const leftovers = (cgroups?.keys() ?? []).filter((key) => !keep.has(key));
    await Promise.all(
      leftovers.map(async (key) => {
        logger.warn('killing what is left of an attempt that nobody knows any more', { attempt: key });
        await removeGroupOf(cgroups!.adopt(key), clock);
      }),
    );
    watchdog.retain(keep);
  }

  async close(): Promise<void> {
    await this.#options.watchdog.close();
    // Whatever still runs keeps its directory, and with it those above; what was just killed does so for a moment.
    const directories = this.#options.cgroups?.ownDirectories() ?? [];
    for (let tries = 0; tries < 20; tries++) {
      directories.forEach(removeEmptyDirectory);
      if (!directories.some((directory) => directory.endsWith(helperGroup) && existsSync(directory))) return;
      await sleep(this.#options.clock, 10);
    }
  }

  async #find(key: string, files: AttemptFiles, group: AttemptGroup | undefined): Promise<Execution | Exit | Vanished | 'never-started'> {
    const { clock } = this.#options;
    const ended = (startedAt: number | undefined): Exit | Vanished => {
      const exit = files.readExit();
      const usage = group?.usageInAll();
      const oomKilled = group?.oomKilled() ?? false;
      const known = { ...(startedAt === undefined ? {} : { startedAt }), ...(usage ? { usage } : {}) };
      if (exit) return { ...exit, oomKilled: oomKilled && exit.exitCode !== 0, ...known };
      if (oomKilled) return { exitCode: 137, signal: 'SIGKILL', oomKilled, finishedAt: clock.now(), ...known };
      return { vanished: true, finishedAt: clock.now(), ...known };
    };
    if (files.claimForNobody()) return 'never-started';
    let run = files.readRun();
    // A wrapper that has claimed the attempt writes its name within the same instant, if it lives.
    for (let tries = 0; run === undefined && tries < 20 && !files.readExit(); tries++) {
      await sleep(clock, 25);
      run = files.readRun();
    }
    if (run === 'nobody') return 'never-started';
    this.#bootId ??= readBootId();
    if (!run || run.bootId !== this.#bootId || !isAlive(run.pid, run.startTicks)) return ended(run?.startedAt);
    return new ProcessExecution({ ...this.#options, shimPath: this.#shimPath, key, files, group, child: undefined, pid: run.pid, startTicks: run.startTicks, startedAt: run.startedAt });
  }

  /** @param worked whether there is a directory to work in */
  #command(spec: StartSpec, files: AttemptFiles, owner: User | undefined, worked: boolean): { argv: string[]; cwd: string } {
    if (spec.workingDir !== undefined) checkWorkingDir(spec.workingDir);
    const cwd = spec.workingDir ?? (worked ? files.workPath : files.createWork(owner));
    return { argv: [...(owner ? setprivArgs(owner) : []), ...this.#program(spec, files, owner, cwd)], cwd };
  }

  #program(spec: StartSpec, files: AttemptFiles, owner: User | undefined, cwd: string): string[] {
    const [program, ...args] = spec.argv;
    if (spec.script === undefined) return [resolveProgram(program ?? '', spec.env['PATH'] ?? '', cwd), ...args];
    if (Buffer.byteLength(spec.script) > scriptArgumentBytesMax) return ['/bin/sh', '-eu', files.writeScript(spec.script, owner), ...args];
    return ['/bin/sh', '-eu', '-c', spec.script, program ?? 'script', ...args];
  }

  async #createGroup(spec: StartSpec): Promise<AttemptGroup | undefined> {
    try {
      return await this.#options.cgroups?.create(spec.key, spec);
    } catch (error) {
      this.#options.cgroups?.adopt(spec.key).remove();
      const { message, cause } = error as Error & { cause?: NodeJS.ErrnoException };
      throw cause?.code !== undefined && busyCodes.has(cause.code) ? cause : new StartError(message, 128);
    }
  }

  async #spawn(spec: StartSpec, files: AttemptFiles, command: { argv: string[]; cwd: string }, group: AttemptGroup | undefined): Promise<Launched> {
    const output = files.openOutput();
    let input: ReturnType<typeof openStdin> | undefined;
    try {
      if (spec.stdin) input = openStdin(files.dir);
      const fence = spec.fenced ? this.#options.watchdog.deadlineFile : '';
      const wrapper = input ? undefined : this.#options.wrapper;
      const launch = (file: string): Promise<Launched> => (this.#options.launcher ?? nodeLauncher).launch({
        file,
        args: [input ? this.#inputWrapperPath : this.#wrapperPath, files.dir, group?.killFile ?? '', fence, `${(this.#bootId ??= readBootId())} ${this.#options.clock.now()}`, ...(group?.procsFiles ?? []), '--', ...command.argv],
        // A shell tells a command where it is; a program does not.
        env: { ...spec.env, PWD: command.cwd },
        cwd: command.cwd,
        // Until it has claimed the attempt, what the wrapper says of itself is all that will be in the task's log.
        stdio: [input?.command ?? 'ignore', output, output, ...(input?.keeper ?? [])],
      });
      try {
        return await launch(wrapper ?? shellFor(spec.env));
      } catch (error) {
        // A build beside this agent that finds no compiler takes the program away.
        if (wrapper === undefined || existsSync(wrapper)) throw error;
        return await launch(shellFor(spec.env));
      }
    } finally {
      input?.close();
      closeSync(output);
    }
  }
}

function removeEmptyDirectory(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // Not empty, or gone.
  }
}

function setprivArgs(user: User): string[] {
  const setpriv = ['/usr/bin/setpriv', '/bin/setpriv'].find((path) => existsSync(path));
  if (!setpriv) throw new StartError('cannot run as another user: the program setpriv is missing (install util-linux on the node)', 128);
  return [setpriv, `--reuid=${user.uid}`, `--regid=${user.gid}`, user.known ? '--init-groups' : '--clear-groups', '--'];
}

function startFailure(error: unknown): Error {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code !== undefined && busyCodes.has(code)) return new MachineBusyError(`the machine cannot start a process just now (${code})`, { cause: error });
  if (code === 'E2BIG') return new StartError('arguments and environment are too long for the kernel', 126);
  return code === undefined ? (error as Error) : new StartError(`cannot start: ${message}`, 128);
}
