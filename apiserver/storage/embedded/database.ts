// database.ts: the SQLite file behind the embedded store: synchronous, one connection, one owner. Tables: schema.ts.

import { DatabaseSync, type DatabaseSyncInstance, type StatementSyncInstance } from '@photostructure/sqlite';
import { GoneError, prefixEnd, type Change, type Stored, type Write } from '../store.js';
import { prepareTables, statements } from './schema.js';

/** A write of the contract, or one that presence needs. */
export type EmbeddedWrite =
  | (Write & { readonly ttlMs?: number })
  /** Remove, at whatever revision the object is stored. */
  | { readonly op: 'remove'; readonly key: string };

/** The revision of the write, or what is stored instead of what its guard asked for: null for nothing. */
export type DatabaseOutcome = number | Stored | null;

export interface Committed {
  /** One per write, in order. */
  readonly outcomes: readonly DatabaseOutcome[];
  readonly bounds: Bounds;
}

export interface Bounds {
  /** The revision of the newest change. */
  readonly revision: number;
  /** Changes up to this one are no longer kept; lists as of an older revision cannot be answered. */
  readonly compactedRevision: number;
}

export interface RowsOptions {
  readonly after: string | undefined;
  readonly revision: number | undefined;
  readonly limit: number;
}

export interface Rows {
  readonly items: readonly Stored[];
  /** As of which they are. */
  readonly revision: number;
}

export interface DatabaseOptions {
  readonly file: string;
  readonly keepChanges: number;
}

/** The rows of old changes go in steps: none so small that every lone write pays for it, none so large that it is felt. */
const compactionRowsMin = 256;
const compactionRowsMax = 1_024;

export class Database {
  readonly #db: DatabaseSyncInstance;
  readonly #statements = new Map<keyof typeof statements, StatementSyncInstance>();
  readonly #keepChanges: number;
  /** Keys in the presence table. */
  readonly #present = new Set<string>();
  #revision: number;
  #compactedRevision: number;
  /** Rows of changes up to here are gone: behind the compacted revision by a step at most, unless there is a backlog. */
  #droppedUpTo: number;

