// etcd-watch.ts
//
// One watch over all keys under the root, kept up over lost connections. It is written on the raw stream, because the watcher
// of etcd3 resumes from the newest revision it has heard of instead of the last event, and so loses what lies between.
//
// It watches the whole root even for one prefix: the slot of a deletion is counted from the event before it.

import { jitteredBackoffMs, reconnectBackoff } from '../../../lib/backoff.js';
import { sleep, type Clock } from '../../../lib/clock.js';
import type { Logger } from '../../../lib/log.js';
import type { Random } from '../../../lib/random.js';
import { GoneError, prefixEnd, type Change } from '../store.js';
import type { EtcdEndpoints } from './etcd-endpoints.js';
import { decodeWatch, encodeWatch, type WatchAnswer } from './etcd-messages.js';
import { changesOf, endOfRevision, etcdRevisionOf, slotMax, slotOf } from './etcd-revision.js';

export interface EtcdWatchOptions {
  readonly endpoints: EtcdEndpoints;
  readonly root: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** @throws GoneError when changes after `revision` have been compacted */
export async function* watchRoot(options: EtcdWatchOptions, revision: number, signal: AbortSignal): AsyncGenerator<readonly Change[]> {
  const { endpoints, clock, random, log } = options;
  let failures = 0;
  for (let cursor = revision; !signal.aborted; ) {
    const client = endpoints.current;
    try {
      const stream = await client.openWatch(decodeWatch);
      // Ended first, or etcd3 takes our own cancellation for a fault of the endpoint.
      const cancel = (): void => {
        stream.end();
        stream.cancel();
      };
      signal.addEventListener('abort', cancel, { once: true });
      try {
        if (signal.aborted) return;
        stream.write(encodeWatch(options.root, prefixEnd(options.root), startRevision(cursor)));
        for await (const response of stream) {
          if (response.canceled) throw cancelled(response, cursor);
          failures = 0;
          const told = changesOf(response.events);
          const changes = told[0] && told[0].revision > cursor ? told : told.filter((change) => change.revision > cursor);
          if (changes.length === 0) continue;
          // etcd sends whole revisions, so nothing of this one is left to come.
          cursor = endOfRevision(etcdRevisionOf(changes.at(-1)!.revision));
          yield changes;
        }
      } finally {
        signal.removeEventListener('abort', cancel);
        cancel();
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof GoneError) throw error;
      const { message } = error as Error;
      log[failures > 3 ? 'warn' : 'debug']('The watch on etcd broke; it will be resumed where it was.', { message, revision: cursor });
    }
    if (signal.aborted) return;
    endpoints.failed(client);
    await sleep(clock, jitteredBackoffMs(reconnectBackoff, ++failures, random), signal);
  }
}

/**
 * Where to start so as to see everything after `cursor`. One revision early: etcd refuses a start before its compaction, but
 * a start exactly at it is taken although deletions of that revision are gone.
 */
function startRevision(cursor: number): number {
  const etcdRevision = etcdRevisionOf(cursor);
  return Math.max(1, slotOf(cursor) === slotMax ? etcdRevision : etcdRevision - 1);
}

function cancelled({ compactRevision, cancelReason }: WatchAnswer, cursor: number): Error {
  if (compactRevision > 0) return new GoneError(cursor, endOfRevision(compactRevision));
  return new Error(`etcd cancelled the watch: ${cancelReason}`);
}
