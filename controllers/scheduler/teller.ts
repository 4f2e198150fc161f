// teller.ts
//
// Tells people why tasks wait: the condition Scheduled=False of each, and an event. Deciding never waits for it, and it
// never floods the store:
//
//   - a task is told once it has waited a moment; tasks that are about to be bound are told nothing: neither are those of a
//     group that others leave so fast that it will be their turn soon; and of the rest of such a group only a few at a time
//   - the words are found once per group of tasks with the same demand, and only a share of the time goes into that
//   - tasks that were told before are told again when the words have changed, at growing intervals, longer ones for large
//     groups, newest words only
//   - everything together stays below a rate, in few requests

import { statusCodes } from '../../api/errors.js';
import { bulkPaths, type SchedulingBulk } from '../../api/protocol.js';
import type { ApiClient } from '../../client/api-client.js';
import type { EventRecorder } from '../../client/event-recorder.js';
import { jitteredBackoffMs, reconnectBackoff } from '../../lib/backoff.js';
import { sleep, type Clock } from '../../lib/clock.js';
import type { Logger } from '../../lib/log.js';
import type { Random } from '../../lib/random.js';
import type { Service } from '../../lib/service.js';
import { Alarm, nextTurn } from './alarm.js';
import type { Entry, SchedulerCore } from './core.js';
import { explain } from './explain.js';
import { IndexedHeap, type HeapItem } from './indexed-heap.js';
import type { Group } from './pending-queue.js';

export interface TellerLimits {
  /** From the moment a task is found to fit nowhere. */
  settleMs: number;
  /** Tasks told per second, and at once after a quiet time. */
  perSecond: number;
  burst: number;
  /** Between two different messages to the same task; doubles up to the maximum while messages keep changing. */
  intervalMs: number;
  intervalMaxMs: number;
  /** Tasks of a group that get an event beside the condition. */
  eventsMax: number;
}

export const defaultTellerLimits: TellerLimits = { settleMs: 500, perSecond: 500, burst: 1_000, intervalMs: 10_000, intervalMaxMs: 300_000, eventsMax: 20 };

const batchMax = 1_000;
/** While more is to be told than the rate allows. */
const requestsPerSecond = 2;
/** Tasks of a group that hear again when its words have changed, and of one that tasks leave, per second on average: what a change on some node costs does not grow with the backlog. */
const changesPerSecond = 50;
/** Milliseconds in one go. */
const turnMs = 3;
/** Whose turn comes within this, at the rate at which tasks leave the group, is told nothing. */
const soonMs = 10_000;
/** Finding words takes at most one part in so many of the time. */
const explainShare = 8;

/** What a group has been told. */
interface Telling extends HeapItem {
  readonly group: Group<Entry>;
  dueAt: number;
  order: number;
  message: string | undefined;
  /** Position in the snapshot's log when the words were found; while it stands there, they are still right. */
  seen: number;
  /** Noted since. */
  hasNew: boolean;
  /** Before this, tasks that know an older message are left alone. */
  changeAt: number;
  intervalMs: number;
  /** Of the group, when it was last looked at; at first none, so that one that tasks left before it was parked gets a second look. */
  left: number;
  leftAt: number;
}

export interface TellerOptions {
  client: Pick<ApiClient, 'bulk'>;
  core: SchedulerCore;
  recorder: Pick<EventRecorder, 'record'>;
  clock: Clock;
  random: Random;
  logger: Logger;
  limits?: Partial<TellerLimits>;
}

export class Teller implements Service {
  readonly name = 'scheduler teller';
  readonly #options: TellerOptions;
  readonly #limits: TellerLimits;
  readonly #alarm: Alarm;
  readonly #tellings = new WeakMap<Group<Entry>, Telling>();
  readonly #due = new IndexedHeap<Telling>((a, b) => a.dueAt < b.dueAt || (a.dueAt === b.dueAt && a.order < b.order));
  #outbox: { entry: Entry; message: string }[] = [];
  #order = 0;
  #allowance: number;
  #allowanceAt: number;
  #explainAt = 0;

  constructor(options: TellerOptions) {
    this.#options = options;
    this.#limits = { ...defaultTellerLimits, ...options.limits };
    this.#alarm = new Alarm(options.clock);
    this.#allowance = this.#limits.burst;
    this.#allowanceAt = options.clock.monotonic();
  }

