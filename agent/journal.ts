// journal.ts
//
// What the agent must remember over its own death: which attempts it meant to start (on disk before the process exists),
// which it decided to stop, how they ended, and which are over and done with. One line per fact:
//
//   crc32 (8 hex digits) space JSON newline
//
// Facts of one attempt come in the order start, stop?, end?, done?; a line that is torn or damaged ends the journal, as
// it can only be the tail that was being written when the power went. Starts are synced before they count, many with
// one fdatasync; the rest is written at once and may be lost with the machine, when the files of the attempt (exit code,
// boot id) tell the same. Opening reads what is there and writes a new file with only what still matters.
//
// The file is as long as its next lines will make it, filled with zeros: where a line only replaces zeros, syncing it is one write of data.
// A file that grows would make the file system commit, with each sync, all that was created and removed meanwhile, and hold up everybody who
// creates and removes.

import { closeSync, fdatasync, fsyncSync, ftruncateSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { attemptKey, type AttemptId, type Exit, type Vanished } from './driver.js';

export interface AttemptStart extends AttemptId {
  namespace: string;
  name: string;
  tries: number;
  /** Whether the process must not outlive the agent's presence. */
  fenced: boolean;
  /** Ends in a row before this attempt that were followed by a delay. */
  delays: number;
  /** Boot of the machine when the journal took it in; absent in what an earlier version wrote. */
  bootId?: string;
}

/** How an attempt ended, with what the cgroups told before they went. */
export type RecordedEnd = (Exit | Vanished) & { startError?: string };

export type StopReason = 'DeadlineExceeded' | 'Deleted' | 'Evicted' | 'Fenced' | 'AgentStopped';

export type JournalFact =
  | ({ fact: 'start' } & AttemptStart)
  | { fact: 'stop'; key: string; reason: StopReason }
  | { fact: 'end'; key: string; end: RecordedEnd }
  | { fact: 'done'; key: string };

/** All that is known of an attempt that is not done with. */
export interface AttemptRecord {
  start: AttemptStart;
  stop?: StopReason;
  end?: RecordedEnd;
}

/** Zeros written ahead of the lines, and their size, bytes. */
const aheadBytes = 256 * 1024;
const zeros = Buffer.alloc(aheadBytes);

export class Journal {
  readonly #path: string;
  readonly #bootId: string | undefined;
  #fd: number;
  readonly #live: Map<string, AttemptRecord>;
  #lines: number;
  /** Of the lines. */
  #bytes = 0;
  /** Of the file: lines and zeros. */
  #room = 0;
  #syncing = false;
  #waiting: { resolve(): void; reject(error: Error): void }[] = [];

  /**
   * @param bootId of the machine that the attempts do not outlive; absent where there is none to tell (mock)
   * @throws Error when the file cannot be read or written
   */
  static open(path: string, bootId?: string): Journal {
    return new Journal(path, replay(readOrEmpty(path)), bootId);
  }

  private constructor(path: string, live: Map<string, AttemptRecord>, bootId: string | undefined) {
    this.#path = path;
    this.#bootId = bootId;
    this.#live = live;
    this.#lines = 0;
    this.#fd = this.#compact();
  }

  /** Attempts that are not done with, by key, in the order of their start. */
  get attempts(): ReadonlyMap<string, AttemptRecord> {
    return this.#live;
  }

  /** Resolves when the intent is on disk: only then may the process be started. */
  start(start: AttemptStart): Promise<void> {
    this.#append({ fact: 'start', ...start, ...(this.#bootId === undefined ? {} : { bootId: this.#bootId }) });
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      if (!this.#syncing) this.#sync();
    });
  }

  /**
   * Whether the machine has restarted since the attempt was meant to start. It is synced before its files are made, and they are not synced at all: when
   * there are none it may have run all the same.
   */
  isOfEarlierBoot({ start }: AttemptRecord): boolean {
    return start.bootId !== undefined && start.bootId !== this.#bootId;
  }

  stop(key: string, reason: StopReason): void {
    this.#append({ fact: 'stop', key, reason });
  }

  end(key: string, end: RecordedEnd): void {
    this.#append({ fact: 'end', key, end });
  }

  /** The server knows how it ended, or does not care any more. */
  done(key: string): void {
    this.#append({ fact: 'done', key });
    if (this.#lines > 10_000 && this.#lines > 8 * this.#live.size && !this.#syncing) {
      const old = this.#fd;
      this.#fd = this.#compact();
      closeSync(old);
    }
  }

  close(): void {
    closeSync(this.#fd);
  }

  #append(fact: JournalFact): void {
    const line = Buffer.from(encode(fact));
    try {
      if (this.#bytes + line.length > this.#room) this.#room = this.#bytes + writeZeros(this.#fd, this.#bytes);
      if (writeSync(this.#fd, line, 0, line.length, this.#bytes) !== line.length) throw new Error(`${this.#path}: no room for a line; free disk space`);
    } catch (error) {
      // A torn line would hide every later one from replay.
      ftruncateSync(this.#fd, this.#bytes);
      this.#room = this.#bytes;
      throw error;
    }
    this.#bytes += line.length;
    this.#room = Math.max(this.#room, this.#bytes);
    this.#lines++;
    apply(this.#live, fact);
  }

  #sync(): void {
    const served = this.#waiting;
    this.#waiting = [];
    this.#syncing = true;
    fdatasync(this.#fd, (error) => {
      this.#syncing = false;
      for (const waiter of served) {
        if (error) waiter.reject(error);
        else waiter.resolve();
      }
      if (this.#waiting.length > 0) this.#sync();
    });
  }

  /** Writes what still matters to a new file and puts it in place of the old. Returns its descriptor, open for appending. */
  #compact(): number {
    const fresh = `${this.#path}.new`;
    const fd = openSync(fresh, 'w', 0o600);
    const facts = factsOf(this.#live);
    const text = Buffer.from(facts.map(encode).join(''));
    if (writeSync(fd, text) !== text.length) throw new Error(`${fresh}: no room for the journal; free disk space`);
    const room = text.length + writeZeros(fd, text.length);
    fsyncSync(fd);
    renameSync(fresh, this.#path);
    syncDirectory(dirname(this.#path));
    this.#lines = facts.length;
    this.#bytes = text.length;
    this.#room = room;
    return fd;
  }
}

/** @returns how many there was room for: lines to come may do without */
function writeZeros(fd: number, at: number): number {
  try {
    return writeSync(fd, zeros, 0, aheadBytes, at);
  } catch {
    return 0;
  }
}

export function encode(fact: JournalFact): string {
  const json = JSON.stringify(fact);
  return `${crc32(json).toString(16).padStart(8, '0')} ${json}\n`;
}

/** What the journal's bytes tell, up to the first line that is torn or damaged. */
export function replay(bytes: Buffer): Map<string, AttemptRecord> {
  const live = new Map<string, AttemptRecord>();
  for (let at = 0; at < bytes.length; ) {
    const newline = bytes.indexOf(10, at);
    if (newline < 0) break;
    const fact = decode(bytes.toString('utf8', at, newline));
    if (!fact) break;
    apply(live, fact);
    at = newline + 1;
  }
  return live;
}

function decode(line: string): JournalFact | undefined {
  const json = line.slice(9);
  if (line[8] !== ' ' || line.slice(0, 8) !== crc32(json).toString(16).padStart(8, '0')) return undefined;
  return JSON.parse(json) as JournalFact;
}

function apply(live: Map<string, AttemptRecord>, fact: JournalFact): void {
  if (fact.fact === 'start') {
    const { fact: _fact, ...start } = fact;
    live.set(attemptKey(start, start.tries), { start });
    return;
  }
  const record = live.get(fact.key);
  if (!record) return;
  if (fact.fact === 'stop') record.stop = fact.reason;
  else if (fact.fact === 'end') record.end = fact.end;
  else live.delete(fact.key);
}

function factsOf(live: ReadonlyMap<string, AttemptRecord>): JournalFact[] {
  return [...live].flatMap(([key, { start, stop, end }]): JournalFact[] => [
    { fact: 'start', ...start },
    ...(stop ? [{ fact: 'stop' as const, key, reason: stop }] : []),
    ...(end ? [{ fact: 'end' as const, key, end }] : []),
  ]);
}

function readOrEmpty(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
}

function syncDirectory(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
