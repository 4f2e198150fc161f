// status-writer.ts
//
// Brings reports to the API server: the newest report of each task wins, one request carries those of many tasks, at most
// one request is under way, and it is sent at once when none is. While the server is away, reports wait (and are
// overtaken by newer ones) and are sent again for ever, with growing delays.
//
// Of tasks that begin in quick succession, that they run is kept back for a moment: many of them will have ended by then,
// and one report says it all, which is one write instead of two, and one change less for everybody who watches. A few of
// them, and every other report, are sent at once.
//
// Events that wait to be sent go along: they are about the same tasks, and a request that carries both costs half of two.
//
// A report is settled when the server took it or refused it. One that was overtaken settles with the report that overtook
// it: what counts is that the server knows the newest.

import type { EventCargo } from '../client/event-recorder.js';
import { bulkItemsMax, bulkPaths, type BulkOutcome, type StatusBulk } from '../api/protocol.js';
import type { TaskReport } from '../api/task-status.js';
import { jitteredBackoffMs, reconnectBackoff } from '../lib/backoff.js';
import { sleep, type Clock, type Timer } from '../lib/clock.js';
import { Deferred } from '../lib/deferred.js';
import type { Logger } from '../lib/log.js';
import type { Random } from '../lib/random.js';
import type { Service } from '../lib/service.js';
import { pauseAfterMs } from './report-pace.js';

/** `refused`: the attempt is over as far as the cluster is concerned; its process must not go on. */
export type Settlement = 'accepted' | 'refused';

interface Waiting {
  report: TaskReport;
  settled: Deferred<Settlement>;
  /** Monotonic: not to be sent before. */
  dueAt: number;
}

/** Reports that a task runs: this many at once, then this many per second; those beyond are kept back. */
const promptBurst = 20;
const promptPerSecond = 20;
const heldMs = 150;
/** As many events as go along with reports; more have their own request. */
const eventsMax = 200;

export interface StatusWriterOptions {
  nodeName: string;
  /** By which a watch knows what need not be told back (api/protocol.ts, StatusBulk). */
  reporter?: string;
  bulk(path: string, body: object): Promise<BulkOutcome[]>;
  /** What waits to be told besides. */
  events?: { take(max: number): EventCargo | undefined };
  clock: Clock;
  random: Random;
  logger: Logger;
}

export class StatusWriter implements Service {
  readonly name = 'status writer';
  readonly #options: StatusWriterOptions;
  readonly #waiting = new Map<string, Waiting>();
  #wake = new Deferred<void>();
  #sending = 0;
  #idle = new Deferred<void>();
  #prompt = promptBurst;
  #promptAt = 0;
  /** When the first of those that are kept back is due. */
  #timer: Timer | undefined;
  /** Monotonic: there is no request before. */
  #notBefore = 0;

  constructor(options: StatusWriterOptions) {
    this.#options = options;
    this.#idle.resolve();
  }

