// Commands beside a task, its terminal, copies and forwarded ports, by clients of each protocol: SPDY (1.20, 1.28), WebSockets with
// forwarded ports over SPDY (1.30), WebSockets for all (since 1.31), and client-node. And what happens to all that when somebody goes away.

import { describe, expect } from '@jest/globals';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { PassThrough } from 'node:stream';
import { spawn } from '@lydell/node-pty';
import { Attach, Exec, KubeConfig, type V1Status } from '@kubernetes/client-node';
import { Program } from '../../lib/testing/program.js';
import { markVariable } from '../../lib/testing/taskplane-processes.js';
import { scriptTask, type Cluster } from '../cluster.js';
import { expectCode, runCommand, type CommandResult } from '../command.js';
import { stockKubectls, type Kubectl } from '../kubectls.js';
import { withCluster } from '../with-cluster.js';

const wanted = ['Debian', '1.28', '1.30', '1.33'];
const kubectls = stockKubectls().filter(({ title }) => wanted.includes(title));
const megabyte = 1024 * 1024;

const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');

/** In a shell, so that files can be its input and output; `$0` is kubectl. */
function shell(cluster: Cluster, { path }: Kubectl, script: string): Promise<CommandResult> {
  return runCommand(['sh', '-c', script, path], { env: env(cluster), timeoutMs: 120_000 });
}

function env(cluster: Cluster): Record<string, string> {
  return { KUBECONFIG: cluster.processes.adminKubeconfig, HOME: cluster.path('home'), [markVariable]: cluster.processes.directory };
}

function start(cluster: Cluster, { title, path }: Kubectl, args: string[]): Program {
  return new Program({ name: `kubectl ${title} ${args[0]}`, command: [path, ...args], env: env(cluster) });
}

/** A task to work on. */
async function host(cluster: Cluster): Promise<void> {
  if (cluster.tasks.objects.has('default/host')) return;
  await cluster.create(scriptTask('host', 'exec sleep 600'));
  await cluster.running('host');
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => probe.once('listening', resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

function fetched(port: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port, agent: false }, (incoming) => {
      const parts: Buffer[] = [];
      incoming.on('data', (part: Buffer) => parts.push(part));
      incoming.on('end', () => resolve(Buffer.concat(parts)));
      incoming.on('error', reject);
    });
    outgoing.on('error', reject).end();
  });
}

/** A command that says its pid in a file and then waits. */
const waiting = (file: string): string[] => ['sh', '-c', `echo $$ > ${file}; exec sleep 600`];

