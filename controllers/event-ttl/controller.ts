import { isReason } from '../../api/errors.js';
import { eventKind, type Event } from '../../api/event.js';
import { objectKey } from '../../api/meta.js';
import type { ApiClient } from '../../client/api-client.js';
import type { Informer } from '../../client/informer.js';
import { ReconcileLoop } from '../../client/reconcile-loop.js';
import type { Clock } from '../../lib/clock.js';
import type { Logger } from '../../lib/log.js';
import type { Random } from '../../lib/random.js';
import type { Service } from '../../lib/service.js';
import { expiryInMs } from './plan.js';

/** Deletes events an hour after they last happened. One timer for all: they wait in order of their time. */
export class EventTtl implements Service {
  readonly name = 'event ttl';
  readonly #client: ApiClient;
  readonly #events: Informer<Event>;
  readonly #clock: Clock;
  readonly #loop: ReconcileLoop;

  constructor(options: { client: ApiClient; events: Informer<Event>; clock: Clock; random: Random; logger: Logger }) {
    const { client, events, clock, random, logger } = options;
    this.#client = client;
    this.#events = events;
    this.#clock = clock;
    this.#loop = new ReconcileLoop({ name: this.name, reconcile: (key) => this.#reconcile(key), concurrency: 4, clock, random, logger });
    events.onChanges((changes) => {
      // An event that happened again keeps its place; when its turn comes it is given a later one.
      for (const { type, object } of changes) if (type === 'added') this.#loop.enqueueAfter(objectKey(object), expiryInMs(object, clock.now()));
    });
  }

  run(signal: AbortSignal): Promise<void> {
    return this.#loop.run(signal);
  }

  async #reconcile(key: string): Promise<void | { againAfterMs: number }> {
    const event = this.#events.get(key);
    if (!event) return;
    const inMs = expiryInMs(event, this.#clock.now());
    if (inMs > 0) return { againAfterMs: inMs };
    const { name = '', namespace, uid, resourceVersion } = event.metadata;
    try {
      await this.#client.delete(eventKind, name, namespace, { preconditions: { uid, resourceVersion } });
    } catch (error) {
      if (isReason(error, 'NotFound')) return;
      // It has just happened again, which our copy will tell; look when it surely has.
      if (isReason(error, 'Conflict')) return { againAfterMs: 1_000 };
      throw error;
    }
  }
}
