// etcd-lease-keeper.ts
//
// Keeps a lease of etcd alive. What it is made for is the hour in which everything is late:
//
//   - A keep-alive is sent every quarter of the time to live, whatever became of those before. One that is slow takes nothing from the next.
//   - An answer counts whenever it comes, from when its question was SENT: the lease had its full time to live at some moment after that. So
//     when this process was held up, and the answer lay in the socket while timers fired, nothing is lost by it.
//   - Only etcd says that the lease is gone. No answer means no more than that it has to be asked again.
//
// It is no thread of its own, on purpose: the lease says that this server hears its agents and sees to their presence
// (docs/decisions/0005-presence-on-etcd.md). A thread beside a main thread that hangs would say so for ever.

import { Alarm } from '../../../lib/alarm.js';
import { backoffMs, reconnectBackoff } from '../../../lib/backoff.js';
import type { Clock, Timer } from '../../../lib/clock.js';

/** One keep-alive, sent. */
export interface KeepAlive {
  /** Whether etcd has the lease. Rejects when the connection broke, or was closed. */
  readonly answer: Promise<boolean>;
  /** It has not been answered for long: the next one is better sent elsewhere. */
  late(): void;
  /** Nobody waits for the answer any more. */
  close(): void;
}

export interface LeaseKeeperOptions {
  readonly clock: Clock;
  readonly ttlMs: number;
  readonly send: (lease: string) => KeepAlive;
  /** etcd says that the lease is gone. */
  readonly onLost: () => void;
}

/** A keep-alive is sent every so many parts of the time to live. */
const partsOfTtl = 4;
/** One that is not answered within such a part of the time to live is sent again at once. Its answer still counts. */
const lateShare = 3 / 16;
/** Timers come before sockets: after a stall of ours the answer may be here already, unread. */
const unreadMs = 100;

export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  readonly #alarm: Alarm;
  /** Those that are not answered yet, oldest first, and when they were sent. */
  readonly #open = new Map<KeepAlive, number>();
  #lease: string | undefined;
  #keptAt = -Infinity;
  #failures = 0;

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
    this.#alarm = new Alarm(options.clock);
  }

  /** The lease that is kept: 64 bits as a decimal number. */
  get lease(): string | undefined {
    return this.#lease;
  }

  /** By the monotonic clock: the lease lasts at least a time to live from then. */
  get keptAt(): number {
    return this.#keptAt;
  }

  /** Keeps that lease from now on, which was asked for at `askedAt`. */
  keep(lease: string, askedAt: number): void {
    this.#lease = lease;
    this.#keptAt = askedAt;
  }

  /** The lease is not worth keeping. */
  drop(): void {
    this.#lease = undefined;
    this.#keptAt = -Infinity;
  }

  /** Works until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const everyMs = this.#options.ttlMs / partsOfTtl;
    const stop = (): void => this.#alarm.wake();
    signal.addEventListener('abort', stop, { once: true });
    while (!signal.aborted) {
      const failures = this.#failures;
      if (this.#lease !== undefined) this.#send(this.#lease);
      await this.#alarm.sleep(everyMs);
      if (this.#failures > failures && !signal.aborted) await this.#alarm.sleep(Math.min(everyMs, backoffMs(reconnectBackoff, this.#failures)));
    }
    signal.removeEventListener('abort', stop);
    for (const keepAlive of this.#open.keys()) keepAlive.close();
    this.#open.clear();
  }

  #send(lease: string): void {
    const { clock, ttlMs, send } = this.#options;
    const sentAt = clock.monotonic();
    // What they may still say is worth nothing by now.
    for (const [old, oldAt] of this.#open) if (oldAt + ttlMs <= sentAt) this.#close(old);
    const keepAlive = send(lease);
    this.#open.set(keepAlive, sentAt);
    const late = (): void => {
      keepAlive.late();
      this.#failed();
    };
    let timer: Timer = clock.timer(ttlMs * lateShare, () => (timer = clock.timer(unreadMs, late, { unref: true })), { unref: true });
    void keepAlive.answer
      .then(
        (isThere) => this.#answered(lease, isThere, sentAt),
        () => {
          if (this.#open.has(keepAlive)) this.#failed();
        },
      )
      .finally(() => {
        timer.cancel();
        this.#close(keepAlive);
      });
  }

  #answered(lease: string, isThere: boolean, sentAt: number): void {
    if (lease !== this.#lease) return;
    this.#failures = 0;
    if (isThere) {
      this.#keptAt = Math.max(this.#keptAt, sentAt);
    } else {
      this.drop();
      this.#options.onLost();
    }
  }

  #failed(): void {
    this.#failures++;
    this.#alarm.wake();
  }

  #close(keepAlive: KeepAlive): void {
    if (this.#open.delete(keepAlive)) keepAlive.close();
  }
}
