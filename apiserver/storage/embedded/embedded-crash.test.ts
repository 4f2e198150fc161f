import { describe, expect, it } from '@jest/globals';
import { build, type StdinOptions } from 'esbuild';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { SystemClock } from '../../../lib/clock.js';
import { SeededRandom } from '../../../lib/random.js';
import { EmbeddedStore } from './embedded-store.js';

/** Writes without end, 20 at a time, and prints the number of each write that was acknowledged. */
const writer = `
import { EmbeddedStore } from './apiserver/storage/embedded/embedded-store.js';
import { SystemClock } from './lib/clock.js';
import { writeSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
const opening = EmbeddedStore.openInThread({ file: process.argv[2], clock: new SystemClock(), keepChanges: 100 }, pathToFileURL(process.argv[4]));
let next = Number(process.argv[3]);
/** The pipe is full when the reader has had no time to read. */
function say(line) {
  for (;;) {
    try {
      return writeSync(1, line);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  }
}
async function write() {
  const store = await opening;
  for (;;) {
    const n = next++;
    const outcome = await store.write({ op: 'create', key: '/taskplane/registry/core/things/' + n, value: '{"n":' + n + '}' });
    if (outcome.ok) say(n + '\\n');
  }
}
for (let each = 0; each < 20; each++) void write();
`;

async function built(stdin: StdinOptions, path: string): Promise<string> {
  const { outputFiles } = await build({
    stdin,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    write: false,
    external: ['@photostructure/sqlite'],
    banner: { js: `module.paths.push(${JSON.stringify(join(process.cwd(), 'node_modules'))});` },
  });
  writeFileSync(path, outputFiles[0]!.contents);
  return path;
}

describe('EmbeddedStore under kill -9', () => {
  it('loses no acknowledged write and stores no half of one', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'taskplane-crash-'));
    try {
      const [program, databaseProgram] = await Promise.all([
        built({ contents: writer, resolveDir: process.cwd(), loader: 'ts' }, join(directory, 'writer.cjs')),
        built({ contents: "import './apiserver/storage/embedded/database-worker.js'", resolveDir: process.cwd(), loader: 'ts' }, join(directory, 'database-worker.cjs')),
      ]);
      const file = join(directory, 'store.db');
      const random = new SeededRandom(1);
      const acknowledged = new Set<number>();
      for (let round = 0; round < 4; round++) {
        const child = spawn(process.execPath, [program, file, String(round * 1_000_000), databaseProgram], { stdio: ['ignore', 'pipe', 'inherit'] });
        let left = 200 + random.integer(400);
        for await (const line of createInterface({ input: child.stdout })) {
          acknowledged.add(Number(line));
          if (--left === 0) child.kill('SIGKILL');
        }
        if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
        expect(left).toBeLessThanOrEqual(0);
        const store = EmbeddedStore.open({ file, clock: new SystemClock() });
        const { items } = await store.list('/taskplane/');
        const stored = new Set(items.map(({ value }) => (JSON.parse(value) as { n: number }).n));
        expect([...acknowledged].filter((n) => !stored.has(n))).toEqual([]);
        await store.close();
      }
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
