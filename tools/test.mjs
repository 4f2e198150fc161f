// test.mjs: `npm test`. Installs what the tests need, builds, runs every suite, prints one closing line.
//
// Plain JavaScript without dependencies, because it runs before anything is installed.
//   npm test                 everything
//   npm test -- PATTERN …    only the suites whose path matches, as jest does

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const cache = join(root, '.cache');
process.chdir(root);

function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) fail(`Taskplane needs Node 20.19 or newer; this is ${process.version}. Install a newer Node and run npm test again.`);

function run(command, args, options = {}) {
  return spawnSync(command, args, { stdio: 'inherit', ...options });
}

function onPath(program) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, program)));
}

function installPackages() {
  const stamp = join(root, 'node_modules', '.package-lock.json');
  const complete = existsSync(join(root, 'node_modules', 'jest')) && existsSync(stamp) && statSync(stamp).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs;
  if (complete) return;
  console.log('installing packages …');
  if (run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']).status !== 0) {
    if (run('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error']).status !== 0) fail('npm could not install the packages; its message is above.');
  }
}

const isRoot = process.getuid?.() === 0;

/** apt-get as root, once with the lists as they are and once after an update. */
function aptGet(args, options = {}) {
  if (!onPath('apt-get')) return false;
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', ...options.env };
  const quiet = { stdio: ['ignore', 'ignore', 'inherit'], ...options, env };
  return run('apt-get', args, quiet).status === 0 || (run('apt-get', ['update', '-qq'], quiet).status === 0 && run('apt-get', args, quiet).status === 0);
}

function installEtcd() {
  const missing = [
    ['etcd', 'etcd-server'],
    ['etcdctl', 'etcd-client'],
  ].filter(([program]) => !onPath(program)).map(([, name]) => name);
  if (missing.length === 0) return;
  console.log(`installing ${missing.join(' and ')} …`);
  // policy-rc.d would be the only way to keep Debian from starting etcd as a service; RUNLEVEL=1 does for sysv, and the tests use ports of their own.
  if (!isRoot || !aptGet(['install', '-y', '-qq', '--no-install-recommends', ...missing], { env: { RUNLEVEL: '1' } })) {
    fail(`The tests need etcd on PATH: run "sudo apt-get install ${missing.join(' ')}" (or put etcd and etcdctl of a release on PATH) and run npm test again.`);
  }
}

/** Debian's kubectl is unpacked beside the project, so that an existing one is never replaced. */
function debianKubectl() {
  const folder = join(cache, 'kubectl-debian');
  const program = join(folder, 'root', 'usr', 'bin', 'kubectl');
  if (existsSync(program)) return program;
  if (!onPath('apt-get') || !onPath('dpkg-deb')) return undefined;
  mkdirSync(folder, { recursive: true });
  console.log("unpacking Debian's kubectl into .cache …");
  const download = () => run('apt-get', ['download', '-qq', '-o', 'APT::Sandbox::User=root', 'kubernetes-client'], { cwd: folder, stdio: 'ignore' }).status === 0;
  if (!download() && !(isRoot && run('apt-get', ['update', '-qq'], { stdio: 'ignore' }).status === 0 && download())) return undefined;
  const archive = readdirSync(folder).find((name) => name.endsWith('.deb'));
  if (!archive || run('dpkg-deb', ['-x', join(folder, archive), join(folder, 'root')]).status !== 0) return undefined;
  rmSync(join(folder, archive));
  return existsSync(program) ? program : undefined;
}

function jest(title, args, report) {
  console.log(`\n=== ${title}`);
  const flags = ['--experimental-vm-modules', '--no-warnings', join(root, 'node_modules', 'jest', 'bin', 'jest.js')];
  const result = run(process.execPath, [...flags, '--json', `--outputFile=${report}`, '--passWithNoTests', ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
  const read = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : undefined;
  const failedToRun = read ? read.numRuntimeErrorTestSuites : 1;
  return {
    passed: read?.numPassedTests ?? 0,
    failed: (read?.numFailedTests ?? 0) + failedToRun + (result.status !== 0 && read && read.numFailedTests === 0 && failedToRun === 0 ? 1 : 0),
    skipped: read?.numPendingTests ?? 0,
  };
}

installPackages();
installEtcd();
const oldKubectl = debianKubectl();
if (!onPath('kubectl') && !oldKubectl) fail('The tests need kubectl on PATH: run "sudo apt-get install kubernetes-client" and run npm test again.');
if (oldKubectl) process.env.TASKPLANE_DEBIAN_KUBECTL = oldKubectl;
if (!onPath('kubectl')) process.env.PATH = `${join(oldKubectl, '..')}${delimiter}${process.env.PATH}`;

const patterns = process.argv.slice(2);
// Every check through every kubectl is for whoever asks for them: npm test -- e2e/kubectl (see run-area.ts there).
if (patterns.length === 0) process.env.TASKPLANE_KUBECTLS ??= 'some';
const reports = mkdtempSync(join(tmpdir(), 'taskplane-test-'));
const totals = { passed: 0, failed: 0, skipped: 0 };
const add = (counts) => Object.keys(totals).forEach((key) => (totals[key] += counts[key]));

for (const [title, script] of [['types', 'types'], ['lint', 'lint'], ['layers', 'layers'], ['build', 'build']]) {
  if (patterns.length > 0 && script !== 'build') continue;
  console.log(`=== ${title}`);
  const ok = run('npm', ['run', '--silent', script], { stdio: ['ignore', 'ignore', 'inherit'] }).status === 0 || run('npm', ['run', '--silent', script]).status === 0;
  add({ passed: ok ? 1 : 0, failed: ok ? 0 : 1, skipped: 0 });
}
// Stories start clusters of their own: one at a time, so that they measure the cluster and not each other.
add(jest('unit, property and contract tests', ['--testPathIgnorePatterns', '/e2e/', '--maxWorkers=2', ...patterns], join(reports, 'unit.json')));
add(jest('end-to-end stories', ['--testPathPatterns', '/e2e/', '--runInBand', ...(patterns.length > 0 ? ['--testPathPatterns', ...patterns] : [])], join(reports, 'e2e.json')));
rmSync(reports, { recursive: true, force: true });

console.log(`\n${totals.passed} passed, ${totals.failed} failed${totals.skipped > 0 ? `, ${totals.skipped} skipped` : ''}`);
process.exit(totals.failed === 0 && totals.passed > 0 ? 0 : 1);
