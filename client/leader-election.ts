// leader-election.ts
//
// Of many candidates at most one leads, by a Lease that it renews.
//
//             nobody has it, or it was silent for its time       renewed in time
//   follower ──────────────────────────────────────────► leader ◄──────┐
//      ▲                                                    └──────────┘
//      └─── somebody else has it, or it could not be renewed in time
//
// Time is measured, never compared between machines. A follower counts from when it saw the lease change; the leader
// counts from when it sent the renewal, which is earlier. A follower waits the whole duration, the leader goes after 4/5 of
// it: as long as clocks run at rates within 10 % of true, the leader has stopped before anyone else may start.

import { setMaxListeners } from 'node:events';
import { isReason, type ApiError } from '../api/errors.js';
import { leaseKind, type Lease } from '../api/lease.js';
import { microTimestamp } from '../api/meta.js';
import { sleep, type Clock, type Timer } from '../lib/clock.js';
import type { Logger } from '../lib/log.js';
import type { Random } from '../lib/random.js';
import type { Service } from '../lib/service.js';
import type { ApiClient } from './api-client.js';

export interface LeaderElectionOptions {
  client: ApiClient;
  /** Name of the Lease. */
  name: string;
  /** Default kube-system. */
  namespace?: string;
  /** Names this run of this process; never used again by another run. */
  identity: string;
  /** How long the lease lasts without renewal; at least 1,000. Default 4,000. */
  leaseDurationMs?: number;
  /** Default a fifth of the duration. */
  renewMs?: number;
  /** Works until the signal aborts. When it ends by itself or fails, the election ends too. */
  lead(signal: AbortSignal): Promise<void>;
  clock: Clock;
  random: Random;
  logger: Logger;
}

const provenShare = 0.8;
/** What is said where nobody chooses: a leader that dies is followed within five seconds. */
export const leaseDurationMsDefault = 4_000;

