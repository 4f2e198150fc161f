// etcd-store.ts
//
// The store on etcd: many API servers may share it. Writes go through group commit (etcd-txn.ts), revisions are counted as in
// etcd-revision.ts, and history older than `historyMs` is compacted away, since etcd would grow for ever otherwise.

import type { Clock, Timer } from '../../../lib/clock.js';
import { silentLogger, type Logger } from '../../../lib/log.js';
import type { Random } from '../../../lib/random.js';
import { GroupCommit } from '../group-commit.js';
import { settleWrite } from '../settle-write.js';
import {
  GoneError,
  StoreUnavailableError,
  prefixEnd,
  rootPrefix,
  goesWithNew,
  refuseTooLarge,
  type Change,
  type ListOptions,
  type Page,
  type Store,
  type Stored,
  type Write,
  type WriteOutcome,
} from '../store.js';
import { EtcdBarrier } from './etcd-barrier.js';
import { EtcdEndpoints, isCompacted, type EtcdTls } from './etcd-endpoints.js';
import type { RangeAnswer, RangeRequest } from './etcd-messages.js';
import { EtcdPresence } from './etcd-presence.js';
import { observedCommit, type CommitObserver } from '../commit-observer.js';
import { batchOpsMax, endOfRevision, etcdRevisionOf } from './etcd-revision.js';
import { outcomesOf, storedOf, type EtcdWrite } from './etcd-txn.js';
import { watchRoot } from './etcd-watch.js';

export interface EtcdStoreOptions {
  /** URLs such as http://127.0.0.1:2379, all http or all https. */
  readonly endpoints: readonly string[];
  readonly tls?: EtcdTls;
  readonly clock: Clock;
  readonly random: Random;
  readonly log?: Logger;
  /** How long changes are kept for watchers that were away. @default 5 minutes */
  readonly historyMs?: number;
  /** Keys of presence begin with this, and hardly any others: all of them are listed when servers come and go. Ends in "/". */
  readonly presencePrefix: string;
  /** How long this API server may be away from etcd before others see to its presence keys. @default 8 seconds */
  readonly serverTtlMs?: number;
  readonly onCommit?: CommitObserver;
}

/** Keys in the first request of a list; the others are sized by what the keys turn out to weigh. */
const firstPageKeys = 500;
/** etcd walks all keys that are left for each page, so pages are large: up to this many keys, of about this many bytes. */
const pageKeysMax = 10_000;
const pageBytes = 4 * 1_024 * 1_024;
const serverTtlMsDefault = 8_000;
const syncKey = `${rootPrefix}sync`;
/** Operations whose put is larger than the batch bound go alone; etcd takes up to 1.5 MiB per request by default. */
const batchBytesMax = 1_000_000;

export class EtcdStore implements Store {
  readonly presence: EtcdPresence;
  readonly #options: EtcdStoreOptions;
  readonly #log: Logger;
  readonly #endpoints: EtcdEndpoints;
  /** For this server's own registration, which must not wait for ordinary writes. */
  readonly #urgentEndpoints: EtcdEndpoints;
  readonly #commits: GroupCommit<EtcdWrite, WriteOutcome>;
  readonly #barrier: EtcdBarrier;
  readonly #closing = new AbortController();
  #compaction: Timer | undefined;
  #compactedRevision = 0;

  /** Connects when first used; a missing etcd shows as StoreUnavailableError then. Works until `close`. */
  static open(options: EtcdStoreOptions): EtcdStore {
    const store = new EtcdStore(options);
    store.#scheduleCompaction(undefined);
    store.presence.start();
    return store;
  }

