// `taskplane dev`, which npm start runs: everything on one machine, stopped by Ctrl-C, resumed with the same data.

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SystemClock } from '../../lib/clock.js';
import { EtcdProcess } from '../../lib/testing/etcd-process.js';
import { freePort } from '../../lib/testing/free-port.js';
import { Program } from '../../lib/testing/program.js';
import { markVariable, taskplanePath } from '../../lib/testing/taskplane-processes.js';
import { expectCode, runCommand } from '../command.js';
import { processesOf, untilNothing } from '../leaks.js';

const escapeCode = new RegExp(String.fromCharCode(27));

describe('taskplane dev', () => {
  let directory: string;
  let programs: Program[] = [];
  const cleanups: (() => Promise<void>)[] = [];

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'taskplane-dev-'));
    programs = [];
  });

  afterEach(async () => {
    for (const program of programs) await program.stop();
    for (const cleanup of cleanups.splice(0)) await cleanup();
    await untilNothing('processes of dev', () => processesOf(directory), new SystemClock());
    await rm(directory, { recursive: true });
  }, 60_000);

  const dataDir = (): string => join(directory, 'data');
  const env = (): Record<string, string> => ({ [markVariable]: directory, KUBECONFIG: join(dataDir(), 'kubeconfig') });

  function dev(...flags: string[]): Program {
    const program = new Program({ name: 'taskplane dev', command: [process.execPath, taskplanePath, 'dev', '--data-dir', dataDir(), ...flags], env: env() });
    programs.push(program);
    return program;
  }
  const taskplane = (...args: string[]) => runCommand([process.execPath, taskplanePath, ...args], { env: env() });

  it('runs the examples, says what to try next, and stops cleanly on Ctrl-C', async () => {
    const program = dev('--listen', '127.0.0.1:0');
    expect(await program.line(/^ready /)).toMatch(/^ready https:\/\/127\.0\.0\.1:\d+$/);
    await program.line(/^task hello: Succeeded/);
    await program.line(/^task flaky: Succeeded.*attempt 2/);
    await program.line(/export KUBECONFIG=/);
    expect((await stat(join(dataDir(), 'kubeconfig'))).mode & 0o777).toBe(0o600);
    expect(expectCode(await taskplane('logs', 'hello')).stdout).toBe('hello from Taskplane\n');
    expect(expectCode(await runCommand(['kubectl', 'get', 'tasks'], { env: { ...env(), HOME: directory } })).stdout).toMatch(/hello\s+Succeeded/);
    program.signal('SIGINT');
    expect(await program.ended).toEqual({ code: 0, signal: null });
    expect(program.lines.filter((line) => escapeCode.test(line))).toEqual([]);
  }, 90_000);

  it.each(['embedded', 'etcd'])('resumes with the same data on store %s', async (store) => {
    const flags = ['--listen', `127.0.0.1:${await freePort()}`, '--no-apply'];
    if (store === 'etcd') {
      const etcd = await EtcdProcess.start();
      cleanups.push(() => etcd.stop());
      flags.push('--store', 'etcd', '--etcd-servers', etcd.endpoint);
    }
    const first = dev(...flags);
    await first.line(/^ready /);
    expectCode(await taskplane('run', 'remembered', '--', 'echo', 'once'));
    const kubeconfig = await readFile(join(dataDir(), 'kubeconfig'), 'utf8');
    first.signal('SIGINT');
    expect((await first.ended).code).toBe(0);

    const second = dev(...flags);
    await second.line(/^ready /);
    expect(await readFile(join(dataDir(), 'kubeconfig'), 'utf8')).toBe(kubeconfig);
    expect(expectCode(await taskplane('get', 'task', 'remembered')).stdout).toMatch(/remembered\s+Succeeded/);
    expect(expectCode(await taskplane('logs', 'remembered')).stdout).toBe('once\n');
    expectCode(await taskplane('run', 'next', '--', 'true'));
    second.signal('SIGTERM');
    expect((await second.ended).code).toBe(0);
  }, 90_000);

  it('stops running tasks on Ctrl-C and leaves no process', async () => {
    const program = dev('--listen', '127.0.0.1:0', '--no-apply', '--agents', '2');
    await program.line(/^ready /);
    expectCode(await taskplane('run', 'endless', '-d', '--', 'sleep', '1000'));
    expectCode(await taskplane('wait', 'task/endless', '--for=running'));
    program.signal('SIGINT');
    expect((await program.ended).code).toBe(0);
    expect(await processesOf(directory)).toEqual([]);
  }, 90_000);

  it('after kill -9 resumes, and tasks that ran have ended as their command says', async () => {
    const flags = ['--listen', `127.0.0.1:${await freePort()}`, '--no-apply'];
    const first = dev(...flags);
    await first.line(/^ready /);
    const script = `while [ ! -e ${join(directory, 'go')} ]; do sleep 0.05; done; exit 6`;
    expectCode(await taskplane('run', 'survivor', '-d', '--shell', '--', script));
    expectCode(await taskplane('wait', 'task/survivor', '--for=running'));
    await first.kill();
    const second = dev(...flags);
    await second.line(/^ready /);
    await writeFile(join(directory, 'go'), '');
    expectCode(await taskplane('wait', 'task/survivor', '--for=finished'), 1);
    const { stdout } = expectCode(await taskplane('get', 'task', 'survivor', '-o', 'json'));
    expect(JSON.parse(stdout)).toMatchObject({ status: { phase: 'Failed', exitCode: 6, attempt: 1 } });
  }, 90_000);

  it('leaves the tasks of another one on this machine alone', async () => {
    const first = dev('--listen', '127.0.0.1:0', '--no-apply');
    await first.line(/^ready /);
    expectCode(await taskplane('run', 'long', '-d', '--', 'sleep', '1000'));
    expectCode(await taskplane('wait', 'task/long', '--for=running'));
    const otherDir = join(directory, 'other');
    const other = new Program({ name: 'other dev', command: [process.execPath, taskplanePath, 'dev', '--data-dir', otherDir, '--listen', '127.0.0.1:0', '--no-apply'], env: env() });
    programs.push(other);
    await other.line(/^ready /);
    const inOther = { env: { ...env(), KUBECONFIG: join(otherDir, 'kubeconfig') } };
    expectCode(await runCommand([process.execPath, taskplanePath, 'run', 'short', '--', 'true'], inOther));
    other.signal('SIGINT');
    expect((await other.ended).code).toBe(0);
    expect(expectCode(await taskplane('get', 'task', 'long')).stdout).toMatch(/long\s+Running/);
  }, 90_000);

  it('says in one sentence why it cannot start', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const taken = dev('--listen', address, '--no-apply');
    expect((await taken.ended).code).toBe(1);
    expect(taken.lines.filter((line) => line.includes(`${address} is in use`))).toHaveLength(1);
    expect(taken.lines.some((line) => /^\s+at /.test(line))).toBe(false);
    await once(server.close(), 'close');

    await writeFile(join(directory, 'file'), '');
    const unwritable = new Program({ name: 'taskplane dev', command: [process.execPath, taskplanePath, 'dev', '--data-dir', join(directory, 'file'), '--listen', '127.0.0.1:0'], env: env() });
    expect((await unwritable.ended).code).toBe(1);
    expect(unwritable.tail()).toMatch(/cannot write to .*file/);
    expect(existsSync(dataDir()) && (await processesOf(directory)).length > 0).toBe(false);
  }, 60_000);

  it('refuses to share its data directory with another', async () => {
    const first = dev('--listen', '127.0.0.1:0', '--no-apply', '--agents', '0');
    await first.line(/^ready /);
    const second = dev('--listen', '127.0.0.1:0', '--no-apply');
    expect((await second.ended).code).toBe(1);
    expect(second.tail()).toMatch(/another taskplane dev uses/);
  }, 60_000);
});
