// log-reader.ts: the output of one attempt as a stream of bytes: all of it, its last lines, or on and on until it ends.

import { watch } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../lib/clock.js';
import { Deferred } from '../lib/deferred.js';
import { readStart } from './log-store.js';

export interface LogQuery {
  dir: string;
  follow: boolean;
  tailLines?: number;
  limitBytes?: number;
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
      const start = readStart(query.dir);
      const size = (await file.stat()).size;
      let at = start;
      let lines = query.tailLines;
      if (lines !== undefined) {
        const tail = await tailStart(file, start, size, lines);
        at = tail.offset;
        lines = tail.missing;
      }
      if (before && lines !== 0) {
        const earlier = (await before.stat()).size;
        yield* range(before, lines === undefined ? 0 : (await tailStart(before, 0, earlier, lines)).offset, earlier);
      }
      yield* range(file, at, size);
      if (query.follow) yield* following(query, file, Math.max(at, size));
    } finally {
      await before?.close();
    }
  } finally {
    await file.close();
  }
}

async function* range(file: FileHandle, from: number, to: number): AsyncGenerator<Buffer> {
  for (let at = from; at < to; ) {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(Math.min(chunkBytes, to - at)), 0, Math.min(chunkBytes, to - at), at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

async function* following(query: LogQuery, file: FileHandle, from: number): AsyncGenerator<Buffer> {
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
      if (size < at) at = 0;
      for await (const chunk of range(file, at, size)) {
        at += chunk.length;
        yield chunk;
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
