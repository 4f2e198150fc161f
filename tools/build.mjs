// build.mjs: bundles the TypeScript into dist/ with esbuild, in half a second, and compiles agent/wrapper.c where there is a C compiler (without one
// a shell does the same). Nothing is done when no source has changed since the last build (bin/taskplane asks on every start).
//
//   node tools/build.mjs [--force]

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
const sourceFolders = ['lib', 'api', 'apiserver', 'client', 'controllers', 'agent', 'cli', 'bench', 'tools'];
const entries = { 'cli/main': 'cli/main.ts', 'bench/main': 'bench/main.ts', 'tools/generate-docs': 'tools/generate-docs.ts', 'apiserver/database-worker': 'apiserver/storage/embedded/database-worker.ts' };
const stampPath = join(root, 'dist/.stamp');

/** Changes whenever a source is added, removed or written. Sizes and times only: reading every file would take longer than the start. */
function stampOfSources() {
  const hash = createHash('sha1');
  for (const file of ['package.json', 'tools/build.mjs', 'agent/wrapper.c']) hashFile(hash, join(root, file));
  for (const folder of sourceFolders) hashFolder(hash, join(root, folder));
  return hash.digest('hex');
}

function hashFolder(hash, folder) {
  let names;
  try {
    names = readdirSync(folder, { withFileTypes: true });
  } catch {
    return;
  }
  for (const entry of names) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) hashFolder(hash, path);
    else if (entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts')) hashFile(hash, path);
  }
}

function hashFile(hash, path) {
  const { mtimeMs, size } = statSync(path);
  hash.update(`${path}\0${mtimeMs}\0${size}\n`);
}

/** Whether dist/ is what the sources say. */
export function isFresh() {
  try {
    return readFileSync(stampPath, 'utf8') === stampOfSources();
  } catch {
    return false;
  }
}

/**
 * Builds when needed. Returns whether it did.
 * @throws the error of esbuild, whose message names file and line
 */
export async function build({ force = false } = {}) {
  if (!force && isFresh()) return false;
  // Taken before the build: a file saved meanwhile makes the result stale, as it should.
  const stamp = stampOfSources();
  const compiled = compileWrapper();
  const esbuild = await import('esbuild');
  const result = await esbuild.build({
    absWorkingDir: root,
    entryPoints: Object.fromEntries(Object.entries(entries).filter(([, source]) => existsSync(join(root, source)))),
    outdir: join(root, 'dist'),
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: outside(),
    // Bundled CommonJS asks for Node's own modules with require, which a module does not have by itself.
    banner: { js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);" },
    sourcemap: true,
    chunkNames: 'chunks/[name]-[hash]',
    logLevel: 'silent',
    metafile: true,
    write: false,
  });
  // Its helper process would otherwise live as long as the program that was started with this build.
  await esbuild.stop();
  write(result.outputFiles);
  await compiled;
  writeAtomically(stampPath, stamp);
  return true;
}

/**
 * Of one page, without the C library: it runs wherever this kind of machine does, with any libc. There is none where there is no compiler, or what it
 * makes does not run here; an older one does not stay then.
 */
async function compileWrapper() {
  if (process.platform !== 'linux') return;
  const program = join(root, `dist/agent/wrapper-${process.platform}-${process.arch}`);
  const fresh = `${program}.${process.pid}`;
  const small = ['-Os', '-s', '-Wl,--build-id=none', '-Wl,-z,noseparate-code', '-Wl,-z,max-page-size=4096', '-fno-asynchronous-unwind-tables'];
  const alone = ['-static', '-no-pie', '-nostdlib', '-ffreestanding', '-fno-stack-protector', '-fno-tree-loop-distribute-patterns', '-D_GNU_SOURCE'];
  mkdirSync(join(program, '..'), { recursive: true });
  // Several words, as make takes it: `ccache gcc`.
  const [compiler, ...options] = process.env.CC?.trim() ? process.env.CC.trim().split(/\s+/) : ['cc'];
  const compiled = (await exitCodeOf(compiler, [...options, ...small, ...alone, '-o', fresh, join(root, 'agent/wrapper.c')])) === 0;
  // What it says when it is not told what to do.
  if (compiled && (await exitCodeOf(fresh, [])) === 125) return renameSync(fresh, program);
  for (const path of [fresh, program]) rmSync(path, { force: true });
}

/** Undefined when it cannot be started, or a signal ended it. */
function exitCodeOf(program, args) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: 'ignore' });
    child.on('error', () => resolve(undefined));
    child.on('close', (code) => resolve(code ?? undefined));
  });
}

/**
 * Packages that stay outside the bundle: all but a few of plain JavaScript that every program of ours, or every API server, loads on start.
 * From the bundle comes only what is used of them, in one file: faster to start, and smaller in memory.
 */
function outside() {
  const bundled = ['typebox', 'ajv', 'yaml', 'commander', 'dequal', 'picocolors', 're2js', '@marcbachmann/cel-js'];
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  return Object.keys({ ...dependencies, ...devDependencies }).filter((name) => !bundled.includes(name)).flatMap((name) => [name, `${name}/*`]);
}

/** Chunks carry their hash in their name and go first, so that a program that starts meanwhile finds all it imports. */
function write(files) {
  const isEntry = (path) => Object.keys(entries).some((name) => path === join(root, 'dist', `${name}.js`));
  for (const file of [...files].sort((a, b) => Number(isEntry(a.path)) - Number(isEntry(b.path)))) writeAtomically(file.path, file.contents);
  const kept = new Set(files.map((file) => file.path));
  const chunks = join(root, 'dist/chunks');
  if (!existsSync(chunks)) return;
  const dayAgo = Date.now() - 86_400_000;
  for (const name of readdirSync(chunks)) {
    const path = join(chunks, name);
    // A running program may still import, lazily, a chunk of the build it was started from.
    // What a build beside this one has just renamed is no longer there.
    if (!kept.has(path) && statSync(path, { throwIfNoEntry: false })?.mtimeMs < dayAgo) rmSync(path, { force: true });
  }
}

function writeAtomically(path, contents) {
  mkdirSync(join(path, '..'), { recursive: true });
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, contents);
  renameSync(temporary, path);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    await build({ force: process.argv.includes('--force') });
  } catch (error) {
    process.stderr.write(`the build failed:\n${error.message}\n`);
    process.exitCode = 1;
  }
}
