// Log, Exec, Attach, Cp and PortForward of client-node.

import { createServer, connect, type AddressInfo } from 'node:net';
import { mkdirSync, writeFileSync } from 'node:fs';
import { PassThrough, Writable } from 'node:stream';
import { Attach, Cp, Exec, Log, PortForward, type V1Status } from '@kubernetes/client-node';
import { describe, expect } from '@jest/globals';
import { Deferred } from '../../lib/deferred.js';
import { scriptTask, type Cluster } from '../cluster.js';
import { withCluster } from '../with-cluster.js';
import { configOf } from './config.js';

const namespace = 'default';
const container = 'task';

class Collected extends Writable {
  text = '';
  readonly #waits: { pattern: RegExp; found: Deferred<void> }[] = [];

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    for (const { pattern, found } of this.#waits) if (pattern.test(this.text)) found.resolve();
    done();
  }

  shows(pattern: RegExp): Promise<void> {
    const found = new Deferred<void>();
    if (pattern.test(this.text)) found.resolve();
    this.#waits.push({ pattern, found });
    return found.promise;
  }
}

async function execute(cluster: Cluster, command: string[], stdin?: PassThrough): Promise<{ stdout: string; stderr: string; status: V1Status }> {
  const [stdout, stderr, status] = [new Collected(), new Collected(), new Deferred<V1Status>()];
  await new Exec(configOf(cluster)).exec(namespace, 'host', container, command, stdout, stderr, stdin ?? null, false, (result) => status.resolve(result));
  return { status: await status.promise, stdout: stdout.text, stderr: stderr.text };
}

describe('the streams of client-node', () => {
  const { story } = withCluster({ store: 'embedded' });

  story('Log follows a task to its end', async (cluster) => {
    const go = cluster.path('go');
    await cluster.create(scriptTask('writing', `echo first; while [ ! -e ${go} ]; do sleep 0.05; done; echo last`));
    await cluster.running('writing');
    const output = new PassThrough();
    const collected = new Collected();
    output.pipe(collected);
    await new Log(configOf(cluster)).log(namespace, 'writing', container, output, { follow: true });
    await collected.shows(/first\n/);
    writeFileSync(go, '');
    await collected.shows(/first\nlast\n/);
    await expect(new Log(configOf(cluster)).log(namespace, 'nothing', container, new PassThrough())).rejects.toMatchObject({ code: 404 });
  });

  story('Exec runs commands beside a task', async (cluster) => {
    await cluster.create(scriptTask('host', 'exec sleep 600', { env: [{ name: 'COLOUR', value: 'green' }] }));
    await cluster.running('host');
    const good = await execute(cluster, ['sh', '-c', 'echo $COLOUR; echo aside >&2']);
    expect(good).toMatchObject({ stdout: 'green\n', stderr: 'aside\n', status: { status: 'Success' } });
    const bad = await execute(cluster, ['sh', '-c', 'exit 9']);
    expect(bad.status).toMatchObject({ status: 'Failure', reason: 'NonZeroExitCode', details: { causes: [{ reason: 'ExitCode', message: '9' }] } });
    const stdin = new PassThrough();
    const counted = execute(cluster, ['wc', '-c'], stdin);
    stdin.end('x'.repeat(100_000));
    expect((await counted).stdout.trim()).toBe('100000');
  });

  story('Attach shows what a task writes from now on', async (cluster) => {
    await cluster.create(scriptTask('talking', 'while :; do echo tick; sleep 0.05; done'));
    await cluster.running('talking');
    const stdout = new Collected();
    const socket = await new Attach(configOf(cluster)).attach(namespace, 'talking', container, stdout, new Collected(), null, false);
    await stdout.shows(/tick\ntick\n/);
    socket.close();
  });

  story('Cp carries a directory to a task', async (cluster) => {
    const [from, to] = [cluster.path('from'), cluster.path('to')];
    for (const path of [from, to]) mkdirSync(path);
    writeFileSync(`${from}/file.txt`, 'carried\n');
    await new Cp(configOf(cluster)).cpToPod(namespace, 'host', container, from, to);
    expect(await cluster.fileWritten(`${to}/file.txt`)).toBe('carried\n');
  });

  story('PortForward reaches a server in a task', async (cluster) => {
    const probe = createServer();
    await new Promise<void>((resolve) => void probe.listen(0, '127.0.0.1', resolve));
    const { port } = probe.address() as AddressInfo;
    await new Promise((resolve) => probe.close(resolve));
    await cluster.create(scriptTask('server', `exec ${process.execPath} -e 'require("net").createServer((s) => s.on("data", (d) => s.end("echo " + d))).listen(${port}, "127.0.0.1", () => console.log("listening"))'`));
    await cluster.eventually('the server to listen', async () => (await cluster.taskplane(['logs', 'server'])).stdout.includes('listening') || undefined);
    const forward = new PortForward(configOf(cluster));
    const entrance = createServer((socket) => void forward.portForward(namespace, 'server', [port], socket, null, socket));
    await new Promise<void>((resolve) => void entrance.listen(0, '127.0.0.1', resolve));
    const answer = new Collected();
    const socket = connect((entrance.address() as AddressInfo).port, '127.0.0.1');
    socket.pipe(answer);
    socket.write('hello');
    await answer.shows(/echo hello/);
    socket.destroy();
    entrance.close();
  });
});
