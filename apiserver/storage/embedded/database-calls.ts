// database-calls.ts: what goes between the store and the database's thread.

import { GoneError } from '../store.js';
import type { Database, EmbeddedWrite, RowsOptions } from './database.js';

/** Writes as columns: copied from thread to thread for a quarter of what an object for each costs. */
interface PackedWrites {
  readonly ops: readonly EmbeddedWrite['op'][];
  readonly keys: readonly string[];
  /** Undefined for a removal. */
  readonly values: readonly (string | undefined)[];
  /** The guard's; 0 where there is none. */
  readonly revisions: readonly number[];
  /** Times to live; absent when no write has one. */
  readonly ttlsMs?: (number | undefined)[];
}

export type Call =
  | { readonly call: 'commit'; readonly writes: PackedWrites; readonly keepAfter: number }
  | { readonly call: 'read'; readonly key: string }
  | { readonly call: 'list'; readonly prefix: string; readonly options: RowsOptions }
  | { readonly call: 'changes'; readonly prefix: string; readonly after: number; readonly upTo: number }
  | { readonly call: 'close' };

/** What the thread says to a call, and first of all to having been started. */
export type Answer = { readonly result: unknown } | { readonly failure: Failure };

/** An error as it goes between threads. */
export interface Failure {
  readonly message: string;
  readonly errcode?: number | undefined;
  readonly gone?: { readonly asked: number; readonly oldest: number };
}

/** Carries out a call. @throws what the database says */
export function perform(db: Database, call: Call): unknown {
  switch (call.call) {
    case 'commit':
      return db.commit(unpacked(call.writes), call.keepAfter);
    case 'read':
      return db.read(call.key);
    case 'list':
      return db.list(call.prefix, call.options);
    case 'changes':
      return db.changes(call.prefix, call.after, call.upTo);
    case 'close':
      return db.close();
  }
}

export function packed(writes: readonly EmbeddedWrite[]): PackedWrites {
  const ops: EmbeddedWrite['op'][] = [];
  const keys: string[] = [];
  const values: (string | undefined)[] = [];
  const revisions: number[] = [];
  for (const write of writes) {
    const { op, key } = write;
    ops.push(op);
    keys.push(key);
    values.push(op === 'create' || op === 'update' ? write.value : undefined);
    revisions.push(op === 'update' || op === 'delete' ? write.revision : 0);
  }
  return { ops, keys, values, revisions, ...(writes.some(hasTtl) ? { ttlsMs: writes.map((write) => (hasTtl(write) ? write.ttlMs : undefined)) } : {}) };
}

function unpacked({ ops, keys, values, revisions, ttlsMs }: PackedWrites): EmbeddedWrite[] {
  return ops.map((op, index): EmbeddedWrite => {
    const key = keys[index]!;
    if (op === 'remove') return { op, key };
    if (op === 'delete') return { op, key, revision: revisions[index]! };
    const value = values[index]!;
    if (op === 'update') return { op, key, value, revision: revisions[index]! };
    const ttlMs = ttlsMs?.[index];
    return ttlMs === undefined ? { op, key, value } : { op, key, value, ttlMs };
  });
}

function hasTtl(write: EmbeddedWrite): write is EmbeddedWrite & { readonly ttlMs: number } {
  return write.op === 'create' && write.ttlMs !== undefined;
}

export function failureOf(error: unknown): Failure {
  const { message, errcode } = error as { message: string; errcode?: number };
  return { message, errcode, ...(error instanceof GoneError ? { gone: { asked: error.askedRevision, oldest: error.oldestRevision } } : {}) };
}

export function errorOf({ message, errcode, gone }: Failure): Error {
  return gone ? new GoneError(gone.asked, gone.oldest) : Object.assign(new Error(message), errcode === undefined ? {} : { errcode });
}
