// driver.ts
//
// What the agent asks of whatever runs commands. process-driver.ts starts real processes, mock-driver.ts does what the
// task's annotations say; driver-contract.ts judges both.
//
// An attempt is named by its key, which never runs twice: start() of a key that was ever started is refused.

import type { Readable, Writable } from 'node:stream';

/** Names one attempt of one binding of one task. */
export interface AttemptId {
  uid: string;
  bindings: number;
  attempt: number;
}

/** A directory, a cgroup and a journal entry bear this name. `tries` counts starts that provably never ran. */
export function attemptKey(id: AttemptId, tries = 0): string {
  return `${id.uid}-${id.bindings}-${id.attempt}${tries ? `.${tries}` : ''}`;
}

const keyPattern = /^(.+)-(\d+)-(\d+)(?:\.(\d+))?$/;

/** The reverse of attemptKey; undefined for other names. */
export function parseAttemptKey(key: string): (AttemptId & { tries: number }) | undefined {
  const match = keyPattern.exec(key);
  if (!match) return undefined;
  return { uid: match[1]!, bindings: Number(match[2]), attempt: Number(match[3]), tries: Number(match[4] ?? 0) };
}

export interface StartSpec {
  key: string;
  /** Program (a path, or a name looked up in env.PATH) and its arguments. */
  argv: readonly string[];
  /** Run by /bin/sh -eu with argv as $0, $1, …, instead of argv. */
  script?: string;
  env: Readonly<Record<string, string>>;
  /** Absolute; an empty directory of the attempt's own when absent. */
  workingDir?: string;
  /** User name or number; the agent's own when absent. */
  runAsUser?: string | number;
  /** Whether it reads what attached clients send (stdin.ts); its input is empty else. */
  stdin?: boolean;
  /** Enforced, where the machine can. */
  limits: { memoryBytes?: number; cpuMilli?: number };
  /** Share of the cpu when there is not enough for all. */
  requests: { cpuMilli?: number };
  /** Whether the process must not outlive the agent's presence (onNodeLost is not Wait). */
  fenced: boolean;
  annotations: Readonly<Record<string, string>>;
}

export interface Usage {
  cpuSeconds?: number;
  /** Most memory used at once. */
  memoryPeakBytes?: number;
  /** Memory in use now. */
  memoryBytes?: number;
}

/** How an attempt ended. */
export interface Exit {
  /** 128 + number of the signal when a signal ended it. */
  exitCode: number;
  /** `SIGKILL`, when a signal ended it. */
  signal?: string;
  oomKilled: boolean;
  /** True when everything was killed from outside, so that no exit code was left behind. */
  killed?: boolean;
  /** Milliseconds since the epoch; set by recover, where it is known. */
  startedAt?: number;
  /** Milliseconds since the epoch. */
  finishedAt: number;
  usage?: Usage;
}

/** The process is gone and left no exit code (machine restarted, everything killed from outside). */
export interface Vanished {
  vanished: true;
  startedAt?: number;
  finishedAt: number;
  usage?: Usage;
}

/** A command to run beside an attempt. */
export interface ExecSpec {
  /** Program (a path, or a name looked up in the task's PATH) and its arguments. */
  argv: readonly string[];
  stdin: boolean;
  stdout: boolean;
  stderr: boolean;
  /** On a terminal, which is both stdin and stdout; there is no stderr then. */
  tty: boolean;
}

/** A command that runs beside an attempt. Whoever started it reads its outputs to their end and then closes it. */
export interface ExecProcess {
  /** Absent when not asked for. On a terminal, ending it types Ctrl-D. */
  readonly stdin: Writable | undefined;
  /** Those asked for. */
  readonly outputs: readonly { name: 'stdout' | 'stderr'; readable: Readable }[];
  /** Resolves when the command itself has ended; what it started may go on and hold its outputs open. 128 + number of the signal that ended it. */
  readonly ended: Promise<{ exitCode: number } | { failed: string }>;
  /** Of the terminal, in characters. */
  resize(size: { width: number; height: number }): void;
  /** Nobody listens any more: asks everything to end. */
  hangUp(): void;
  /** Ends everything that the command has started, too, and resolves when it is gone. Idempotent. */
  killAll(): Promise<void>;
  /** Kills, and lets go of pipes and files. Idempotent. */
  close(): Promise<void>;
}

export interface Execution {
  readonly key: string;
  readonly pid: number | undefined;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** Resolves when the main process has ended and all that it left behind is gone. */
  readonly ended: Promise<Exit | Vanished>;
  /** Asks every process of the attempt to end. */
  terminate(): void;
  /** Ends every process of the attempt, whatever they do. */
  kill(): void;
  usage(): Usage | undefined;
  /** Runs a command as the attempt runs: same user, environment, directory and limits. @throws StartError, MachineBusyError, NotRunningError */
  exec(spec: ExecSpec): Promise<ExecProcess>;
  /** Every process of the attempt; some may come twice. Those that are costly to find come last. */
  pids(): Iterable<number>;
  /**
   * Stops watching; the process goes on and can be recovered. `ended` then never resolves.
   * @returns false when it has ended already: `ended` still resolves, and what it tells (usage, want of memory) nobody can find out again
   */
  detach(): boolean;
}

export interface Driver {
  /** How attempts are isolated: cgroup-v2, cgroup-v1, process-group or mock. */
  readonly isolation: string;
  /** A sentence on what that lacks, if anything. */
  readonly isolationProblem: string | undefined;
  /** @throws StartError when the command cannot be started, MachineBusyError when it cannot just now */
  start(spec: StartSpec): Promise<Execution>;
  /** What has become of an attempt that an earlier agent meant to start. `never-started`: it has not run and never will. */
  recover(key: string): Promise<Execution | Exit | Vanished | 'never-started'>;
  /** Ends whatever runs under keys that are not in `keep`, and removes what they left in the system. */
  sweep(keep: ReadonlySet<string>): Promise<void>;
  /** Removes what is left in the system when nothing runs any more. */
  close(): Promise<void>;
}

export function isExecution(found: Execution | Exit | Vanished): found is Execution {
  return 'ended' in found;
}

export function isVanished(end: Exit | Vanished): end is Vanished {
  return 'vanished' in end;
}

/** The command cannot be started as the task says; trying again changes nothing unless the machine changes. */
export class StartError extends Error {
  override readonly name = 'StartError';

  /** @param exitCode as a shell would say: 127 not found, 126 not executable, 128 anything else */
  constructor(
    message: string,
    readonly exitCode: 126 | 127 | 128,
  ) {
    super(message);
  }
}

/** What the kernel says when it is short of something just now. */
export const busyCodes: ReadonlySet<string> = new Set(['EAGAIN', 'ENOMEM', 'EMFILE', 'ENFILE', 'ENOSPC', 'EDQUOT']);

/** The machine is short of something (processes, memory, disk) just now; nothing has run, and the same key may be tried again. */
export class MachineBusyError extends Error {
  override readonly name = 'MachineBusyError';
}

/** The attempt has ended, so that nothing can run beside it. */
export class NotRunningError extends Error {
  override readonly name = 'NotRunningError';

  constructor(message = 'its attempt has ended') {
    super(message);
  }
}
