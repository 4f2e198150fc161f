import { afterAll, describe, expect, it } from '@jest/globals';
import { DatabaseSync } from '@photostructure/sqlite';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FakeClock } from '../../../lib/fake-clock.js';
import { describeStore, range, written } from '../store-contract.js';
import { embeddedHarness } from '../testing.js';
import { EmbeddedStore } from './embedded-store.js';

const directories: string[] = [];

function temporaryFile(): string {
  directories.push(mkdtempSync(join(tmpdir(), 'taskplane-embedded-')));
  return join(directories.at(-1)!, 'data', 'store.db');
}

afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

describeStore('EmbeddedStore', () => embeddedHarness());

describe('EmbeddedStore file', () => {
  const clock = new FakeClock();

  it('is for its owner only, the journal too', async () => {
    const file = temporaryFile();
    const store = EmbeddedStore.open({ file, clock });
    await written(store.write({ op: 'create', key: '/taskplane/a', value: '{}' }));
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(`${file}-wal`).mode & 0o777).toBe(0o600);
    await store.close();
  });

  it('refuses a second opener in one sentence', async () => {
    const file = temporaryFile();
    const store = EmbeddedStore.open({ file, clock });
    expect(() => EmbeddedStore.open({ file, clock })).toThrow(`the data file ${file} is in use by another process: stop it, or choose another data directory`);
    await store.close();
    await EmbeddedStore.open({ file, clock }).close();
  });

  it('says so when the directory cannot be written or the file is something else', () => {
    const file = join(temporaryFile(), '..', '..', 'store.db');
    writeFileSync(file, 'this is not a database, it is a text that somebody left here'.repeat(20));
    expect(() => EmbeddedStore.open({ file, clock })).toThrow(/^cannot open the data file .*: file is not a database/);
    expect(() => EmbeddedStore.open({ file: join(file, 'store.db'), clock })).toThrow(/^cannot write the data file .*: EEXIST|ENOTDIR/);
  });

  it('refuses work once it is closed', async () => {
    const store = EmbeddedStore.open({ file: temporaryFile(), clock });
    const pending = store.write({ op: 'create', key: '/taskplane/a', value: '{}' });
    await store.close();
    expect(await pending).toMatchObject({ ok: true });
    await expect(store.write({ op: 'create', key: '/taskplane/b', value: '{}' })).rejects.toMatchObject({ applied: 'no' });
    await expect(store.read('/taskplane/a')).rejects.toThrow('the store is closed');
    await store.close();
  });

  it('keeps its log bounded', async () => {
    const file = temporaryFile();
    const store = EmbeddedStore.open({ file, clock, keepChanges: 100 });
    let { revision } = await written(store.write({ op: 'create', key: '/taskplane/a', value: '{}' }));
    for (const n of range(500)) ({ revision } = await written(store.write({ op: 'update', key: '/taskplane/a', value: `{"n":${n}}`, revision })));
    await expect(store.list('/taskplane/', { revision: revision - 101 })).rejects.toMatchObject({ oldestRevision: revision - 100 });
    expect((await store.list('/taskplane/', { revision: revision - 100 })).items).toMatchObject([{ value: '{"n":399}', revision: revision - 100 }]);
    await store.close();
  });

  it('takes over a file of the first format with all that is stored in it', async () => {
    const file = temporaryFile();
    await EmbeddedStore.open({ file, clock }).close();
    rmSync(file);
    const db = new DatabaseSync(file);
    db.exec(`
      CREATE TABLE objects (key TEXT PRIMARY KEY, revision INTEGER NOT NULL, value TEXT NOT NULL, ttl_ms INTEGER);
      CREATE TABLE log (revision INTEGER PRIMARY KEY, key TEXT NOT NULL, deleted INTEGER NOT NULL, replaced_revision INTEGER, replaced_value TEXT);
      INSERT INTO objects VALUES ('/taskplane/a', 2, '{"a":2}', NULL), ('/taskplane/b', 4, '{"b":1}', 5000);
      INSERT INTO log VALUES (2, '/taskplane/a', 0, NULL, NULL), (4, '/taskplane/b', 0, NULL, NULL), (5, '/taskplane/c', 1, 3, '{"c":1}');`);
    db.close();
    for (const round of range(2)) {
      const store = EmbeddedStore.open({ file, clock });
      expect(await store.list('/taskplane/')).toMatchObject({
        items: [
          { key: '/taskplane/a', revision: 2 + round * 4, value: '{"a":2}' },
          { key: '/taskplane/b', revision: 4, value: '{"b":1}' },
        ],
      });
      expect(await store.presence.renew('/taskplane/b')).toBe(true);
      expect(await store.currentRevision()).toBe(5 + round);
      if (round === 0) expect((await written(store.write({ op: 'update', key: '/taskplane/a', value: '{"a":2}', revision: 2 }))).revision).toBe(6);
      await store.close();
    }
  });

  it('refuses a file of a later format in words', () => {
    const file = join(temporaryFile(), '..', '..', 'later.db');
    const db = new DatabaseSync(file);
    db.exec('PRAGMA user_version = 99');
    db.close();
    expect(() => EmbeddedStore.open({ file, clock })).toThrow(/^cannot open the data file .*: it has format 99/);
  });
});