  /** The group was found to fit nowhere, or got a task while it did. */
  note(group: Group<Entry>): void {
    const now = this.#options.clock.monotonic();
    const soon = now + this.#limits.settleMs;
    const telling = this.#tellings.get(group);
    if (!telling) {
      const first: Telling = { heapIndex: -1, group, dueAt: soon, order: this.#order++, message: undefined, seen: -1, hasNew: true, changeAt: 0, intervalMs: this.#limits.intervalMs, left: 0, leftAt: now };
      this.#tellings.set(group, first);
      this.#due.push(first);
    } else {
      telling.hasNew = true;
      if (telling.heapIndex < 0) this.#schedule(telling, soon);
      else if (soon >= telling.dueAt) return;
      else {
        telling.dueAt = soon;
        this.#due.moved(telling);
      }
    }
    this.#alarm.ring();
  }

  async run(signal: AbortSignal): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      this.#findWords();
      if (this.#outbox.length > 0 && this.#refill() >= this.#worthwhile()) {
        failures = (await this.#send()) ? 0 : failures + 1;
        if (failures > 0) await sleep(this.#options.clock, jitteredBackoffMs(reconnectBackoff, failures, this.#options.random), signal);
      }
      const at = this.#nextAt();
      if (at <= this.#options.clock.monotonic()) await nextTurn();
      else await this.#alarm.wait(signal, at);
    }
  }

  #nextAt(): number {
    const { clock } = this.#options;
    const words = this.#outbox.length < batchMax && this.#due.first ? Math.max(this.#due.first.dueAt, this.#explainAt) : Infinity;
    if (this.#outbox.length === 0) return words;
    const missing = this.#worthwhile() - this.#refill();
    return Math.min(words, missing <= 0 ? clock.monotonic() : clock.monotonic() + (missing / this.#limits.perSecond) * 1000);
  }

  /** Tasks that a request is sent for: the rate comes in a few requests a second, not in one request per task. */
  #worthwhile(): number {
    const { perSecond, burst } = this.#limits;
    return Math.max(1, Math.min(this.#outbox.length, burst, perSecond / requestsPerSecond));
  }

  /** Finds what to tell the groups that are due. */
  #findWords(): void {
    const { clock, core } = this.#options;
    const startedAt = clock.monotonic();
    if (startedAt < this.#explainAt) return;
    let now = startedAt;
    for (let first = this.#due.first; first && first.dueAt <= now && this.#outbox.length < batchMax && now - startedAt < turnMs; first = this.#due.first) {
      this.#due.remove(first);
      const { group } = first;
      if (core.queue.groupOf(group.demand) !== group || !group.isParked) continue;
      const seen = core.snapshot.touched.end;
      const soon = aboutToLeave(first, now);
      if (soon < group.tasks.size && (first.seen !== seen || first.message === undefined || first.hasNew)) this.#tell(first, explain(group.demand, core.snapshot), now, soon);
      first.seen = seen;
      first.hasNew = soon > 0;
      now = clock.monotonic();
      this.#schedule(first, soon > 0 ? now + this.#limits.settleMs : Math.max(first.changeAt, now + this.#limits.intervalMs));
    }
    this.#explainAt = now + (now - startedAt) * (explainShare - 1);
  }

  /** @param soon tasks, first in order, that are told nothing; none when tasks do not leave the group */
  #tell(telling: Telling, message: string, now: number, soon: number): void {
    const { group } = telling;
    const mayChange = now >= telling.changeAt;
    let changes = 0;
    let events = this.#limits.eventsMax;
    let position = 0;
    let most = soon > 0 ? (changesPerSecond * this.#limits.settleMs) / 1_000 : Infinity;
    for (const entry of group.tasks.values()) {
      // The heap's own order, which is about that of the queue.
      if (position++ < soon) continue;
      if (entry.told === message) continue;
      if (entry.told !== undefined && !mayChange) continue;
      if (--most < 0) break;
      if (entry.told !== undefined) changes++;
      entry.told = message;
      this.#outbox.push({ entry, message });
      if (events-- > 0) this.#options.recorder.record(entry.task, 'Warning', 'FailedScheduling', message);
    }
    if (changes > 0) telling.intervalMs = Math.min(this.#limits.intervalMaxMs, telling.intervalMs * 2);
    if (message !== telling.message && mayChange) telling.changeAt = now + Math.max(telling.intervalMs, Math.min(this.#limits.intervalMaxMs, (group.tasks.size / changesPerSecond) * 1000));
    if (mayChange) telling.message = message;
  }

  #schedule(telling: Telling, at: number): void {
    telling.dueAt = at;
    telling.order = this.#order++;
    this.#due.push(telling);
  }

  /** How many tasks may be told now. */
  #refill(): number {
    const now = this.#options.clock.monotonic();
    const { perSecond, burst } = this.#limits;
    this.#allowance = Math.min(burst, this.#allowance + ((now - this.#allowanceAt) / 1000) * perSecond);
    this.#allowanceAt = now;
    return this.#allowance;
  }

  /** Returns whether the server took the request. */
  async #send(): Promise<boolean> {
    const { client, core, logger } = this.#options;
    const size = Math.min(batchMax, Math.floor(this.#allowance));
    const batch = this.#outbox.splice(0, size).filter(({ entry, message }) => core.entry(entry.key) === entry && entry.state === 'waiting' && entry.told === message);
    if (batch.length === 0) return true;
    this.#allowance -= batch.length;
    const body: SchedulingBulk = {
      items: batch.map(({ entry, message }) => ({ namespace: entry.task.metadata.namespace ?? 'default', name: entry.task.metadata.name ?? '', uid: entry.uid, reason: 'Unschedulable', message })),
    };
    try {
      const outcomes = await client.bulk(bulkPaths.unschedulable, body);
      batch.forEach(({ entry }, index) => {
        const code = outcomes[index]?.code ?? 0;
        if (code === statusCodes.TooManyRequests || code >= 500) this.#notTold(entry);
      });
      return true;
    } catch (error) {
      logger.warn('tasks could not be told why they wait; trying again', { tasks: batch.length, error });
      this.#outbox = [...batch, ...this.#outbox];
      return false;
    }
  }

  #notTold(entry: Entry): void {
    entry.told = undefined;
    const group = this.#options.core.queue.groupOf(entry.demand);
    if (group?.isParked) this.note(group);
  }
}

/** How many tasks of the group will be gone soon, if they leave on as they did since it was last looked at. */
function aboutToLeave(telling: Telling, now: number): number {
  const { left, leftAt, group } = telling;
  telling.left = group.left;
  telling.leftAt = now;
  return now > leftAt ? Math.ceil(((group.left - left) / (now - leftAt)) * soonMs) : 0;
}
