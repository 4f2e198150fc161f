// core.ts: the API server without a socket: store and cache below, the handler above. main.ts listens for it, in-process.ts
// calls it.

import { KindRegistry } from '../api/kind-registry.js';
import { kinds } from '../api/kinds.js';
import { taskKind, type Task } from '../api/task.js';
import { sleep, type Clock } from '../lib/clock.js';
import { Deferred } from '../lib/deferred.js';
import type { Logger } from '../lib/log.js';
import type { Random } from '../lib/random.js';
import { backoffMs, reconnectBackoff } from '../lib/backoff.js';
import { Definitions } from './custom-resources/definitions.js';
import { Handler } from './handler.js';
import type { HealthCheck } from './http/health.js';
import { Logs } from './http/logs.js';
import type { ServerMetrics } from './http/metrics.js';
import { Tunnels } from './http/tunnels.js';
import { authorize, refusalError, type Attributes, type Lookups } from './resources/authorization.js';
import { bootstrap } from './resources/bootstrap.js';
import { BulkService } from './resources/bulk-service.js';
import { Evictor } from './resources/eviction.js';
import { tasksByNodeIndex, type ObjectCache } from './resources/object-cache.js';
import { PresenceService } from './resources/presence-service.js';
import { kindPrefix, objectStoreKey } from './resources/registry-keys.js';
import { StoredResourceService } from './resources/resource-service.js';
import type { User } from './resources/service.js';
import type { Store } from './storage/store.js';
import { leaseKind, presenceNamespace } from '../api/lease.js';
import { packageVersion } from './version.js';

/** A cache that fills itself and then follows the store. */
export interface RunningCache extends ObjectCache {
  run(signal: AbortSignal): Promise<void>;
}

export interface CoreOptions {
  store: Store;
  cache: RunningCache;
  clock: Clock;
  random: Random;
  logger: Logger;
  presenceTtlMs?: number;
  /** Whether no other API server uses the store. */
  soleServer?: boolean;
  /** Closed by who made them. */
  metrics: ServerMetrics;
}

/** The store has this long to answer a readiness check. */
const storeAnswerMsMax = 2_000;

export class ApiServerCore {
  readonly handler: Handler;
  readonly tunnels: Tunnels;
  readonly resources: StoredResourceService;
  readonly #options: CoreOptions;
  readonly #presence: PresenceService;
  readonly #definitions: Definitions;
  readonly #ready = new Deferred<void>();
  #isReady = false;

  constructor(options: CoreOptions) {
    const { store, cache, clock, random, logger } = options;
    this.#options = options;
    const registry = new KindRegistry(kinds);
    this.#definitions = new Definitions({ cache, registry, logger });
    const resources = (this.resources = new StoredResourceService({ cache, store, clock, random }));
    const { mutator, creator } = resources;
    const presence = (this.#presence = new PresenceService({ cache, presence: store.presence, mutator, clock, random, logger, ...(options.presenceTtlMs === undefined ? {} : { ttlMs: options.presenceTtlMs }), soleServer: options.soleServer ?? false }));
    const leases = `${kindPrefix(leaseKind)}${presenceNamespace}/`;
    const { metrics } = options;
    metrics.readPresence(() => cache.list(leases).items.length);
    this.tunnels = new Tunnels({ logger, onChange: (count) => metrics.setTunnels(count) });
    const lookups = lookupsIn(cache);
    this.handler = new Handler({
      kinds: registry,
      resources,
      bulk: new BulkService({ cache, mutator, creator, clock }),
      presence,
      logs: new Logs({ resources, tunnels: this.tunnels, clock }),
      evictor: new Evictor({ mutator, clock }),
      authorize: (user, attributes) => enforce(user, attributes, lookups),
      isReady: () => this.#isReady,
      metrics,
      checks: { live: [{ name: 'ping', check: () => Promise.resolve() }], ready: this.#readyChecks() },
      version: packageVersion(),
      clock,
      random,
      logger,
    });
  }

  /** Resolves when everything that is stored is in the cache and the cluster has its namespaces: requests are answered. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Follows the store until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const ended = new AbortController();
    const both = AbortSignal.any([signal, ended.signal]);
    const cache = this.#options.cache.run(signal).finally(() => ended.abort());
    await Promise.all([cache, this.#becomeReady(both)]).finally(() => this.#definitions.stop());
  }

  async #becomeReady(signal: AbortSignal): Promise<void> {
    const { cache, clock, logger } = this.#options;
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        await untilAborted(cache.fresh(), signal);
        this.#definitions.follow();
        await untilAborted(bootstrap(this.resources), signal);
        await untilAborted(this.#presence.restore(), signal);
        this.#isReady = true;
        this.#ready.resolve();
        return;
      } catch (error) {
        if (signal.aborted) return;
        const delayMs = backoffMs(reconnectBackoff, failures);
        logger.warn('The store does not answer yet, so the server is not ready; it keeps trying.', { reason: error instanceof Error ? error.message : String(error), againInMs: delayMs });
        await sleep(clock, delayMs, signal);
      }
    }
  }

  #readyChecks(): HealthCheck[] {
    const { store, clock } = this.#options;
    return [
      {
        name: 'cache',
        check: () => (this.#isReady ? Promise.resolve() : Promise.reject(new Error('what is stored has not been read yet'))),
      },
      {
        name: 'store',
        async check() {
          const answered = new AbortController();
          const late = sleep(clock, storeAnswerMsMax, answered.signal).then(() => 'late' as const);
          const outcome = await Promise.race([store.currentRevision(), late]).finally(() => answered.abort());
          if (outcome === 'late') throw new Error(`the store has not answered for ${storeAnswerMsMax} ms`);
        },
      },
    ];
  }
}

/** The promise, or a rejection as soon as the signal aborts. */
async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const stopped = new Deferred<never>();
  const stop = (): void => stopped.reject(new Error('stopped'));
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([promise, stopped.promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function enforce(user: User, attributes: Attributes, lookups: Lookups): void {
  const decision = authorize(user, attributes, lookups);
  if (!decision.allowed) throw refusalError(attributes, decision.message);
}

function lookupsIn(cache: ObjectCache): Lookups {
  return {
    task: (namespace, name) => cache.get(objectStoreKey(taskKind, name, namespace))?.object as Task | undefined,
    tasksBoundTo: (nodeName) => cache.listByIndex(tasksByNodeIndex, nodeName).map((entry) => entry.object as Task),
  };
}
