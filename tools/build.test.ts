import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const hasCompiler = process.platform === 'linux' && spawnSync('cc', ['--version']).status === 0;

/** A checkout of which nothing is left but the wrapper of attempts. */
let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'taskplane-build-'));
  for (const path of ['tools/build.mjs', 'package.json', 'agent/wrapper.c']) cpSync(path, join(root, path));
  symlinkSync(join(process.cwd(), 'node_modules'), join(root, 'node_modules'));
});
afterEach(() => rmSync(root, { recursive: true }));

function build(env: Record<string, string>): string[] {
  execFileSync(process.execPath, [join(root, 'tools/build.mjs'), '--force'], { env: { ...process.env, ...env }, stdio: 'pipe' });
  return existsSync(join(root, 'dist/agent')) ? readdirSync(join(root, 'dist/agent')) : [];
}

(hasCompiler ? it : it.skip)('compiles the wrapper, takes a compiler of several words, and leaves no old one when there is none', () => {
  const made = [`wrapper-${process.platform}-${process.arch}`];
  expect(build({ CC: '' })).toEqual(made);
  expect(build({ CC: 'cc -O1' })).toEqual(made);
  expect(build({ CC: '/no/such/compiler' })).toEqual([]);
});

it.each([
  ['fails', 'exit 1'],
  ['makes nothing', 'exit 0'],
  ['makes what does not run here', 'while [ "$1" != -o ]; do shift; done; echo "for another machine" >"$2"; chmod +x "$2"'],
])('builds without the wrapper when the compiler %s', (_what, script) => {
  writeFileSync(join(root, 'cc.sh'), script);
  expect(build({ CC: `/bin/sh ${join(root, 'cc.sh')}` })).toEqual([]);
});
