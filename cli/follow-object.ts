// follow-object.ts: waits for something to become true of one object, through lost connections and expired watches.

import { isReason } from '../api/errors.js';
import type { KindDefinition } from '../api/kind.js';
import type { KubeObject } from '../api/meta.js';
import { TransportError } from '../api/transport.js';
import type { ApiClient } from '../client/api-client.js';
import { jitteredBackoffMs, reconnectBackoff } from '../lib/backoff.js';
import { sleep, type Clock } from '../lib/clock.js';
import type { Random } from '../lib/random.js';

export interface Followed {
  client: ApiClient;
  kind: KindDefinition;
  name: string;
  namespace: string | undefined;
  signal: AbortSignal;
  clock: Clock;
  random: Random;
}

/**
 * The states of the object from now on: undefined while it does not exist. Ends when the signal aborts.
 * @throws ApiError when the server refuses; TransportError when it cannot be reached at the first try (later it is waited for)
 */
export async function* followObject({ client, kind, name, namespace, signal, clock, random }: Followed): AsyncGenerator<KubeObject | undefined> {
  let failures = 0;
  let reached = false;
  while (!signal.aborted) {
    try {
      const list = await client.list(kind, { namespace, fieldSelector: `metadata.name=${name}` });
      reached = true;
      yield list.items[0] && { ...list.items[0], apiVersion: list.items[0].apiVersion ?? list.apiVersion, kind: kind.kind };
      const watch = client.watch(kind, { namespace, fieldSelector: `metadata.name=${name}`, resourceVersion: list.metadata.resourceVersion, signal });
      for await (const event of watch) {
        failures = 0;
        if (event.type !== 'BOOKMARK') yield event.type === 'DELETED' ? undefined : event.object;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!reached || !(error instanceof TransportError || isReason(error, 'Expired', 'Gone', 'ServiceUnavailable', 'TooManyRequests', 'InternalError', 'Timeout'))) throw error;
    }
    // Also after a clean end: a server that ends every watch at once must not be asked without pause.
    failures++;
    await sleep(clock, jitteredBackoffMs(reconnectBackoff, failures, random), signal);
  }
}

/** The first state for which `enough` is true; undefined when the signal aborted before. Throws as followObject. */
export async function waitUntil(followed: Followed, enough: (object: KubeObject | undefined) => boolean): Promise<{ object: KubeObject | undefined } | undefined> {
  // The watch must end with the wait, not with the program: its connection would keep the process alive.
  const done = new AbortController();
  const signal = AbortSignal.any([followed.signal, done.signal]);
  try {
    for await (const object of followObject({ ...followed, signal })) {
      if (enough(object)) return { object };
    }
    return undefined;
  } finally {
    done.abort();
  }
}
