// log-reader.ts: the output of one attempt as a stream of bytes: all of it, its last lines, what was written since a
// time, or on and on until it ends; with the time of each line, for who wants it.

import { watch } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../lib/clock.js';
import { Deferred } from '../lib/deferred.js';
import { LineTimes } from './line-times.js';
import { LogTimeIndex, readTimes, type LogTimeEntry } from './log-time-index.js';
import { readStart } from './log-store.js';

export interface LogQuery {
  dir: string;
  follow: boolean;
  /** Lines counted before `sinceMs` is looked at, as Kubernetes has it. */
  tailLines?: number;
  /** Of what is put out, times included. */
  limitBytes?: number;
  timestamps?: boolean;
  /** Only lines written since then; milliseconds since the epoch. */
  sinceMs?: number;
  /** What has been noted lately of when the output grew, beyond what is in the files; the file's own time serves when absent. */
  timesAfter?(end: number): readonly LogTimeEntry[];
  /** Called when it is certain where in the output this begins: what is written after that is part of what comes. */
  began?(): void;
  /** Whether the attempt still runs. */
  running(): boolean;
  /** @returns stops the call */
  onEnd(handler: () => void): () => void;
  clock: Clock;
  signal: AbortSignal;
}

const chunkBytes = 32 * 1024;
/** A watch may be refused or miss something (network file systems): look at least this often. */
const lookMs = 1_000;

/** Bytes of a file, and where they are in it. */
interface Part {
  data: Buffer;
  offset: number;
}

/** @throws Error when there is no output (ENOENT) */
export async function* readLog(query: LogQuery): AsyncGenerator<Buffer> {
  let left = query.limitBytes ?? Infinity;
  for await (const chunk of unlimited(query)) {
    if (chunk.length >= left) {
      yield chunk.subarray(0, left);
      return;
    }
    left -= chunk.length;
    yield chunk;
  }
}

async function* unlimited(query: LogQuery): AsyncGenerator<Buffer> {
  const file = await open(join(query.dir, 'output.log'), 'r');
  try {
    const before = await open(join(query.dir, 'output.1'), 'r').catch(() => undefined);
    try {
      yield* query.timestamps || query.sinceMs !== undefined ? timed(query, file, before) : plain(query, file, before);
    } finally {
      await before?.close();
    }
  } finally {
    await file.close();
  }
}

async function* plain(query: LogQuery, file: FileHandle, before: FileHandle | undefined): AsyncGenerator<Buffer> {
  const { earlier, from, size } = await beginning(query, file, before);
  if (before) for await (const { data } of range(before, earlier.from, earlier.to)) yield data;
  for await (const { data } of range(file, from, size)) yield data;
  if (query.follow) for await (const { data } of following(query, file, Math.max(from, size))) yield data;
}

async function* timed(query: LogQuery, file: FileHandle, before: FileHandle | undefined): AsyncGenerator<Buffer> {
  const { sinceMs = -Infinity } = query;
  const lines = new LineTimes({ timestamps: query.timestamps ?? false, sinceMs });
  const index = new LogTimeIndex(readTimes(join(query.dir, 'times')), 0);
  const extend = async (anew = false): Promise<void> => {
    if (anew) index.clear();
    index.extend(query.timesAfter?.(index.end) ?? [], await modifiedAt(file, query.clock));
  };
  await extend();
  const { earlier, from, size } = await beginning(query, file, before);
  if (before && earlier.from < earlier.to) {
    const earlierIndex = new LogTimeIndex(readTimes(join(query.dir, 'times.1')), await modifiedAt(before, query.clock));
    for await (const part of range(before, await lineStart(before, earlier.from, earlier.to, earlierIndex.startOf(sinceMs)), earlier.to)) {
      yield* lines.pass(part.data, part.offset, earlierIndex);
    }
  }
  for await (const part of range(file, await lineStart(file, from, size, index.startOf(sinceMs)), size)) yield* lines.pass(part.data, part.offset, index);
  if (!query.follow) return;
  for await (const part of following(query, file, Math.max(from, size), extend)) yield* lines.pass(part.data, part.offset, index);
}

