import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Attach, Exec, KubeConfig, PortForward, type V1Status } from '@kubernetes/client-node';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { createWebSocketStream, type WebSocket } from 'ws';
import type { KeyPair } from '../../pki/certificates.js';
import { SpdyClient } from './testing/spdy-client.js';
import { startShouter, startStreamWorld, type StreamWorld } from './testing/stream-world.js';

const success = { metadata: {}, status: 'Success' };

describe('streams to a task', () => {
  let world: StreamWorld;
  let pod: string;
  let config: KubeConfig;
  beforeAll(async () => {
    world = await startStreamWorld();
    pod = `${world.pods}/running`;
    await world.createTask('pending');
    await world.createTask('done', 'Succeeded');
    config = new KubeConfig();
    config.loadFromFile(world.kubeconfig);
  });
  afterAll(() => world.stop());

  const nextReset = (): Promise<string> => new Promise((resolve) => (world.agent.onReset = resolve));

  /** What a WebSocket was sent, by channel, until it closed. */
  async function said(webSocket: WebSocket): Promise<{ code: number; channels: Record<number, string>; messages: Buffer[] }> {
    const messages: Buffer[] = [];
    webSocket.on('message', (data: Buffer) => messages.push(data));
    const [code] = (await once(webSocket, 'close')) as [number];
    const channels: Record<number, string> = {};
    for (const message of messages) channels[message[0]!] = (channels[message[0]!] ?? '') + message.subarray(1).toString();
    return { code, channels, messages };
  }

  /** Asks for an upgrade; with the answer, when there is one. */
  function upgrade(path: string, headers: Record<string, string>, options: { method?: string; pair?: KeyPair | undefined } = {}): Promise<{ status: number; body: string; socket?: Socket; protocol?: string }> {
    const pair = 'pair' in options ? options.pair : world.server.admin;
    return new Promise((resolve, reject) => {
      const outgoing = httpsRequest({ host: '127.0.0.1', port: world.server.port, ca: world.server.authority.cert, ...pair, agent: false, path, method: options.method ?? 'POST', headers: { connection: 'Upgrade', ...headers } });
      outgoing.on('upgrade', (incoming, socket) => resolve({ status: incoming.statusCode!, body: '', socket: socket as Socket, protocol: String(incoming.headers['x-stream-protocol-version']) }));
      outgoing.on('response', (incoming) => void text(incoming).then((body) => resolve({ status: incoming.statusCode!, body }), reject));
      outgoing.on('error', reject);
      outgoing.end();
    });
  }

  const spdyHeaders = (protocol: string): Record<string, string> => ({ upgrade: 'SPDY/3.1', 'x-stream-protocol-version': protocol });

  async function spdy(query: string, protocol = 'v4.channel.k8s.io'): Promise<SpdyClient> {
    const { socket, status, body } = await upgrade(`${pod}/${query}`, spdyHeaders(protocol));
    if (!socket) throw new Error(`${status} ${body}`);
    return new SpdyClient(socket);
  }

  describe('over WebSockets', () => {
    const open = (query: string, protocols?: string | string[]): WebSocket => world.webSocket(`${pod}/${query}`, protocols);

    it('run a command: its output, its error output, how it ended, and a normal end', async () => {
      const { code, channels, messages } = await said(open('exec?command=sh&command=-c&command=echo+out;echo+err+>%262;exit+7&stdout=true&stderr=true', 'v5.channel.k8s.io'));
      expect([code, channels[1], channels[2]]).toEqual([1000, 'out\n', 'err\n']);
      expect(JSON.parse(channels[3]!)).toMatchObject({ status: 'Failure', reason: 'NonZeroExitCode', details: { causes: [{ reason: 'ExitCode', message: '7' }] } });
      // Kubernetes says so when the connection stands.
      expect(messages[0]).toEqual(Buffer.of(1));
    });

    it('carry input, and its end in v5', async () => {
      const webSocket = open('exec?command=sha256sum&stdin=true&stdout=true', ['v5.channel.k8s.io', 'v4.channel.k8s.io']);
      await once(webSocket, 'open');
      expect(webSocket.protocol).toBe('v5.channel.k8s.io');
      const data = randomBytes(3_000_000);
      for (let at = 0; at < data.length; at += 1_000_000) webSocket.send(Buffer.concat([Buffer.of(0), data.subarray(at, at + 1_000_000)]));
      webSocket.send(Buffer.of(255, 0));
      const { channels } = await said(webSocket);
      expect(channels[1]).toBe(`${createHash('sha256').update(data).digest('hex')}  -\n`);
      expect(JSON.parse(channels[3]!)).toMatchObject(success);
    });

    it('carry sizes of a terminal, and nothing that is none', async () => {
      const webSocket = open('exec?command=sizes&stdin=true&stdout=true&tty=true', 'v5.channel.k8s.io');
      await once(webSocket, 'open');
      for (const size of ['{"Width":80,"Height":24}\n', 'no', '{"Width":-1,"Height":2}', '{"Height":50,"Width":132,"x":1}']) webSocket.send(Buffer.concat([Buffer.of(4), Buffer.from(size)]));
      webSocket.send(Buffer.of(255, 0));
      expect((await said(webSocket)).channels[1]).toBe('{"Width":80,"Height":24}\n{"Width":132,"Height":50}\n');
    });

    it.each([
      ['v4.channel.k8s.io', 'JSON'],
      ['v3.channel.k8s.io', 'text'],
      ['channel.k8s.io', 'text'],
      [undefined, 'text'],
    ])('speak %s, which tells the end in %s', async (protocol, form) => {
      const webSocket = open('exec?command=sh&command=-c&command=echo+hi;exit+3&stdout=true&stderr=true', protocol);
      const { channels } = await said(webSocket);
      expect([webSocket.protocol, channels[1]]).toEqual([protocol ?? '', 'hi\n']);
      if (form === 'JSON') expect(JSON.parse(channels[3]!)).toMatchObject({ reason: 'NonZeroExitCode' });
      else expect(channels[3]).toBe('command terminated with non-zero exit code: exit status 3');
    });

    it('speak base64', async () => {
      const webSocket = open('exec?command=head&command=-c3&stdin=true&stdout=true', 'v4.base64.channel.k8s.io');
      await once(webSocket, 'open');
      webSocket.send(`0${Buffer.from('abc').toString('base64')}`);
      const { messages } = await said(webSocket);
      const [, out, end] = messages.map((message) => message.toString());
      expect([out, Buffer.from(end!.slice(1), 'base64').toString()]).toEqual([`1${Buffer.from('abc').toString('base64')}`, expect.stringContaining('"Success"')]);
    });

    it('end the process when the client is gone', async () => {
      const reset = nextReset();
      const webSocket = open('exec?command=sleep&command=1000&stdout=true', 'v5.channel.k8s.io');
      await once(webSocket, 'message');
      webSocket.terminate();
      expect(await reset).toBe('the client went away');
    });

    it('hold up a command whose output nobody reads, and one that reads nothing holds up its client', async () => {
      const slow = open('exec?command=head&command=-c20000000&command=/dev/zero&stdout=true', 'v5.channel.k8s.io');
      let bytes = 0;
      slow.on('message', (data: Buffer) => (bytes += data.length));
      await once(slow, 'open');
      slow.pause();
      const go = join(world.directory, 'go');
      const script = `until [ -e ${go} ]; do sleep 0.05; done; sha256sum`;
      const stuffed = open(`exec?command=sh&command=-c&command=${encodeURIComponent(script)}&stdin=true&stdout=true`, 'v5.channel.k8s.io');
      await once(stuffed, 'open');
      const client = createWebSocketStream(stuffed);
      client.on('error', () => undefined);
      const hash = createHash('sha256');
      const data = randomBytes(40_000);
      for (let sent = 0; sent < 400; sent++) {
        hash.update(data);
        if (!client.write(Buffer.concat([Buffer.of(0), data]))) await Promise.race([once(client, 'drain'), new Promise((resolve) => setImmediate(resolve))]);
      }
      expect(client.writableLength).toBeGreaterThan(1_000_000);
      expect(bytes).toBeLessThan(5_000_000);
      slow.resume();
      expect((await once(slow, 'close'))[0]).toBe(1000);
      expect(bytes).toBeGreaterThan(20_000_000);
      await writeFile(go, '');
      client.write(Buffer.of(255, 0));
      const out: Buffer[] = [];
      for await (const piece of client) out.push(piece as Buffer);
      expect(Buffer.concat(out).toString()).toContain(hash.digest('hex'));
    });

    it('are cut when a message is longer than anybody sends', async () => {
      const reset = nextReset();
      const webSocket = open('exec?command=cat&stdin=true&stdout=true', 'v5.channel.k8s.io');
      webSocket.on('error', () => undefined);
      await once(webSocket, 'open');
      webSocket.send(Buffer.alloc(5_000_000));
      await Promise.all([once(webSocket, 'close'), reset]);
    });

    it('tell what the agent refuses', async () => {
      const { code, channels } = await said(open('exec?command=refuse&stdout=true', 'v5.channel.k8s.io'));
      expect([code, JSON.parse(channels[3]!)]).toEqual([1000, expect.objectContaining({ status: 'Failure', reason: 'BadRequest', message: 'not today' })]);
    });

    it('are there under the name of the task, too', async () => {
      const { channels } = await said(world.webSocket('/apis/taskplane.dev/v1/namespaces/default/tasks/running/exec?command=echo&command=hi&stdout=true', 'v5.channel.k8s.io'));
      expect(channels[1]).toBe('hi\n');
    });
  });

  describe('over SPDY', () => {
    it.each(['v4.channel.k8s.io', 'v3.channel.k8s.io', 'v2.channel.k8s.io', 'channel.k8s.io'])('run a command with %s', async (protocol) => {
      const client = await spdy('exec?command=sh&command=-c&command=cat;echo+err+>%262;exit+7&stdin=true&stdout=true&stderr=true', protocol);
      const [error, stdin, stdout, stderr] = ['error', 'stdin', 'stdout', 'stderr'].map((streamtype) => client.open({ streamtype })) as [number, number, number, number];
      client.send(stdin, 'some ');
      client.send(stdin, 'input', true);
      expect(await client.text(stdout)).toBe('some input');
      expect(await client.text(stderr)).toBe('err\n');
      const end = await client.text(error);
      if (protocol === 'v4.channel.k8s.io') expect(JSON.parse(end)).toMatchObject({ reason: 'NonZeroExitCode' });
      else expect(end).toBe('command terminated with non-zero exit code: exit status 7');
      await client.until((frame) => frame.type === 'go-away');
      await client.closed.promise;
    });

    it('carry sizes of a terminal, cut anywhere', async () => {
      const client = await spdy('exec?command=sizes&stdin=true&stdout=true&tty=true');
      const [, stdin, stdout, resize] = ['error', 'stdin', 'stdout', 'resize'].map((streamtype) => client.open({ streamtype })) as [number, number, number, number];
      client.send(resize, '{"Width":80,');
      client.send(resize, '"Height":24}\n{"Width":1,"Height":2}\n');
      await client.until((frame) => frame.type === 'data' && frame.data.toString().includes('"Width":1,'));
      client.send(stdin, '', true);
      expect(await client.text(stdout)).toBe('{"Width":80,"Height":24}\n{"Width":1,"Height":2}\n');
      await client.closed.promise;
    });

    it('refuse streams that nobody asked for', async () => {
      const reset = nextReset();
      const client = await spdy('exec?command=sleep&command=1000&stdout=true');
      const stdin = client.open({ streamtype: 'stdin' });
      expect(await client.until((frame) => frame.type === 'rst-stream')).toMatchObject({ streamId: stdin });
      client.end();
      expect(await reset).toBe('the client did not open its streams');
    });

    it('end the process when the client is gone', async () => {
      const reset = nextReset();
      const client = await spdy('exec?command=sleep&command=1000&stdout=true');
      client.open({ streamtype: 'error' });
      const stdout = client.open({ streamtype: 'stdout' });
      await client.until((frame) => frame.type === 'syn-reply' && frame.streamId === stdout);
      client.end();
      expect(await reset).toBe('the client went away');
    });

    it.each([['over the connection', false], ['through a WebSocket', true]])('forward many connections at once %s, and tell why one could not be made', async (_how, tunnelled) => {
      const shouter = await startShouter();
      let client: SpdyClient;
      if (tunnelled) {
        client = new SpdyClient(createWebSocketStream(await world.tunnelledSpdy(`${pod}/portforward`)));
      } else {
        client = await spdy('portforward', 'portforward.k8s.io');
      }
      const forward = (port: number, requestid?: string): [number, number] => {
        const headers = { port: String(port), ...(requestid === undefined ? {} : { requestid }) };
        return [client.open({ streamtype: 'error', ...headers }, true), client.open({ streamtype: 'data', ...headers })];
      };
      const pairs = Array.from({ length: 20 }, (_unused, index) => forward(shouter.port, String(index)));
      pairs.push(forward(shouter.port));
      pairs.forEach(([, data], index) => client.send(data, `hello ${index}`, true));
      for (const [index, [error, data]] of pairs.entries()) expect([await client.text(data), await client.text(error)]).toEqual([`HELLO ${index}`, '']);
      const [error, data] = forward(1, 'x');
      expect(await client.text(error)).toBe(`error forwarding port 1 to pod running, uid ${world.uid}: connect ECONNREFUSED 127.0.0.1:1`);
      expect(await client.text(data)).toBe('');
      const wrong = client.open({ streamtype: 'data', port: 'http' });
      expect(await client.until((frame) => frame.type === 'rst-stream' && frame.streamId === wrong)).toMatchObject({ status: 3 });
      client.end();
      await shouter.close();
    });
  });

  describe('for client-node', () => {
    it('run a command with input, and tell its exit code', async () => {
      const [stdout, stderr] = [new PassThrough(), new PassThrough()];
      const output = text(stdout);
      const status = await new Promise<V1Status>((resolve, reject) => {
        new Exec(config).exec('default', 'running', 'task', ['sh', '-c', 'tr a-z A-Z; exit 4'], stdout, stderr, Readable.from(['hello\n']), false, resolve).catch(reject);
      });
      expect([await output, status.details?.causes?.[0]]).toEqual(['HELLO\n', { reason: 'ExitCode', message: '4' }]);
    });

    it('attach', async () => {
      const stdout = new PassThrough();
      const webSocket = await new Attach(config).attach('default', 'running', 'task', stdout, null as unknown as PassThrough, Readable.from(['from here\n']), false);
      await once(webSocket, 'close');
      expect(stdout.read().toString()).toBe('from here\n');
      expect(world.agent.requests.at(-1)).toMatchObject({ type: 'attach', stdin: true, stdout: true, stderr: false, uid: world.uid });
    });

    it('forward a port', async () => {
      const shouter = await startShouter();
      const [output, errors] = [new PassThrough(), new PassThrough()];
      const input = new PassThrough();
      const webSocket = (await new PortForward(config).portForward('default', 'running', [shouter.port], output, errors, input)) as WebSocket;
      input.end('hello');
      await once(webSocket, 'close');
      expect([output.read()?.toString(), errors.read()?.toString() ?? '']).toEqual(['HELLO', '']);
      const refused = (await new PortForward(config).portForward('default', 'running', [1], output, errors, new PassThrough())) as WebSocket;
      await once(refused, 'close');
      expect(errors.read().toString()).toBe(`error forwarding port 1 to pod running, uid ${world.uid}: connect ECONNREFUSED 127.0.0.1:1`);
      await shouter.close();
    });
  });

  describe('are refused with a Status', () => {
    const webSocket = { upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': Buffer.alloc(16).toString('base64'), 'sec-websocket-protocol': 'v5.channel.k8s.io' };

    it.each<[string, string, Record<string, string>, number, string]>([
      ['a pod that is not there', 'missing/exec?command=ls&stdout=true', {}, 404, 'pods "missing" not found'],
      ['a pod without a node', 'pending/exec?command=ls&stdout=true', {}, 400, 'pod pending does not have a host assigned'],
      ['a pod that has ended', 'done/attach?stdout=true', {}, 400, 'cannot attach a container in a completed pod; current phase is Succeeded'],
      ['no command', 'running/exec?stdout=true', {}, 400, 'you must specify at least one command for the container'],
      ['no stream', 'running/exec?command=ls', {}, 400, 'you must specify at least 1 of stdin, stdout, stderr'],
      ['another container', 'running/exec?command=ls&stdout=true&container=side', {}, 400, 'container side is not valid for pod running'],
      ['no protocol in common', 'running/exec?command=ls&stdout=true', { 'x-stream-protocol-version': 'v9', 'sec-websocket-protocol': 'v9' }, 403, 'unable to upgrade: unable to negotiate protocol: client supports [v9]'],
      ['something else to upgrade to', 'running/exec?command=ls&stdout=true', { upgrade: 'h2c' }, 400, 'this server speaks websocket and SPDY/3.1 here'],
    ])('%s', async (_what, path, more, code, message) => {
      for (const headers of [webSocket, spdyHeaders('v4.channel.k8s.io')]) {
        const answer = await upgrade(`${world.pods}/${path}`, { ...headers, ...more }, { method: 'upgrade' in headers && headers.upgrade === 'websocket' ? 'GET' : 'POST' });
        expect([answer.status, JSON.parse(answer.body)]).toEqual([code, expect.objectContaining({ kind: 'Status', code, message: expect.stringContaining(message) as unknown as string })]);
      }
    });

    it('a WebSocket whose handshake is wrong', async () => {
      const answer = await upgrade(`${pod}/exec?command=ls&stdout=true`, { ...webSocket, 'sec-websocket-key': 'short' }, { method: 'GET' });
      expect([answer.status, JSON.parse(answer.body).message]).toEqual([400, expect.stringContaining('unable to upgrade')]);
    });

    it('a request without an upgrade, and one with a method that opens nothing', async () => {
      const plain = await world.server.send({ method: 'POST', path: `${pod}/exec?command=ls&stdout=true`, pair: world.server.admin });
      expect([plain.status, JSON.parse(plain.body).message]).toEqual([400, 'Upgrade request required']);
      expect((await world.server.send({ method: 'PUT', path: `${pod}/exec`, pair: world.server.admin, body: '{}' })).status).toBe(405);
      expect((await upgrade(`${pod}/exec`, webSocket, { method: 'DELETE' })).status).toBe(405);
    });

    it('nobody, somebody without rights, and an agent', async () => {
      expect((await upgrade(`${pod}/exec?command=ls&stdout=true`, webSocket, { method: 'GET', pair: undefined })).status).toBe(401);
      const answer = await upgrade(`${pod}/exec?command=ls&stdout=true`, spdyHeaders('v4.channel.k8s.io'), { pair: world.server.agent });
      expect([answer.status, JSON.parse(answer.body).message]).toEqual([403, expect.stringContaining('User "system:node:n1" cannot create resource "pods/exec" in API group "" in the namespace "default"')]);
      const asTask = await upgrade('/apis/taskplane.dev/v1/namespaces/default/tasks/running/exec?command=ls&stdout=true', webSocket, { method: 'GET', pair: world.server.agent });
      expect([asTask.status, JSON.parse(asTask.body).message]).toEqual([403, expect.stringContaining('cannot get resource "tasks/exec" in API group "taskplane.dev"')]);
    });
  });

  it('are in discovery and metrics', async () => {
    const { body } = await world.server.send({ path: '/api/v1', pair: world.server.admin });
    const names = (JSON.parse(body) as { resources: { name: string; kind: string; verbs: string[] }[] }).resources;
    expect(names.find(({ name }) => name === 'pods/exec')).toMatchObject({ kind: 'PodExecOptions', verbs: ['create', 'get'] });
    expect(names.filter(({ name }) => ['pods/attach', 'pods/portforward'].includes(name))).toHaveLength(2);
    const metric = async (name: RegExp): Promise<string | undefined> => (await world.server.send({ path: '/metrics', pair: world.server.admin })).body.match(name)?.[1];
    expect(Number(await metric(/apiserver_request_total\{verb="connect",resource="pods\/exec",code="101"\} (\d+)/))).toBeGreaterThan(5);
    // None is counted longer than it is open.
    while ((await metric(/apiserver_longrunning_requests\{verb="connect",resource="pods\/exec"\} (\d+)/)) !== '0');
  });

  it('are 503 while the agent is not connected', async () => {
    world.tunnel.close();
    await world.agent.mux.closed;
    let answer = await upgrade(`${pod}/exec?command=ls&stdout=true`, spdyHeaders('v4.channel.k8s.io'));
    while (answer.status === 101) {
      answer.socket!.destroy();
      answer = await upgrade(`${pod}/exec?command=ls&stdout=true`, spdyHeaders('v4.channel.k8s.io'));
    }
    expect([answer.status, JSON.parse(answer.body).message]).toEqual([503, expect.stringContaining('the agent of node "n1" is not connected')]);
  });
});

it('a server that stops tells the clients of its streams, and does not wait for them', async () => {
  const world = await startStreamWorld({ stoppingMs: 20_000 });
  const command = world.webSocket(`${world.pods}/running/exec?command=sleep&command=1000&stdout=true`, 'v5.channel.k8s.io');
  const messages: Buffer[] = [];
  command.on('message', (data: Buffer) => messages.push(data));
  const stands = once(command, 'message');
  const forward = await world.tunnelledSpdy(`${world.pods}/running/portforward`);
  await stands;
  const spdy = new SpdyClient(createWebSocketStream(forward));
  const codes = Promise.all([once(command, 'close'), once(forward, 'close')]);
  world.server.stopServer();
  expect((await codes).map(([code]) => code as number)).toEqual([1000, 1001]);
  expect(JSON.parse(messages.at(-1)!.subarray(1).toString())).toMatchObject({ status: 'Failure', message: expect.stringContaining('the API server is stopping') as unknown as string });
  expect(spdy.frames.map(({ type }) => type)).toEqual(['go-away']);
  await world.stop();
});
