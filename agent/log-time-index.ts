// log-time-index.ts
//
// When which part of an attempt's output was written. The command writes straight into the file, so nobody stamps its
// lines; the agent sees the file grow (log-times.ts) and notes, as entries of `times` beside it:
//
//   end  6 bytes, big endian   bytes before this offset, and not before the end of the entry before,
//   at   6 bytes, big endian   were written then, in milliseconds since the epoch
//
// Both only grow. What is after the last entry was written when the file was last modified. `times.1` is the same for
// output.1. An index is bounded: when full, every other entry of its older half goes, so that the newest half stays as
// fine as it was and older lines are told with less precision.

import { closeSync, openSync, readFileSync, readSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';

export interface LogTimeEntry {
  /** Offset in the file. */
  end: number;
  /** Milliseconds since the epoch. */
  at: number;
}

const fieldBytes = 6;
const entryBytes = 2 * fieldBytes;
/** 768 KiB. At ten a second, the last hour and more stays whole. */
export const timeEntriesMax = 65_536;
/** Entries read at a time, from the end. */
const tailEntries = 64;

export function encodeTimes(entries: readonly LogTimeEntry[]): Buffer {
  const buffer = Buffer.allocUnsafe(entries.length * entryBytes);
  entries.forEach(({ end, at }, index) => {
    buffer.writeUIntBE(end, index * entryBytes, fieldBytes);
    buffer.writeUIntBE(at, index * entryBytes + fieldBytes, fieldBytes);
  });
  return buffer;
}

/** What is torn, or does not grow, is left out. */
function decodeTimes(buffer: Buffer): LogTimeEntry[] {
  const entries: LogTimeEntry[] = [];
  let last: LogTimeEntry = { end: 0, at: 0 };
  for (let from = 0; from + entryBytes <= buffer.length; from += entryBytes) {
    const entry = { end: buffer.readUIntBE(from, fieldBytes), at: buffer.readUIntBE(from + fieldBytes, fieldBytes) };
    if (entry.end <= last.end || entry.at < last.at) continue;
    entries.push(entry);
    last = entry;
  }
  return entries;
}

/** No entries where there is no file. */
export function readTimes(path: string): LogTimeEntry[] {
  try {
    return decodeTimes(readFileSync(path));
  } catch {
    return [];
  }
}

/** The entries that end after `end`, without reading those far before. */
export function readTimesAfter(path: string, end: number): LogTimeEntry[] {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return [];
  }
  try {
    const found: LogTimeEntry[][] = [];
    let to = wholeBytes(statSync(path, { throwIfNoEntry: false })?.size ?? 0);
    while (to > 0) {
      const from = Math.max(0, to - tailEntries * entryBytes);
      const buffer = Buffer.alloc(to - from);
      readSync(fd, buffer, 0, buffer.length, from);
      const entries = decodeTimes(buffer);
      found.unshift(entries.filter((entry) => entry.end > end));
      if ((entries[0]?.end ?? 0) <= end) break;
      to = from;
    }
    return found.flat();
  } finally {
    closeSync(fd);
  }
}

/** Puts `entries` in the place of what is there; no file for none. */
export function writeTimes(path: string, entries: readonly LogTimeEntry[]): void {
  if (entries.length === 0) return rmSync(path, { force: true });
  writeFileSync(`${path}.new`, encodeTimes(entries), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Takes off an entry that an agent which died had half written. @returns how many there are */
export function mendTimes(path: string): number {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size !== wholeBytes(size)) truncateSync(path, wholeBytes(size));
  return wholeBytes(size) / entryBytes;
}

function wholeBytes(size: number): number {
  return Math.floor(size / entryBytes) * entryBytes;
}

/** Fewer entries that say the same, less finely in their older half: what was noted by an entry that goes gets the time of the next. */
export function thinnedTimes(entries: readonly LogTimeEntry[]): LogTimeEntry[] {
  const half = Math.floor(entries.length / 2);
  return entries.filter((_entry, index) => index >= half || index % 2 === 1);
}

/** The times of one file, to look up. */
export class LogTimeIndex {
  #entries: LogTimeEntry[];
  /** When what is after the last entry was written. */
  #later: number;

  constructor(entries: readonly LogTimeEntry[], laterAt: number) {
    this.#entries = [...entries];
    this.#later = laterAt;
  }

  /** Offset up to which the entries tell. */
  get end(): number {
    return this.#entries.at(-1)?.end ?? 0;
  }

  clear(): void {
    this.#entries = [];
  }

  extend(entries: readonly LogTimeEntry[], laterAt: number): void {
    for (const entry of entries) if (entry.end > this.end) this.#entries.push(entry);
    this.#later = laterAt;
  }

  /** When the byte at this offset was written; milliseconds since the epoch. */
  timeAt(offset: number): number {
    const index = firstIndex(this.#entries, ({ end }) => end > offset);
    return this.#entries[index]?.at ?? Math.max(this.#later, this.#entries.at(-1)?.at ?? 0);
  }

  /** Where what was written at or after this time begins; Infinity when there is nothing. */
  startOf(since: number): number {
    const index = firstIndex(this.#entries, ({ at }) => at >= since);
    if (index < this.#entries.length) return this.#entries[index - 1]?.end ?? 0;
    return this.#later >= since ? this.end : Infinity;
  }
}

/** The first index for which the test holds, given that it holds for all after it; the length when for none. */
function firstIndex<T>(sorted: readonly T[], holds: (item: T) => boolean): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(sorted[middle]!)) high = middle;
    else low = middle + 1;
  }
  return low;
}
