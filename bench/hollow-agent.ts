// hollow-agent.ts
//
// An agent without processes: it has a credential and connections of its own, registers its Node, keeps its presence and
// watches the tasks that are bound to it, as the real one does; it starts nothing and so has nothing to report.

import { isReason } from '../api/errors.js';
import { timestamp } from '../api/meta.js';
import { nodeKind, type Node } from '../api/node.js';
import { taskKind } from '../api/task.js';
import { ApiClient } from '../client/api-client.js';
import { HttpsTransport } from '../client/https-transport.js';
import type { ClusterAccess } from '../client/kubeconfig.js';
import { sleep, type Clock } from '../lib/clock.js';
import type { Random } from '../lib/random.js';
import { Deferred } from '../lib/deferred.js';

export interface HollowAgentOptions {
  readonly nodeName: string;
  readonly access: ClusterAccess;
  readonly capacity: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly random: Random;
  /** Told of each task when it is first seen to be bound here. */
  readonly onBound: (name: string) => void;
}

/** As the real agent: a presence is renewed four times in its time to live. */
const renewalsPerTtl = 4;
const ttlMsDefault = 8_000;

export class HollowAgent {
  readonly #options: HollowAgentOptions;
  readonly #client: ApiClient;
  readonly #session: string;
  readonly #bound = new Set<string>();

  constructor(options: HollowAgentOptions) {
    this.#options = options;
    this.#session = options.random.uuid();
    // One connection for requests and one for the watch, as an agent has.
    this.#client = new ApiClient({ transport: new HttpsTransport({ access: options.access, maxSockets: 1 }), userAgent: 'taskplane-hollow-agent' });
  }

  /** Registers the node, announces its presence and starts to watch. Resolves when all of that is done. */
  async register(signal: AbortSignal): Promise<() => Promise<void>> {
    const { nodeName } = this.#options;
    await this.#registerNode();
    const { ttlMs } = await this.#client.presence(nodeName, { session: this.#session, announce: true, load: this.#load() });
    const watching = new Deferred<void>();
    const running = Promise.all([this.#keepPresence(ttlMs || ttlMsDefault, signal), this.#watch(signal, () => watching.resolve())]);
    await watching.promise;
    return async () => {
      await running;
      await this.#client.transport.close();
    };
  }

  async #registerNode(): Promise<void> {
    const { nodeName } = this.#options;
    await this.#client.create(nodeKind, { apiVersion: 'v1', kind: 'Node', metadata: { name: nodeName, labels: { 'kubernetes.io/hostname': nodeName } } }).catch((error: unknown) => {
      if (!isReason(error, 'AlreadyExists')) throw error;
    });
    await this.#client.update(nodeKind, this.#node(), { subresource: 'status' });
  }

  async #keepPresence(ttlMs: number, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    const periodMs = ttlMs / renewalsPerTtl;
    // Agents of a real cluster were not started in the same moment.
    await sleep(clock, random.float() * periodMs, signal);
    while (!signal.aborted) {
      const start = clock.monotonic();
      await this.#renew().catch(() => undefined);
      await sleep(clock, Math.max(0, periodMs - (clock.monotonic() - start)), signal);
    }
  }

  async #renew(): Promise<void> {
    const { nodeName } = this.#options;
    const { present } = await this.#client.presence(nodeName, { session: this.#session, announce: false, load: this.#load() });
    if (present) return;
    // It was late and is lost. It has nothing to stop, so it may say at once that it is back.
    await this.#registerNode();
    await this.#client.presence(nodeName, { session: this.#session, announce: true, load: this.#load() });
  }

  async #watch(signal: AbortSignal, begun: () => void): Promise<void> {
    const { clock, nodeName } = this.#options;
    const fieldSelector = `status.nodeName=${nodeName}`;
    while (!signal.aborted) {
      try {
        const list = await this.#client.list(taskKind, { fieldSelector, resourceVersion: '0' });
        for (const task of list.items) this.#see(task.metadata.name!);
        begun();
        for await (const batch of this.#client.watchBatches(taskKind, { fieldSelector, resourceVersion: list.metadata.resourceVersion, signal })) {
          for (const { type, object } of batch) if (type === 'ADDED' || type === 'MODIFIED') this.#see(object.metadata.name!);
        }
      } catch {
        await sleep(clock, 250, signal);
      }
    }
  }

  #see(name: string): void {
    if (this.#bound.has(name)) return;
    this.#bound.add(name);
    this.#options.onBound(name);
  }

  #node(): Node {
    const { nodeName, capacity, clock } = this.#options;
    const now = timestamp(clock.now());
    return {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: nodeName },
      status: {
        capacity: { ...capacity },
        allocatable: { ...capacity },
        conditions: [{ type: 'Ready', status: 'True', reason: 'AgentReady', message: 'hollow', lastTransitionTime: now, lastHeartbeatTime: now }],
        addresses: [{ type: 'Hostname', address: nodeName }],
        nodeInfo: { kubeletVersion: 'hollow', operatingSystem: 'linux', architecture: 'hollow', containerRuntimeVersion: 'none' },
      },
    };
  }

  #load(): { cpuMilli: number; memoryBytes: number; loadAverage: number } {
    return { cpuMilli: 0, memoryBytes: 0, loadAverage: 0 };
  }
}
