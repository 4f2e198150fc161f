// attempt-files.ts
//
// The directory of one attempt, which outlives agent and process:
//
//   run         who runs it (wrapper.ts); created exclusively, so an attempt runs at most once. Below that what the wrapper's
//               shell had to say (whether a signal ended the command), and last the exit code
//   output.log  standard output and error of the command; log-store.ts keeps it bounded
//   work/       working directory, when the task names none

import { chmodSync, chownSync, closeSync, constants, mkdirSync, openSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { constants as osConstants } from 'node:os';
import { basename } from 'node:path';
import { parseRun, startTicksOf, type RunRecord } from './proc.js';

export class AttemptFiles {
  constructor(readonly dir: string) {}

  static under(attemptsDir: string, key: string): AttemptFiles {
    return new AttemptFiles(`${attemptsDir}/${key}`);
  }

  get outputPath(): string {
    return `${this.dir}/output.log`;
  }

  get workPath(): string {
    return `${this.dir}/work`;
  }

  /** Makes the directory; another user than the agent's may pass through it but not look around. */
  create(owner: { uid: number; gid: number } | undefined): void {
    makeDirectory(this.dir);
    if (owner) chmodSync(this.dir, 0o711);
  }

  createWork(owner: { uid: number; gid: number } | undefined): string {
    makeDirectory(this.workPath);
    if (owner) chownSync(this.workPath, owner.uid, owner.gid);
    return this.workPath;
  }

  /** For scripts too long for an argument. */
  writeScript(script: string, owner: { uid: number; gid: number } | undefined): string {
    const path = `${this.dir}/script`;
    writeFileSync(path, script, { mode: 0o600 });
    if (owner) chownSync(path, owner.uid, owner.gid);
    return path;
  }

  /** A descriptor for the command's output; the caller closes it. */
  openOutput(): number {
    return openSync(this.outputPath, constants.O_CREAT | constants.O_APPEND | constants.O_WRONLY, 0o600);
  }

  /** Sees to it that no wrapper will ever run this attempt. @returns false when one has claimed it already */
  claimForNobody(): boolean {
    try {
      mkdirSync(this.dir, { recursive: true, mode: 0o700 });
      closeSync(openSync(`${this.dir}/run`, 'wx', 0o600));
      writeFileSync(`${this.dir}/run`, 'nobody\n');
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    }
  }

  get claimed(): boolean {
    return statSync(`${this.dir}/run`, { throwIfNoEntry: false }) !== undefined;
  }

  /** With startTicks '' when that process is gone. `nobody` when an agent has claimed it so; undefined while the wrapper is writing it, or died doing so. */
  readRun(): (Required<RunRecord> & { startedAt: number }) | 'nobody' | undefined {
    const path = `${this.dir}/run`;
    const text = readText(path);
    if (text === 'nobody\n') return 'nobody';
    const run = text === undefined ? undefined : parseRun(text);
    return run && { ...run, startTicks: run.startTicks ?? startTicksOf(run.pid, basename(this.dir)), startedAt: run.startedAt ?? statSync(path).mtimeMs };
  }

  /** The exit code with the signal that the shell saw, once the command has ended. */
  readExit(): { exitCode: number; signal?: string; finishedAt: number } | undefined {
    // A wrapper that an agent of an earlier version started writes its last words into `exit`.
    return this.#exitIn('run', /^.+\n((?:.*\n)*)(\d+)\n$/) ?? this.#exitIn('exit', /^((?:.*\n)*)(\d+)\n$/);
  }

  #exitIn(name: string, pattern: RegExp): { exitCode: number; signal?: string; finishedAt: number } | undefined {
    const path = `${this.dir}/${name}`;
    const match = pattern.exec(readText(path) ?? '');
    if (!match) return undefined;
    const exitCode = Number(match[2]);
    const signal = exitCode > 128 && match[1] ? signalName(exitCode - 128) : undefined;
    return { exitCode, ...(signal ? { signal } : {}), finishedAt: statSync(path).mtimeMs };
  }

  /** All that the wrapper's shell had to say. */
  readShellWords(): string {
    return (readText(`${this.dir}/run`) ?? '').split('\n').slice(1).join('\n').trim();
  }
}

/** Not recursively, which asks for more than the one directory. */
function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** Keys of all attempts that have a directory. */
export function attemptKeys(attemptsDir: string): string[] {
  try {
    return readdirSync(attemptsDir);
  } catch {
    return [];
  }
}

const signalNames = new Map(Object.entries(osConstants.signals).map(([name, number]) => [number, name]));

/** `SIGKILL` for 9. */
export function signalName(number: number): string {
  return signalNames.get(number) ?? `signal ${number}`;
}

export function signalNumber(name: string): number {
  return osConstants.signals[name as NodeJS.Signals] ?? 9;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
