// scheduler.ts
//
// Pending tasks to nodes. This file is the loop that feeds the core with what the informers see and carries out what it
// decides; the deciding is in core.ts, which knows no time and no network.
//
//   informers ─ keys that changed ─► core ─► decisions ─► binder ─► API server ─► informers …
//                                     └─ groups that fit nowhere ─► teller ─► conditions, events
//
// The loop works in short turns and never waits for the server in one of them.

import type { Node } from '../../api/node.js';
import type { Task } from '../../api/task.js';
import type { ApiClient } from '../../client/api-client.js';
import type { EventRecorder } from '../../client/event-recorder.js';
import type { Informer } from '../../client/informer.js';
import { sleep, type Clock } from '../../lib/clock.js';
import type { Logger } from '../../lib/log.js';
import type { Random } from '../../lib/random.js';
import { aborted, runAll, type Service } from '../../lib/service.js';
import { Alarm, nextTurn } from './alarm.js';
import { Binder } from './binder.js';
import { SchedulerCore, type MeasuredLoad } from './core.js';
import { Intake } from './intake.js';
import { Rereader } from './rereader.js';
import { Teller, type TellerLimits } from './teller.js';

export interface SchedulerLimits {
  /** Bindings in one request. */
  batchMax: number;
  /** Requests under way at once. */
  requestsMax: number;
  /** Between two looks at the measured loads. */
  loadsMs: number;
  teller: Partial<TellerLimits>;
}

export const defaultSchedulerLimits: SchedulerLimits = { batchMax: 1_000, requestsMax: 3, loadsMs: 2_000, teller: {} };

export interface SchedulerOptions {
  client: Pick<ApiClient, 'bulk' | 'get' | 'nodeLoadDigest'>;
  /** All tasks, in all namespaces. */
  tasks: Pick<Informer<Task>, 'get' | 'values' | 'synced' | 'onChanges'>;
  nodes: Pick<Informer<Node>, 'get' | 'values' | 'synced' | 'onChanges'>;
  recorder: Pick<EventRecorder, 'record'>;
  /**
   * Resolves when `tasks` and `nodes` show all that was written before the call. A new leader's copies may lag behind the last bindings
   * of the one before: what it cannot see, it would give away a second time.
   */
  caughtUp?(signal: AbortSignal): Promise<void>;
  clock: Clock;
  random: Random;
  logger: Logger;
  options?: Partial<SchedulerLimits>;
}

export interface SchedulerStats {
  /** Tasks without a node. */
  waiting: number;
  /** Tasks that wait or hold room. */
  known: number;
  /** Bindings that the server took, and that it refused, since the start. */
  bound: number;
  refused: number;
}

/** Work in one turn of the loop, by time and by count: nothing else in the process waits longer. */
const turnMs = 5;
/** The part of it for taking in changes. */
const intakeMs = 2;
const changesPerTurn = 2_000;
const picksPerTurn = 1_000;
/** Between two looks at the clock; a pick takes some microseconds. */
const picksPerLook = 4;
/** Groups that fit nowhere between two looks at the clock. */
const looksMax = 32;
/** After this, what was placed is taken to show in the measured load (see Snapshot.nextSpan: between one and two spans). */
const spanMs = 5_000;
/** Of a large cluster loads are asked for less often: 20,000 nodes every 5 s. */
const loadsMsPerNode = 0.25;
/** Loads older than this say nothing. */
const loadAgeMaxMs = 15_000;

