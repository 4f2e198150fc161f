import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:tls';
import { WebSocket } from 'ws';
import { tunnelProtocol } from '../../api/protocol.js';
import { Mux, type MessageChannel } from '../../lib/mux.js';
import { makeAuthority, makeClientCertificate, makeServerCertificate, type KeyPair } from '../pki/certificates.js';
import { adminSubject } from '../pki/kubeconfig.js';
import { startServer, type RunningServer } from './testing/running-server.js';

const tasks = '/apis/taskplane.dev/v1/namespaces/default/tasks';
const task = (name: string): string => JSON.stringify({ metadata: { name }, spec: { command: ['true'] } });

function openStream(server: RunningServer, path: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    httpsRequest({ host: '127.0.0.1', port: server.port, ca: server.authority.cert, ...server.admin, agent: false, path }, resolve).on('error', reject).end();
  });
}

describe('the HTTPS server', () => {
  let server: RunningServer;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.stop());

  it('keeps no watch of which only the head was asked for', async () => {
    const { status } = await server.send({ method: 'HEAD', path: `${tasks}?watch=true`, pair: server.admin });
    const { body } = await server.send({ path: '/metrics', pair: server.admin });
    expect(status).toBe(200);
    expect(/apiserver_longrunning_requests\{verb="watch",resource="tasks"\} (\d+)/.exec(body)?.[1]).toBe('0');
  });

  describe('lets in by certificate', () => {
    let foreign: KeyPair;
    let pretended: KeyPair;
    let expired: KeyPair;
    let other: KeyPair;
    beforeAll(async () => {
      const now = Date.now();
      const foreignAuthority = await makeAuthority('ca', now);
      foreign = await makeClientCertificate(foreignAuthority, adminSubject, now);
      pretended = await makeServerCertificate(server.authority, ['admin'], now);
      expired = await makeClientCertificate(server.authority, adminSubject, now - 1000 * 86_400_000);
      other = await makeClientCertificate(server.authority, { name: 'someone', groups: ['dev'] }, now);
    });

    it.each<[string, () => KeyPair | undefined, string, number]>([
      ['the admin', () => server.admin, tasks, 200],
      ['an agent to its node', () => server.agent, '/api/v1/nodes', 200],
      ['an agent not to everything', () => server.agent, '/api/v1/secrets', 403],
      ['somebody known without rights', () => other, tasks, 403],
      ['somebody known to discovery', () => other, '/apis', 200],
      ['nobody without a certificate', () => undefined, tasks, 401],
      ['anybody to health', () => undefined, '/livez', 200],
      ['nobody of another authority', () => foreign, tasks, 401],
      ["nobody with a server's certificate", () => pretended, tasks, 401],
      ['nobody whose certificate has expired', () => expired, tasks, 401],
    ])('%s', async (_who, pair, path, code) => {
      const { status, body } = await server.send({ path, pair: pair() });
      expect(status).toBe(code);
      if (code >= 400) expect(JSON.parse(body)).toMatchObject({ kind: 'Status', code });
    });

    it('and to who would rather resume a TLS session, by its certificate', async () => {
      const first = connect({ host: '127.0.0.1', port: server.port, ca: server.authority.cert, ...server.admin });
      const session = once(first, 'session').then(([ticket]) => ticket as Buffer);
      first.write(`GET ${tasks} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      first.resume();
      const ticket = await session;
      await once(first, 'close');
      const second = connect({ host: '127.0.0.1', port: server.port, ca: server.authority.cert, ...server.admin, session: ticket });
      second.write(`GET ${tasks} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      let text = '';
      second.setEncoding('utf8').on('data', (part: string) => (text += part));
      await once(second, 'secureConnect');
      expect(second.isSessionReused()).toBe(false);
      await once(second, 'close');
      expect(text).toMatch(/^HTTP\/1\.1 200 /);
    });
  });

  it('speaks no plain HTTP', async () => {
    const { createConnection } = await import('node:net');
    const socket = createConnection({ host: '127.0.0.1', port: server.port });
    socket.write('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n');
    let text = '';
    socket.on('data', (part) => (text += part.toString('latin1')));
    socket.on('error', () => {});
    await once(socket, 'close');
    expect(text).not.toContain('HTTP/');
  });

  it('answers bytes that are no HTTP with a Status', async () => {
    const socket = connect({ host: '127.0.0.1', port: server.port, ca: server.authority.cert });
    socket.write('how do you do?\r\n\r\n');
    let text = '';
    socket.setEncoding('utf8').on('data', (part: string) => (text += part));
    await once(socket, 'close');
    expect(text).toContain('"reason":"BadRequest"');
  });

  it('serves creates, reads and HEAD over one connection, through both of its doors', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const send = (options: RequestOptions & { body?: string }) => server.send({ ...options, pair: server.admin, agent });
    const created = await send({ method: 'POST', path: tasks, body: task('a') });
    expect([created.status, created.headers['content-type']]).toEqual([201, 'application/json']);
    const head = await send({ method: 'HEAD', path: `${tasks}/a` });
    expect([head.status, head.body, Number(head.headers['content-length']) > 100]).toEqual([200, '', true]);
    expect((await send({ path: '/version' })).status).toBe(200);
    expect((await send({ path: '/nothing' })).status).toBe(404);
    expect(created.headers['x-request-id']).not.toBe(head.headers['x-request-id']);
    agent.destroy();
  });

  it('refuses a body that is far too large before it has read it, and one that says nothing of its size so that its client reads why', async () => {
    const announced = await server.send({ method: 'POST', path: tasks, pair: server.admin, headers: { 'content-length': 50_000_000, expect: '100-continue' } }).catch((error: NodeJS.ErrnoException) => error.code);
    if (typeof announced === 'object') expect(announced.status).toBe(413);
    const chunked = await server.send({ method: 'POST', path: tasks, pair: server.admin, body: 'x'.repeat(3_500_000), headers: { 'transfer-encoding': 'chunked' } });
    expect(chunked.status).toBe(413);
    expect((await server.send({ path: '/livez' })).status).toBe(200);
  });

  it('sends the headers of a watch at once, then each change, and forgets a watcher that has gone', async () => {
    const stream = await openStream(server, `${tasks}?watch=true&fieldSelector=metadata.name%3Dwatched`);
    expect([stream.statusCode, stream.headers['content-type'], stream.headers['transfer-encoding']]).toEqual([200, 'application/json', 'chunked']);
    await server.send({ method: 'POST', path: tasks, body: task('watched'), pair: server.admin });
    const [line] = (await once(stream, 'data')) as [Buffer];
    expect(JSON.parse(line.toString())).toMatchObject({ type: 'ADDED', object: { metadata: { name: 'watched' } } });
    const watchers = async (): Promise<string> => (await server.send({ path: '/metrics', pair: server.admin })).body.match(/apiserver_longrunning_requests\{verb="watch",resource="tasks"\} (\d+)/)![1]!;
    expect(await watchers()).toBe('1');
    stream.destroy();
    while ((await watchers()) !== '0');
  });

  it('reaches an agent over the tunnel that it has opened, and nobody else opens one', async () => {
    const url = `wss://127.0.0.1:${server.port}/api/v1/nodes/n1/tunnel`;
    const refused = async (pair: KeyPair | undefined, to = url, protocol = tunnelProtocol): Promise<string> => {
      const webSocket = new WebSocket(to, protocol, { ca: server.authority.cert, ...pair });
      const [error] = (await once(webSocket, 'error')) as [Error];
      return error.message;
    };
    expect(await refused(undefined)).toContain('401');
    expect(await refused(server.agent, url.replace('/n1/', '/n2/'))).toContain('403');
    expect(await refused(server.agent, url.replace('/nodes/n1/tunnel', '/nodes'))).toContain('404');
    expect(await refused(server.agent, url, 'other')).toContain('400');

    await server.send({ method: 'POST', path: '/api/v1/nodes', body: '{"metadata":{"name":"n1"}}', pair: server.agent });
    const created = JSON.parse((await server.send({ method: 'POST', path: tasks, body: task('logged'), pair: server.admin })).body);
    const item = { namespace: 'default', name: 'logged', uid: created.metadata.uid };
    await server.send({ method: 'POST', path: '/apis/taskplane.dev/v1/bulk/bindings', body: JSON.stringify({ items: [{ ...item, nodeName: 'n1' }] }), pair: server.admin });
    await server.send({ method: 'POST', path: '/apis/taskplane.dev/v1/bulk/statuses', body: JSON.stringify({ nodeName: 'n1', items: [{ ...item, bindings: 1, attempt: 1, phase: 'Running', startTime: '2026-01-01T00:00:00Z' }] }), pair: server.agent });

    const webSocket = new WebSocket(url, tunnelProtocol, { ca: server.authority.cert, ...server.agent });
    await once(webSocket, 'open');
    const channel: MessageChannel = {
      send: (message) => webSocket.send(message),
      onMessage: (handler) => webSocket.on('message', (data: Buffer) => handler(data)),
      onClose: (handler) => webSocket.on('close', handler),
      close: () => webSocket.close(),
    };
    const large = Buffer.alloc(3_000_000, 'x');
    let left: () => void;
    const readerLeft = new Promise<void>((resolve) => (left = resolve));
    new Mux({
      channel,
      initiator: false,
      onStream: (stream, request) => {
        void stream.closed.then(() => left());
        const { follow, attempt } = JSON.parse(request.toString());
        if (attempt === 1) stream.reset(JSON.stringify({ kind: 'Status', code: 99_999, message: 'no', reason: 'toString', details: { retryAfterSeconds: '1\r\nset-cookie: a' } }));
        else if (follow) void stream.write(Buffer.from('first\n'));
        else void stream.write(large).then(() => stream.end());
      },
    });
    // What an agent says of a failure is not trusted to be a Status that can be sent.
    const lie = await server.send({ path: `${tasks}/logged/log?attempt=1`, pair: server.admin });
    expect([lie.status, lie.headers['retry-after'], JSON.parse(lie.body)]).toEqual([503, undefined, expect.objectContaining({ kind: 'Status', reason: 'ServiceUnavailable', code: 503 })]);
    const whole = await server.send({ path: `${tasks}/logged/log`, pair: server.admin });
    expect([whole.status, whole.body.length]).toEqual([200, large.length]);
    const following = await openStream(server, `${tasks}/logged/log?follow=true`);
    expect(String((await once(following, 'data'))[0])).toBe('first\n');
    following.destroy();
    await readerLeft;
    webSocket.close();
    await once(webSocket, 'close');
  });
});

it('cuts a connection that never begins its handshake', async () => {
  const server = await startServer({ arrivalMs: 100 });
  const { createConnection } = await import('node:net');
  const silent = createConnection({ host: '127.0.0.1', port: server.port });
  silent.on('error', () => {}).resume();
  await once(silent, 'close');
  await server.stop();
});

describe('stopping the HTTPS server', () => {
  it('ends watches cleanly, refuses new connections and leaves nothing open', async () => {
    const server = await startServer({ stoppingMs: 200 });
    const stream = await openStream(server, `${tasks}?watch=true`);
    const idle = new Agent({ keepAlive: true });
    await server.send({ path: '/livez', agent: idle });
    const { createConnection } = await import('node:net');
    const silent = createConnection({ host: '127.0.0.1', port: server.port });
    silent.on('error', () => {});
    await once(silent, 'connect');
    const ended = once(stream.resume(), 'end');
    server.stopServer();
    await ended;
    expect(stream.complete).toBe(true);
    // A connection that never says anything does not keep the server from ending.
    await server.stop();
    await expect(server.send({ path: '/livez' })).rejects.toThrow('ECONNREFUSED');
    idle.destroy();
  });
});
