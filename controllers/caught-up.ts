import { leaseKind } from '../api/lease.js';
import type { ApiClient } from '../client/api-client.js';
import type { Informer } from '../client/informer.js';
import { Reconnect } from '../client/reconnect.js';
import type { Clock } from '../lib/clock.js';
import type { Logger } from '../lib/log.js';
import type { Random } from '../lib/random.js';
import { aborted } from '../lib/service.js';

export interface CaughtUpOptions {
  client: Pick<ApiClient, 'list'>;
  informers: readonly Pick<Informer<never>, 'reach'>[];
  clock: Clock;
  random: Random;
  logger: Logger;
}

/**
 * Resolves when the copies show all that was written before the call, or when the signal aborts; tries for as long as the
 * server cannot say. Costs a small read, which the server answers as of now, and a new watch of each copy.
 */
export async function caughtUp({ client, informers, clock, random, logger }: CaughtUpOptions, signal: AbortSignal): Promise<void> {
  const reconnect = new Reconnect({ clock, random, logger });
  while (!signal.aborted) {
    try {
      // Any list will do: its version is that of everything.
      const { metadata } = await client.list(leaseKind, { namespace: 'kube-system', limit: 1, metadataOnly: true });
      await Promise.race([Promise.all(informers.map((informer) => informer.reach(metadata.resourceVersion ?? '0'))), aborted(signal)]);
      return;
    } catch (error) {
      await reconnect.failed('cannot learn how far the store is; trying again', error, signal);
    }
  }
}
