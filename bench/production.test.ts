import { describe, expect, it, jest } from '@jest/globals';
import * as sqlite from '@photostructure/sqlite';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HttpsTransport } from '../client/https-transport.js';
import { SystemClock } from '../lib/clock.js';
import { markVariable } from '../lib/testing/taskplane-processes.js';
import { childrenOf, commandOf } from './children.js';
import { allowedFlags, commandProblems, environmentProblems, watchProduction } from './production.js';

const taskplane = (...args: string[]): { argv: string[]; env: Record<string, string> } => ({ argv: ['/usr/bin/node', '/repository/bin/taskplane', ...args], env: { PATH: '/usr/bin', [markVariable]: '/tmp/x' } });
const etcd = (...flags: string[]): { argv: string[]; env: Record<string, string> } => ({ argv: ['etcd', '--name', 'test', '--data-dir', '/tmp/x', ...flags], env: {} });

describe('what a measurement may run', () => {
  it.each([
    taskplane('apiserver', '--listen', '127.0.0.1:0', '--data-dir', '/tmp/x', '--etcd-servers', 'http://127.0.0.1:1', '--agent', 'a', '--agent', 'b'),
    taskplane('apiserver', '--listen', '127.0.0.1:0', '--data-dir', '/tmp/x', '--store', 'embedded', '--presence-ttl-seconds', '4'),
    taskplane('controllers', '--kubeconfig', '/tmp/x/controllers.kubeconfig', '--identity=second'),
    taskplane('controllers', '--leader-elect-lease-duration-seconds', '1'),
    taskplane('agent', '--kubeconfig', '/tmp/x/a.kubeconfig', '--node-name', 'a', '--data-dir', '/tmp/x/a', '--capacity', 'cpu=64'),
    taskplane('dev', '--no-apply', '--listen', '127.0.0.1:0', '--data-dir', '/tmp/x'),
    etcd('--listen-client-urls', 'http://127.0.0.1:1', '--advertise-client-urls', 'http://127.0.0.1:1', '--initial-cluster', 'test=http://127.0.0.1:2'),
    { argv: ['/usr/bin/node', '--cpu-prof', '--cpu-prof-dir=/tmp/x', '/repository/bin/taskplane', 'controllers'], env: {} },
    { argv: ['/bin/true', '--unsafe'], env: { NODE_OPTIONS: 'of no concern to it' } },
  ])('%j is as in production', (child) => {
    expect(commandProblems(child)).toEqual([]);
  });

  it.each([
    [etcd('--unsafe-no-fsync'), '--unsafe-no-fsync'],
    [etcd('--unsafe-no-fsync=true'), '--unsafe-no-fsync'],
    [etcd('--quota-backend-bytes', '17179869184'), '--quota-backend-bytes'],
    [etcd('--snapshot-count=1000000'), '--snapshot-count'],
    [etcd('--heartbeat-interval', '1000'), '--heartbeat-interval'],
    [{ ...etcd(), env: { ETCD_UNSAFE_NO_FSYNC: 'true' } }, 'ETCD_UNSAFE_NO_FSYNC'],
    [{ ...etcd(), env: { LD_PRELOAD: 'libeatmydata.so' } }, 'LD_PRELOAD'],
    [taskplane('apiserver', '--sync', 'off'), '--sync'],
    [taskplane('apiserver', '--store', 'memory'), '--store memory'],
    [taskplane('apiserver', '--presence-ttl-seconds', '3600'), '--presence-ttl-seconds 3600'],
    [taskplane('apiserver', '--default-watch-cache-size', '10'), '--default-watch-cache-size'],
    [taskplane('apiserver', '--sole-server'), '--sole-server'],
    [taskplane('controllers', '--leader-elect-lease-duration-seconds=60'), '--leader-elect-lease-duration-seconds 60'],
    [taskplane('controllers', '--no-leader-elect'), '--no-leader-elect'],
    [taskplane('agent', '--log-level', 'silent'), '--log-level'],
    [taskplane('agent', '--node-name', 'a', '--anything-new'), '--anything-new'],
    [{ ...taskplane('agent'), env: { TASKPLANE_FAST: '1' } }, 'TASKPLANE_FAST'],
    [{ ...taskplane('agent'), env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' } }, 'NODE_TLS_REJECT_UNAUTHORIZED'],
    [{ argv: ['/usr/bin/node', '--max-old-space-size=9000', '/repository/bin/taskplane', 'apiserver'], env: {} }, '--max-old-space-size=9000'],
  ])('%j is refused for its %s', (child, what) => {
    expect(commandProblems(child).join('\n')).toContain(what);
  });

  it('is started in an environment that switches nothing', () => {
    expect(environmentProblems({ PATH: '/bin', HOME: '/root', NODE_VERSION: '20', TMPDIR: '/data' })).toEqual([]);
    expect(environmentProblems({ NODE_OPTIONS: '--max-semi-space-size=64', UV_THREADPOOL_SIZE: undefined })).toEqual(['the environment sets NODE_OPTIONS']);
  });

  it('has a list of flags for every role that it starts', () => {
    expect(Object.keys(allowedFlags).sort()).toEqual(['agent', 'apiserver', 'controllers', 'dev', 'etcd']);
  });

  it('is looked at as the kernel shows it, while it runs', async () => {
    const stop = new AbortController();
    const watched = watchProduction({ pid: process.pid, clock: new SystemClock(), signal: stop.signal });
    // A shell in its place: it waits for a line and takes no notice of the flag.
    const etcdLike = spawn('/bin/sh', ['-c', 'read x', '--unsafe-no-fsync'], { argv0: 'etcd', env: {}, stdio: ['pipe', 'ignore', 'ignore'] });
    try {
      await expect(watched).rejects.toThrow('this is not what production runs: etcd runs with');
    } finally {
      stop.abort();
      const ended = once(etcdLike, 'exit');
      etcdLike.kill('SIGKILL');
      await ended;
    }
  });

  it('is told by its role from other processes', async () => {
    const child = spawn('/bin/sh', ['-c', 'read x', 'the name'], { env: { A: 'b=c' }, stdio: ['pipe', 'ignore', 'ignore'] });
    await once(child, 'spawn');
    const found = (await childrenOf(process.pid)).find(({ pid }) => pid === child.pid);
    expect(found?.argv).toEqual(['/bin/sh', '-c', 'read x', 'the name']);
    expect(found?.env['A']).toBe('b=c');
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(commandOf(['/opt/node', '--cpu-prof', '/r/dist/bench/main.js', 'hollow-agents', '{}'])).toEqual({ role: 'bench hollow-agents', runtimeFlags: ['--cpu-prof'], flags: ['{}'] });
  });
});

describe('what production promises, and a measurement with it', () => {
  it('is that the embedded store syncs every commit', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'taskplane-production-'));
    const opened: sqlite.DatabaseSyncInstance[] = [];
    class Watched extends sqlite.DatabaseSync {
      constructor(path: string) {
        super(path);
        opened.push(this);
      }
    }
    jest.unstable_mockModule('@photostructure/sqlite', () => ({ ...sqlite, DatabaseSync: Watched }));
    const { Database } = await import('../apiserver/storage/embedded/database.js');
    try {
      const database = new Database({ file: join(directory, 'store.db'), keepChanges: 10 });
      const settingOf = (name: string): unknown => Object.values(opened[0]!.prepare(`PRAGMA ${name}`).get() as object)[0];
      // 2 is FULL: a commit is answered when its log is on disk.
      expect([settingOf('synchronous'), settingOf('journal_mode')]).toEqual([2, 'wal']);
      database.close();
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('is that clients speak over TLS only', () => {
    expect(() => new HttpsTransport({ access: { server: 'http://127.0.0.1:1' } })).toThrow('https');
  });

  it('is that a hollow agent asks and watches with the code of the real one', () => {
    const importsOf = (file: string): string[] => [...readFileSync(file, 'utf8').matchAll(/^import (?!type).*'\.\.?\/(.*)';$/gm)].map((match) => match[1]!.replace(/^\.\.\//, ''));
    const real = importsOf('agent/main.ts');
    const hollow = importsOf('bench/hollow-agent.ts');
    for (const shared of ['client/api-client.js', 'client/informer.js', 'api/task.js']) {
      expect(real).toContain(shared);
      expect(hollow).toContain(shared);
    }
    expect(importsOf('bench/hollow-tasks.ts')).toContain('agent/status-writer.js');
  });
});
