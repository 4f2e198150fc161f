// start.mjs: `npm start`. From a bare clone to a running Taskplane: installs what is missing, builds what has changed,
// then runs `taskplane dev` with the arguments it was given. Uses nothing but Node itself.

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const installedStamp = `${root}node_modules/.taskplane-installed`;
const [major, minor] = process.versions.node.split('.').map(Number);

if (major < 20 || (major === 20 && minor < 19)) {
  process.stderr.write(`Taskplane needs Node.js 20.19 or newer; this is ${process.version}. Install a newer one (https://nodejs.org) and run npm start again.\n`);
  process.exitCode = 1;
} else {
  process.exitCode = await start();
}

async function start() {
  if (needsInstall()) {
    const code = await install();
    if (code !== 0) return code;
  }
  return run(process.execPath, [`${root}bin/taskplane`, 'dev', ...process.argv.slice(2)], { stdio: 'inherit' });
}

/** What the dependencies are made from. */
function lockHash() {
  const file = [`${root}package-lock.json`, `${root}package.json`].find((path) => existsSync(path));
  return createHash('sha1').update(readFileSync(file)).digest('hex');
}

/** npm's own record of what it installed counts too: someone who ran `npm ci` need not wait for a second install. */
function needsInstall() {
  if (!existsSync(`${root}node_modules/commander`) || !existsSync(`${root}node_modules/esbuild`)) return true;
  if (existsSync(installedStamp)) return readFileSync(installedStamp, 'utf8') !== lockHash();
  return !existsSync(`${root}node_modules/.package-lock.json`) || !dependenciesPresent();
}

function dependenciesPresent() {
  const { dependencies } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));
  return Object.keys(dependencies).every((name) => existsSync(`${root}node_modules/${name}/package.json`));
}

async function install() {
  const hash = lockHash();
  // `npm ci` empties node_modules; where the tests' dependencies are installed already they are kept, and only added to.
  const bare = !existsSync(`${root}node_modules`);
  const hasLock = existsSync(`${root}package-lock.json`);
  const forTests = existsSync(`${root}node_modules/jest`);
  const flags = [...(forTests ? [] : ['--omit=dev']), '--no-audit', '--no-fund', '--loglevel=error'];
  const started = performance.now();
  process.stderr.write('installing dependencies (once; about 10 seconds) … ');
  const output = [];
  let code = bare && hasLock ? await npm(['ci', ...flags], output) : await npm(['install', ...flags], output);
  // A lock file made elsewhere may name packages that this registry lacks; `install` works them out anew.
  if (code !== 0 && bare && hasLock) code = await npm(['install', '--no-package-lock', ...flags], output);
  if (code !== 0) {
    process.stderr.write(`failed\n${Buffer.concat(output).toString()}\nnpm could not install the dependencies; see above, then run npm start again.\n`);
    return code;
  }
  mkdirSync(`${root}node_modules`, { recursive: true });
  writeFileSync(installedStamp, hash);
  process.stderr.write(`done in ${((performance.now() - started) / 1000).toFixed(1)} s\n`);
  return 0;
}

function npm(args, output) {
  const program = process.env.npm_execpath ? [process.execPath, process.env.npm_execpath] : ['npm'];
  // NODE_ENV=production would have npm leave out, and prune, the tests' dependencies.
  const options = { stdio: ['ignore', 'pipe', 'pipe'], cwd: root, env: { ...process.env, NODE_ENV: '' } };
  return run(program[0], [...program.slice(1), ...args], options, output);
}

/** Runs a program to its end, handing on the signals that ask this one to stop. Resolves with its exit code. */
function run(program, args, options, output) {
  return new Promise((resolve) => {
    const child = spawn(program, args, options);
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => output?.push(chunk));
    // A terminal sends Ctrl-C to both of us: stay until the child has cleaned up. A kill reaches only this process.
    const forward = { SIGINT: () => process.stdin.isTTY || child.kill('SIGINT'), SIGTERM: () => child.kill('SIGTERM'), SIGHUP: () => child.kill('SIGHUP') };
    for (const [signal, handler] of Object.entries(forward)) process.on(signal, handler);
    const end = (code) => {
      for (const [signal, handler] of Object.entries(forward)) process.off(signal, handler);
      resolve(code);
    };
    child.on('error', (error) => {
      process.stderr.write(`cannot run ${program}: ${error.message}\n`);
      end(1);
    });
    child.on('close', (code, signal) => end(code ?? (signal === 'SIGINT' ? 130 : signal === 'SIGTERM' ? 143 : 1)));
  });
}
