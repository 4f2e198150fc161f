// schema.ts
//
// The tables of the SQLite file.
//
//   versions   every put and every deletion (no value) under its revision, until nobody can ask for it any more
//   current    which version of each key is stored now
//   presence   the keys that presence announced, with their time to live
//   compacted  one row: changes up to that revision are no longer kept
//
// A write is thus one row at the end of versions and one small row of current; what it replaces is neither read nor moved.
// versions answers both "what changed after r" (watches) and "what was stored at r" (pages). `replaced` names the version
// that a change replaced, which goes when the change itself is too old to be asked for.

import type { DatabaseSyncInstance } from '@photostructure/sqlite';

/** PRAGMA user_version of these tables. Files of before they had a number have 0. */
const schemaVersion = 2;

/** Revisions start here, so that none is 0, which means "any" to clients. */
const firstRevision = 1;

const tables = `
  CREATE TABLE versions (revision INTEGER PRIMARY KEY, key TEXT NOT NULL, value TEXT, replaced INTEGER);
  CREATE TABLE current (key TEXT PRIMARY KEY, revision INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE presence (key TEXT PRIMARY KEY, ttl_ms INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE compacted (id INTEGER PRIMARY KEY CHECK (id = 0), revision INTEGER NOT NULL);
`;

/** From the tables without a number: objects (values in place) and log (what each change replaced). Their history is dropped. */
const fromUnnumbered = `
  INSERT INTO versions SELECT revision, key, value, NULL FROM objects ORDER BY revision;
  INSERT INTO current SELECT key, revision FROM objects ORDER BY key;
  INSERT INTO presence SELECT key, ttl_ms FROM objects WHERE ttl_ms IS NOT NULL;
  INSERT INTO compacted SELECT 0, coalesce(max(revision), ${firstRevision}) FROM log;
  DROP TABLE log;
  DROP TABLE objects;
`;

export const statements = {
  read: 'SELECT v.key, v.revision, v.value FROM current c CROSS JOIN versions v ON v.revision = c.revision WHERE c.key = ?',
  insert: 'INSERT INTO current (key, revision) VALUES (?, ?) ON CONFLICT DO NOTHING',
  update: 'UPDATE current SET revision = ? WHERE key = ? AND revision = ?',
  delete: 'DELETE FROM current WHERE key = ? AND revision = ?',
  remove: 'DELETE FROM current WHERE key = ? RETURNING revision',
  append: 'INSERT INTO versions (revision, key, value, replaced) VALUES (?, ?, ?, ?)',
  announce: 'INSERT INTO presence (key, ttl_ms) VALUES (?, ?)',
  withdraw: 'DELETE FROM presence WHERE key = ?',
  dropReplaced: 'DELETE FROM versions WHERE revision IN (SELECT replaced FROM versions WHERE revision > ? AND revision <= ? AND replaced IS NOT NULL)',
  dropDeletions: 'DELETE FROM versions WHERE revision > ? AND revision <= ? AND value IS NULL',
  setCompacted: 'UPDATE compacted SET revision = ?',
  bounds: 'SELECT (SELECT max(revision) FROM versions) AS newest, revision AS compacted FROM compacted',
  present: 'SELECT key, ttl_ms AS ttlMs FROM presence',
  list: `
    SELECT v.key, v.revision, v.value FROM current c CROSS JOIN versions v ON v.revision = c.revision
    WHERE c.key > ? AND c.key < ? AND c.revision <= ? ORDER BY c.key LIMIT ?`,
  replacedSince: `
    SELECT key, revision, value FROM versions WHERE revision IN (
      SELECT replaced FROM versions WHERE replaced IS NOT NULL AND revision IN (
        SELECT min(revision) FROM versions WHERE revision > ? AND key > ? AND key < ? GROUP BY key))
    ORDER BY key LIMIT ?`,
  changes: 'SELECT revision, key, value FROM versions WHERE revision > ? AND revision <= ? AND key >= ? AND key < ? ORDER BY revision',
} as const;

/**
 * Makes the tables in a new file, and turns those of an older one into them, in one transaction.
 * @throws Error when a later program wrote the file
 */
export function prepareTables(db: DatabaseSyncInstance): void {
  const { user_version: version } = db.prepare('PRAGMA user_version').get() as { user_version: number };
  if (version === schemaVersion) return;
  if (version > schemaVersion) throw new Error(`it has format ${version}, and this program knows ${schemaVersion} at most: use the newer program that wrote it`);
  const unnumbered = db.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'objects'").get() !== undefined;
  db.exec(`
    BEGIN IMMEDIATE;
    ${tables}
    ${unnumbered ? fromUnnumbered : `INSERT INTO compacted VALUES (0, ${firstRevision});`}
    PRAGMA user_version = ${schemaVersion};
    COMMIT;`);
}
