// database-host.ts: where the database runs: in this thread (tests, tools), or in one of its own (database-thread.ts).

import type { Change, Stored } from '../store.js';
import { Database, type Bounds, type Committed, type DatabaseOptions, type EmbeddedWrite, type Rows, type RowsOptions } from './database.js';

export interface Opened {
  readonly bounds: Bounds;
  readonly present: readonly { readonly key: string; readonly ttlMs: number }[];
}

/** What the embedded store needs of the database, wherever it runs. Calls are carried out in the order in which they are made. */
export interface DatabaseHost {
  /** As of when it was opened. */
  readonly opened: Opened;
  /** As Store.failed. */
  readonly failed?: Promise<Error>;
  commit(writes: readonly EmbeddedWrite[], keepAfter: number): Promise<Committed>;
  read(key: string): Promise<Stored | undefined>;
  /** @throws GoneError */
  list(prefix: string, options: RowsOptions): Promise<Rows>;
  /** @throws GoneError */
  changes(prefix: string, after: number, upTo: number): Promise<readonly Change[]>;
  close(): Promise<void>;
}

/** The database in this thread. */
export class InlineDatabase implements DatabaseHost {
  readonly opened: Opened;
  readonly #db: Database;

  /** @throws what SQLite says */
  constructor(options: DatabaseOptions) {
    this.#db = new Database(options);
    this.opened = { bounds: this.#db.bounds, present: this.#db.present() };
  }

  async commit(writes: readonly EmbeddedWrite[], keepAfter: number): Promise<Committed> {
    return this.#db.commit(writes, keepAfter);
  }

  async read(key: string): Promise<Stored | undefined> {
    return this.#db.read(key);
  }

  async list(prefix: string, options: RowsOptions): Promise<Rows> {
    return this.#db.list(prefix, options);
  }

  async changes(prefix: string, after: number, upTo: number): Promise<readonly Change[]> {
    return this.#db.changes(prefix, after, upTo);
  }

  async close(): Promise<void> {
    this.#db.close();
  }
}
