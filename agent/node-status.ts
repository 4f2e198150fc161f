// node-status.ts
//
// The Node object: made when the agent starts (and made again when somebody deleted it), then written only when
// something changed. Being there at all is presence (fence.ts), which costs no write.

import { isReason } from '../api/errors.js';
import { withCondition } from '../api/conditions.js';
import type { Condition } from '../api/meta.js';
import { nodeKind, type Node, type NodeStatus } from '../api/node.js';
import { jitteredBackoffMs, reconnectBackoff } from '../lib/backoff.js';
import { sleep, type Clock } from '../lib/clock.js';
import type { Logger } from '../lib/log.js';
import type { Random } from '../lib/random.js';
import type { Service } from '../lib/service.js';
import type { ApiClient } from '../client/api-client.js';
import { dequal } from 'dequal';
import { addresses, architecture, diskSpace, memoryAvailableBytes, nodeInfo, resources, type DiskSpace } from './machine.js';
import { totalmem } from 'node:os';

export interface NodeRegistrationOptions {
  client: Pick<ApiClient, 'get' | 'create' | 'update' | 'mergePatch'>;
  nodeName: string;
  labels: Readonly<Record<string, string>>;
  capacity: Readonly<Record<string, string>>;
  dataDir: string;
  isolation: string;
  isolationProblem: string | undefined;
  version: string;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** The machine is looked at this often. */
const lookMs = 10_000;

export class NodeRegistration implements Service {
  readonly name = 'node status';
  readonly #options: NodeRegistrationOptions;
  #written: NodeStatus | undefined;

  constructor(options: NodeRegistrationOptions) {
    this.#options = options;
  }

  /** Resolves when the Node object is there and says what the machine has. Tries for ever. */
  async register(signal: AbortSignal): Promise<void> {
    const { clock, random, logger, nodeName } = this.#options;
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        await this.#write(true);
        return;
      } catch (error) {
        const delayMs = jitteredBackoffMs(reconnectBackoff, failures, random);
        const log = failures === 3 || failures % 20 === 0 ? logger.warn : logger.debug;
        log.call(logger, 'cannot register the node; trying again', { node: nodeName, delayMs: Math.round(delayMs), error });
        await sleep(clock, delayMs, signal);
      }
    }
  }

  /** Looks at the machine now and then, and writes what changed. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options;
    while (!signal.aborted) {
      await sleep(clock, lookMs, signal);
      if (signal.aborted || !this.#written) continue;
      try {
        await this.#write(false);
      } catch (error) {
        logger.debug('cannot write the node status; trying again', { error });
      }
    }
  }

  async #write(register: boolean): Promise<void> {
    const { client, nodeName, clock } = this.#options;
    const status = this.#observe(this.#written?.conditions);
    if (!register && dequal(status, this.#written)) return;
    const node = (register ? await this.#create(status) : undefined) ?? (await this.#ensure(register, status));
    const merged: Node = { ...node, status: { ...node.status, ...status, conditions: mergeConditions(node.status?.conditions, status.conditions ?? [], clock.now()) } };
    if (!dequal(merged.status, node.status)) {
      try {
        await client.update(nodeKind, merged, { subresource: 'status' });
      } catch (error) {
        if (isReason(error, 'Conflict')) throw new Error(`node ${nodeName} was changed at the same moment`, { cause: error });
        throw error;
      }
    }
    this.#written = status;
  }

  /** The new node as it is stored, which an older server does without the status; undefined when there is one of the name. */
  async #create(status: NodeStatus): Promise<Node | undefined> {
    const { client, nodeName } = this.#options;
    try {
      return await client.create<Node>(nodeKind, { apiVersion: 'v1', kind: 'Node', metadata: { name: nodeName, labels: this.#labels() }, status });
    } catch (error) {
      if (isReason(error, 'AlreadyExists')) return undefined;
      throw error;
    }
  }

  async #ensure(register: boolean, status: NodeStatus): Promise<Node> {
    const { client, nodeName } = this.#options;
    const labels = this.#labels();
    let node: Node;
    try {
      node = await client.get(nodeKind, nodeName);
    } catch (error) {
      const made = isReason(error, 'NotFound') ? await this.#create(status) : undefined;
      if (made) return made;
      throw error;
    }
    const missing = Object.entries(labels).some(([key, value]) => node.metadata.labels?.[key] !== value);
    return register && missing ? client.mergePatch<Node>(nodeKind, nodeName, undefined, { metadata: { labels } }) : node;
  }

  #labels(): Record<string, string> {
    return {
      'kubernetes.io/hostname': this.#options.nodeName,
      'kubernetes.io/os': 'linux',
      'kubernetes.io/arch': architecture(),
      ...this.#options.labels,
    };
  }

  #observe(before: readonly Condition[] | undefined): NodeStatus {
    const { dataDir, capacity, isolation, isolationProblem, version, clock } = this.#options;
    const available = memoryAvailableBytes();
    const conditions = nodeConditions({
      disk: diskSpace(dataDir),
      memory: available === undefined ? undefined : { totalBytes: totalmem(), availableBytes: available },
      isolationProblem,
      before,
      now: clock.now(),
    });
    return { ...resources(dataDir, capacity), conditions, addresses: addresses(), nodeInfo: nodeInfo(isolation, version) };
  }
}

