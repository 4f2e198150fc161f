// fence.ts
//
// Presence, and what must stop without it. The server takes this agent as present for ttlMs from the moment a renewal
// was SENT; after that the tasks may be started elsewhere. So:
//
//   sent ──────────────────────────── deadline ── margin ── sent + ttl
//        renewals (renewal-times.ts)      │                     │
//                                         │                     └ others may start them
//                                         └ everything guarded is killed (by us, or by the watchdog if we are dead)
//
// A connection that the only API server's machine refuses counts as a renewal: see docs/decisions/0003-fencing-by-time.md.
//
// Guarded is what must not outlive our presence (onNodeLost is not Wait). It may start only while the fence is open. After
// a lapse we announce ourselves again only when all that was guarded has ended.

import { isReason } from '../api/errors.js';
import type { NodeLoad, PresenceRequest, PresenceResponse } from '../api/protocol.js';
import { TransportError } from '../api/transport.js';
import { marginsMs, renewalRetryMs, renewalTimes } from '../client/renewal-times.js';
import { sleep, type Clock, type Timer } from '../lib/clock.js';
import { Deferred } from '../lib/deferred.js';
import type { Logger } from '../lib/log.js';
import type { Service } from '../lib/service.js';

/** The part of the fence that outlives the agent: watchdog.ts, or nothing where processes do not (mock). */
export interface FenceKeeper {
  /** Hundredths of a second since boot. */
  uptime(): number;
  setDeadline(centiseconds: number): void;
  readDeadline(): number | undefined;
}

export interface FenceOptions {
  /** @param patienceMs when to try another way, where there is one: while an answer to that can still come in time */
  presence(request: PresenceRequest, patienceMs: number): Promise<PresenceResponse>;
  load(): NodeLoad;
  /** Makes sure that the Node object exists; resolves when it does, or when the signal aborts. */
  register(signal: AbortSignal): Promise<void>;
  session: string;
  keeper: FenceKeeper | undefined;
  clock: Clock;
  logger: Logger;
}

/** Until the first answer says otherwise. */
const assumedTtlMs = 8_000;

export class Fence implements Service {
  readonly name = 'presence';
  readonly #options: FenceOptions;
  readonly #guarded = new Map<string, () => void>();
  #isRegistered = false;
  #announced = false;
  #ttlMs = assumedTtlMs;
  #times = renewalTimes(assumedTtlMs);
  /** When the newest renewal was asked for; monotonic milliseconds. */
  #sentAt = 0;
  /** Askings in a row that had no answer in time. */
  #failures = 0;
  /** How often the server has said that our presence has expired. */
  #lapses = 0;
  /** When the newest renewal was sent that holds now. */
  #heldFrom = -Infinity;
  /** Whether a refused connection proves that nobody can declare us lost. */
  #soleServer = false;
  /** Monotonic milliseconds. */
  #deadline = 0;
  #reopenedAt: number | undefined;
  #timer: Timer | undefined;
  #opened = new Deferred<void>();
  #emptied = new Deferred<void>();

  constructor(options: FenceOptions) {
    this.#options = options;
  }

  /** Whether what is guarded may start and run now. */
  get open(): boolean {
    return this.#options.clock.monotonic() < this.#deadline;
  }

  /** When it last opened after having been closed, so that what waited meanwhile may have been given away; monotonic milliseconds. */
  get reopenedAt(): number | undefined {
    return this.#reopenedAt;
  }

