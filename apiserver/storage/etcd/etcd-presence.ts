// etcd-presence.ts
//
// Presence on etcd (docs/decisions/0005-presence-on-etcd.md): each key is kept by one API server, in memory, and is an ordinary
// durable key in etcd. Only changing hands is a write.
//
//   confirm   every quarter of the registration's time to live: am I registered, who else is, what have they noted? The lease of the registration is
//             kept alive beside it (etcd-lease-keeper.ts), both over a connection that ordinary writes do not fill
//   list      all presence keys, when the answer differs from the last one: which are mine still, which are orphaned
//   sweep     twice a second: removes what nobody renewed
//
// What may be answered from memory, how long, and why that is safe: etcd-presence-book.ts.

import { Alarm } from '../../../lib/alarm.js';
import { backoffMs, reconnectBackoff } from '../../../lib/backoff.js';
import type { Clock, Timer } from '../../../lib/clock.js';
import { Deferred } from '../../../lib/deferred.js';
import type { Logger } from '../../../lib/log.js';
import { StoreUnavailableError, prefixEnd, type Change, type PresenceStore, type Write, type WriteOutcome } from '../store.js';
import type { EtcdEndpoints } from './etcd-endpoints.js';
import { PresenceBook, type BookEntry, type KeptKey } from './etcd-presence-book.js';
import { EtcdRegistration } from './etcd-registration.js';
import { etcdRevisionOf, revisionOf, type Keeper } from './etcd-revision.js';
import type { EtcdWrite } from './etcd-txn.js';

export interface EtcdPresenceOptions {
  readonly endpoints: EtcdEndpoints;
  /** Of a connection that no ordinary write goes over. */
  readonly urgentEndpoints: EtcdEndpoints;
  readonly clock: Clock;
  readonly log: Logger;
  /** All keys that are announced begin with this. */
  readonly prefix: string;
  /** How long this server may be away before its keys are orphans. */
  readonly serverTtlMs: number;
  /** Group commit. */
  readonly write: (write: EtcdWrite) => Promise<WriteOutcome>;
  /** Commits writes at once, by themselves, over that connection. */
  readonly commitNow: (batch: readonly EtcdWrite[]) => Promise<readonly WriteOutcome[]>;
}

interface StoredPresence {
  readonly value: string;
  readonly revision: number;
  readonly keeper: Keeper;
}

const sweepMs = 500;
/** A sweep that is later than this was held up by us: agents could not renew either. */
const stallMs = 1_000;
/** After a removal that could not be written, it is tried again this much later. */
const retryMs = 1_000;
const listPageKeys = 5_000;
/** Take-overs under way at once. */
const takeoversMax = 256;

export class EtcdPresence implements PresenceStore {
  readonly #options: EtcdPresenceOptions;
  readonly #registration: EtcdRegistration;
  readonly #book: PresenceBook;
  readonly #sureMs: number;
  readonly #closing = new AbortController();
  readonly #takeovers = new Map<string, Promise<boolean>>();
  readonly #alarm: Alarm;
  /** Start the take-overs that wait. */
  readonly #waiting: (() => void)[] = [];
  #takingOver = 0;
  #running: Promise<unknown> | undefined;
  #sweepTimer: Timer | undefined;
  #lastSweepAt = 0;
  #wasUnsure = false;
  /** When etcd was asked who is registered and what is noted, and all that came of it is known. */
  #askedAt = -Infinity;
  #listedNotes: string | undefined;
  /** Settled with the first confirmation, then for good; replaced when that one fails. */
  #first = new Deferred<void>();
  /** As whom, and since when, this server was confirmed last. */
  #confirmed: { readonly me: string; readonly registeredAt: number } | undefined;

