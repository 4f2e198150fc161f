// event-recorder.ts
//
// Tells people what happened, without ever getting in the way of what happens. What is recorded waits in a small buffer,
// where the same words about the same object become one event with a count; one request carries the buffer every
// `flushMs`, unless another that is under way anyhow takes it along first. When it is full, or Normal events come faster than the allowance, events are dropped and counted.

import type { KubeObject } from '../api/meta.js';
import { timestamp } from '../api/meta.js';
import { ApiError } from '../api/errors.js';
import { bulkItemsMax, bulkPaths, type BulkOutcome, type EventBulk, type EventItem } from '../api/protocol.js';
import { backoffMs, reconnectBackoff } from '../lib/backoff.js';
import { sleep, type Clock } from '../lib/clock.js';
import { Deferred } from '../lib/deferred.js';
import type { Logger } from '../lib/log.js';
import type { Service } from '../lib/service.js';
import type { ApiClient } from './api-client.js';

/** Events that wait to be sent. */
const waitingMax = 2_000;
/** Normal events: this many at once, then this many per second. Warnings always pass. */
const burst = 200;
const perSecond = 20;
const flushMs = 200;
/** What is still to be told when the component stops has this long to get out. */
const farewellMs = 2_000;
const messageLengthMax = 1_024;

/** Events that travel with a request of somebody else's. */
export interface EventCargo {
  readonly items: EventItem[];
  /** To be called once: what became of each, undefined when that is not known. */
  told(outcomes: readonly BulkOutcome[] | undefined): void;
}

export class EventRecorder implements Service {
  readonly name = 'event recorder';
  readonly #options: { client: ApiClient; component: string; host?: string; clock: Clock; logger: Logger };
  #waiting = new Map<string, EventItem>();
  #wake = new Deferred<void>();
  #allowance = burst;
  #allowanceAtMs: number;
  #dropped = 0;

  constructor(options: { client: ApiClient; component: string; host?: string; clock: Clock; logger: Logger }) {
    this.#options = options;
    this.#allowanceAtMs = options.clock.monotonic();
  }

  /** Events that were dropped since the start: buffer full, rate exceeded, or refused by the server. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Never throws and never waits. */
  record(object: KubeObject, type: 'Normal' | 'Warning', reason: string, message: string): void {
    const { namespace, name = '', uid = '' } = object.metadata;
    const key = `${uid}\n${namespace}\n${name}\n${type}\n${reason}\n${message}`;
    const { clock, component, host } = this.#options;
    const same = this.#waiting.get(key);
    if (same) {
      same.count++;
      same.lastTimestamp = timestamp(clock.now());
      return;
    }
    if (this.#waiting.size >= waitingMax || (type === 'Normal' && !this.#allowed())) {
      this.#dropped++;
      return;
    }
    const now = timestamp(clock.now());
    this.#waiting.set(key, {
      namespace: namespace ?? 'default',
      involvedObject: { apiVersion: object.apiVersion, kind: object.kind, ...(namespace ? { namespace } : {}), name, uid },
      type,
      reason,
      message: message.length > messageLengthMax ? `${message.slice(0, messageLengthMax - 1)}…` : message,
      component,
      ...(host ? { host } : {}),
      count: 1,
      firstTimestamp: now,
      lastTimestamp: now,
    });
    this.#wake.resolve();
  }

  /** All that waits, to be sent by the caller; undefined when that is nothing, or more than `max`. */
  take(max: number): EventCargo | undefined {
    const taken = this.#waiting;
    if (taken.size === 0 || taken.size > max) return undefined;
    this.#waiting = new Map();
    const items = [...taken.values()];
    return {
      items,
      told: (outcomes) => {
        if (outcomes?.length === items.length) return this.#told(outcomes);
        this.#keep(taken);
        this.#wake.resolve();
      },
    };
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options;
    const stopped = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
    let failures = 0;
    while (!signal.aborted) {
      await Promise.race([this.#wake.promise, stopped]);
      this.#wake = new Deferred();
      if (this.#waiting.size === 0) continue;
      await sleep(clock, failures > 0 ? backoffMs(reconnectBackoff, failures) : flushMs, signal);
      if (signal.aborted) break;
      failures = (await this.#send()) ? 0 : failures + 1;
      if (this.#waiting.size > 0) this.#wake.resolve();
    }
    if (this.#waiting.size > 0) {
      const done = new AbortController();
      await Promise.race([this.#send().finally(() => done.abort()), sleep(clock, farewellMs, done.signal)]);
    }
    if (this.#dropped > 0) logger.info('events were dropped: too many at once, or refused', { dropped: this.#dropped });
  }

  /** Sends what waits. False when the server could not be reached: it waits again. */
  async #send(): Promise<boolean> {
    const { client, logger } = this.#options;
    const sent = this.#waiting;
    this.#waiting = new Map();
    const items = [...sent.values()];
    try {
      for (let at = 0; at < items.length; at += bulkItemsMax) {
        const body: EventBulk = { items: items.slice(at, at + bulkItemsMax) };
        this.#told(await client.bulk(bulkPaths.events, body));
      }
      return true;
    } catch (error) {
      const again = !(error instanceof ApiError) || error.code === 429 || error.code >= 500;
      if (again) {
        this.#keep(sent);
      } else {
        this.#dropped += items.length;
      }
      logger.debug('cannot send events', { events: items.length, tryingAgain: again, why: error instanceof Error ? error.message : String(error) });
      return !again;
    }
  }

  #told(outcomes: readonly BulkOutcome[]): void {
    const refused = outcomes.filter((outcome) => outcome.code >= 400);
    this.#dropped += refused.length;
    if (refused[0]) this.#options.logger.debug('events were refused', { events: refused.length, why: refused[0].status?.message });
  }

  /** Puts back what could not be sent, before and together with what came meanwhile. */
  #keep(unsent: Map<string, EventItem>): void {
    for (const [key, item] of this.#waiting) {
      const same = unsent.get(key);
      if (same) {
        same.count += item.count;
        same.lastTimestamp = item.lastTimestamp;
      } else if (unsent.size < waitingMax) {
        unsent.set(key, item);
      } else {
        this.#dropped++;
      }
    }
    this.#waiting = unsent;
  }

  /** A token bucket: refilled by time, emptied by Normal events. */
  #allowed(): boolean {
    const nowMs = this.#options.clock.monotonic();
    this.#allowance = Math.min(burst, this.#allowance + ((nowMs - this.#allowanceAtMs) * perSecond) / 1_000);
    this.#allowanceAtMs = nowMs;
    if (this.#allowance < 1) return false;
    this.#allowance--;
    return true;
  }
}
