// presence-service.ts
//
// Agents say every few seconds that they are there, and how loaded their machines are. Neither costs a durable write:
// presence is a key that the store lets expire (clients see it as a Lease), load stays in memory.
//
// The session names one run of an agent. The newest announced session of a node is the agent; an older one (a second
// agent started under the same name by mistake) is told that it is not present, so that it stops what it runs.

import { findCondition } from '../../api/conditions.js';
import { ApiError, notFound } from '../../api/errors.js';
import { presenceNamespace, type Lease } from '../../api/lease.js';
import { microTimestamp, timestamp, type KubeObject } from '../../api/meta.js';
import { nodeKind, type Node } from '../../api/node.js';
import type { NodeLoad, NodeLoadDigest, NodeLoadList, PresenceResponse } from '../../api/protocol.js';
import type { Clock } from '../../lib/clock.js';
import type { Logger } from '../../lib/log.js';
import { forEachParallel } from '../../lib/parallel.js';
import type { Random } from '../../lib/random.js';
import { encodeObject } from '../storage/entry.js';
import type { PresenceStore } from '../storage/store.js';
import { readPresenceRequest } from './bulk-requests.js';
import type { Mutator } from './mutator.js';
import type { ObjectCache } from './object-cache.js';
import { kindPrefix, objectStoreKey, presenceKey } from './registry-keys.js';
import { renewAfterMs } from './renewal-pace.js';
import { toClientError } from './store-errors.js';

export const presenceTtlMsDefault = 8_000;

/** So many presences are restored at a time when the server starts. */
const restoresMax = 256;

interface Heard {
  session: string;
  readonly nodeKey: string;
  readonly leaseKey: string;
  /** How long the lease of that revision lasts, once it was asked for. */
  kept?: { revision: number; ttlMs: number };
  /** What the newest request said, and when it came, by the monotonic clock. */
  load: NodeLoad | undefined;
  loadAtMs: number;
  /** When the node was last heard of at all. */
  atMs: number;
}

export interface Usage {
  cpu: string;
  memory: string;
}

/** metrics.k8s.io/v1beta1 NodeMetrics. */
export interface NodeMetrics {
  kind: 'NodeMetrics';
  apiVersion: 'metrics.k8s.io/v1beta1';
  metadata: { name: string; creationTimestamp: string };
  timestamp: string;
  window: string;
  usage: Usage;
}

/** metrics.k8s.io/v1beta1 PodMetrics, of the pod view of a task. */
export interface PodMetrics {
  kind: 'PodMetrics';
  apiVersion: 'metrics.k8s.io/v1beta1';
  metadata: { name: string; namespace: string; creationTimestamp: string };
  timestamp: string;
  window: string;
  containers: { name: string; usage: Usage }[];
}

export interface PresenceServiceOptions {
  cache: ObjectCache;
  presence: PresenceStore;
  mutator: Pick<Mutator, 'find'>;
  clock: Clock;
  random: Random;
  logger: Logger;
  ttlMs?: number;
  /** Whether no other API server uses the store. */
  soleServer?: boolean;
}

export class PresenceService {
  readonly #options: PresenceServiceOptions;
  readonly #ttlMs: number;
  readonly #heard = new Map<string, Heard>();
  #lastRenewed: { ttlMs: number; agents: number; response: PresenceResponse } | undefined;

  constructor(options: PresenceServiceOptions) {
    this.#options = options;
    this.#ttlMs = options.ttlMs ?? presenceTtlMsDefault;
  }

  /**
   * Body PresenceRequest.
   * @throws ApiError NotFound for an announcement of a node that is not registered, BadRequest for another body
   */
  async present(nodeName: string, body: unknown): Promise<PresenceResponse> {
    const { session, announce, load } = readPresenceRequest(body);
    try {
      const keptMs = announce ? await this.#announce(nodeName, session) : await this.#renew(nodeName, session);
      if (keptMs !== undefined && load) this.#keepLoad(nodeName, load);
      return this.#response(keptMs !== undefined, keptMs ?? this.#ttlMs);
    } catch (error) {
      throw toClientError(error);
    }
  }