export interface Observed {
  disk: DiskSpace;
  memory: { totalBytes: number; availableBytes: number } | undefined;
  isolationProblem: string | undefined;
  before: readonly Condition[] | undefined;
  /** Milliseconds since the epoch. */
  now: number;
}

const mib = 2 ** 20;

/** Pure. Pressure ends only some way below where it began, or it would flap. */
export function nodeConditions({ disk, memory, isolationProblem, before, now }: Observed): Condition[] {
  const was = (type: string): boolean => before?.find((condition) => condition.type === type)?.status === 'True';
  const diskFloor = Math.min(disk.totalBytes * 0.02, 512 * mib) * (was('DiskPressure') ? 1.5 : 1);
  const diskFull = disk.freeBytes < diskFloor;
  const memoryFloor = memory ? Math.min(memory.totalBytes * 0.03, 256 * mib) * (was('MemoryPressure') ? 1.5 : 1) : 0;
  const memoryShort = memory !== undefined && memory.availableBytes < memoryFloor;
  const free = `${Math.floor(disk.freeBytes / mib)} MiB are free where the agent keeps its data`;
  let conditions = withCondition(before, diskFull ? { type: 'DiskPressure', status: 'True', reason: 'DiskFull', message: 'the disk that holds the agent\'s data is nearly full' } : { type: 'DiskPressure', status: 'False', reason: 'DiskHasRoom' }, now);
  conditions = withCondition(conditions, memoryShort ? { type: 'MemoryPressure', status: 'True', reason: 'MemoryShort', message: 'the machine has hardly any memory left' } : { type: 'MemoryPressure', status: 'False', reason: 'MemoryAvailable' }, now);
  const ready = diskFull
    ? ({ type: 'Ready', status: 'False', reason: 'DiskFull', message: `no new tasks: ${free}; remove files there` } as const)
    : ({ type: 'Ready', status: 'True', reason: 'AgentReady', message: isolationProblem ? `the agent runs tasks; ${isolationProblem}` : 'the agent runs tasks' } as const);
  return withCondition(conditions, ready, now);
}

/** Others may have conditions on the node, too. lastTransitionTime moves only with the status. */
function mergeConditions(theirs: readonly Condition[] | undefined, ours: readonly Condition[], now: number): Condition[] {
  return ours.reduce<Condition[]>(
    (all, { type, status, reason, message }) => withCondition(all, { type, status: status as 'True' | 'False' | 'Unknown', reason: reason ?? '', ...(message ? { message } : {}) }, now),
    [...(theirs ?? [])],
  );
}
