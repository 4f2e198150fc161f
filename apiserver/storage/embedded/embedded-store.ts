// embedded-store.ts
//
// The store in one SQLite file, for the one-command start and small installations. It has one owner: the process that
// opened it. Changes reach watchers from a short tail in memory; a watcher that is further behind reads the file.

import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '../../../lib/clock.js';
import { GroupCommit } from '../group-commit.js';
import { settleWrite } from '../settle-write.js';
import {
  GoneError,
  StoreUnavailableError,
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
import { observedCommit, type CommitObserver } from '../commit-observer.js';
import { InlineDatabase, type DatabaseHost } from './database-host.js';
import { DatabaseThread } from './database-thread.js';
import type { Bounds, DatabaseOptions, DatabaseOutcome, EmbeddedWrite } from './database.js';
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

/** Rows read in one call, so that a long list or catch-up does not hold up everything else. */
const rowsPerTurn = 500;
/** Newest changes kept in memory for watchers that are up to date. */
const tailChangesMax = 4_096;
const tailBytesMax = 16 * 1_024 * 1_024;

const sqliteBusy = 5;
const sqliteNoMemory = 7;
const sqliteFull = 13;
/** After these, SQLite has rolled the transaction back for certain. */
const sqliteNotApplied = new Set([sqliteNoMemory, sqliteFull]);

/** One batch is made durable while the next one travels. */
const threadBatchesInFlight = 2;

/** What a watcher is told next. */
interface Caught {
  readonly changes: readonly Change[];
  /** Up to where these are all that there is. */
  readonly upTo: number;
  readonly fromDisk: boolean;
}

export class EmbeddedStore implements Store {
  readonly presence: EmbeddedPresence;
  readonly #db: DatabaseHost;
  /** As of the newest commit that was answered. */
  #bounds: Bounds;
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
    prepareFile(options.file);
    try {
      return new EmbeddedStore(new InlineDatabase(databaseOptions(options)), options, 1);
    } catch (error) {
      throw openError(options.file, error);
    }
  }

  /**
   * The same, with the database in a thread of its own: what servers do.
   * @param program the built database-worker.ts
   * @throws StoreOpenError
   */
  static async openInThread(options: EmbeddedStoreOptions, program: URL): Promise<EmbeddedStore> {
    prepareFile(options.file);
    try {
      return new EmbeddedStore(await DatabaseThread.open(databaseOptions(options), program), options, threadBatchesInFlight);
    } catch (error) {
      throw openError(options.file, error);
    }
  }

  private constructor(db: DatabaseHost, { clock, onCommit }: EmbeddedStoreOptions, inFlightMax: number) {
    this.#db = db;
    this.#bounds = db.opened.bounds;
    this.#commits = new GroupCommit<EmbeddedWrite, WriteOutcome>({
      commit: observedCommit((batch) => this.#commit(batch), clock, onCommit),
      keyOf: (write) => write.key,
      isNew: goesWithNew,
      bytesOf: (write) => write.key.length + ('value' in write ? write.value.length : 0),
      settle: (write, earlier, outcome) => (write.op === 'remove' || earlier.op === 'remove' ? undefined : settleWrite(write, earlier, outcome)),
      inFlightMax,
      batchOpsMax: 256,
      batchBytesMax: 1_024 * 1_024,
      waitingOpsMax: 20_000,
      waitingBytesMax: 64 * 1_024 * 1_024,
    });
    this.presence = new EmbeddedPresence({ clock, write: (write) => this.#offer(write) });
    for (const { key, ttlMs } of db.opened.present) this.presence.adopt(key, ttlMs);
  }

  get failed(): Promise<Error> | undefined {
    return this.#db.failed;
  }

  async read(key: string): Promise<Stored | undefined> {
    this.#assertOpen();
    return this.#db.read(key);
  }

  async list(prefix: string, options: ListOptions = {}): Promise<Page> {
    const items: Stored[] = [];
    for await (const page of this.#pages(prefix, options)) {
      for (const item of page.items) items.push(item);
      if (page.next === undefined || items.length >= (options.limit ?? Infinity)) return { ...page, items };
    }
    throw closedError();
  }

  pages(prefix: string): AsyncIterable<Page> {
    return this.#pages(prefix, {});
  }

  /** The next page is read while this one is looked at. */
  async *#pages(prefix: string, options: ListOptions): AsyncGenerator<Page> {
    this.#assertOpen();
    const { limit = Infinity } = options;
    // The database may be ahead of us by what is being committed: it says which revision is the newest.
    const pin = { revision: options.revision ?? this.#bounds.revision };
    this.#pinned.add(pin);
    try {
      let left = limit;
      let rows = await this.#db.list(prefix, { after: options.after, revision: options.revision, limit: Math.min(rowsPerTurn, left) + 1 });
      for (;;) {
        const wanted = Math.min(rowsPerTurn, left);
        const more = rows.items.length > wanted;
        const items = more ? rows.items.slice(0, wanted) : rows.items;
        left -= items.length;
        const { revision } = rows;
        const next = more ? items.at(-1)!.key : undefined;
        const reading = more && left > 0 ? this.#db.list(prefix, { after: next, revision, limit: Math.min(rowsPerTurn, left) + 1 }) : undefined;
        // Whoever stops at this page does not wait for the next.
        reading?.catch(() => {});
        yield { items, revision, next };
        if (!reading) return;
        await turn();
        this.#assertOpen();
        rows = await reading;
      }
    } finally {
      this.#pinned.delete(pin);
    }
  }

  write(write: Write): Promise<WriteOutcome> {
    if (write.op === 'delete') return this.#delete(write);
    try {
      refuseTooLarge(write.key, write.value);
    } catch (error) {
      return Promise.reject(error as Error);
    }
    return this.#offer(write);
  }

  async #delete(write: Write): Promise<WriteOutcome> {
    const outcome = await this.#offer(write);
    if (outcome.ok) this.presence.forget(write.key);
    return outcome;
  }

  async *watch(prefix: string, revision: number, signal: AbortSignal): AsyncGenerator<readonly Change[]> {
    let wake = (): void => {};
    const abort = (): void => wake();
    signal.addEventListener('abort', abort, { once: true });
    try {
      for (let cursor = revision; !signal.aborted; ) {
        this.#assertOpen();
        if (cursor >= this.#bounds.revision) {
          await new Promise<void>((resolve) => this.#waiting.push((wake = resolve)));
          continue;
        }
        if (cursor < this.#bounds.compactedRevision) throw new GoneError(cursor, this.#bounds.compactedRevision);
        const { changes, upTo, fromDisk } = this.#fromTail(prefix, cursor) ?? (await this.#fromDisk(prefix, cursor));
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
    return this.#bounds.revision;
  }

  async close(): Promise<void> {
    if (this.#closed) return this.#commits.idle();
    this.#closed = true;
    this.presence.close();
    await this.#commits.idle();
    this.#wakeWatchers();
    await this.#db.close();
  }

  #offer(write: EmbeddedWrite): Promise<WriteOutcome> {
    if (this.#closed) return Promise.reject(closedError());
    return this.#commits.offer(write);
  }

  async #commit(batch: readonly EmbeddedWrite[]): Promise<readonly WriteOutcome[]> {
    let keepAfter = Infinity;
    for (const { revision } of this.#pinned) keepAfter = Math.min(keepAfter, revision);
    try {
      const { outcomes, bounds } = await this.#db.commit(batch, keepAfter);
      this.#bounds = bounds;
      this.#publish(batch, outcomes);
      return outcomes.map((outcome) => (typeof outcome === 'number' ? { ok: true, revision: outcome } : { ok: false, current: outcome ?? undefined }));
    } catch (error) {
      const { errcode, message } = error as { errcode?: number; message: string };
      const applied = errcode !== undefined && sqliteNotApplied.has(errcode & 0xff) ? 'no' : 'unknown';
      throw new StoreUnavailableError(`the data file could not be written: ${message}`, applied, { cause: error });
    }
  }

  #publish(batch: readonly EmbeddedWrite[], outcomes: readonly DatabaseOutcome[]): void {
    for (let index = 0; index < batch.length; index++) {
      const revision = outcomes[index];
      if (typeof revision !== 'number') continue;
      const write = batch[index]!;
      const value = 'value' in write ? write.value : undefined;
      this.#tail.push({ type: value === undefined ? 'delete' : 'put', key: write.key, value: value ?? '', revision });
      this.#tailBytes += value?.length ?? 0;
    }
    while (this.#tail.length > tailChangesMax * 2 || (this.#tailBytes > tailBytesMax && this.#tail.length > 1)) {
      for (const dropped of this.#tail.splice(0, Math.ceil(this.#tail.length / 2))) this.#tailBytes -= dropped.value.length;
    }
    this.#wakeWatchers();
  }

  #wakeWatchers(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #fromTail(prefix: string, cursor: number): Caught | undefined {
    const first = this.#tail[0]?.revision;
    if (first === undefined || cursor + 1 < first) return undefined;
    const all = this.#tail.slice(cursor + 1 - first);
    return { changes: prefix === rootPrefix ? all : all.filter(({ key }) => key.startsWith(prefix)), upTo: this.#bounds.revision, fromDisk: false };
  }

  async #fromDisk(prefix: string, cursor: number): Promise<Caught> {
    const upTo = Math.min(this.#bounds.revision, cursor + rowsPerTurn);
    return { changes: await this.#db.changes(prefix, cursor, upTo), upTo, fromDisk: true };
  }

  #assertOpen(): void {
    if (this.#closed) throw closedError();
  }
}

function databaseOptions({ file, keepChanges = 10_000 }: EmbeddedStoreOptions): DatabaseOptions {
  return { file, keepChanges };
}

/** @throws StoreOpenError */
function prepareFile(file: string): void {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    // Made before SQLite sees it, because its journal takes over the mode.
    closeSync(openSync(file, 'a', 0o600));
    chmodSync(file, 0o600);
  } catch (error) {
    throw new StoreOpenError(`cannot write the data file ${file}: ${(error as Error).message}`, { cause: error });
  }
}

function openError(file: string, error: unknown): StoreOpenError {
  const { errcode, message } = error as { errcode?: number; message: string };
  return new StoreOpenError(
    errcode !== undefined && (errcode & 0xff) === sqliteBusy
      ? `the data file ${file} is in use by another process: stop it, or choose another data directory`
      : `cannot open the data file ${file}: ${message}`,
    { cause: error },
  );
}

function closedError(): StoreUnavailableError {
  return new StoreUnavailableError('the store is closed', 'no');
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
