// hollow-agent.ts
//
// An agent without processes: it has a credential and connections of its own, registers its Node, keeps its presence and
// follows the tasks that are bound to it, with the requests that a real agent makes, in its order, over the one connection that
// such an agent has (docs/decisions/0012-one-connection-per-agent.md). It starts nothing; told that tasks last a while, it
// reports on them as if it had.

import { isReason } from '../api/errors.js';
import { timestamp, type Condition } from '../api/meta.js';
import { nodeKind, type Node, type Taint } from '../api/node.js';
import type { PresenceRequest, PresenceResponse } from '../api/protocol.js';
import { taskKind, type Task } from '../api/task.js';
import { ApiClient } from '../client/api-client.js';
import { Informer } from '../client/informer.js';
import { TunnelTransport } from '../client/tunnel-transport.js';
import type { Clock } from '../lib/clock.js';
import { silentLogger } from '../lib/log.js';
import type { Mux } from '../lib/mux.js';
import type { Random } from '../lib/random.js';
import type { HollowDialer } from './hollow-dialer.js';
import { HollowPresence } from './hollow-presence.js';
import { HollowTasks } from './hollow-tasks.js';
import { HollowTransport } from './hollow-transport.js';
import { keepHollowTunnel } from './hollow-tunnel.js';

export interface HollowAgentOptions {
  readonly nodeName: string;
  readonly dialer: HollowDialer;
  readonly capacity: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly taints: readonly Taint[];
  /** How long tasks last, milliseconds; undefined: nothing is reported of them. */
  readonly taskMs: number | undefined;
  readonly clock: Clock;
  readonly random: Random;
  /** Told once of each binding of a task to this node. */
  readonly onBound: (task: Task) => void;
  readonly onSucceeded: (name: string) => void;
}

const userAgent = 'taskplane-hollow-agent';

export class HollowAgent {
  readonly #options: HollowAgentOptions;
  readonly #tunnelled: TunnelTransport;
  /** Over the tunnel, where it can. */
  readonly #client: ApiClient;
  /** Over connections beside it. */
  readonly #direct: ApiClient;
  readonly #session: string;
  readonly #reporter: string;
  #mux: Mux | undefined;
  readonly #tasks: HollowTasks | undefined;

  constructor(options: HollowAgentOptions) {
    const { nodeName, dialer, taskMs, clock, random, onSucceeded } = options;
    this.#options = options;
    this.#session = random.uuid();
    this.#reporter = random.uuid();
    const fallback = new HollowTransport({ dialer, userAgent });
    this.#tunnelled = new TunnelTransport({ fallback, userAgent, clock });
    this.#client = new ApiClient({ transport: this.#tunnelled, clock });
    this.#direct = new ApiClient({ transport: fallback, clock });
    if (taskMs !== undefined) this.#tasks = new HollowTasks({ nodeName, reporter: this.#reporter, client: this.#client, lastMs: taskMs, clock, random, onSucceeded });
  }

  /** Keeps the connection until the signal aborts. */
  connect(signal: AbortSignal): Promise<void> {
    const { nodeName, dialer, clock, random } = this.#options;
    const dialled = (mux: Mux | undefined): void => {
      this.#mux = mux;
      this.#tunnelled.dialled(mux);
    };
    return keepHollowTunnel({ nodeName, dialer, dialled, clock, random }, signal);
  }

  /**
   * Registers the node, announces its presence and begins to follow its tasks. Resolves when all of that is done; then it goes
   * on until the signal aborts. Call it again when it failed.
   */
  async start(signal: AbortSignal): Promise<void> {
    await this.#register();
    const announced = await this.#announce();
    const { clock, random, nodeName } = this.#options;
    const informer = new Informer<Task>({ client: this.#client, kind: taskKind, fieldSelector: `status.nodeName=${nodeName}`, exceptReportsOf: this.#reporter, streamList: true, clock, random, logger: silentLogger, keep: withoutSpec, freeze: false });
    informer.onChanges((changes) => {
      for (const { type, object, previous } of changes) if (type !== 'deleted' && object.status?.bindings !== previous?.status?.bindings) this.#bound(object, signal);
    });
    void informer.run(signal);
    void this.#presence(announced).run(signal);
    void this.#tasks?.run(signal);
    await informer.synced;
  }

  async #register(): Promise<void> {
    const { nodeName, labels, taints } = this.#options;
    const all = { 'kubernetes.io/hostname': nodeName, 'kubernetes.io/os': 'linux', 'kubernetes.io/arch': 'amd64', ...labels };
    try {
      await this.#client.create<Node>(nodeKind, { apiVersion: 'v1', kind: 'Node', metadata: { name: nodeName, labels: all }, ...(taints.length > 0 ? { spec: { taints: [...taints] } } : {}), status: this.#status() });
    } catch (error) {
      if (!isReason(error, 'AlreadyExists')) throw error;
      const node = await this.#client.get(nodeKind, nodeName);
      await this.#client.update(nodeKind, { ...node, status: { ...node.status, ...this.#status() } }, { subresource: 'status' });
    }
  }

  #announce(): Promise<PresenceResponse> {
    return this.#client.presence(this.#options.nodeName, this.#presenceRequest(true));
  }

  #presence(announced: PresenceResponse): HollowPresence {
    const { nodeName, clock, random } = this.#options;
    const request = this.#presenceRequest(false);
    return new HollowPresence({
      nodeName,
      request,
      userAgent,
      announced,
      mux: () => this.#mux,
      direct: () => this.#direct.presence(nodeName, request),
      comeBack: async () => {
        await this.#register();
        await this.#announce();
      },
      clock,
      random,
    });
  }

  #presenceRequest(announce: boolean): PresenceRequest {
    return { session: this.#session, announce, load: noLoad };
  }

  #bound(task: Task, signal: AbortSignal): void {
    this.#options.onBound(task);
    void this.#tasks?.perform(task, signal);
  }

  #status(): NonNullable<Node['status']> {
    const { nodeName, capacity, clock } = this.#options;
    const now = timestamp(clock.now());
    const condition = (type: string, status: 'True' | 'False', reason: string): Condition => ({ type, status, reason, lastTransitionTime: now });
    return {
      capacity: { ...capacity },
      allocatable: { ...capacity },
      conditions: [condition('DiskPressure', 'False', 'DiskHasRoom'), condition('MemoryPressure', 'False', 'MemoryAvailable'), { ...condition('Ready', 'True', 'AgentReady'), message: 'the agent runs tasks' }],
      addresses: [{ type: 'InternalIP', address: '127.0.0.1' }, { type: 'Hostname', address: nodeName }],
      nodeInfo: { kubeletVersion: 'hollow', operatingSystem: 'linux', architecture: 'amd64', containerRuntimeVersion: 'none' },
    };
  }
}

const noLoad = { cpuMilli: 0, memoryBytes: 0, loadAverage: 0 };

/** What a hollow agent needs of a task. */
function withoutSpec({ apiVersion, kind, metadata, status }: Task): Task {
  const { name, namespace, uid, resourceVersion } = metadata;
  return { apiVersion, kind, metadata: { name, namespace, uid, resourceVersion }, spec: {}, status: { bindings: status?.bindings, attempt: status?.attempt } } as Task;
}
