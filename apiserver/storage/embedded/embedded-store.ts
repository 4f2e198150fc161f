// embedded-store.ts
//
// The store in one SQLite file, for the one-command start and small installations. It has one owner: the process that
// opened it. Changes reach watchers from a short tail in memory; a watcher that is further behind reads the log.

import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '../../../lib/clock.js';
import { GroupCommit } from '../group-commit.js';
import { settleWrite } from '../settle-write.js';
import {
  GoneError,
  StoreUnavailableError,
  ValueTooLargeError,
  valueBytesMax,
  type Change,
  type ListOptions,
  type Page,
  type Store,
  type Stored,
  type Write,
  type WriteOutcome,
} from '../store.js';
import { observedCommit, type CommitObserver } from '../commit-observer.js';
import { Database, type EmbeddedWrite } from './database.js';
import { EmbeddedPresence } from './embedded-presence.js';

export interface EmbeddedStoreOptions {
  /** Path of the SQLite file; its directory is made when absent (mode 0700), the file is for the owner only (0600). */
  readonly file: string;
  readonly clock: Clock;
  /** How many changes a watcher may be behind, and how far back a list may be continued. @default 10_000 */
  readonly keepChanges?: number;
  readonly onCommit?: CommitObserver;
}

/** The data file cannot be used; the message is a sentence for the person who starts the program. */
export class StoreOpenError extends Error {
  override readonly name = 'StoreOpenError';
}

/** Rows read in one turn of the event loop, so that a long list or catch-up does not hold up everything else. */
const rowsPerTurn = 500;
/** Newest changes kept in memory for watchers that are up to date. */
const tailChangesMax = 4_096;
const tailBytesMax = 16 * 1_024 * 1_024;

const sqliteBusy = 5;
const sqliteNoMemory = 7;
const sqliteFull = 13;
/** After these, SQLite has rolled the transaction back for certain. */
const sqliteNotApplied = new Set([sqliteNoMemory, sqliteFull]);

export class EmbeddedStore implements Store {
  readonly presence: EmbeddedPresence;
  readonly #db: Database;
  readonly #commits: GroupCommit<EmbeddedWrite, WriteOutcome>;
  /** Revisions that lists in progress still need. */
  readonly #pinned = new Set<{ readonly revision: number }>();
  /** The newest changes, contiguous, oldest first. */
  #tail: Change[] = [];
  #tailBytes = 0;
  /** Watchers that have everything, to be woken by the next change. */
  #waiting: (() => void)[] = [];
  #closed = false;

  /**
   * Opens the file, or makes it. The store works from then on until `close`.
   * @throws StoreOpenError when the file is in use, cannot be written or is not a data file
   */
  static open(options: EmbeddedStoreOptions): EmbeddedStore {
    return new EmbeddedStore(openDatabase(options.file, options.keepChanges ?? 10_000), options);
  }