async function modifiedAt(file: FileHandle, clock: Clock): Promise<number> {
  return Math.round(Math.min((await file.stat()).mtimeMs, clock.now()));
}

/** What there is to read before anything new is waited for: of output.1, and of the file from `from` to `size`. */
async function beginning(query: LogQuery, file: FileHandle, before: FileHandle | undefined): Promise<{ earlier: { from: number; to: number }; from: number; size: number }> {
  const start = readStart(query.dir);
  const { size } = await file.stat();
  query.began?.();
  const earlierSize = before ? (await before.stat()).size : 0;
  const { tailLines } = query;
  if (tailLines === undefined) return { earlier: { from: 0, to: earlierSize }, from: start, size };
  const tail = await tailStart(file, start, size, tailLines);
  if (!before || tail.missing === 0) return { earlier: { from: 0, to: 0 }, from: tail.offset, size };
  return { earlier: { from: (await tailStart(before, 0, earlierSize, tail.missing)).offset, to: earlierSize }, from: tail.offset, size };
}

/** The first beginning of a line at or after both `from`, where a line begins, and `since`; that of the last line when there is none. */
async function lineStart(file: FileHandle, from: number, to: number, since: number): Promise<number> {
  if (since <= from || to <= from) return from;
  for await (const { data, offset } of range(file, Math.min(since, to) - 1, to)) {
    const newline = data.indexOf(10);
    if (newline >= 0) return offset + newline + 1;
  }
  return (await tailStart(file, from, to, 1)).offset;
}

async function* range(file: FileHandle, from: number, to: number): AsyncGenerator<Part> {
  for (let at = from; at < to; ) {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(Math.min(chunkBytes, to - at)), 0, Math.min(chunkBytes, to - at), at);
    if (bytesRead === 0) return;
    yield { data: buffer.subarray(0, bytesRead), offset: at };
    at += bytesRead;
  }
}

/** @param refresh called before new parts, `anew` when the file was emptied meanwhile */
async function* following(query: LogQuery, file: FileHandle, from: number, refresh?: (anew: boolean) => Promise<void>): AsyncGenerator<Part> {
  let changed = new Deferred<void>();
  const wake = (): void => changed.resolve();
  const stopEnd = query.onEnd(wake);
  query.signal.addEventListener('abort', wake);
  let watcher;
  try {
    watcher = watch(join(query.dir, 'output.log'), wake);
    watcher.on('error', wake);
  } catch {
    // The timer below does it alone.
  }
  try {
    for (let at = from; !query.signal.aborted; ) {
      const last = !query.running();
      const { size } = await file.stat();
      const emptied = size < at;
      if (emptied) at = 0;
      if (size > at) await refresh?.(emptied);
      for await (const part of range(file, at, size)) {
        at = part.offset + part.data.length;
        yield part;
      }
      if (last) return;
      const timer = query.clock.timer(lookMs, wake, { unref: true });
      await changed.promise;
      timer.cancel();
      changed = new Deferred();
    }
  } finally {
    watcher?.close();
    stopEnd();
    query.signal.removeEventListener('abort', wake);
  }
}

/** Where the last `lines` lines of [start, size) begin, and how many of them are not there. */
async function tailStart(file: FileHandle, start: number, size: number, lines: number): Promise<{ offset: number; missing: number }> {
  if (lines === 0) return { offset: size, missing: 0 };
  let found = 0;
  for (let end = size; end > start; ) {
    const from = Math.max(start, end - chunkBytes);
    const { bytesRead, buffer } = await file.read(Buffer.alloc(end - from), 0, end - from, from);
    for (let index = bytesRead - 1; index >= 0; index--) {
      // The newline that ends the last line begins none.
      if (buffer[index] !== 10 || from + index === size - 1) continue;
      if (++found === lines) return { offset: from + index + 1, missing: 0 };
    }
    end = from;
  }
  return { offset: start, missing: size > start ? lines - found - 1 : lines };
}
