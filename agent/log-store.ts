// log-store.ts
//
// The output of attempts, bounded without the processes knowing. They append to output.log for as long as they run; when
// the file has grown well past the bound, its beginning is cut out of the disk (a hole, fallocate --punch-hole), so that
// not one byte of what is kept moves or gets lost, and offsets stay what they were. `output.start` says where the kept
// part begins: at the start of a line. Where the file system knows no holes, the file is emptied after its last part was
// copied to output.1; what is written in that instant may be lost there.
//
// Directories of ended attempts stay for reading, the newest ones, until there are too many, too old or too big.

import { execFile } from 'node:child_process';
import { chmodSync, closeSync, copyFileSync, fstatSync, openSync, readFileSync, readSync, renameSync, rmdirSync, rmSync, statSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { sleep, type Clock } from '../lib/clock.js';
import type { Logger } from '../lib/log.js';
import type { Service } from '../lib/service.js';
import { attemptKeys } from './attempt-files.js';
import { busyCodes, parseAttemptKey } from './driver.js';
import { LogTimes } from './log-times.js';
import type { SpareDirectories } from './spare-directories.js';

export interface LogKeep {
  /** Bytes kept of one attempt's output; up to twice that, and what is written within a second, may be on disk. @default 10 MiB */
  bytesPerAttempt: number;
  /** Ended attempts kept. @default 1000 */
  attempts: number;
  /** Bytes on disk of all ended attempts. @default 2 GiB */
  bytes: number;
  /** @default 7 days */
  ageMs: number;
}

export const defaultLogKeep: LogKeep = { bytesPerAttempt: 10 * 2 ** 20, attempts: 1_000, bytes: 2 * 2 ** 30, ageMs: 7 * 86_400_000 };

const lookMs = 1_000;
const pruneEveryLooks = 3_600;
const blockBytes = 4_096;
/** On disk: `run` is short. */
const runBytes = blockBytes;

interface Kept {
  key: string;
  endedAt: number;
  bytes: number;
}

export class LogStore implements Service {
  readonly name = 'log store';
  /** When the output of running attempts was written. */
  readonly times: LogTimes;
  readonly #attemptsDir: string;
  readonly #keep: LogKeep;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #spares: SpareDirectories | undefined;
  readonly #running = new Set<string>();
  /** Those of them whose output may have been copied to output.1. */
  readonly #copied = new Set<string>();
  /** In the order of their end. */
  readonly #ended = new Map<string, Kept>();
  readonly #endHandlers = new Map<string, Set<() => void>>();
  #endedBytes = 0;
  #removing: Promise<void> = Promise.resolve();
  #holes = true;

  /** @param options.spares gets the directories that are removed; for attempts in cgroups only */
  constructor(options: { dataDir: string; keep?: Partial<LogKeep>; spares?: SpareDirectories; clock: Clock; logger: Logger }) {
    this.#attemptsDir = join(options.dataDir, 'attempts');
    this.#keep = { ...defaultLogKeep, ...options.keep };
    this.#spares = options.spares;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.times = new LogTimes({ attemptsDir: this.#attemptsDir, clock: options.clock, logger: options.logger });
  }

  /** @param running keys of attempts that go on; every other directory is one of an ended attempt */
  recover(running: ReadonlySet<string>): void {
    const ended: Kept[] = [];
    for (const key of attemptKeys(this.#attemptsDir)) {
      if (running.has(key)) {
        this.#running.add(key);
        this.#copied.add(key);
        this.times.recovered(key);
      } else ended.push({ key, ...this.#measure(key) });
    }
    for (const kept of ended.toSorted((a, b) => a.endedAt - b.endedAt)) this.#addEnded(kept);
    this.#prune();
  }

  started(key: string): void {
    this.#running.add(key);
    this.times.started(key);
  }

  ended(key: string): void {
    this.#running.delete(key);
    const timed = this.times.ended(key);
    const names = ['output.log', ...(this.#copied.delete(key) ? ['output.1'] : []), ...(timed ? ['times'] : [])];
    this.#addEnded({ key, endedAt: this.#clock.now(), bytes: runBytes + this.#measure(key, names).bytes });
    for (const handler of this.#endHandlers.get(key) ?? []) handler();
    this.#endHandlers.delete(key);
    this.#prune();
  }

  isRunning(key: string): boolean {
    return this.#running.has(key);
  }

  /** Calls `handler` once when the attempt ends. @returns stops that */
  onEnd(key: string, handler: () => void): () => void {
    const handlers = this.#endHandlers.get(key) ?? new Set();
    handlers.add(handler);
    this.#endHandlers.set(key, handlers);
    return () => handlers.delete(handler);
  }

  /** The task is gone: so are the directories of its ended attempts. */
  removeTask(uid: string): void {
    for (const key of [...this.#ended.keys()]) if (key.startsWith(uid) && parseAttemptKey(key)?.uid === uid) this.#remove(key);
  }

  /** Directory of the newest attempt of the task, or of the numbered one. */
  find(uid: string, attempt: number | undefined): { key: string; dir: string } | undefined {
    const candidates = attemptKeys(this.#attemptsDir).flatMap((key) => {
      const id = parseAttemptKey(key);
      return id?.uid === uid && (attempt === undefined || id.attempt === attempt) ? [{ key, id }] : [];
    });
    const newest = candidates.toSorted((a, b) => a.id.attempt - b.id.attempt || a.id.bindings - b.id.bindings || a.id.tries - b.id.tries).at(-1);
    return newest && { key: newest.key, dir: join(this.#attemptsDir, newest.key) };
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.times.run(signal), this.#keepBounded(signal)]);
    await this.#removing;
  }

  async #keepBounded(signal: AbortSignal): Promise<void> {
    for (let looks = 1; !signal.aborted; looks++) {
      await sleep(this.#clock, lookMs, signal);
      for (const key of [...this.#running]) {
        if (signal.aborted) break;
        if ((this.times.sizeOf(key) ?? Infinity) > 2 * this.#keep.bytesPerAttempt) await this.bound(key);
      }
      if (looks % pruneEveryLooks === 0) this.#prune();
    }
  }

  /** Cuts the output of one attempt down to what is kept, if it has grown past twice that. */
  async bound(key: string): Promise<void> {
    const dir = join(this.#attemptsDir, key);
    const path = join(dir, 'output.log');
    const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    const start = readStart(dir);
    if (size - start <= 2 * this.#keep.bytesPerAttempt) return;
    try {
      const next = nextLine(path, size - this.#keep.bytesPerAttempt);
      if (this.#holes && (await this.#punch(path, next))) {
        writeFileSync(join(dir, 'output.start.new'), `${next}\n`, { mode: 0o600 });
        renameSync(join(dir, 'output.start.new'), join(dir, 'output.start'));
        this.times.cut(key, next);
      } else {
        this.times.look(key);
        if (this.#running.has(key)) this.#copied.add(key);
        const from = copyTail(path, join(dir, 'output.1'), this.#keep.bytesPerAttempt);
        truncateSync(path, 0);
        // It was cut before, by an agent that could.
        if (start > 0) rmSync(join(dir, 'output.start'), { force: true });
        this.times.emptied(key, from);
      }
    } catch (error) {
      this.#logger.error('the output of an attempt cannot be cut; it grows on, watch the disk', { attempt: key, error });
    }
  }

  /** @throws Error when the machine is too busy to start a process */
  async #punch(path: string, before: number): Promise<boolean> {
    const length = Math.floor(before / blockBytes) * blockBytes;
    try {
      await promisify(execFile)('fallocate', ['--punch-hole', '--offset', '0', '--length', String(length), path]);
      return true;
    } catch (error) {
      // The machine is short of something just now, which says nothing of its file system: the next look tries again.
      if (busyCodes.has(String((error as NodeJS.ErrnoException).code))) throw error;
      this.#holes = false;
      this.#logger.warn('this file system (or machine) cannot cut the beginning out of a file; output is copied and emptied instead, which may lose lines', { error });
      return false;
    }
  }

  #measure(key: string, names: readonly string[] = ['output.log', 'output.1', 'times', 'run']): { endedAt: number; bytes: number } {
    let bytes = 0;
    let endedAt = 0;
    for (const name of names) {
      const stat = statSync(`${this.#attemptsDir}/${key}/${name}`, { throwIfNoEntry: false });
      bytes += (stat?.blocks ?? 0) * 512;
      endedAt = Math.max(endedAt, stat?.mtimeMs ?? 0);
    }
    return { endedAt, bytes };
  }

  #addEnded(kept: Kept): void {
    this.#ended.set(kept.key, kept);
    this.#endedBytes += kept.bytes;
  }

  #prune(): void {
    const oldest = this.#clock.now() - this.#keep.ageMs;
    for (const { key, endedAt } of this.#ended.values()) {
      if (this.#ended.size <= this.#keep.attempts && this.#endedBytes <= this.#keep.bytes && endedAt >= oldest) return;
      this.#remove(key);
    }
  }

  #remove(key: string): void {
    this.#endedBytes -= this.#ended.get(key)?.bytes ?? 0;
    this.#ended.delete(key);
    // One after the other: a burst of short tasks must not flood the disk with removals.
    this.#removing = this.#removing.then(() => removeTree(join(this.#attemptsDir, key), this.#spares)).catch((error: unknown) => {
      this.#logger.warn('cannot remove the directory of an ended attempt; remove it by hand', { attempt: key, error });
    });
  }
}

/**
 * Removes the directory of an attempt. One that ran as another user holds directories which that user's other processes can
 * still turn into symbolic links while they are being removed: Node would follow those and remove, as root, what they
 * point to. rm (coreutils) does not; it costs a process, so it is left to those.
 */
async function removeTree(dir: string, spares: SpareDirectories | undefined): Promise<void> {
  const mode = statSync(dir, { throwIfNoEntry: false })?.mode ?? 0;
  if ((mode & passableByOthers) === 0) {
    if (!spares?.give(dir) && !removeSmall(dir)) await rm(dir, { recursive: true, force: true });
    return;
  }
  chmodSync(dir, 0o700);
  await promisify(execFile)('rm', ['-rf', '--', dir]);
}

/** What most attempts leave, without a search. @returns false when there is more */
function removeSmall(dir: string): boolean {
  try {
    for (const name of ['run', 'output.log']) unlinkSync(join(dir, name));
    try {
      rmdirSync(join(dir, 'work'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    rmdirSync(dir);
    return true;
  } catch {
    return false;
  }
}

const passableByOthers = 0o011;

/** Where the kept part of output.log begins. */
export function readStart(dir: string): number {
  try {
    return Number(readFileSync(join(dir, 'output.start'), 'utf8'));
  } catch {
    return 0;
  }
}

/** The first beginning of a line at or after `offset`, looking not further than 64 KiB. */
function nextLine(path: string, offset: number): number {
  const fd = openSync(path, 'r');
  try {
    const buffer = Buffer.alloc(64 * 1024);
    const read = readSync(fd, buffer, 0, buffer.length, offset - 1);
    const newline = buffer.subarray(0, read).indexOf(10);
    return newline < 0 ? offset : offset + newline;
  } finally {
    closeSync(fd);
  }
}

/** @returns where in `from` the copy begins */
function copyTail(from: string, to: string, bytes: number): number {
  const fd = openSync(from, 'r');
  try {
    const { size } = fstatSync(fd);
    if (size <= bytes) {
      copyFileSync(from, to);
      return 0;
    }
    const buffer = Buffer.alloc(bytes);
    const read = readSync(fd, buffer, 0, bytes, size - bytes);
    const newline = buffer.indexOf(10);
    const first = newline < 0 || newline >= read ? 0 : newline + 1;
    writeFileSync(to, buffer.subarray(first, read), { mode: 0o600 });
    return size - bytes + first;
  } finally {
    closeSync(fd);
  }
}