  /** Resolves when the server has taken or refused this report or a newer one of the same task; never when the writer stops first. */
  submit(report: TaskReport): Promise<Settlement> {
    if (this.#waiting.size === 0 && this.#sending === 0) this.#idle = new Deferred();
    const key = report.uid;
    const overtaken = this.#waiting.get(key);
    const settled = overtaken?.settled ?? new Deferred<Settlement>();
    const now = this.#options.clock.monotonic();
    const dueAt = report.phase === 'Running' && !this.#isPrompt(now) ? Math.min(now + heldMs, overtaken?.dueAt ?? Infinity) : now;
    this.#waiting.set(key, { report, settled, dueAt });
    if (dueAt <= now) this.#wake.resolve();
    else this.#timer ??= this.#options.clock.timer(heldMs, () => this.#ring(), { unref: true });
    return settled.promise;
  }

  /** Reports that the server has not taken yet. */
  get size(): number {
    return this.#waiting.size + this.#sending;
  }

  /** Resolves when nothing waits to be sent. */
  get idle(): Promise<void> {
    return this.#idle.promise;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, logger } = this.#options;
    const stop = (): void => this.#wake.resolve();
    signal.addEventListener('abort', stop);
    for (let failures = 0; !signal.aborted; ) {
      const pauseMs = this.#waiting.size > 0 ? this.#notBefore - clock.monotonic() : 0;
      if (pauseMs > 0) await sleep(clock, pauseMs, signal);
      if (signal.aborted) break;
      const batch = this.#due();
      if (batch.length === 0) {
        await this.#wake.promise;
        this.#wake = new Deferred();
        // Reports of the same turn of the event loop travel together.
        await new Promise((resolve) => setImmediate(resolve));
        continue;
      }
      // What was not taken goes without them next time, lest they be what is wrong.
      const failed = await this.#send(batch, failures === 0 ? this.#options.events?.take(eventsMax) : undefined);
      failures = failed === undefined ? 0 : failures + 1;
      if (failed === undefined) continue;
      const delayMs = jitteredBackoffMs(reconnectBackoff, failures, random);
      const log = failures > 3 ? logger.warn : logger.debug;
      log.call(logger, 'the API server does not take reports; they are kept and sent again', { waiting: this.#waiting.size, delayMs: Math.round(delayMs), error: failed });
      await sleep(clock, delayMs, signal);
    }
    signal.removeEventListener('abort', stop);
    this.#timer?.cancel();
  }

  /** A token bucket: refilled by time, emptied by reports that a task runs. */
  #isPrompt(now: number): boolean {
    this.#prompt = Math.min(promptBurst, this.#prompt + ((now - this.#promptAt) * promptPerSecond) / 1_000);
    this.#promptAt = now;
    if (this.#prompt < 1) return false;
    this.#prompt--;
    return true;
  }

  #ring(): void {
    this.#timer = undefined;
    this.#wake.resolve();
  }

  /** What is to be sent now; sees to being woken for the rest. */
  #due(): [string, Waiting][] {
    const { clock } = this.#options;
    const now = clock.monotonic();
    const due: [string, Waiting][] = [];
    let next = Infinity;
    for (const each of this.#waiting) {
      if (each[1].dueAt > now) next = Math.min(next, each[1].dueAt);
      else if (due.push(each) === bulkItemsMax) return due;
    }
    if (next < Infinity) this.#timer ??= clock.timer(next - now, () => this.#ring(), { unref: true });
    return due;
  }

  /** @returns what went wrong, if the server is to be left alone for a while */
  async #send(batch: readonly [string, Waiting][], cargo: EventCargo | undefined): Promise<unknown> {
    for (const [key] of batch) this.#waiting.delete(key);
    this.#sending = batch.length;
    const sentAt = this.#options.clock.monotonic();
    let failed: unknown;
    try {
      const { nodeName, reporter } = this.#options;
      const body: StatusBulk = { nodeName, items: batch.map(([, { report }]) => report), ...(reporter === undefined ? {} : { reporter }), ...(cargo ? { events: cargo.items } : {}) };
      const outcomes = await this.#options.bulk(bulkPaths.status, body);
      cargo?.told(outcomes.slice(batch.length));
      batch.forEach(([key, waiting], index) => {
        failed = this.#settle(key, waiting, outcomes[index]) ?? failed;
      });
    } catch (error) {
      failed = error;
      cargo?.told(undefined);
      for (const [key, waiting] of batch) this.#putBack(key, waiting);
    }
    this.#sending = 0;
    const now = this.#options.clock.monotonic();
    this.#notBefore = now + pauseAfterMs(now - sentAt);
    if (this.#waiting.size === 0) this.#idle.resolve();
    return failed;
  }

  #settle(key: string, waiting: Waiting, outcome: BulkOutcome | undefined): unknown {
    const { report } = waiting;
    if (!outcome || outcome.code >= 500 || outcome.code === 429) {
      this.#putBack(key, waiting);
      return outcome?.status?.message ?? 'no outcome for a report';
    }
    if (outcome.code < 300) {
      waiting.settled.resolve('accepted');
      return undefined;
    }
    const fields = { task: `${report.namespace}/${report.name}`, attempt: report.attempt, phase: report.phase, why: outcome.status?.message };
    if (outcome.code === 404 || outcome.code === 409) this.#options.logger.info('report refused: the attempt is over for the cluster, its process is stopped', fields);
    else this.#options.logger.error('report refused as invalid: its process is stopped; agent and API server may be of different versions', { ...fields, code: outcome.code });
    // A newer report of the same attempt would be refused too, but it may be one of the next binding.
    waiting.settled.resolve('refused');
    return undefined;
  }

  #putBack(key: string, waiting: Waiting): void {
    const newer = this.#waiting.get(key);
    if (newer) void newer.settled.promise.then((settlement) => waiting.settled.resolve(settlement));
    else this.#waiting.set(key, waiting);
  }
}
