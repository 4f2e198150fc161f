// database.ts
//
// The SQLite file behind the embedded store: synchronous, one connection, one owner.
//
//   objects  what is stored now
//   log      one row per change, newest `keepChanges` kept: which key changed, and the row that it replaced
//
// A change's own value is not written twice: it is in objects until the key changes again, and from then on in the log row
// of that next change. So the log answers both "what changed after r" (watches) and "what was stored at r" (pages).
// Revisions are contiguous, so the log's bounds are two integers.

import { DatabaseSync, type DatabaseSyncInstance, type StatementSyncInstance } from '@photostructure/sqlite';
import { prefixEnd, type Change, type Stored, type Write, type WriteOutcome } from '../store.js';

/** A write of the contract, or one that presence needs. */
export type EmbeddedWrite =
  | (Write & { readonly ttlMs?: number })
  /** Remove, at whatever revision the object is stored. */
  | { readonly op: 'remove'; readonly key: string };

export interface Committed {
  readonly outcomes: readonly WriteOutcome[];
  readonly changes: readonly Change[];
}

/** Revisions start here, so that none is 0, which means "any" to clients. */
const firstRevision = 1;
/** Log rows that one commit may drop: more than it adds, so that a backlog shrinks, few enough not to be felt. */
const compactionRowsMax = 1_024;

const schema = `
  CREATE TABLE IF NOT EXISTS objects (key TEXT PRIMARY KEY, revision INTEGER NOT NULL, value TEXT NOT NULL, ttl_ms INTEGER);
  CREATE INDEX IF NOT EXISTS objects_ttl ON objects (key) WHERE ttl_ms IS NOT NULL;
  CREATE TABLE IF NOT EXISTS log (
    revision INTEGER PRIMARY KEY, key TEXT NOT NULL, deleted INTEGER NOT NULL, replaced_revision INTEGER, replaced_value TEXT);
  CREATE INDEX IF NOT EXISTS log_replaced ON log (replaced_revision) WHERE replaced_revision IS NOT NULL;
`;

const statements = {
  read: 'SELECT key, revision, value FROM objects WHERE key = ?',
  insert: 'INSERT INTO objects (key, revision, value, ttl_ms) VALUES (?, ?, ?, ?)',
  update: 'UPDATE objects SET revision = ?, value = ? WHERE key = ?',
  remove: 'DELETE FROM objects WHERE key = ?',
  append: 'INSERT INTO log (revision, key, deleted, replaced_revision, replaced_value) VALUES (?, ?, ?, ?, ?)',
  compact: 'DELETE FROM log WHERE revision <= ?',
  bounds: 'SELECT min(revision) AS oldest, max(revision) AS newest FROM log',
  withTtl: 'SELECT key, ttl_ms AS ttlMs FROM objects WHERE ttl_ms IS NOT NULL',
  list: 'SELECT key, revision, value FROM objects WHERE key > ? AND key < ? AND revision <= ? ORDER BY key LIMIT ?',
  replacedSince: `
    SELECT key, replaced_revision AS revision, replaced_value AS value FROM log
    WHERE revision IN (SELECT min(revision) FROM log WHERE revision > ? AND key > ? AND key < ? GROUP BY key)
      AND replaced_revision IS NOT NULL
    ORDER BY key LIMIT ?`,
  changes: `
    SELECT l.revision, l.key, l.deleted, coalesce(o.value, r.replaced_value) AS value FROM log l
    LEFT JOIN objects o ON o.key = l.key AND o.revision = l.revision
    LEFT JOIN log r ON r.replaced_revision = l.revision
    WHERE l.revision > ? AND l.revision <= ? AND l.key >= ? AND l.key < ? ORDER BY l.revision`,
} as const;

export class Database {
  readonly #db: DatabaseSyncInstance;
  readonly #statements = new Map<keyof typeof statements, StatementSyncInstance>();
  readonly #keepChanges: number;
  #revision: number;
  #compactedRevision: number;

  /** @throws what SQLite says when the file cannot be opened or is locked (`errcode` 5) */
  constructor(options: { file: string; keepChanges: number }) {
    this.#keepChanges = options.keepChanges;
    this.#db = new DatabaseSync(options.file);
    try {
      // Exclusive before WAL: the file is locked as long as it is open, and no shared memory file is needed.
      this.#db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
      this.#db.exec('PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16384; PRAGMA foreign_keys = OFF');
      this.#db.exec(schema);
      const bounds = this.#statement('bounds').get() as { oldest: number | null; newest: number | null };
      this.#revision = bounds.newest ?? firstRevision;
      this.#compactedRevision = bounds.oldest === null ? firstRevision : bounds.oldest - 1;
    } catch (error) {
      this.#db.close();
      throw error;
    }
  }