  /** Resolves when the fence next opens, or at once. */
  get opened(): Promise<void> {
    if (this.open) return Promise.resolve();
    // The timer may be late: whoever waits in a loop would find it closed and opened, again and again, and hold up all else.
    if (this.#deadline > 0) this.#expire();
    return this.#opened.promise;
  }

  /** @param kill ends the attempt's processes at once; called at once when the fence is closed @returns call it when they have ended */
  guard(key: string, kill: () => void): () => void {
    this.#guarded.set(key, kill);
    // It was started while our time ran out: those before it have been killed already.
    if (!this.open) kill();
    return () => {
      if (this.#guarded.get(key) !== kill) return;
      this.#guarded.delete(key);
      if (this.#guarded.size === 0) this.#emptied.resolve();
    };
  }

  /** Takes over the deadline that an earlier agent left, for the attempts adopted from it. Call it before run. */
  inherit(): void {
    const { keeper, clock } = this.#options;
    const left = keeper?.readDeadline();
    if (!keeper || left === undefined) return;
    // A deadline from before a reboot means nothing; none is further away than a time to live.
    const leftMs = Math.min(assumedTtlMs, (left - keeper.uptime()) * 10);
    if (leftMs > 0) this.#extend(clock.monotonic() + leftMs);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options;
    const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    if (this.#guarded.size > 0 && !this.open) this.#expire();
    const registered = this.#register(signal);
    // What was adopted needs renewals at once; nothing else does.
    if (this.#guarded.size === 0) await registered;
    while (!signal.aborted) {
      let outcome: 'renewed' | 'lapsed' | 'failed';
      try {
        outcome = await this.#renew(signal);
        this.#failures = 0;
      } catch (error) {
        outcome = 'failed';
        const failures = ++this.#failures;
        const log = failures === 1 || failures % 20 === 0 ? logger.warn : logger.debug;
        log.call(logger, 'cannot renew presence: tasks that may be rescheduled are stopped when the time to live is over', { failures, leftMs: Math.round(this.#deadline - clock.monotonic()), error });
      }
      if (outcome === 'lapsed') await Promise.race([this.#lapse(signal), stopped]);
      // From when it was asked, not answered: what a slow answer has taken is gone from the time that the next one has.
      else await sleep(clock, outcome === 'renewed' ? Math.max(0, this.#sentAt + this.#times.everyMs - clock.monotonic()) : renewalRetryMs(this.#ttlMs, this.#failures), signal);
    }
    this.#timer?.cancel();
    await registered;
  }

  async #register(signal: AbortSignal): Promise<void> {
    await this.#options.register(signal);
    this.#isRegistered = !signal.aborted;
  }

  async #renew(signal: AbortSignal): Promise<'renewed' | 'lapsed'> {
    const { clock, keeper, presence, load, session } = this.#options;
    const announce = this.#isRegistered && !this.#announced;
    const sentAt = (this.#sentAt = clock.monotonic());
    const { patienceMs, timeoutMs } = this.#times;
    const sentUptime = keeper?.uptime();
    const asked = presence({ session, announce, load: load() }, this.#failures > 0 ? 0 : patienceMs);
    let answer: PresenceResponse;
    try {
      answer = await inTime(asked, clock, timeoutMs, signal);
    } catch (error) {
      if (isReason(error, 'NotFound')) return 'lapsed';
      this.#takeLate(asked, sentAt, sentUptime, signal);
      if (this.#soleServer && this.open && error instanceof TransportError && error.refused) this.#hold(sentAt, sentUptime);
      throw error;
    }
    if (!answer.present) return 'lapsed';
    const { ttlMs, renewAfterMs, soleServer = false } = answer;
    this.#soleServer = soleServer;
    if (announce) {
      this.#announced = true;
      this.#options.logger.info('ready: the node is present and takes tasks', { ttlMs });
    }
    this.#ttlMs = ttlMs;
    this.#times = renewalTimes(ttlMs, renewAfterMs);
    this.#hold(sentAt, sentUptime);
    return 'renewed';
  }

  /** An answer that comes after its renewal was taken for lost still says that the server heard of it: one that is slow costs no tasks. */
  #takeLate(asked: Promise<PresenceResponse>, sentAt: number, sentUptime: number | undefined, signal: AbortSignal): void {
    const lapses = this.#lapses;
    asked.then(
      ({ present, ttlMs }) => {
        // When we have stopped, the deadline is that of the agent that follows.
        if (!signal.aborted && present && ttlMs >= this.#ttlMs && this.open && this.#lapses === lapses && sentAt > this.#heldFrom) this.#hold(sentAt, sentUptime);
      },
      () => undefined,
    );
  }

  /** Nobody may start our tasks for a time to live from `sentAt`. */
  #hold(sentAt: number, sentUptime: number | undefined): void {
    this.#heldFrom = sentAt;
    const { keeper } = this.#options;
    const margins = marginsMs(this.#ttlMs);
    if (sentUptime !== undefined) keeper?.setDeadline(sentUptime + (this.#ttlMs - margins.watchdog) / 10);
    this.#extend(sentAt + this.#ttlMs - (keeper ? margins.watchdog : margins.agent));
  }

  #extend(deadline: number): void {
    const { clock } = this.#options;
    const wasClosed = this.#deadline === -Infinity;
    this.#deadline = deadline;
    this.#timer?.cancel();
    const leftMs = deadline - clock.monotonic();
    if (leftMs <= 0) return this.#expire();
    if (wasClosed) this.#reopenedAt = clock.monotonic();
    this.#timer = clock.timer(leftMs, () => this.#expire());
    this.#opened.resolve();
  }

  #expire(): void {
    this.#timer?.cancel();
    this.#deadline = -Infinity;
    this.#opened = new Deferred();
    if (this.#guarded.size > 0) {
      this.#options.logger.error('presence could not be renewed in time: stopping every task that may now be started elsewhere', { tasks: this.#guarded.size });
    }
    for (const kill of [...this.#guarded.values()]) kill();
  }

  /** The server says that our presence has expired, or that it does not know the node. */
  async #lapse(signal: AbortSignal): Promise<void> {
    this.#lapses++;
    this.#announced = false;
    this.#isRegistered = false;
    this.#emptied = new Deferred();
    this.#expire();
    if (this.#guarded.size > 0) await this.#emptied.promise;
    await this.#register(signal);
  }
}

async function inTime<T>(work: Promise<T>, clock: Clock, ms: number, signal: AbortSignal): Promise<T> {
  const late = new Deferred<never>();
  const stop = (): void => late.reject(new Error('stopped'));
  const timer = clock.timer(ms, () => late.reject(new Error(`no answer in ${Math.round(ms)} ms`)));
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    timer.cancel();
    signal.removeEventListener('abort', stop);
  }
}
