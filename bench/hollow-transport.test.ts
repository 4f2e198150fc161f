import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { TransportError } from '../api/transport.js';
import { makeAuthority, makeServerCertificate } from '../apiserver/pki/certificates.js';
import { credentialsOf } from './agent-certificates.js';
import { HollowDialer } from './hollow-dialer.js';
import { HollowTransport } from './hollow-transport.js';

describe('the transport of a hollow agent', () => {
  let server: Server;
  let transport: HollowTransport;
  let transportOf: (nodeName: string) => HollowTransport;
  const connections = new Set<unknown>();

  beforeAll(async () => {
    const authority = await makeAuthority('taskplane', Date.now());
    const { cert, key } = await makeServerCertificate(authority, ['127.0.0.1'], Date.now());
    server = createServer({ ca: authority.cert, cert, key, requestCert: true }, (request, response) => {
      const socket = request.socket as TLSSocket;
      connections.add(socket);
      if (request.url === '/cut') return void socket.destroy();
      if (request.url!.startsWith('/stream')) {
        response.write('one\n');
        return void setImmediate(() => response.end('two\n'));
      }
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => response.writeHead(201).end(`${request.method} ${request.url} ${String(socket.getPeerCertificate().subject.CN)} ${Buffer.concat(parts).toString()}`));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const credentials = credentialsOf(authority, Date.now());
    const address = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    transportOf = (nodeName) => new HollowTransport({ dialer: new HollowDialer({ server: address, ca: credentials.ca, key: credentials.key, cert: credentials.certificateOf(nodeName) }), userAgent: 'test' });
    transport = transportOf('n');
  });

  afterAll(async () => {
    await transport.close();
    await new Promise((resolve) => server.close(resolve));
  });

  it('sends requests as the agent of its node, one after the other over one connection', async () => {
    const replies = await Promise.all(['a', 'b ä'].map((body) => transport.request({ method: 'POST', path: '/x', query: { q: 'a=b', none: undefined }, body })));
    expect(replies.map(({ status, body }) => [status, body])).toEqual([[201, 'POST /x?q=a%3Db system:node:n a'], [201, 'POST /x?q=a%3Db system:node:n b ä']]);
    expect(connections.size).toBe(1);
  });

  it('reads a stream over a connection of its own, to its end', async () => {
    const { status, chunks } = await transport.stream({ method: 'GET', path: '/stream' });
    let text = '';
    for await (const chunk of chunks) text += chunk.toString();
    expect([status, text, connections.size]).toEqual([200, 'one\ntwo\n', 2]);
  });

  it('says that a connection broke, and makes another for the next request', async () => {
    await expect(transport.request({ method: 'GET', path: '/cut' })).rejects.toThrow(TransportError);
    await expect(transport.stream({ method: 'GET', path: '/cut' })).rejects.toThrow(TransportError);
    expect((await transport.request({ method: 'GET', path: '/x' })).status).toBe(201);
  });

  it('is the agent of its own node beside others of the same key that dial in the same moment', async () => {
    const others = ['a', 'b', 'c'].map(transportOf);
    const replies = await Promise.all(others.map((other) => other.request({ method: 'GET', path: '/x' })));
    expect(replies.map(({ body }) => body.trim())).toEqual(['a', 'b', 'c'].map((name) => `GET /x system:node:${name}`));
    await Promise.all(others.map((other) => other.close()));
  });
});