  private constructor(db: Database, { clock, onCommit }: EmbeddedStoreOptions) {
    this.#db = db;
    this.#commits = new GroupCommit<EmbeddedWrite, WriteOutcome>({
      commit: observedCommit((batch) => this.#commit(batch), clock, onCommit),
      keyOf: (write) => write.key,
      bytesOf: (write) => write.key.length + ('value' in write ? Buffer.byteLength(write.value) : 0),
      settle: (write, earlier, outcome) => (write.op === 'remove' || earlier.op === 'remove' ? undefined : settleWrite(write, earlier, outcome)),
      inFlightMax: 1,
      batchOpsMax: 256,
      batchBytesMax: 1_024 * 1_024,
      waitingOpsMax: 20_000,
      waitingBytesMax: 64 * 1_024 * 1_024,
    });
    this.presence = new EmbeddedPresence({ clock, write: (write) => this.#offer(write) });
    for (const { key, ttlMs } of db.keysWithTtl()) this.presence.adopt(key, ttlMs);
  }

  async read(key: string): Promise<Stored | undefined> {
    this.#assertOpen();
    return this.#db.read(key);
  }

  async list(prefix: string, options: ListOptions = {}): Promise<Page> {
    this.#assertOpen();
    const { limit = Infinity } = options;
    const revision = options.revision ?? this.#db.revision;
    if (revision < this.#db.compactedRevision || revision > this.#db.revision) throw new GoneError(revision, this.#db.compactedRevision);
    const pin = { revision };
    this.#pinned.add(pin);
    try {
      const items: Stored[] = [];
      for (let after = options.after; ; after = items.at(-1)!.key) {
        const wanted = Math.min(rowsPerTurn, limit - items.length);
        const rows = this.#db.list(prefix, { after, revision, limit: wanted + 1 });
        const more = rows.length > wanted;
        for (const row of rows.slice(0, wanted)) items.push(row);
        if (!more || items.length >= limit) return { items, revision, next: more ? items.at(-1)?.key : undefined };
        await turn();
        this.#assertOpen();
      }
    } finally {
      this.#pinned.delete(pin);
    }
  }

  async write(write: Write): Promise<WriteOutcome> {
    const bytes = 'value' in write ? Buffer.byteLength(write.value) : 0;
    if (bytes > valueBytesMax) throw new ValueTooLargeError(write.key, bytes);
    const outcome = await this.#offer(write);
    if (outcome.ok && write.op === 'delete') this.presence.forget(write.key);
    return outcome;
  }

  async *watch(prefix: string, revision: number, signal: AbortSignal): AsyncGenerator<readonly Change[]> {
    let wake = (): void => {};
    const abort = (): void => wake();
    signal.addEventListener('abort', abort, { once: true });
    try {
      for (let cursor = revision; !signal.aborted; ) {
        this.#assertOpen();
        if (cursor >= this.#db.revision) {
          await new Promise<void>((resolve) => this.#waiting.push((wake = resolve)));
          continue;
        }
        if (cursor < this.#db.compactedRevision) throw new GoneError(cursor, this.#db.compactedRevision);
        const { changes, upTo, fromDisk } = this.#changesAfter(prefix, cursor);
        cursor = upTo;
        if (changes.length > 0) yield changes;
        else if (fromDisk) await turn();
      }
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  async currentRevision(): Promise<number> {
    this.#assertOpen();
    return this.#db.revision;
  }

  async close(): Promise<void> {
    if (this.#closed) return this.#commits.idle();
    this.#closed = true;
    this.presence.close();
    await this.#commits.idle();
    this.#wakeWatchers();
    this.#db.close();
  }

  #offer(write: EmbeddedWrite): Promise<WriteOutcome> {
    if (this.#closed) return Promise.reject(closedError());
    return this.#commits.offer(write);
  }

  async #commit(batch: readonly EmbeddedWrite[]): Promise<readonly WriteOutcome[]> {
    const oldestPinned = Math.min(...[...this.#pinned].map(({ revision }) => revision));
    try {
      const { outcomes, changes } = this.#db.commit(batch, oldestPinned);
      this.#publish(changes);
      return outcomes;
    } catch (error) {
      const { errcode, message } = error as { errcode?: number; message: string };
      const applied = errcode !== undefined && sqliteNotApplied.has(errcode & 0xff) ? 'no' : 'unknown';
      throw new StoreUnavailableError(`the data file could not be written: ${message}`, applied, { cause: error });
    }
  }

  #publish(changes: readonly Change[]): void {
    if (changes.length === 0) return;
    for (const change of changes) {
      this.#tail.push(change);
      this.#tailBytes += change.value.length;
    }
    while (this.#tail.length > tailChangesMax * 2 || (this.#tailBytes > tailBytesMax && this.#tail.length > 1)) {
      for (const dropped of this.#tail.splice(0, Math.ceil(this.#tail.length / 2))) this.#tailBytes -= dropped.value.length;
    }
    this.#wakeWatchers();
  }

  #wakeWatchers(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #changesAfter(prefix: string, cursor: number): { changes: readonly Change[]; upTo: number; fromDisk: boolean } {
    const first = this.#tail[0]?.revision;
    if (first !== undefined && cursor + 1 >= first) {
      const changes = this.#tail.slice(cursor + 1 - first).filter(({ key }) => key.startsWith(prefix));
      return { changes, upTo: this.#db.revision, fromDisk: false };
    }
    const upTo = Math.min(this.#db.revision, cursor + rowsPerTurn);
    return { changes: this.#db.changes(prefix, cursor, upTo), upTo, fromDisk: true };
  }

  #assertOpen(): void {
    if (this.#closed) throw closedError();
  }
}

function openDatabase(file: string, keepChanges: number): Database {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    // Made before SQLite sees it, because its journal takes over the mode.
    closeSync(openSync(file, 'a', 0o600));
    chmodSync(file, 0o600);
  } catch (error) {
    throw new StoreOpenError(`cannot write the data file ${file}: ${(error as Error).message}`, { cause: error });
  }
  try {
    return new Database({ file, keepChanges });
  } catch (error) {
    const { errcode, message } = error as { errcode?: number; message: string };
    throw new StoreOpenError(
      errcode !== undefined && (errcode & 0xff) === sqliteBusy
        ? `the data file ${file} is in use by another process: stop it, or choose another data directory`
        : `cannot open the data file ${file}: ${message}`,
      { cause: error },
    );
  }
}

function closedError(): StoreUnavailableError {
  return new StoreUnavailableError('the store is closed', 'no');
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