export class LeaderElection implements Service {
  readonly name: string;
  readonly #options: LeaderElectionOptions;
  readonly #namespace: string;
  readonly #durationMs: number;
  readonly #renewMs: number;
  readonly #logger: Logger;
  /** The lease as last seen, and when (monotonic) it was first seen so. */
  #observed: { lease: Lease; atMs: number } | undefined;
  /** Monotonic time until which nobody else can have taken the lease; 0 when it is not ours. */
  #provenUntilMs = 0;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.name = `leader election ${options.name}`;
    this.#namespace = options.namespace ?? 'kube-system';
    this.#durationMs = Math.max(1_000, options.leaseDurationMs ?? leaseDurationMsDefault);
    this.#renewMs = options.renewMs ?? this.#durationMs / 5;
    this.#logger = options.logger.child({ lease: `${this.#namespace}/${options.name}`, identity: options.identity });
  }

  /** Whether leadership can be proven right now. Ask before a write: a process that was frozen may have lost it unaware. */
  get leads(): boolean {
    return this.#options.clock.monotonic() < this.#provenUntilMs;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (await this.#tryAcquire(signal)) {
        const ended = await this.#lead(signal);
        if (ended) return;
      } else {
        await sleep(this.#options.clock, this.#untilNextTry(), signal);
      }
    }
  }

  /** True when the lease is ours. Never throws: a follower that cannot reach the server stays a follower. */
  async #tryAcquire(signal: AbortSignal): Promise<boolean> {
    const { client, name, clock } = this.#options;
    try {
      let lease: Lease;
      try {
        lease = await client.get(leaseKind, name, this.#namespace);
      } catch (error) {
        if (!isReason(error, 'NotFound') || signal.aborted) throw error;
        return await this.#write(this.#newLease());
      }
      // A resourceVersion is never used again: the same one is the same lease, unchanged.
      if (this.#observed?.lease.metadata.resourceVersion !== lease.metadata.resourceVersion) {
        this.#logger.debug('the lease has changed', { holder: lease.spec?.holderIdentity });
        this.#observed = { lease, atMs: clock.monotonic() };
      }
      if (signal.aborted || !this.#isFree(lease, this.#observed?.atMs ?? clock.monotonic())) return false;
      return await this.#write(this.#taken(lease));
    } catch (error) {
      if (!isReason(error, 'Conflict', 'AlreadyExists') && !signal.aborted) {
        this.#logger.warn('cannot read or write the lease; staying a follower', { why: messageOf(error) });
      }
      return false;
    }
  }

  #isFree(lease: Lease, sinceMs: number): boolean {
    if (!lease.spec?.holderIdentity) return true;
    return this.#options.clock.monotonic() >= sinceMs + this.#heldMs(lease);
  }

  /** How long the lease stands when it does not change. */
  #heldMs({ spec }: Lease): number {
    return Math.max((spec?.leaseDurationSeconds ?? 0) * 1_000, this.#durationMs);
  }

  /** Leads until told to stop, or until leadership is lost. True when the election is over. */
  async #lead(signal: AbortSignal): Promise<boolean> {
    const { clock, lead, logger } = this.#options;
    this.#logger.info('leading');
    const stop = new AbortController();
    const ending = AbortSignal.any([signal, stop.signal]);
    setMaxListeners(0, ending);
    let deadline: Timer | undefined;
    const watchDeadline = (): void => {
      const leftMs = this.#provenUntilMs - clock.monotonic();
      if (leftMs <= 0) stop.abort();
      else deadline = clock.timer(Math.ceil(leftMs), watchDeadline);
    };
    watchDeadline();
    const renewing = this.#renew(stop, ending);
    try {
      await lead(ending);
      return !stop.signal.aborted;
    } finally {
      deadline?.cancel();
      stop.abort();
      await renewing;
      if (this.leads) await this.#release();
      this.#provenUntilMs = 0;
      logger.info('no longer leading');
    }
  }

  async #renew(stop: AbortController, ending: AbortSignal): Promise<void> {
    const { client, name, clock } = this.#options;
    await sleep(clock, this.#renewMs, ending);
    while (!ending.aborted) {
      try {
        await this.#write(this.#renewed());
        await sleep(clock, this.#renewMs, ending);
      } catch (error) {
        if (ending.aborted) return;
        this.#logger.warn('cannot renew the lease; trying again', { why: messageOf(error), provenForMs: Math.round(this.#provenUntilMs - clock.monotonic()) });
        await sleep(clock, Math.min(this.#renewMs, 250), ending);
        // A renewal whose answer was lost may have been written: take the lease as it is, if it is still ours.
        const lease = await client.get(leaseKind, name, this.#namespace).catch((failure: unknown) => (isReason(failure, 'NotFound') ? undefined : null));
        if (lease === null || ending.aborted) continue;
        if (lease?.spec?.holderIdentity !== this.#options.identity) {
          this.#logger.warn('somebody else has the lease', { holder: lease?.spec?.holderIdentity });
          stop.abort();
          return;
        }
        this.#observed = { lease, atMs: clock.monotonic() };
      }
    }
  }

  /** Writes the lease as ours. @throws ApiError Conflict when it has changed, TransportError */
  async #write(lease: Lease): Promise<boolean> {
    const { client, clock } = this.#options;
    const sentMs = clock.monotonic();
    const written = lease.metadata.resourceVersion === undefined ? await client.create(leaseKind, lease) : await client.update(leaseKind, lease);
    this.#observed = { lease: written, atMs: clock.monotonic() };
    this.#provenUntilMs = sentMs + this.#durationMs * provenShare;
    return true;
  }

  async #release(): Promise<void> {
    const { client } = this.#options;
    const lease = this.#observed!.lease;
    const spec = { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: microTimestamp(this.#options.clock.now()) };
    await client.update(leaseKind, { ...lease, spec }).catch((error: ApiError) => {
      this.#logger.debug('cannot give the lease back; it runs out by itself', { why: error.message });
    });
  }

  #newLease(): Lease {
    return {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: this.#options.name, namespace: this.#namespace },
      spec: { ...this.#holding(), acquireTime: microTimestamp(this.#options.clock.now()), leaseTransitions: 0 },
    };
  }

  #taken(lease: Lease): Lease {
    const leaseTransitions = (lease.spec?.leaseTransitions ?? 0) + 1;
    return { ...lease, spec: { ...lease.spec, ...this.#holding(), acquireTime: microTimestamp(this.#options.clock.now()), leaseTransitions } };
  }

  #renewed(): Lease {
    const { lease } = this.#observed!;
    return { ...lease, spec: { ...lease.spec, ...this.#holding() } };
  }

  #holding(): NonNullable<Lease['spec']> {
    return {
      holderIdentity: this.#options.identity,
      leaseDurationSeconds: Math.ceil(this.#durationMs / 1_000),
      renewTime: microTimestamp(this.#options.clock.now()),
    };
  }

  /**
   * Followers look twice as often as the leader renews, because they count from when they have seen the last renewal; not in step;
   * and in the moment at which the lease runs out.
   */
  #untilNextTry(): number {
    const { clock, random } = this.#options;
    const jitteredMs = (this.#renewMs / 2) * (0.75 + random.float() / 2);
    if (!this.#observed) return jitteredMs;
    const { lease, atMs } = this.#observed;
    const leftMs = atMs + this.#heldMs(lease) - clock.monotonic();
    return leftMs > 0 ? Math.min(jitteredMs, Math.ceil(leftMs)) : jitteredMs;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
