// process-execution.ts: one attempt that runs, started by this agent or found by it.

import { readFileSync, watch, type FSWatcher } from 'node:fs';
import { sleep, type Clock, type Timer } from '../lib/clock.js';
import { Deferred } from '../lib/deferred.js';
import type { Logger } from '../lib/log.js';
import { signalNumber, type AttemptFiles } from './attempt-files.js';
import { killPid, tryRead, type AttemptGroup } from './cgroup.js';
import { NotRunningError, parseAttemptKey, type ExecProcess, type ExecSpec, type Execution, type Exit, type Usage, type Vanished } from './driver.js';
import { startExec } from './exec-process.js';
import type { Launched } from './launcher.js';
import { allPids, isAlive, readStat } from './proc.js';
import type { Watchdog } from './watchdog.js';

export interface ProcessExecutionOptions {
  key: string;
  files: AttemptFiles;
  group: AttemptGroup | undefined;
  watchdog: Watchdog;
  /** Path of what starts commands beside the attempt (exec-shim.ts). */
  shimPath: string;
  /** The wrapper, when this agent started it. */
  child: Launched | undefined;
  pid: number;
  /** With the pid it names the wrapper; read from /proc when absent. */
  startTicks?: string;
  startedAt: number;
  clock: Clock;
  logger: Logger;
}

/** A wrapper that is no child of ours is looked at this often, besides the watch on its directory. */
const lookMs = 1_000;
const goneWaitMs = 10;
/** A wrapper that has no command by then never will. */
const youngMsMax = 2_000;
/** Beyond this a process that does not die (stuck in the kernel) no longer holds up its task. */
const stuckMs = 30_000;

export class ProcessExecution implements Execution {
  readonly key: string;
  readonly pid: number;
  readonly startedAt: number;
  readonly #options: ProcessExecutionOptions;
  readonly #ended = new Deferred<Exit | Vanished>();
  #watcher: FSWatcher | undefined;
  /** The next look at an attempt that was adopted. */
  #timer: Timer | undefined;
  /** A SIGTERM that was asked for too early. */
  #early: Timer | undefined;
  #detached = false;
  #over = false;

