// wanted.ts
//
// What is wanted of a runner: the newest version of its task, and the order of the agent. Every wait of a runner ends when either changes, and
// what is to be stopped, why and with how much grace is read off them anew.

import { graceSecondsDefault } from '../api/task-status.js';
import type { Task } from '../api/task.js';
import type { Clock } from '../lib/clock.js';
import { Deferred } from '../lib/deferred.js';
import type { StopReason } from './journal.js';

/** forget: the cluster does not want the attempt any more; detach: the agent goes, the process stays; stop: both go. */
export type Order = 'forget' | 'detach' | 'stop';

export class Wanted {
  /** Of any attempt of the task, wherever it ran; milliseconds since the epoch. */
  firstStartedAt: number | undefined;
  readonly #clock: Clock;
  #task: Task;
  #order: Order | undefined;
  #stopGraceMsMax = 0;
  #changed = new Deferred<void>();

  constructor(options: { clock: Clock; task: Task; firstStartedAt: number | undefined }) {
    this.#clock = options.clock;
    this.#task = options.task;
    this.firstStartedAt = options.firstStartedAt;
  }

  get task(): Task {
    return this.#task;
  }

  get order(): Order | undefined {
    return this.#order;
  }

  update(task: Task): void {
    this.#task = task;
    this.wake();
  }

  forget(): void {
    this.#order = 'forget';
    this.wake();
  }

  detach(): void {
    if (this.#order !== 'forget') this.#order = 'detach';
    this.wake();
  }

  /** @param graceMsMax bounds the task's own grace */
  stop(graceMsMax: number): void {
    this.#order ??= 'stop';
    this.#stopGraceMsMax = graceMsMax;
    this.wake();
  }

  /** Whether the process must not outlive the agent's presence. */
  get fenced(): boolean {
    return this.#task.spec.onNodeLost !== 'Wait';
  }

  /** When the task must have ended, milliseconds since the epoch; undefined while it has no deadline. */
  get deadlineAt(): number | undefined {
    const { activeDeadlineSeconds } = this.#task.spec;
    return activeDeadlineSeconds === undefined || this.firstStartedAt === undefined ? undefined : this.firstStartedAt + activeDeadlineSeconds * 1000;
  }

  get isLate(): boolean {
    const { deadlineAt } = this;
    return deadlineAt !== undefined && this.#clock.now() >= deadlineAt;
  }

  get deleted(): boolean {
    return Boolean(this.#task.metadata.deletionTimestamp);
  }

  get evicted(): boolean {
    return this.#task.status?.eviction !== undefined;
  }

  /** Why what runs is to be stopped. */
  get stopReason(): StopReason | undefined {
    if (this.deleted) return 'Deleted';
    if (this.isLate) return 'DeadlineExceeded';
    if (this.evicted) return 'Evicted';
    return this.#order === 'stop' ? 'AgentStopped' : undefined;
  }

  /** Between SIGTERM and SIGKILL: the shortest that anyone who wants it stopped has asked for. */
  get graceMs(): number {
    const { spec, metadata, status } = this.#task;
    const asked = [this.deleted ? metadata.deletionGracePeriodSeconds : undefined, status?.eviction?.gracePeriodSeconds].filter((seconds) => seconds !== undefined);
    const ownMs = (asked.length > 0 ? Math.min(...asked) : (spec.terminationGracePeriodSeconds ?? graceSecondsDefault)) * 1000;
    return this.#order === 'stop' ? Math.min(ownMs, this.#stopGraceMsMax) : ownMs;
  }

  /** Resolves with the next change; `rearm` after it was seen. */
  get changed(): Promise<void> {
    return this.#changed.promise;
  }

  rearm(): void {
    this.#changed = new Deferred();
  }

  /** Ends whatever waits. */
  wake(): void {
    this.#changed.resolve();
  }

  /** Waits for the time (milliseconds since the epoch; absent: for ever) or for anything to change. */
  async until(at: number | undefined): Promise<void> {
    const timer = at === undefined ? undefined : this.#clock.timer(at - this.#clock.now(), () => this.wake());
    await this.#changed.promise;
    timer?.cancel();
    this.rearm();
  }
}