export class Scheduler implements Service {
  readonly name = 'scheduler';
  readonly #options: SchedulerOptions;
  readonly #limits: SchedulerLimits;
  readonly #alarm: Alarm;
  readonly #intake: Intake;
  readonly #core: SchedulerCore;
  readonly #binder: Binder;
  readonly #rereader: Rereader;
  readonly #teller: Teller;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#limits = { ...defaultSchedulerLimits, ...options.options };
    this.#alarm = new Alarm(options.clock);
    this.#intake = new Intake({ tasks: options.tasks, nodes: options.nodes, changed: () => this.#alarm.ring() });
    const { client, recorder, clock, random, logger } = options;
    this.#core = new SchedulerCore({ random });
    const changed = (): void => this.#alarm.ring();
    this.#rereader = new Rereader({ client, core: this.#core, clock, random, logger, changed });
    this.#teller = new Teller({ client, core: this.#core, recorder, clock, random, logger, limits: this.#limits.teller });
    this.#binder = new Binder({
      client, core: this.#core, recorder, clock, random, logger, changed,
      limits: { batchMax: this.#limits.batchMax, requestsMax: this.#limits.requestsMax },
      refused: (entry) => this.#rereader.add(entry),
    });
  }

  get stats(): SchedulerStats {
    return { waiting: this.#core.queue.size, known: this.#core.entryCount, bound: this.#binder.boundTotal, refused: this.#binder.refusedTotal };
  }

  /** Runs once; a later leadership takes a new Scheduler. */
  async run(signal: AbortSignal): Promise<void> {
    const { tasks, nodes, caughtUp, logger } = this.#options;
    await Promise.race([Promise.all([tasks.synced, nodes.synced]), aborted(signal)]);
    if (!signal.aborted) await caughtUp?.(signal);
    if (signal.aborted) return;
    this.#intake.open();
    logger.info('the scheduler has started');
    try {
      await runAll(
        [
          { name: 'scheduler loop', run: (stop) => this.#loop(stop) },
          { name: 'scheduler loads', run: (stop) => this.#followLoads(stop) },
          this.#rereader,
          this.#teller,
        ],
        signal,
      );
    } finally {
      this.#intake.close();
      await this.#binder.end();
      logger.info('the scheduler has ended', { ...this.stats });
    }
  }

  async #loop(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#turn(signal);
      const hasMore = !this.#intake.isEmpty || (this.#core.queue.isReady && this.#binder.hasRoom);
      if (hasMore) await nextTurn();
      else await this.#alarm.wait(signal);
    }
  }

  #turn(signal: AbortSignal): void {
    const { clock } = this.#options;
    const core = this.#core;
    const startedAt = clock.monotonic();
    this.#intake.apply(core, changesPerTurn, () => clock.monotonic() - startedAt > intakeMs);
    // Nothing is decided before all tasks that hold room are known.
    if (!this.#intake.isComplete) return;
    core.queue.wake();
    this.#decide(startedAt + turnMs);
    for (const group of core.queue.takeJoined()) if (group.isParked && group.tasks.size > 0) this.#teller.note(group);
    this.#binder.flush(signal);
  }

  /** @param until monotonic milliseconds */
  #decide(until: number): void {
    const { clock } = this.#options;
    for (let picks = 0; picks < picksPerTurn && this.#binder.hasRoom; picks++) {
      if (picks % picksPerLook === 0 && clock.monotonic() >= until) return;
      const entry = this.#core.next(looksMax, (group) => this.#teller.note(group));
      if (entry) this.#binder.add(entry);
      else if (!this.#core.queue.isReady) return;
    }
  }

  async #followLoads(signal: AbortSignal): Promise<void> {
    const { client, clock, logger } = this.#options;
    let spanAt = clock.monotonic();
    let failures = 0;
    let pauseMs = this.#limits.loadsMs;
    while (!signal.aborted) {
      try {
        const { names, ageMs, cpuMilli, memoryBytes } = await client.nodeLoadDigest();
        const loads: MeasuredLoad[] = [];
        names.forEach((name, i) => {
          if (ageMs[i]! <= loadAgeMaxMs) loads.push({ name, cpu: cpuMilli[i]!, memory: memoryBytes[i]! * 1000 });
        });
        this.#core.setLoads(loads);
        pauseMs = Math.max(this.#limits.loadsMs, names.length * loadsMsPerNode);
        failures = 0;
      } catch (error) {
        if (++failures === 1) logger.warn('measured loads of nodes are not available; choosing nodes by requests alone until they are', { error });
      }
      if (clock.monotonic() - spanAt >= spanMs) {
        spanAt = clock.monotonic();
        this.#core.snapshot.nextSpan();
      }
      await sleep(clock, pauseMs, signal);
    }
  }
}