  /** @throws what SQLite says when the file cannot be opened or is locked (`errcode` 5) */
  constructor(options: DatabaseOptions) {
    this.#keepChanges = options.keepChanges;
    this.#db = new DatabaseSync(options.file);
    try {
      // Exclusive before WAL: the file is locked as long as it is open, and no shared memory file is needed. The size of a
      // page counts for a new file only: several objects each, so that a commit of many writes few.
      this.#db.exec('PRAGMA page_size = 8192; PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
      this.#db.exec('PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16384; PRAGMA foreign_keys = OFF');
      prepareTables(this.#db);
      const { newest, compacted } = this.#statement('bounds').get() as { newest: number | null; compacted: number };
      this.#revision = Math.max(newest ?? 0, compacted);
      this.#compactedRevision = this.#droppedUpTo = compacted;
      for (const { key } of this.present()) this.#present.add(key);
    } catch (error) {
      this.#db.close();
      throw error;
    }
  }

  get bounds(): Bounds {
    return { revision: this.#revision, compactedRevision: this.#compactedRevision };
  }

  /**
   * Applies the writes in one durable transaction, each under its own guard.
   * @param keepAfter changes after this revision are kept even if there are too many
   * @throws what SQLite says; nothing is applied then, unless the error came from the disk itself during the commit
   */
  commit(writes: readonly EmbeddedWrite[], keepAfter = Infinity): Committed {
    const before = this.#revision;
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      const outcomes = writes.map((write) => this.#apply(write));
      const compacted = Math.max(this.#compactedRevision, Math.min(this.#revision - this.#keepChanges, keepAfter));
      const dropped = this.#dropUpTo(compacted);
      this.#db.exec('COMMIT');
      this.#compactedRevision = compacted;
      this.#droppedUpTo = dropped;
      return { outcomes, bounds: this.bounds };
    } catch (error) {
      this.#revision = before;
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      this.#present.clear();
      for (const { key } of this.present()) this.#present.add(key);
      throw error;
    }
  }

  #apply(write: EmbeddedWrite): DatabaseOutcome {
    const { key } = write;
    const revision = this.#revision + 1;
    const replaced = this.#replace(write, revision);
    if (replaced === undefined) return this.read(key) ?? null;
    this.#revision = revision;
    this.#statement('append').run(revision, key, 'value' in write ? write.value : null, replaced);
    if (write.op === 'create') {
      if (write.ttlMs !== undefined) {
        this.#statement('announce').run(key, write.ttlMs);
        this.#present.add(key);
      }
    } else if (!('value' in write) && this.#present.delete(key)) this.#statement('withdraw').run(key);
    return revision;
  }

  /** Makes `revision` the key's current one; answers the one that it replaces, null for none, undefined when the guard fails. */
  #replace(write: EmbeddedWrite, revision: number): number | null | undefined {
    switch (write.op) {
      case 'create':
        return this.#statement('insert').run(write.key, revision).changes === 1 ? null : undefined;
      case 'update':
        return this.#statement('update').run(revision, write.key, write.revision).changes === 1 ? write.revision : undefined;
      case 'delete':
        return this.#statement('delete').run(write.key, write.revision).changes === 1 ? write.revision : undefined;
      case 'remove':
        return (this.#statement('remove').get(write.key) as { revision: number } | undefined)?.revision;
    }
  }

  /** Answers up to where the rows of old changes are gone now. */
  #dropUpTo(compacted: number): number {
    const from = this.#droppedUpTo;
    if (compacted - from < compactionRowsMin) return from;
    const upTo = Math.min(compacted, from + compactionRowsMax);
    this.#statement('dropReplaced').run(from, upTo);
    this.#statement('dropDeletions').run(from, upTo);
    this.#statement('setCompacted').run(upTo);
    return upTo;
  }

  read(key: string): Stored | undefined {
    return this.#statement('read').get(key) as Stored | undefined;
  }

  /** Up to `limit` objects with `after` < key under `prefix`, as of `revision`: the newest when it is undefined. @throws GoneError */
  list(prefix: string, options: RowsOptions): Rows {
    const { limit, revision = this.#revision } = options;
    this.#refuseGone(revision);
    const after = options.after ?? prefix;
    const end = prefixEnd(prefix);
    const unchanged = this.#statement('list').all(after, end, revision, limit) as Stored[];
    if (revision === this.#revision) return { items: unchanged, revision };
    const replaced = this.#statement('replacedSince').all(revision, after, end, limit) as Stored[];
    if (replaced.length === 0) return { items: unchanged, revision };
    return { items: [...unchanged, ...replaced].sort((a, b) => (a.key < b.key ? -1 : 1)).slice(0, limit), revision };
  }

  /** Changes under `prefix` with `after` < revision <= `upTo`. @throws GoneError */
  changes(prefix: string, after: number, upTo: number): Change[] {
    this.#refuseGone(after);
    const rows = this.#statement('changes').all(after, upTo, prefix, prefixEnd(prefix)) as { revision: number; key: string; value: string | null }[];
    return rows.map(({ revision, key, value }) => ({ type: value === null ? 'delete' : 'put', key, value: value ?? '', revision }));
  }

  /** Keys that presence announced, with their time to live. */
  present(): { key: string; ttlMs: number }[] {
    return this.#statement('present').all() as { key: string; ttlMs: number }[];
  }

  #refuseGone(revision: number): void {
    if (revision < this.#compactedRevision || revision > this.#revision) throw new GoneError(revision, this.#compactedRevision);
  }

  close(): void {
    // The connection lives on until its statements are collected (they cannot be finalized), and so would its lock: leave
    // WAL mode, which also leaves one tidy file, and give the lock back.
    this.#db.exec('PRAGMA journal_mode = DELETE; PRAGMA locking_mode = NORMAL; SELECT count(*) FROM (SELECT 1 FROM current LIMIT 1)');
    this.#statements.clear();
    this.#db.close();
  }

  #statement(name: keyof typeof statements): StatementSyncInstance {
    let statement = this.#statements.get(name);
    if (!statement) this.#statements.set(name, (statement = this.#db.prepare(statements[name])));
    return statement;
  }
}