  /**
   * As `present`, for the renewal of an agent that is known, which nearly all are; undefined where there is more to find out.
   * @throws ApiError BadRequest for another body
   */
  renewNow(nodeName: string, body: unknown): PresenceResponse | undefined {
    const { session, announce, load } = readPresenceRequest(body);
    const { cache, presence, clock } = this.#options;
    const known = this.#heard.get(nodeName);
    if (announce || known?.session !== session || !cache.get(known.nodeKey)) return undefined;
    const lease = cache.get(known.leaseKey);
    if (!lease || !presence.renewNow?.(known.leaseKey)) return undefined;
    known.atMs = clock.monotonic();
    if (load) {
      known.load = load;
      known.loadAtMs = known.atMs;
    }
    if (known.kept?.revision !== lease.revision) known.kept = { revision: lease.revision, ttlMs: this.#lastsMs(lease.object as Lease) };
    return this.#renewed(known.kept.ttlMs);
  }

  /** The same object for the same answer, so that it need not be made text again. */
  #renewed(ttlMs: number): PresenceResponse {
    const agents = this.#heard.size;
    if (this.#lastRenewed?.ttlMs !== ttlMs || this.#lastRenewed.agents !== agents) this.#lastRenewed = { ttlMs, agents, response: this.#response(true, ttlMs) };
    return this.#lastRenewed.response;
  }

  #response(present: boolean, ttlMs: number): PresenceResponse {
    const afterMs = renewAfterMs(ttlMs, this.#heard.size);
    return { present, ttlMs, ...(afterMs ? { renewAfterMs: afterMs } : {}), ...(this.#options.soleServer ? { soleServer: true } : {}) };
  }

  /**
   * Gives every node that was not declared lost a full time to live from now. Called before the first request is answered: while
   * this server was away nobody could renew, and that must cost no task (docs/decisions/0003-fencing-by-time.md).
   */
  async restore(): Promise<void> {
    const { cache } = this.#options;
    const present = cache.list(kindPrefix(nodeKind)).items.filter((entry) => isHeardOf(entry.object as Node));
    await forEachParallel(present, restoresMax, async ({ object: node }) => {
      if (node.metadata.name) await this.#keep(node.metadata.name);
    });
  }

  /** @returns for how long the node is present now, ms */
  async #announce(nodeName: string, session: string): Promise<number> {
    const { cache, presence, mutator, logger } = this.#options;
    const nodeKey = objectStoreKey(nodeKind, nodeName, undefined);
    if (!cache.get(nodeKey) && !(await mutator.find(nodeKey))) throw notFound(nodeKind, nodeName);
    const before = this.#heard.get(nodeName);
    if (before && before.session !== session) logger.info('A new session announces the node; the one before is no longer taken as its agent.', { node: nodeName, session });

    const key = presenceKey(nodeName);
    const value = encodeObject(this.#lease(nodeName));
    // An agent that comes back while its presence lasts takes it over without a gap: its tasks are not lost.
    let made = false;
    do {
      const outcome = await presence.announce(key, value, this.#ttlMs);
      made = outcome.ok;
    } while (!made && !(await presence.renew(key)));
    this.#hear(nodeName, session, before);
    // What was made now is not asked of the store, which the cache has not heard it from yet.
    return made ? this.#ttlMs : this.#keptMs(nodeName);
  }

  /**
   * For how long a renewal keeps the node present. A lease from before a restart with another time to live, or from a server
   * that has another one, keeps its own until it runs out; an agent that counted on more would run its tasks too long.
   */
  async #keptMs(nodeName: string): Promise<number> {
    return this.#lastsMs((await this.#options.mutator.find(presenceKey(nodeName)))?.object as Lease | undefined);
  }

  #lastsMs(lease: Lease | undefined): number {
    return Math.min(this.#ttlMs, (lease?.spec?.leaseDurationSeconds ?? Infinity) * 1000);
  }

  #hear(nodeName: string, session: string, before?: Heard): void {
    this.#heard.set(nodeName, {
      session,
      nodeKey: objectStoreKey(nodeKind, nodeName, undefined),
      leaseKey: presenceKey(nodeName),
      load: before?.load,
      loadAtMs: before?.loadAtMs ?? 0,
      atMs: this.#options.clock.monotonic(),
    });
  }

  /** Present for a full time to live from now. What lasts is taken over without a gap, so that no task is lost. */
  async #keep(nodeName: string): Promise<void> {
    const { presence } = this.#options;
    const key = presenceKey(nodeName);
    const value = encodeObject(this.#lease(nodeName));
    for (;;) {
      const outcome = await presence.announce(key, value, this.#ttlMs);
      if (outcome.ok || (await presence.renew(key))) return;
    }
  }

  /** @returns for how long the node is present now, ms; undefined when it is not */
  async #renew(nodeName: string, session: string): Promise<number | undefined> {
    const { cache, presence, mutator, clock, logger } = this.#options;
    const known = this.#heard.get(nodeName);
    if (known && known.session !== session) {
      logger.warn('Another session of this node has announced itself later; this one is told to stop. Do two agents have the same node name?', { node: nodeName, session, announced: known.session });
      return undefined;
    }
    const nodeKey = objectStoreKey(nodeKind, nodeName, undefined);
    const key = presenceKey(nodeName);
    if (!cache.get(nodeKey) && !(await mutator.find(nodeKey))) {
      logger.info('The node has been deleted; its agent is told to stop its tasks and register again.', { node: nodeName });
      // The lease runs out by itself: without it the tasks could start elsewhere before the agent has this answer, if it ever has it.
      this.#heard.delete(nodeName);
      return undefined;
    }
    if (!(await presence.renew(key))) {
      this.#heard.delete(nodeName);
      return undefined;
    }
    if (known) known.atMs = clock.monotonic();
    else this.#hear(nodeName, session);
    return this.#keptMs(nodeName);
  }

