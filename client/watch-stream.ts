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

/**
 * @throws ApiError for an ERROR event (410 Expired among them)
 * @throws TransportError when a line is no event, or the stream ends in the middle of one
 */
export async function* watchBatches<T extends KubeObject>(chunks: AsyncIterable<Buffer>): AsyncGenerator<WatchEvent<T>[]> {
  let partial: Buffer[] = [];
  let partialBytes = 0;
  for await (const chunk of chunks) {
    let start = 0;
    const batch: WatchEvent<T>[] = [];
    let failure: unknown;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      let line: string;
      if (partialBytes > 0) {
        line = Buffer.concat([...partial, chunk.subarray(start, end)]).toString('utf8');
        partial = [];
        partialBytes = 0;
      } else {
        line = chunk.toString('utf8', start, end);
      }
      start = end + 1;
      if (line.trim() === '') continue;
      try {
        batch.push(parseEvent<T>(line));
      } catch (error) {
        failure = error;
        break;
      }
    }
    // What came before the bad line did happen: the reader takes it and resumes after it.
    if (batch.length > 0) yield batch;
    if (failure) throw failure;
    if (start < chunk.length) {
      partial.push(chunk.subarray(start));
      partialBytes += chunk.length - start;
      if (partialBytes > lineBytesMax) throw new TransportError(`the server sent a watch event of more than ${lineBytesMax} bytes`);
    }
  }
  if (partialBytes > 0 && Buffer.concat(partial).toString('utf8').trim() !== '') {
    throw new TransportError('the server ended the watch in the middle of an event');
  }
}

function parseEvent<T>(line: string): WatchEvent<T> {
  let event: { type?: unknown; object?: unknown } | null;
  try {
    event = JSON.parse(line) as typeof event;
  } catch (cause) {
    throw new TransportError('the server sent a watch event that is not JSON', { cause });
  }
  const { type, object } = event ?? {};
  if (typeof object !== 'object' || object === null) throw new TransportError('the server sent a watch event without an object');
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
    case 'BOOKMARK':
      return { type, object: object as T };
    case 'ERROR': {
      const status = object as Partial<Status>;
      throw ApiError.fromStatus(status, status.code ?? 500);
    }
    default:
      throw new TransportError(`the server sent a watch event of unknown type ${JSON.stringify(type)}`);
  }
}