  /** The revision of the newest change. */
  get revision(): number {
    return this.#revision;
  }

  /** Changes up to this one are no longer in the log; lists as of an older revision cannot be answered. */
  get compactedRevision(): number {
    return this.#compactedRevision;
  }

  /**
   * Applies the writes in one durable transaction, each under its own guard.
   * @param keepAfter changes after this revision stay in the log even if there are too many
   * @throws what SQLite says; nothing is applied then, unless the error came from the disk itself during the commit
   */
  commit(writes: readonly EmbeddedWrite[], keepAfter = Infinity): Committed {
    const before = this.#revision;
    const changes: Change[] = [];
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      const outcomes = writes.map((write) => this.#apply(write, changes));
      const compacted = this.#compact(keepAfter);
      this.#db.exec('COMMIT');
      this.#compactedRevision = compacted;
      return { outcomes, changes };
    } catch (error) {
      this.#revision = before;
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw error;
    }
  }

  #apply(write: EmbeddedWrite, changes: Change[]): WriteOutcome {
    const current = this.read(write.key);
    if (write.op === 'create' ? current : write.op === 'remove' ? !current : current?.revision !== write.revision) {
      return { ok: false, current };
    }
    const revision = ++this.#revision;
    const deleted = write.op === 'delete' || write.op === 'remove';
    if (write.op === 'create') this.#statement('insert').run(write.key, revision, write.value, write.ttlMs ?? null);
    else if (write.op === 'update') this.#statement('update').run(revision, write.value, write.key);
    else this.#statement('remove').run(write.key);
    this.#statement('append').run(revision, write.key, deleted ? 1 : 0, current?.revision ?? null, current?.value ?? null);
    changes.push({ type: deleted ? 'delete' : 'put', key: write.key, value: 'value' in write ? write.value : '', revision });
    return { ok: true, revision };
  }

  /** Drops the oldest log rows beyond what is kept; answers the new compacted revision. */
  #compact(keepAfter: number): number {
    const surplusUpTo = Math.min(this.#revision - this.#keepChanges, keepAfter);
    if (surplusUpTo <= this.#compactedRevision) return this.#compactedRevision;
    const upTo = Math.min(surplusUpTo, this.#compactedRevision + compactionRowsMax);
    this.#statement('compact').run(upTo);
    return upTo;
  }

  read(key: string): Stored | undefined {
    return this.#statement('read').get(key) as Stored | undefined;
  }

  /** Up to `limit` objects with `after` < key under `prefix`, as of `revision`, which is not compacted. */
  list(prefix: string, options: { after: string | undefined; revision: number; limit: number }): Stored[] {
    const { revision, limit } = options;
    const after = options.after ?? prefix;
    const end = prefixEnd(prefix);
    const unchanged = this.#statement('list').all(after, end, revision, limit) as Stored[];
    if (revision === this.#revision) return unchanged;
    const replaced = this.#statement('replacedSince').all(revision, after, end, limit) as Stored[];
    if (replaced.length === 0) return unchanged;
    return [...unchanged, ...replaced].sort((a, b) => (a.key < b.key ? -1 : 1)).slice(0, limit);
  }

  /** Changes under `prefix` with `after` < revision <= `upTo`; `after` is not compacted. */
  changes(prefix: string, after: number, upTo: number): Change[] {
    const rows = this.#statement('changes').all(after, upTo, prefix, prefixEnd(prefix)) as { revision: number; key: string; deleted: number; value: string | null }[];
    return rows.map(({ revision, key, deleted, value }) => ({ type: deleted ? 'delete' : 'put', key, value: value ?? '', revision }));
  }

  /** Keys that presence announced, with their time to live. */
  keysWithTtl(): { key: string; ttlMs: number }[] {
    return this.#statement('withTtl').all() as { key: string; ttlMs: number }[];
  }

  close(): void {
    // The connection lives on until its statements are collected (they cannot be finalized), and so would its lock: leave
    // WAL mode, which also leaves one tidy file, and give the lock back.
    this.#db.exec('PRAGMA journal_mode = DELETE; PRAGMA locking_mode = NORMAL; SELECT count(*) FROM (SELECT 1 FROM objects LIMIT 1)');
    this.#statements.clear();
    this.#db.close();
  }

  #statement(name: keyof typeof statements): StatementSyncInstance {
    let statement = this.#statements.get(name);
    if (!statement) this.#statements.set(name, (statement = this.#db.prepare(statements[name])));
    return statement;
  }
}