  #keepLoad(nodeName: string, load: NodeLoad): void {
    const heard = this.#heard.get(nodeName);
    if (!heard) return;
    heard.load = load;
    heard.loadAtMs = this.#options.clock.monotonic();
  }

  /** Without an owner: it outlives no node by more than its time to live, and takes part in no garbage collection. */
  #lease(nodeName: string): KubeObject {
    const { clock, random } = this.#options;
    const now = clock.now();
    const lease: Lease = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: {
        name: nodeName,
        namespace: presenceNamespace,
        uid: random.uuid(),
        creationTimestamp: timestamp(now),
        generation: 1,
      },
      spec: { holderIdentity: nodeName, leaseDurationSeconds: Math.ceil(this.#ttlMs / 1000), acquireTime: microTimestamp(now), renewTime: microTimestamp(now) },
    };
    return lease;
  }

  /** The newest load of each node that is present. */
  nodeLoads(): NodeLoadList {
    const now = this.#options.clock.monotonic();
    return {
      kind: 'NodeLoadList',
      items: [...this.#present()].map(([name, { load, loadAtMs }]) => ({ name, ageMs: Math.round(now - loadAtMs), load })),
    };
  }

  nodeLoadDigest(): NodeLoadDigest {
    const now = this.#options.clock.monotonic();
    const digest: NodeLoadDigest = { kind: 'NodeLoadDigest', names: [], ageMs: [], cpuMilli: [], memoryBytes: [] };
    for (const [name, { load, loadAtMs }] of this.#present()) {
      digest.names.push(name);
      digest.ageMs.push(Math.round(now - loadAtMs));
      digest.cpuMilli.push(load.cpuMilli);
      digest.memoryBytes.push(load.memoryBytes);
    }
    return digest;
  }

  nodeMetrics(): NodeMetrics[] {
    return [...this.#present()].map(([name, heard]) => ({
      kind: 'NodeMetrics',
      apiVersion: 'metrics.k8s.io/v1beta1',
      ...this.#sample({ name }, heard.loadAtMs),
      usage: usage(heard.load),
    }));
  }

  /** @throws ApiError NotFound when the node is not present or has not measured itself yet */
  nodeMetricsOf(name: string): NodeMetrics {
    const found = this.nodeMetrics().find(({ metadata }) => metadata.name === name);
    if (!found) throw new ApiError('NotFound', `nodemetrics.metrics.k8s.io "${name}" not found`, { name, group: 'metrics.k8s.io', kind: 'nodemetrics' });
    return found;
  }

  /** @param namespace all of them when undefined */
  podMetrics(namespace: string | undefined, containerName: string): PodMetrics[] {
    const found: PodMetrics[] = [];
    for (const [, { load, loadAtMs }] of this.#present()) {
      for (const [key, used] of Object.entries(load.tasks ?? {})) {
        const [taskNamespace = '', name = ''] = key.split('/');
        if (namespace !== undefined && taskNamespace !== namespace) continue;
        found.push({
          kind: 'PodMetrics',
          apiVersion: 'metrics.k8s.io/v1beta1',
          ...this.#sample({ name, namespace: taskNamespace }, loadAtMs),
          containers: [{ name: containerName, usage: usage(used) }],
        });
      }
    }
    return found;
  }

  *#present(): Generator<[string, Heard & { load: NodeLoad }]> {
    const now = this.#options.clock.monotonic();
    for (const [name, heard] of this.#heard) {
      if (now - heard.atMs > this.#ttlMs) {
        // Its presence has expired, or another server hears it now.
        this.#heard.delete(name);
      } else if (heard.load) {
        yield [name, heard as Heard & { load: NodeLoad }];
      }
    }
  }

  #sample<Name extends object>(name: Name, loadAtMs: number): { metadata: Name & { creationTimestamp: string }; timestamp: string; window: string } {
    const { clock } = this.#options;
    const at = timestamp(clock.now() - (clock.monotonic() - loadAtMs));
    return { metadata: { ...name, creationTimestamp: at }, timestamp: at, window: '2s' };
  }
}

/** Whether its agent has said how the node is, ready or not, and nobody has declared it lost since. */
function isHeardOf(node: Node): boolean {
  const ready = findCondition(node.status?.conditions, 'Ready');
  return ready !== undefined && ready.status !== 'Unknown';
}

function usage({ cpuMilli, memoryBytes }: { cpuMilli: number; memoryBytes: number }): Usage {
  return { cpu: `${Math.round(cpuMilli)}m`, memory: `${Math.round(memoryBytes / 1024)}Ki` };
}
