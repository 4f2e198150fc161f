// binder.ts
//
// Sends bindings, many in one request and several requests at once, so that deciding never waits for the store: while
// requests are under way the next decisions gather, and the store's speed sets the size of the batch.
//
//   outcome of an item                 what becomes of the assumption
//   success                            stays until the informer shows the task bound
//   refused (conflict, gone, …)        dropped; the task is read again (rereader.ts), and keeps its room until then
//   item or request failed, unknown    stays; the same binding is sent again. If the first one did arrive, the server
//                                      refuses the second, and nothing is bound twice
//   request surely not carried out     stays likewise: it is the server that is in trouble, not the choice of node

import { ApiError, statusCodes } from '../../api/errors.js';
import { bulkPaths, type BindingBulk, type BulkOutcome } from '../../api/protocol.js';
import type { ApiClient } from '../../client/api-client.js';
import type { EventRecorder } from '../../client/event-recorder.js';
import { jitteredBackoffMs, reconnectBackoff } from '../../lib/backoff.js';
import type { Clock, Timer } from '../../lib/clock.js';
import type { Logger } from '../../lib/log.js';
import type { Random } from '../../lib/random.js';
import type { Entry, SchedulerCore } from './core.js';
import { allows } from './filter.js';

export interface BinderLimits {
  /** Bindings in one request. */
  batchMax: number;
  /** Requests under way at once. */
  requestsMax: number;
}

export interface BinderOptions {
  client: Pick<ApiClient, 'bulk'>;
  core: SchedulerCore;
  recorder: Pick<EventRecorder, 'record'>;
  clock: Clock;
  random: Random;
  logger: Logger;
  limits: BinderLimits;
  /** The task of a dropped assumption: to be read again. */
  refused(entry: Entry): void;
  /** Something has changed: there may be room to decide more, or a pause is over. */
  changed(): void;
}

export class Binder {
  readonly #options: BinderOptions;
  /** Decided, not sent yet, in order. */
  #outbox: Entry[] = [];
  readonly #underWay = new Set<Promise<void>>();
  /** Sent, and perhaps bound: the outcome is not known. */
  readonly #unsure = new WeakSet<Entry>();
  #failures = 0;
  /** Set after failures; nothing is sent before it fires. */
  #pause: Timer | undefined;
  /** Bindings that the server took. */
  boundTotal = 0;
  /** Bindings that the server refused. */
  refusedTotal = 0;

  constructor(options: BinderOptions) {
    this.#options = options;
  }

  /** Decisions run ahead of the requests by one full batch, no more: what comes later may be more important. */
  get hasRoom(): boolean {
    return this.#outbox.length < this.#options.limits.batchMax;
  }

  get waiting(): number {
    return this.#outbox.length;
  }

  add(entry: Entry): void {
    this.#outbox.push(entry);
  }

  /** Sends what is ready, as far as the limits allow. */
  flush(signal: AbortSignal): void {
    const { limits } = this.#options;
    while (this.#outbox.length > 0 && this.#underWay.size < limits.requestsMax && !this.#pause && !signal.aborted) {
      const batch = this.#outbox.splice(0, limits.batchMax).filter((entry) => this.#isStillRight(entry));
      if (batch.length === 0) continue;
      const sending = this.#send(batch).finally(() => {
        this.#underWay.delete(sending);
        this.#options.changed();
      });
      this.#underWay.add(sending);
    }
  }

  /** Resolves when no request is under way and no timer waits; to be called when nothing is sent any more. */
  async end(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
    this.#pause?.cancel();
  }

  /** A task may have gone and a node may have been lost, cordoned or tainted since the decision. */
  #isStillRight(entry: Entry): boolean {
    const { core } = this.#options;
    if (!core.isAssumed(entry)) return false;
    // The slot is its node's for as long as something holds room there.
    const node = core.snapshot.nodeAt(entry.slot);
    if (node && allows(entry.demand.constraints, node)) return true;
    if (this.#unsure.has(entry)) this.#drop([entry]);
    else core.requeue(entry);
    return false;
  }

  async #send(batch: readonly Entry[]): Promise<void> {
    const { client, logger } = this.#options;
    const body: BindingBulk = {
      items: batch.map(({ task: { metadata }, uid, nodeName }) => ({
        namespace: metadata.namespace ?? 'default',
        name: metadata.name ?? '',
        uid,
        nodeName,
        ...(metadata.generation === undefined ? {} : { generation: metadata.generation }),
      })),
    };
    // The node that each entry was sent to: an entry may be assumed elsewhere by the time the answer is here.
    const nodeNames = batch.map((entry) => entry.nodeName);
    try {
      const outcomes = await client.bulk(bulkPaths.bind, body);
      this.#take(batch, nodeNames, outcomes);
    } catch (error) {
      if (error instanceof ApiError && isOurFault(error.code)) {
        logger.error('the server does not take a request to bind tasks; reading the tasks again', { bindings: batch.length, error });
        return this.#drop(batch);
      }
      logger.warn('bindings could not be sent; sending them again', { bindings: batch.length, failures: this.#failures + 1, error });
      this.#sendAgain(batch);
    }
  }

  #take(batch: readonly Entry[], nodeNames: readonly string[], outcomes: readonly BulkOutcome[]): void {
    const { core, recorder, logger } = this.#options;
    const failed: Entry[] = [];
    let refused = 0;
    let example: string | undefined;
    batch.forEach((entry, index) => {
      const outcome = outcomes[index];
      const isCurrent = core.isAssumed(entry) && entry.nodeName === nodeNames[index];
      if (outcome && outcome.code < 400) {
        this.boundTotal++;
        recorder.record(entry.task, 'Normal', 'Scheduled', `bound to node ${nodeNames[index]!}`);
      } else if (!outcome || isUnknown(outcome.code)) {
        example ??= outcome?.status?.message ?? 'the server gave no outcome';
        if (isCurrent) failed.push(entry);
      } else {
        refused++;
        example ??= outcome.status?.message;
        if (isCurrent) this.#drop([entry]);
      }
    });
    this.refusedTotal += refused;
    if (refused > 0) logger.info('bindings were refused; reading the tasks again', { refused, sent: batch.length, example });
    if (failed.length > 0) {
      logger.warn('bindings failed; sending them again', { failed: failed.length, sent: batch.length, failures: this.#failures + 1, example });
      this.#sendAgain(failed);
    } else this.#failures = 0;
  }

  #drop(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (!this.#options.core.isAssumed(entry)) continue;
      this.#unsure.delete(entry);
      this.#options.core.drop(entry);
      this.#options.refused(entry);
    }
  }

  #sendAgain(batch: readonly Entry[]): void {
    const { clock, random } = this.#options;
    for (const entry of batch) this.#unsure.add(entry);
    this.#outbox = [...batch, ...this.#outbox];
    this.#failures++;
    this.#pause?.cancel();
    this.#pause = clock.timer(jitteredBackoffMs(reconnectBackoff, this.#failures, random), () => {
      this.#pause = undefined;
      this.#options.changed();
    });
  }
}

/** Whether sending the same request again can only fail again. */
function isOurFault(code: number): boolean {
  return code === statusCodes.BadRequest || code === statusCodes.RequestEntityTooLarge || code === statusCodes.Invalid;
}

/** Whether the write may or may not have happened, or was put off: 429 and everything that is the server's fault. */
function isUnknown(code: number): boolean {
  return code === statusCodes.TooManyRequests || code >= 500;
}