  constructor(options: ProcessExecutionOptions) {
    this.#options = options;
    this.key = options.key;
    this.pid = options.pid;
    this.startedAt = options.startedAt;
    if (options.child) options.child.onExit((code, signal) => this.#finish(code, signal));
    else this.#watch();
  }

  get ended(): Promise<Exit | Vanished> {
    return this.#ended.promise;
  }

  terminate(): void {
    if (this.#over) return;
    // The wrapper swallows a signal that comes before the command exists.
    const youngMs = this.#options.clock.now() - this.startedAt;
    if (youngMs < youngMsMax && !commandExists(this.pid)) {
      this.#early?.cancel();
      this.#early = this.#options.clock.timer(2, () => this.terminate());
      return;
    }
    const { group } = this.#options;
    if (!group) return killPid(-this.pid, 'SIGTERM');
    for (const pid of group.pids()) if (pid !== this.pid) killPid(pid, 'SIGTERM');
  }

  kill(): void {
    if (this.#over) return;
    this.#early?.cancel();
    const { group } = this.#options;
    // The wrapper may be so young that it is in no cgroup yet: it goes first, with its command, lest it has a command after the group was killed, or writes
    // down that its command ended by itself.
    killPid(-this.pid, 'SIGKILL');
    if (group) group.kill();
    if (!group) for (const pid of markedPids(this.key)) killPid(pid, 'SIGKILL');
  }

  usage(): Usage | undefined {
    return this.#over ? undefined : this.#options.group?.usage() ?? sessionUsage(this.pid);
  }

  async exec(spec: ExecSpec): Promise<ExecProcess> {
    if (this.#over) throw new NotRunningError();
    const { pid } = this;
    return startExec({ ...this.#options, pid, startTicks: this.#options.startTicks ?? readStat(pid)?.startTicks ?? '' }, spec);
  }

  *pids(): Generator<number> {
    const { group } = this.#options;
    if (this.#over) return;
    if (group) return yield* group.pids();
    yield* allPids().filter((pid) => readStat(pid)?.session === this.pid);
    yield* markedPids(this.key);
  }

  detach(): boolean {
    if (this.#over) return false;
    this.#detached = true;
    this.#stopWatching();
    return true;
  }

  #watch(): void {
    try {
      this.#watcher = watch(this.#options.files.dir, () => this.#look());
      this.#watcher.on('error', () => this.#watcher?.close());
    } catch {
      // Out of inotify watches: the timer alone finds out, a little later.
    }
    this.#look();
  }

  #look(): void {
    if (this.#detached || this.#over) return;
    this.#timer?.cancel();
    if (!isAlive(this.pid, this.#options.startTicks ?? '')) return this.#finish(null, null);
    const ending = this.#options.files.readExit() !== undefined;
    this.#timer = this.#options.clock.timer(ending ? goneWaitMs : lookMs, () => this.#look(), { unref: true });
  }

  #stopWatching(): void {
    this.#watcher?.close();
    this.#timer?.cancel();
    this.#early?.cancel();
  }

  #finish(code: number | null, signal: NodeJS.Signals | null): void {
    if (this.#detached || this.#over) return;
    this.#over = true;
    this.#stopWatching();
    void this.#conclude(code, signal);
  }

  async #conclude(code: number | null, signal: NodeJS.Signals | null): Promise<void> {
    const { files, group, watchdog, clock, logger, key } = this.#options;
    const finishedAt = clock.now();
    if (!group) await killMarked(key, clock);
    const exit = files.readExit();
    const usage = group?.usageInAll();
    // Nobody asks when all went well.
    const oomKilled = exit?.exitCode === 0 ? false : (group?.oomKilled() ?? false);
    if (!(await removeGroupOf(group, clock))) {
      logger.error('processes of an attempt do not end, although they were killed; look for processes in state D on this node', { attempt: key, pids: group?.pids() });
    }
    watchdog.release(key);
    const with_ = usage ? { usage } : {};
    if (exit) return this.#ended.resolve({ ...exit, oomKilled, ...with_ });
    if (oomKilled) return this.#ended.resolve({ exitCode: 137, signal: 'SIGKILL', oomKilled, finishedAt, ...with_ });
    if (signal) return this.#ended.resolve({ exitCode: 128 + signalNumber(signal), signal, oomKilled, killed: true, finishedAt, ...with_ });
    logger.warn('an attempt ended without an exit code', { attempt: key, wrapperExit: code, shell: files.readShellWords() });
    this.#ended.resolve({ vanished: true, finishedAt, ...with_ });
  }
}

/** Kills what is in the group and removes it. @returns false when something in it does not die */
export async function removeGroupOf(group: AttemptGroup | undefined, clock: Clock): Promise<boolean> {
  if (!group) return true;
  const startedAt = clock.monotonic();
  for (let waitMs = 1; !(await group.removeAside()); waitMs = Math.min(100, waitMs * 2)) {
    if (clock.monotonic() - startedAt > stuckMs) return false;
    group.kill();
    await sleep(clock, waitMs);
  }
  return true;
}

/** Without cgroups: processes that fled the process group still carry the attempt in their environment. */
export async function killMarked(key: string, clock: Clock): Promise<void> {
  const startedAt = clock.monotonic();
  for (let waitMs = 1; clock.monotonic() - startedAt < stuckMs; waitMs = Math.min(100, waitMs * 2)) {
    const pids = markedPids(key);
    if (pids.length === 0) return;
    for (const pid of pids) killPid(pid, 'SIGKILL');
    await sleep(clock, waitMs);
  }
}

function markedPids(key: string): number[] {
  const id = parseAttemptKey(key);
  if (!id) return [];
  return allPids().filter((pid) => {
    const environ = readEnviron(pid);
    return environ.includes(`TASKPLANE_TASK_UID=${id.uid}`) && environ.includes(`TASKPLANE_TASK_ATTEMPT=${id.attempt}`);
  });
}

/**
 * Whether the wrapper's command exists. A fork of the wrapper that has not become the command yet, and the keeper of the input
 * of one that takes any, would swallow the signal like the wrapper; both still have its command line. Where the kernel does not tell: yes.
 */
function commandExists(wrapper: number): boolean {
  const children = tryRead(`/proc/${wrapper}/task/${wrapper}/children`)?.trim();
  if (children === undefined) return true;
  return children !== '' && commandLine(children.split(' ').at(-1)!) !== commandLine(wrapper);
}

function commandLine(pid: number | string): string | undefined {
  return tryRead(`/proc/${pid}/cmdline`);
}

function readEnviron(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

function sessionUsage(leader: number): Usage {
  let cpuSeconds = 0;
  let memoryBytes = 0;
  for (const pid of allPids()) {
    const stat = readStat(pid);
    if (stat?.session !== leader) continue;
    cpuSeconds += stat.cpuSeconds;
    memoryBytes += stat.residentBytes;
  }
  return { cpuSeconds, memoryBytes };
}