  private constructor(options: EtcdStoreOptions) {
    this.#options = options;
    this.#log = options.log ?? silentLogger;
    this.#endpoints = new EtcdEndpoints(options);
    this.#urgentEndpoints = new EtcdEndpoints(options);
    this.#commits = new GroupCommit<EtcdWrite, WriteOutcome>({
      commit: observedCommit((batch) => this.#commit(batch), options.clock, options.onCommit),
      keyOf: (write) => write.key,
      isNew: goesWithNew,
      bytesOf: (write) => write.key.length * 2 + 64 + ('value' in write ? Buffer.byteLength(write.value) : 0),
      settle: (write, earlier, outcome) => (write.op === 'put' || earlier.op === 'put' ? undefined : settleWrite(write, earlier, outcome, sameEtcdRevision)),
      inFlightMax: 2,
      batchOpsMax,
      batchBytesMax,
      waitingOpsMax: 20_000,
      waitingBytesMax: 64 * 1_024 * 1_024,
    });
    this.#barrier = new EtcdBarrier({
      clock: options.clock,
      readRevision: async () => (await this.#endpoints.range({ key: syncKey, keysOnly: true })).etcdRevision,
      writeSyncKey: () => this.#writeSyncKey(),
    });
    this.presence = new EtcdPresence({
      endpoints: this.#endpoints,
      urgentEndpoints: this.#urgentEndpoints,
      clock: options.clock,
      log: this.#log,
      prefix: options.presencePrefix,
      serverTtlMs: options.serverTtlMs ?? serverTtlMsDefault,
      write: (write) => this.#offer(write),
      commitNow: (batch) => this.#commit(batch, this.#urgentEndpoints),
    });
  }

  async read(key: string): Promise<Stored | undefined> {
    const { kvs } = await this.#endpoints.range({ key });
    return kvs[0] && storedOf(kvs[0]);
  }

  async list(prefix: string, options: ListOptions = {}): Promise<Page> {
    const { limit = Infinity } = options;
    const end = prefixEnd(prefix);
    const items: Stored[] = [];
    let etcdRevision = options.revision === undefined ? 0 : etcdRevisionOf(options.revision);
    let pageKeys = firstPageKeys;
    for (let after = options.after; ; after = items.at(-1)!.key) {
      // The smallest string greater than a key is the key with a NUL behind it.
      const key = after === undefined || after < prefix ? prefix : `${after}\0`;
      const wanted = Math.min(pageKeys, limit - items.length);
      const page = await this.#rangeAt(etcdRevision, { key, end, limit: wanted, etcdRevision });
      etcdRevision ||= page.etcdRevision;
      for (const kv of page.kvs) items.push(storedOf(kv));
      pageKeys = pageKeysFor(page);
      if (!page.more || items.length >= limit) {
        return { items, revision: endOfRevision(etcdRevision), next: page.more ? items.at(-1)?.key : undefined };
      }
    }
  }

  write(write: Write): Promise<WriteOutcome> {
    try {
      if (write.op !== 'delete') refuseTooLarge(write.key, write.value);
    } catch (error) {
      return Promise.reject(error as Error);
    }
    return write.op !== 'create' && write.key.startsWith(this.#options.presencePrefix) ? this.presence.write(write) : this.#offer(write);
  }

  async *watch(prefix: string, revision: number, signal: AbortSignal): AsyncGenerator<readonly Change[]> {
    const progress = this.#barrier.watchStarted(revision);
    const options = {
      endpoints: this.#endpoints,
      root: rootPrefix,
      clock: this.#options.clock,
      random: this.#options.random,
      log: this.#log,
    };
    try {
      for await (const changes of watchRoot(options, revision, AbortSignal.any([signal, this.#closing.signal]))) {
        this.presence.observe(changes);
        progress.reached(changes.at(-1)!.revision);
        const wanted = prefix === rootPrefix ? changes : changes.filter(({ key }) => key.startsWith(prefix));
        if (wanted.length > 0) yield wanted;
      }
      if (!signal.aborted) throw closedError();
    } finally {
      progress.ended();
    }
  }

  currentRevision(): Promise<number> {
    return this.#barrier.currentRevision();
  }

  /**
   * Drops history up to `revision`: older watches and lists are Gone. Idempotent, so every API server may do it.
   * @throws StoreUnavailableError
   */
  async compact(revision: number): Promise<void> {
    const etcdRevision = etcdRevisionOf(revision);
    try {
      await this.#endpoints.call((client) => client.kv.compact({ revision: etcdRevision }));
    } catch (error) {
      if (!isCompacted(error)) throw error;
    }
    this.#compactedRevision = Math.max(this.#compactedRevision, endOfRevision(etcdRevision));
  }

  async close(): Promise<void> {
    if (!this.#closing.signal.aborted) {
      this.#closing.abort();
      this.#compaction?.cancel();
      await this.presence.close();
      await this.#commits.idle();
      this.#endpoints.close();
      this.#urgentEndpoints.close();
    }
    await this.#commits.idle();
  }

  #offer(write: EtcdWrite): Promise<WriteOutcome> {
    if (this.#closing.signal.aborted) return Promise.reject(closedError());
    return this.#commits.offer(write);
  }

  async #commit(batch: readonly EtcdWrite[], endpoints = this.#endpoints): Promise<readonly WriteOutcome[]> {
    const outcomes = outcomesOf(batch, await endpoints.txn(batch));
    for (const outcome of outcomes) if (outcome.ok) this.#barrier.noteWritten(outcome.revision);
    return outcomes;
  }

  async #writeSyncKey(): Promise<number> {
    const outcome = await this.#offer({ op: 'put', key: syncKey, value: '{}' });
    if (!outcome.ok) throw new Error('assertion failed: an unguarded put does not conflict');
    return outcome.revision;
  }

  async #rangeAt(etcdRevision: number, request: RangeRequest): Promise<RangeAnswer> {
    try {
      return await this.#endpoints.range(request);
    } catch (error) {
      if (isCompacted(error)) throw new GoneError(endOfRevision(etcdRevision), this.#compactedRevision);
      throw error;
    }
  }

  /** Compacts, each `historyMs`, up to where etcd stood the last time. */
  #scheduleCompaction(upTo: number | undefined): void {
    this.#compaction = this.#options.clock.timer(this.#options.historyMs ?? 300_000, () => void this.#compactAndSchedule(upTo), { unref: true });
  }

  async #compactAndSchedule(upTo: number | undefined): Promise<void> {
    let reached = upTo;
    try {
      reached = (await this.#endpoints.range({ key: syncKey, keysOnly: true })).etcdRevision;
      if (upTo !== undefined) await this.compact(endOfRevision(upTo));
    } catch (error) {
      this.#log.warn('The history of etcd could not be compacted; it will be tried again.', { error });
    }
    if (!this.#closing.signal.aborted) this.#scheduleCompaction(reached);
  }
}

/** How many keys the next page may have, when they weigh what those of this page do. */
function pageKeysFor({ kvs, bytes }: RangeAnswer): number {
  return Math.max(1, Math.min(pageKeysMax, Math.floor((pageBytes * kvs.length) / Math.max(1, bytes))));
}

function sameEtcdRevision(guard: number, stored: number): boolean {
  return etcdRevisionOf(guard) === etcdRevisionOf(stored);
}

function closedError(): StoreUnavailableError {
  return new StoreUnavailableError('the store is closed', 'no');
}