  constructor(options: EtcdPresenceOptions) {
    this.#options = options;
    this.#sureMs = (options.serverTtlMs * 3) / 4;
    this.#book = new PresenceBook({ sureMs: this.#sureMs });
    this.#alarm = new Alarm(options.clock);
    this.#registration = new EtcdRegistration({
      endpoints: options.urgentEndpoints,
      clock: options.clock,
      ttlMs: options.serverTtlMs,
      commit: options.commitNow,
      onLost: () => this.#alarm.wake(),
    });
    this.#first.promise.catch(() => {});
  }

  /** Registers this server and keeps it registered until `close`. */
  start(): void {
    this.#running = Promise.all([this.#run(), this.#registration.run(this.#closing.signal)]);
    this.#lastSweepAt = this.#options.clock.monotonic();
    this.#armSweep();
  }

  /** Stops answering, then tells the other servers. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#sweepTimer?.cancel();
    this.#first.reject(closedError());
    this.#alarm.wake();
    await this.#running;
    await this.#registration.end();
  }

  async announce(key: string, value: string, ttlMs: number): Promise<WriteOutcome> {
    if (!key.startsWith(this.#options.prefix)) throw new Error(`assertion failed: ${key} is no presence key: it does not begin with ${this.#options.prefix}`);
    const server = await this.#id();
    const outcome = await this.#write({ op: 'create', key, value, keeper: { server, ttlMs }, registered: server });
    if (outcome.ok) this.#keep(key, outcome.revision, { server, ttlMs }, 0);
    else if (!outcome.current) throw this.#notRegistered(server);
    return outcome;
  }

  renew(key: string): Promise<boolean> {
    if (this.#closing.signal.aborted) return Promise.reject(closedError());
    const { id } = this.#registration;
    const now = this.#options.clock.monotonic();
    if (id !== undefined && now < this.#sureUntil && this.#book.renew(key, id, now)) return Promise.resolve(true);
    if (this.#confirmed && now >= this.#sureUntil) {
      const since = this.#sureUntil === -Infinity ? '' : ` for ${Math.round(now - this.#sureUntil + this.#sureMs)} ms`;
      return Promise.reject(new StoreUnavailableError(`etcd has not confirmed this API server${since}, so another one may keep the presence of agents by now`, 'no'));
    }
    let takeover = this.#takeovers.get(key);
    if (!takeover) {
      takeover = this.#inTurn(() => this.#takeOver(key)).finally(() => this.#takeovers.delete(key));
      this.#takeovers.set(key, takeover);
    }
    return takeover;
  }

  renewNow(key: string): true | undefined {
    const { id } = this.#registration;
    const now = this.#options.clock.monotonic();
    return !this.#closing.signal.aborted && id !== undefined && now < this.#sureUntil && this.#book.renew(key, id, now) ? true : undefined;
  }

  async withdraw(key: string): Promise<boolean> {
    for (;;) {
      const stored = await this.#read(key);
      if (!stored) return false;
      const outcome = await this.#delete(key, stored.revision);
      if (outcome.ok) return true;
      if (!outcome.current) return false;
    }
  }

  /** Learns from a watch what was removed by others: sooner than by asking, where a watch runs. */
  observe(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.type !== 'delete') continue;
      const { key, revision } = change;
      const entry = this.#book.get(key);
      if (entry && !entry.removing && entry.etcdRevision > 0 && entry.etcdRevision < etcdRevisionOf(revision)) this.#book.forget(key);
    }
  }

  /** An ordinary write to a key under the prefix: an update leaves it to its keeper, a deletion is told to its keeper. */
  async write(write: Exclude<Write, { op: 'create' }>): Promise<WriteOutcome> {
    if (write.op === 'delete') return this.#delete(write.key, write.revision);
    const keeper = await this.#keeperAt(write.key, write.revision);
    const outcome = await this.#options.write({ ...write, ...(keeper && { keeper }) });
    const entry = this.#book.get(write.key);
    if (outcome.ok && entry?.etcdRevision === etcdRevisionOf(write.revision)) entry.etcdRevision = etcdRevisionOf(outcome.revision);
    return outcome;
  }

  async #delete(key: string, revision: number): Promise<WriteOutcome> {
    const entry = this.#book.get(key);
    const noted = !entry || entry.server !== this.#registration.id;
    const outcome = await this.#options.write({ op: 'delete', key, revision, noted });
    if (outcome.ok && this.#book.get(key) === entry) this.#book.forget(key);
    return outcome;
  }

  /** Not too many at once: after a fault all agents come, and each take-over asks etcd and writes. */
  async #inTurn(takeOver: () => Promise<boolean>): Promise<boolean> {
    if (this.#takingOver >= takeoversMax) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#takingOver++;
    try {
      return await takeOver();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#takingOver--;
    }
  }

  async #takeOver(key: string): Promise<boolean> {
    const server = await this.#id();
    for (;;) {
      const stored = await this.#read(key);
      if (!stored) return false;
      const before = { server: stored.keeper.server, etcdRevision: etcdRevisionOf(stored.revision) };
      const noted = before.server !== server && !this.#book.isGone(before.server, before.etcdRevision);
      const spareMs = this.#book.spareMs(before, this.#options.clock.monotonic());
      const keeper = { server, ttlMs: stored.keeper.ttlMs };
      const outcome = await this.#write({ op: 'update', key, value: stored.value, revision: stored.revision, keeper, registered: server, noted });
      if (outcome.ok) {
        this.#keep(key, outcome.revision, keeper, spareMs);
        return true;
      }
      if (outcome.current && etcdRevisionOf(outcome.current.revision) === before.etcdRevision) throw this.#notRegistered(server);
    }
  }

  /** A write that makes this server the keeper of a key. */
  async #write(write: EtcdWrite & { keeper: Keeper }): Promise<WriteOutcome> {
    try {
      return await this.#options.write(write);
    } catch (error) {
      if (error instanceof StoreUnavailableError && error.applied === 'unknown') this.#book.doubt(write.key, write.keeper.ttlMs, this.#options.clock.monotonic());
      throw error;
    }
  }

  #keep(key: string, revision: number, { server, ttlMs }: Keeper, spareMs: number): void {
    const etcdRevision = etcdRevisionOf(revision);
    const entry = this.#book.get(key);
    // Answers of two writes may come in either order.
    if (entry && entry.etcdRevision > etcdRevision) return;
    this.#book.keep({ key, etcdRevision, server, ttlMs }, spareMs, this.#options.clock.monotonic());
  }

  /** The id under which to write. Waits for the first registration. @throws StoreUnavailableError */
  async #id(): Promise<string> {
    await this.#first.promise;
    const { id } = this.#registration;
    if (id === undefined) throw new StoreUnavailableError('this API server is about to register in etcd again', 'no');
    return id;
  }

  #notRegistered(server: string): StoreUnavailableError {
    this.#registration.lost(server);
    return new StoreUnavailableError('this API server is no longer registered in etcd; it registers again', 'no');
  }

  async #keeperAt(key: string, revision: number): Promise<Keeper | undefined> {
    const entry = this.#book.get(key);
    if (entry?.etcdRevision === etcdRevisionOf(revision)) return entry;
    return (await this.#read(key))?.keeper;
  }

  /** The key, as of no earlier than the call; undefined when it is not there, or was not announced. */
  async #read(key: string): Promise<StoredPresence | undefined> {
    const { kvs } = await this.#options.endpoints.range({ key });
    const kv = kvs[0];
    if (!kv) return undefined;
    const { value, slot, keeper, etcdRevision } = kv;
    return keeper && { value, keeper, revision: revisionOf(etcdRevision, slot) };
  }

  /** Answers from memory are good until then: while this server is surely registered, and what others note is surely known (etcd-presence-book.ts). */
  get #sureUntil(): number {
    const { keptAt, registeredAt } = this.#registration;
    return this.#askedAt < registeredAt ? -Infinity : Math.min(this.#askedAt, keptAt) + this.#sureMs;
  }

  async #run(): Promise<void> {
    const { clock, log, serverTtlMs } = this.#options;
    const { signal } = this.#closing;
    for (let failures = 0; !signal.aborted; ) {
      const startedAt = clock.monotonic();
      let delayMs = serverTtlMs / 4;
      try {
        if (await this.#confirm()) failures = 0;
        else delayMs = backoffMs(reconnectBackoff, ++failures);
      } catch (error) {
        if (signal.aborted) return;
        delayMs = Math.min(delayMs, backoffMs(reconnectBackoff, ++failures));
        log[failures > 3 ? 'warn' : 'debug']('etcd did not confirm that this API server is there; it is asked again.', { error, failures, againInMs: delayMs });
        if (!this.#confirmed) {
          const { reject } = this.#first;
          this.#first = new Deferred();
          this.#first.promise.catch(() => {});
          reject(error);
        }
      }
      // What was slow is not to be rare, too.
      const spentMs = failures > 0 ? 0 : clock.monotonic() - startedAt;
      if (!signal.aborted) await this.#alarm.sleep(Math.max(0, delayMs - spentMs));
    }
  }

  /** False when the registration was lost meanwhile. */
  async #confirm(): Promise<boolean> {
    const { clock, log } = this.#options;
    const confirmation = await this.#registration.confirm();
    const { me, notes, askedAt } = confirmation;
    const { registeredAt } = this.#registration;
    if (this.#confirmed && this.#confirmed.registeredAt !== registeredAt) {
      log.warn(`This API server was away from etcd for too long; it has registered again, ${me === this.#confirmed.me ? 'and nobody has taken its agents over' : 'and takes the agents over as they renew'}.`, { server: me });
    }
    this.#book.seen(confirmation, clock.monotonic());
    if (notes !== this.#listedNotes) await this.#list();
    if (this.#registration.id !== me || this.#registration.registeredAt !== registeredAt) return false;
    // Only now: what others have noted must be known before anything more is answered from memory.
    this.#listedNotes = notes;
    this.#askedAt = askedAt;
    this.#confirmed = { me, registeredAt };
    this.#first.resolve();
    return true;
  }

  async #list(): Promise<void> {
    const { endpoints, prefix, clock } = this.#options;
    const listed: KeptKey[] = [];
    let etcdRevision = 0;
    for (let from = prefix; ; ) {
      const { kvs, more, ...page } = await endpoints.range({ key: from, end: prefixEnd(prefix), limit: listPageKeys });
      etcdRevision ||= page.etcdRevision;
      for (const { key, keeper, etcdRevision: keyRevision } of kvs) if (keeper) listed.push({ key, etcdRevision: keyRevision, ...keeper });
      if (!more || kvs.length === 0) break;
      from = `${kvs.at(-1)!.key}\0`;
    }
    this.#book.replace(listed, etcdRevision, clock.monotonic());
  }

  #armSweep(): void {
    if (!this.#closing.signal.aborted) this.#sweepTimer = this.#options.clock.timer(sweepMs, () => this.#sweep(), { unref: true });
  }

  #sweep(): void {
    const now = this.#options.clock.monotonic();
    const stalled = now - this.#lastSweepAt > sweepMs + stallMs;
    this.#lastSweepAt = now;
    this.#armSweep();
    const unsure = now >= this.#sureUntil;
    // While etcd does not confirm us, nobody can renew: as if we had restarted. A stall of ours is no agent's fault either.
    if (this.#wasUnsure && !unsure) this.#book.grace(1, now);
    else if (stalled) this.#book.grace(0.5, now);
    this.#wasUnsure = unsure;
    if (unsure) return;
    for (const entry of this.#book.due(now)) void this.#remove(entry);
  }

  async #remove(entry: BookEntry): Promise<void> {
    entry.removing = true;
    const { key, server } = entry;
    try {
      const outcome = await this.#options.write({ op: 'delete', key, revision: revisionOf(entry.etcdRevision, 0) });
      const stored = outcome.ok || !outcome.current ? undefined : await this.#read(key);
      if (this.#book.get(key) !== entry) return;
      if (!stored) return this.#book.forget(key);
      if (stored.keeper.server !== server) return this.#book.found({ key, etcdRevision: etcdRevisionOf(stored.revision), ...stored.keeper }, this.#options.clock.monotonic());
      // An ordinary update came between; it was no renewal.
      entry.etcdRevision = etcdRevisionOf(stored.revision);
    } catch (error) {
      // The removal may still come: who renews meanwhile must write, so that its guard fails.
      entry.state = 'orphan';
      entry.endsAt = this.#options.clock.monotonic() + retryMs;
      this.#options.log.debug('A presence that is over could not be removed; it is tried again.', { key, error });
    }
    entry.removing = false;
  }
}

function closedError(): StoreUnavailableError {
  return new StoreUnavailableError('the store is closed', 'no');
}