/** Bytes that the API server has in memory. */
function residentBytes(cluster: Cluster): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${cluster.processes.apiserver.pid}/status`, 'utf8'))![1]) * 1024;
}

describe.each(kubectls)('with kubectl $title', (kubectl) => {
  const { story } = withCluster({ store: 'embedded' });

  story('a command has its input, its two outputs and its exit code', async (cluster) => {
    await host(cluster);
    const failed = expectCode(await shell(cluster, kubectl, `printf 'some input' | "$0" exec -i host -- sh -c 'cat; echo aside >&2; exit 42'`), 42);
    expect([failed.stdout, failed.stderr]).toEqual(['some input', expect.stringContaining('aside\n')]);
    expect(expectCode(await shell(cluster, kubectl, '"$0" exec host -- true')).stdout).toBe('');
    expect((await shell(cluster, kubectl, '"$0" exec host -- no-such-program')).code).not.toBe(0);
    // More than any buffer on the way holds, and a reader that leaves early.
    expect(expectCode(await shell(cluster, kubectl, `"$0" exec host -- head -c 30000000 /dev/zero | wc -c`)).stdout.trim()).toBe('30000000');
    expect((await shell(cluster, kubectl, `"$0" exec host -- cat /dev/zero | head -c 5`)).stdout).toHaveLength(5);
  });

  story('100 MB are copied there and back, intact, and the API server keeps none of it', async (cluster) => {
    await host(cluster);
    const [from, there, back] = [cluster.path('from.bin'), cluster.path('there.bin'), cluster.path('back.bin')];
    const data = randomBytes(100 * megabyte);
    writeFileSync(from, data);
    const before = residentBytes(cluster);
    expectCode(await shell(cluster, kubectl, `"$0" cp ${from} default/host:${there}`));
    expect(sha256(await readFile(there))).toBe(sha256(data));
    expectCode(await shell(cluster, kubectl, `"$0" cp default/host:${there} ${back}`));
    expect(sha256(await readFile(back))).toBe(sha256(data));
    expectCode(await shell(cluster, kubectl, `"$0" exec -i host -- sha256sum < ${from} | grep -q ${sha256(data)}`));
    expect(residentBytes(cluster) - before).toBeLessThan(120 * megabyte);
    await Promise.all([from, there, back].map((path) => rm(path)));
  }, 180_000);

  story('a terminal takes what is typed, changes its size, and passes the exit code on', async (cluster) => {
    await host(cluster);
    const terminal = spawn(kubectl.path, ['exec', '-it', 'host', '--', 'sh'], { cols: 100, rows: 30, env: { ...process.env, ...env(cluster), TERM: 'xterm' } });
    let text = '';
    terminal.onData((data) => (text += data));
    const ended = new Promise<number>((resolve) => void terminal.onExit(({ exitCode }) => resolve(exitCode)));
    const shows = (what: string): Promise<true> => cluster.eventually(`the terminal to show ${what}`, async () => text.includes(what) || undefined);
    try {
      terminal.write('stty size\r');
      await shows('30 100');
      terminal.resize(132, 50);
      // Sizes travel beside what is typed, not in front of it.
      terminal.write('until stty size | grep "50 132"; do sleep 0.1; done; echo is"-"it\r');
      await shows('is-it');
      expect(text).toContain('50 132');
      // Only once it runs: at a prompt it would take away what was typed, and nothing else.
      terminal.write('sh -c \'echo as"-"leep; exec sleep 600\'\r');
      await shows('as-leep');
      terminal.write('\u0003');
      terminal.write('echo interrupted"-"it; exit 5\r');
      expect(await ended).toBe(5);
      expect(text).toContain('interrupted-it');
    } finally {
      terminal.kill('SIGKILL');
    }
  });

  story('attach hears a task until it ends', async (cluster) => {
    const go = cluster.path('go');
    await cluster.create(scriptTask('talking', `until [ -e ${go} ]; do echo waiting; sleep 0.05; done; echo here`));
    await cluster.running('talking');
    const attach = start(cluster, kubectl, ['attach', 'talking']);
    await attach.line(/^waiting$/);
    writeFileSync(go, '');
    expect((await attach.ended).code).toBe(0);
    expect(attach.stdout).toContain('here');
    await rm(go);
  });

  story('many connections at once go through one forwarded port, and a port where nobody listens is told', async (cluster) => {
    const [port, closed] = [await freePort(), await freePort()];
    const script = `exec ${process.execPath} -e 'require("http").createServer((q, r) => r.end(Buffer.alloc(2000000, q.socket.remotePort % 256))).listen(${port}, "127.0.0.1", () => console.log("listening"))'`;
    await cluster.create(scriptTask('server', script));
    await cluster.running('server');
    await cluster.eventually('the server to listen', async () => ((await cluster.taskplane(['logs', 'server'])).stdout.includes('listening') ? true : undefined));
    const forward = start(cluster, kubectl, ['port-forward', 'pod/server', `:${port}`, `:${closed}`]);
    try {
      const local = async (remote: number): Promise<number> => Number(/127\.0\.0\.1:(\d+) ->/.exec(await forward.line(new RegExp(`Forwarding from 127\\.0\\.0\\.1:\\d+ -> ${remote}`)))![1]);
      const bodies = await Promise.all(Array.from({ length: 20 }, async () => fetched(await local(port))));
      for (const body of bodies) expect([body.length, body.every((byte) => byte === body[0])]).toEqual([2_000_000, true]);
      await expect(fetched(await local(closed))).rejects.toThrow();
      await forward.line(new RegExp(`error forwarding port ${closed} to pod server, uid \\S+: .*connection refused`));
    } finally {
      await forward.kill();
    }
  });

  story('a client that is killed takes its command along, and only that', async (cluster) => {
    await host(cluster);
    const [file, other] = [cluster.path('pid'), cluster.path('other')];
    const [client, stays] = [start(cluster, kubectl, ['exec', 'host', '--', ...waiting(file)]), start(cluster, kubectl, ['exec', 'host', '--', ...waiting(other)])];
    const [pid, otherPid] = [Number(await cluster.fileWritten(file)), Number(await cluster.fileWritten(other))];
    await client.kill();
    await cluster.processGone(pid);
    expect(existsSync(`/proc/${otherPid}`)).toBe(true);
    await stays.stop('SIGINT');
    await cluster.processGone(otherPid);
    await Promise.all([rm(file), rm(other)]);
  });
});

describe('when a part of Taskplane goes away under a stream', () => {
  const { story } = withCluster({ store: 'embedded' });
  const kubectl = kubectls.at(-1)!;

  story('a stopped agent ends it, and serves again when it is back', async (cluster) => {
    await host(cluster);
    const file = cluster.path('pid');
    const client = start(cluster, kubectl, ['exec', 'host', '--', ...waiting(file)]);
    const pid = Number(await cluster.fileWritten(file));
    await cluster.agent('n1').stop();
    expect((await client.ended).code).not.toBe(0);
    await cluster.processGone(pid);
    const refused = await shell(cluster, kubectl, '"$0" exec host -- true');
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('is not connected')]);
    await cluster.agentBack('n1');
    await cluster.eventually('the tunnel to be back', async () => ((await shell(cluster, kubectl, '"$0" exec host -- true')).code === 0 ? true : undefined));
    await rm(file);
  });

  story('a killed agent ends it, and leaves no process of it behind once it is back', async (cluster) => {
    await host(cluster);
    const file = cluster.path('pid');
    const client = start(cluster, kubectl, ['exec', 'host', '--', ...waiting(file)]);
    const pid = Number(await cluster.fileWritten(file));
    await cluster.agent('n1').kill();
    expect((await client.ended).code).not.toBe(0);
    await cluster.agentBack('n1');
    await cluster.processGone(pid);
    await rm(file);
  });

  story('a stopped API server tells its clients why, and does not wait for them', async (cluster) => {
    await host(cluster);
    const file = cluster.path('pid');
    const clients = kubectls.map((each) => start(cluster, each, ['exec', 'host', '--', ...waiting(`${file}-${each.title}`)]));
    const pids = await Promise.all(kubectls.map(async ({ title }) => Number(await cluster.fileWritten(`${file}-${title}`))));
    const end = await cluster.processes.apiserver.stop();
    expect(end).toEqual({ code: 0, signal: null });
    for (const client of clients) {
      expect((await client.ended).code).not.toBe(0);
      expect(client.tail()).toContain('the API server is stopping');
    }
    for (const pid of pids) await cluster.processGone(pid);
    expect((await cluster.logs())['apiserver']).not.toContain('have not ended in time');
    await cluster.processes.startApiserver();
    await cluster.eventually('commands to run again', async () => ((await shell(cluster, kubectl, '"$0" exec host -- true')).code === 0 ? true : undefined));
  });
});

describe('with client-node', () => {
  const { story } = withCluster({ store: 'embedded' });
  const configOf = (cluster: Cluster): KubeConfig => {
    const config = new KubeConfig();
    config.loadFromFile(cluster.processes.adminKubeconfig);
    return config;
  };

  story('100 MB go in and come back, and a client that leaves takes its command along', async (cluster) => {
    await host(cluster);
    const data = randomBytes(100 * megabyte);
    const [stdin, stdout] = [new PassThrough(), new PassThrough()];
    const hash = createHash('sha256');
    let bytes = 0;
    stdout.on('data', (part: Buffer) => {
      bytes += part.length;
      hash.update(part);
    });
    const ended = new Promise<V1Status>((resolve, reject) => {
      new Exec(configOf(cluster)).exec('default', 'host', 'task', ['cat'], stdout, null, stdin, false, resolve).catch(reject);
    });
    for (let at = 0; at < data.length; at += 64 * 1024) stdin.write(data.subarray(at, at + 64 * 1024));
    stdin.end();
    expect((await ended).status).toBe('Success');
    expect([bytes, hash.digest('hex')]).toEqual([data.length, sha256(data)]);

    const file = cluster.path('pid');
    const webSocket = await new Exec(configOf(cluster)).exec('default', 'host', 'task', waiting(file), new PassThrough(), null, null, false);
    const pid = Number(await cluster.fileWritten(file));
    webSocket.close();
    await cluster.processGone(pid);
  });

  story('attach hears a task', async (cluster) => {
    const go = cluster.path('go');
    await cluster.create(scriptTask('talking', `while [ ! -e ${go} ]; do sleep 0.05; done; echo here`));
    await cluster.running('talking');
    const stdout = new PassThrough();
    let text = '';
    stdout.on('data', (part: Buffer) => (text += part.toString()));
    const webSocket = await new Attach(configOf(cluster)).attach('default', 'talking', 'task', stdout, null, null, false);
    const closed = new Promise((resolve) => webSocket.addEventListener('close', resolve));
    writeFileSync(go, '');
    await closed;
    expect(text).toBe('here\n');
  });
});
