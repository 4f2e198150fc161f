// watch-stream.ts
//
// The bytes of a watch as batches of events: one JSON document per line, cut anywhere by the network. A batch is what one
// chunk completed, so that a burst of a thousand events costs its readers one turn and not a thousand.

import { ApiError, type Status } from '../api/errors.js';
import type { KubeObject } from '../api/meta.js';
import { TransportError } from '../api/transport.js';

export interface WatchEvent<T> {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  object: T;
}

/** No object of a store that takes 1.25 MiB per value makes a line of this size. */
const lineBytesMax = 16 * 1024 * 1024;

const newline = 10;
const comma = 44;
const openingBracket = 91;
const closingBracket = 93;

/**
 * @throws ApiError for an ERROR event (410 Expired among them)
 * @throws TransportError when a line is no event, or the stream ends in the middle of one
 */
export async function* watchBatches<T extends KubeObject>(chunks: AsyncIterable<Buffer>): AsyncGenerator<WatchEvent<T>[]> {
  let partial: Buffer[] = [];
  let partialBytes = 0;
  for await (const chunk of chunks) {
    const end = chunk.lastIndexOf(newline);
    if (end >= 0) {
      const complete = chunk.subarray(0, end);
      const lines = partialBytes > 0 ? Buffer.concat([...partial, complete]) : complete;
      partial = [];
      partialBytes = 0;
      const { batch, failure } = parseLines<T>(lines);
      // What came before the bad line did happen: the reader takes it and resumes after it.
      if (batch.length > 0) yield batch;
      if (failure) throw failure;
    }
    if (end + 1 < chunk.length) {
      partial.push(end < 0 ? chunk : chunk.subarray(end + 1));
      partialBytes += chunk.length - end - 1;
      if (partialBytes > lineBytesMax) throw new TransportError(`the server sent a watch event of more than ${lineBytesMax} bytes`);
    }
  }
  if (partialBytes > 0 && Buffer.concat(partial).toString('utf8').trim() !== '') {
    throw new TransportError('the server ended the watch in the middle of an event');
  }
}

/** @param lines whole ones, without the newline of the last */
function parseLines<T>(lines: Buffer): { batch: WatchEvent<T>[]; failure?: unknown } {
  const batch: WatchEvent<T>[] = [];
  try {
    const together = parseTogether(lines);
    if (together) for (const each of together) batch.push(eventOf<T>(each));
    else for (const line of lines.toString('utf8').split('\n')) if (line.trim() !== '') batch.push(eventOf<T>(parse(line)));
  } catch (failure) {
    return { batch, failure };
  }
  return { batch };
}

/**
 * All lines as one array: the parser knows the shape of an object from the one before it, which saves a fifth. A newline within a JSON text
 * can only stand between two tokens, never in a string. Undefined when there is but one line, or one that is no JSON by itself: which
 * one it is, only line by line can tell.
 */
function parseTogether(lines: Buffer): unknown[] | undefined {
  if (!lines.includes(newline)) return undefined;
  const text = Buffer.allocUnsafe(lines.length + 2);
  text[0] = openingBracket;
  lines.copy(text, 1);
  text[text.length - 1] = closingBracket;
  let count = 1;
  for (let at = text.indexOf(newline); at >= 0; at = text.indexOf(newline, at + 1)) {
    text[at] = comma;
    count++;
  }
  try {
    const all = JSON.parse(text.toString('utf8')) as unknown[];
    return all.length === count ? all : undefined;
  } catch {
    return undefined;
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new TransportError('the server sent a watch event that is not JSON', { cause });
  }
}

function eventOf<T>(parsed: unknown): WatchEvent<T> {
  const event = parsed as { type?: unknown; object?: unknown } | null;
  const { type, object } = event ?? {};
  if (typeof object !== 'object' || object === null) throw new TransportError('the server sent a watch event without an object');
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
    case 'BOOKMARK':
      return event as WatchEvent<T>;
    case 'ERROR': {
      const status = object as Partial<Status>;
      throw ApiError.fromStatus(status, status.code ?? 500);
    }
    default:
      throw new TransportError(`the server sent a watch event of unknown type ${JSON.stringify(type)}`);
  }
}
