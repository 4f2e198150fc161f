// drain.ts
//
// Takes a node out of use: no new tasks, then everything that is bound there is asked to leave, and is waited for. What is left is listed anew
// whenever a watch ends, so that a task that was bound in the last moment, or a connection that was cut, makes no difference.

import { isReason } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import { objectKey } from '../../api/meta.js';
import { nodeKind } from '../../api/node.js';
import { holdsRoom, taskKind, type Task } from '../../api/task.js';
import { TransportError } from '../../api/transport.js';
import { sleep } from '../../lib/clock.js';
import { forEachParallel } from '../../lib/parallel.js';
import type { CommandContext } from '../context.js';
import { CliError } from '../failure.js';
import { objectTitle } from '../resource-args.js';
import { cordon } from './cordon.js';

export interface DrainOptions {
  /** Only tasks with these labels. */
  taskSelector?: string;
  /** Seconds between SIGTERM and SIGKILL; as each task says when absent. */
  gracePeriod?: number;
  /** Evict tasks that fail by it, too. */
  force?: boolean;
  /** How long to wait; 0 or absent: for ever. */
  timeoutMs?: number;
  dryRun?: 'none' | 'server';
}

const evictionsAtOnce = 16;
const retryMs = 500;

/** @returns 1 when a task would fail and --force was not given, or when time is up */
export async function drain(context: CommandContext, nodeName: string, options: DrainOptions): Promise<number> {
  const { client, io, clock } = context;
  const { force = false, timeoutMs = 0 } = options;
  if (timeoutMs < 0) throw new CliError('--timeout must not be negative');
  const dryRun = options.dryRun === 'server';
  if (dryRun) {
    await client.get(nodeKind, nodeName);
    io.out.write(`node/${nodeName} cordoned (server dry run)\n`);
  } else {
    const code = await cordon(context, [nodeName], true);
    if (code !== 0) return code;
  }
  const draining = new Draining(context, nodeName, options);
  await draining.list();
  const failing = draining.tasks.filter(({ spec }) => spec.onNodeLost === 'Fail');
  if (failing.length > 0 && !force) {
    io.err.write(`error: cannot evict tasks that would fail, as their onNodeLost says (use --force to override): ${failing.map(objectKey).join(', ')}\n`);
    return 1;
  }
  const over = new AbortController();
  const timer = timeoutMs > 0 ? clock.timer(timeoutMs, () => over.abort()) : undefined;
  try {
    await draining.run(AbortSignal.any([context.signal, over.signal]));
  } finally {
    timer?.cancel();
    over.abort();
  }
  if (draining.tasks.length > 0) {
    io.err.write(`error: ${context.signal.aborted ? 'interrupted' : 'timed out'} while tasks were still stopping on node ${nodeName}: ${draining.tasks.map(objectKey).join(', ')}\n`);
    return 1;
  }
  io.out.write(`node/${nodeName} drained${dryRun ? ' (server dry run)' : ''}\n`);
  return 0;
}

class Draining {
  readonly #context: CommandContext;
  readonly #nodeName: string;
  readonly #options: DrainOptions;
  readonly #left = new Map<string, Task>();
  readonly #asked = new Set<string>();
  #resourceVersion: string | undefined;

  constructor(context: CommandContext, nodeName: string, options: DrainOptions) {
    this.#context = context;
    this.#nodeName = nodeName;
    this.#options = options;
  }

  /** Those that are still on the node. */
  get tasks(): Task[] {
    return [...this.#left.values()];
  }

  async list(): Promise<void> {
    const { items, metadata } = await this.#context.client.list(taskKind, this.#query());
    const there = new Map(items.filter(holdsRoom).map((task) => [objectKey(task), task]));
    for (const [key, task] of this.#left) if (!there.has(key)) this.#leaves(key, task);
    for (const [key, task] of there) this.#left.set(key, task);
    this.#resourceVersion = metadata.resourceVersion;
  }

  /** Until nothing is left, or the signal aborts. @throws ApiError when the server refuses */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#evict();
        if (this.#options.dryRun === 'server') this.#left.clear();
        if (this.#left.size === 0) return;
        await this.#follow(signal);
        await this.list();
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof TransportError || isReason(error, 'Expired', 'Gone', 'ServiceUnavailable', 'TooManyRequests', 'Timeout'))) throw error;
        await sleep(this.#context.clock, retryMs, signal);
        this.#resourceVersion = undefined;
      }
    }
  }

  async #evict(): Promise<void> {
    const { client, io } = this.#context;
    const { gracePeriod, dryRun } = this.#options;
    const options = { ...(gracePeriod === undefined || gracePeriod < 0 ? {} : { gracePeriodSeconds: gracePeriod }), ...(dryRun === 'server' ? { dryRun: true } : {}) };
    const asked = [...this.#left].filter(([, task]) => !this.#asked.has(askedKey(task)));
    await forEachParallel(asked, evictionsAtOnce, async ([key, task]) => {
      try {
        await client.evict(task.metadata.namespace ?? 'default', task.metadata.name!, options);
        io.out.write(`evicting task ${key}${dryRun === 'server' ? ' (server dry run)' : ''}\n`);
      } catch (error) {
        if (!isReason(error, 'NotFound')) throw error;
      }
      this.#asked.add(askedKey(task));
    });
  }

  /** Resolves when the last one has left, or the watch has ended. */
  async #follow(signal: AbortSignal): Promise<void> {
    if (this.#resourceVersion === undefined) return;
    const enough = new AbortController();
    const watch = this.#context.client.watch(taskKind, { ...this.#query(), resourceVersion: this.#resourceVersion, signal: AbortSignal.any([signal, enough.signal]) });
    try {
      for await (const { type, object } of watch) {
        if (type === 'BOOKMARK') continue;
        const key = objectKey(object);
        const known = this.#left.get(key);
        if (type === 'DELETED' || !holdsRoom(object)) {
          if (known) this.#leaves(key, object);
        } else {
          this.#left.set(key, object);
          if (!known) return;
        }
        if (this.#left.size === 0) return;
      }
    } finally {
      enough.abort();
    }
  }

  #leaves(key: string, task: Task): void {
    this.#left.delete(key);
    this.#context.io.out.write(`${objectTitle(taskKind as unknown as KindDefinition, task.metadata.name ?? '')} left node ${this.#nodeName}\n`);
  }

  #query(): { fieldSelector: string; labelSelector?: string } {
    const { taskSelector } = this.#options;
    return { fieldSelector: `status.nodeName=${this.#nodeName}`, ...(taskSelector ? { labelSelector: taskSelector } : {}) };
  }
}

/** One stay of a task on the node is asked to end once. */
function askedKey({ metadata, status }: Task): string {
  return `${metadata.uid}/${status?.bindings ?? 0}`;
}
