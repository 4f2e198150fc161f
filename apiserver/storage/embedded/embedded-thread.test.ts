import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { build } from 'esbuild';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { FakeClock } from '../../../lib/fake-clock.js';
import { describeStore, range, written } from '../store-contract.js';
import { embeddedHarness } from '../testing.js';
import { EmbeddedStore } from './embedded-store.js';

const directory = mkdtempSync(join(tmpdir(), 'taskplane-thread-'));
const program = pathToFileURL(join(directory, 'database-worker.cjs'));
const file = join(directory, 'store.db');
const clock = new FakeClock();

/** Opens, and breaks at the first commit. */
const dyingDatabase = `
  const { parentPort } = require('node:worker_threads');
  parentPort.postMessage({ result: { bounds: { revision: 1, compactedRevision: 1 }, present: [] } });
  parentPort.on('message', ({ call }) => {
    if (call === 'commit') throw new Error('it broke');
    parentPort.postMessage({ result: { items: [], revision: 1 } });
  });
`;

beforeAll(async () => {
  const { outputFiles } = await build({
    entryPoints: ['apiserver/storage/embedded/database-worker.ts'],
    bundle: true,
    platform: 'node',
    format: 'cjs',
    write: false,
    external: ['@photostructure/sqlite'],
    banner: { js: `module.paths.push(${JSON.stringify(join(process.cwd(), 'node_modules'))});` },
  });
  writeFileSync(program, outputFiles[0]!.contents);
});

afterAll(() => rmSync(directory, { recursive: true }));

describeStore('EmbeddedStore with its database in a thread', () => embeddedHarness(async (store) => store, program));

describe('EmbeddedStore in a thread', () => {
  it('says why a file cannot be opened, and no thread is left', async () => {
    const first = await EmbeddedStore.openInThread({ file, clock }, program);
    await expect(EmbeddedStore.openInThread({ file, clock }, program)).rejects.toThrow(`the data file ${file} is in use by another process`);
    await first.close();
    await (await EmbeddedStore.openInThread({ file, clock }, program)).close();
  });

  it('finishes the writes in flight when it is closed', async () => {
    const store = await EmbeddedStore.openInThread({ file, clock }, program);
    const writing = range(600).map((n) => written(store.write({ op: 'create', key: `/taskplane/registry/core/late/${n}`, value: '{}' })));
    await store.close();
    await Promise.all(writing);
    const again = await EmbeddedStore.openInThread({ file, clock }, program);
    expect((await again.list('/taskplane/registry/core/late/')).items).toHaveLength(600);
    await again.close();
    await expect(again.read('/taskplane/a')).rejects.toThrow('the store is closed');
  });

  it('says that it has failed when its thread has, refuses what comes, and closes', async () => {
    const dying = join(directory, 'dying.cjs');
    writeFileSync(dying, dyingDatabase);
    const store = await EmbeddedStore.openInThread({ file, clock }, pathToFileURL(dying));
    const write = store.write({ op: 'create', key: '/taskplane/registry/core/things/a', value: '{}' });
    await expect(write).rejects.toMatchObject({ name: 'StoreUnavailableError', applied: 'unknown', message: expect.stringContaining('the thread of the database failed: it broke') });
    expect((await store.failed!).message).toContain('it broke');
    await expect(store.read('/taskplane/a')).rejects.toMatchObject({ name: 'StoreUnavailableError' });
    await store.close();
  });
});
