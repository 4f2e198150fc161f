import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { TransportError, type ApiRequest } from '../api/transport.js';
import { HttpsTransport } from './https-transport.js';
import type { ClusterAccess } from './kubeconfig.js';
import { TestAuthority, type Pair } from './testing/certificates.js';

let authority: TestAuthority;
let clientPair: Pair;
let server: Server;
let connections = 0;
let answer: (request: IncomingMessage, response: ServerResponse, body: string) => void;
let access: ClusterAccess;
const open: HttpsTransport[] = [];

async function listen(port = 0): Promise<void> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
}

function transport(options: Partial<ClusterAccess> & { timeoutMs?: number; maxSockets?: number } = {}): HttpsTransport {
  const { timeoutMs, maxSockets, ...changes } = options;
  const made = new HttpsTransport({ access: { ...access, ...changes }, userAgent: 'test/1', ...(timeoutMs ? { timeoutMs } : {}), ...(maxSockets ? { maxSockets } : {}) });
  open.push(made);
  return made;
}

const get = (path = '/x', more: Partial<ApiRequest> = {}): ApiRequest => ({ method: 'GET', path, ...more });
const failure = (work: Promise<unknown>): Promise<unknown> => work.then(() => undefined, (error: unknown) => error);

beforeEach(async () => {
  authority = await TestAuthority.create();
  const { cert, key } = await authority.sign('server', ['127.0.0.1', 'api.test']);
  clientPair = await authority.sign('someone');
  connections = 0;
  answer = (_request, response) => response.end('ok');
  server = createServer({ cert, key, ca: authority.ca, requestCert: true, rejectUnauthorized: false }, (request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => answer(request, response, Buffer.concat(parts).toString()));
  });
  server.on('secureConnection', () => connections++);
  await listen();
  access = { server: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, ca: authority.ca, ...clientPair };
});

afterEach(async () => {
  await Promise.all(open.splice(0).map((made) => made.close()));
  server.closeAllConnections();
  if (server.listening) await once(server.close(), 'close');
});

describe('https transport', () => {
  it('shows its certificate or its token, and carries bodies, queries and headers both ways', async () => {
    const seen: unknown[] = [];
    answer = (request, response, body) => {
      const name = (request.socket as TLSSocket).getPeerCertificate().subject?.CN;
      seen.push([name, request.headers.authorization, request.method, request.url, request.headers['user-agent'], body]);
      response.writeHead(418, { 'x-test': 'ä'.length }).end('pay ✓');
    };
    const reply = await transport().request({ method: 'POST', path: '/a/b', query: { q: 'x y&z', n: 1, no: undefined }, body: 'héllo' });
    expect(reply).toMatchObject({ status: 418, body: 'pay ✓', headers: { 'x-test': '1' } });
    await transport({ cert: undefined, key: undefined, token: 'secret', server: `${access.server}/prefix/` }).request(get());
    expect(seen).toEqual([
      ['someone', undefined, 'POST', '/a/b?q=x%20y%26z&n=1', 'test/1', 'héllo'],
      [undefined, 'Bearer secret', 'GET', '/prefix/x', 'test/1', ''],
    ]);
  });

  it('keeps its connections, and no more of them than it may', async () => {
    const made = transport({ maxSockets: 3 });
    for (let round = 0; round < 5; round++) await Promise.all(Array.from({ length: 20 }, () => made.request(get())));
    expect(connections).toBe(3);
  });

  it('refuses a server that its authority has not signed, or that has another name, and says so in words', async () => {
    const stranger = await TestAuthority.create();
    expect(await failure(transport({ ca: stranger.ca }).request(get()))).toMatchObject({ name: 'TransportError', message: expect.stringContaining('not signed by the certificate-authority') });
    expect(await failure(transport({ tlsServerName: 'other.test' }).request(get()))).toMatchObject({ message: expect.stringContaining('for other names') });
    expect((await transport({ tlsServerName: 'api.test' }).request(get())).status).toBe(200);
    expect((await transport({ ca: stranger.ca, insecureSkipTlsVerify: true }).request(get())).status).toBe(200);
  });

  it('says in words that nothing listens, that the address is none, and that http is not enough', async () => {
    await once(server.close(), 'close');
    expect(await failure(transport().request(get()))).toMatchObject({ message: expect.stringContaining('is the API server running?') });
    expect(() => transport({ server: 'nonsense' })).toThrow('is not a URL');
    expect(() => transport({ server: 'http://127.0.0.1:1' })).toThrow('must start with https://');
    expect(() => transport({ key: 'x' })).toThrow('make or fetch the kubeconfig again');
  });

  it('reads again by itself after the server restarted, and never repeats a write', async () => {
    const made = transport();
    const { port } = server.address() as AddressInfo;
    await made.request(get());
    server.closeAllConnections();
    await once(server.close(), 'close');
    await listen(port);
    expect((await made.request(get())).status).toBe(200);
    let writes = 0;
    answer = (request) => {
      writes++;
      request.socket.destroy();
    };
    expect(await failure(made.request({ method: 'POST', path: '/x', body: '{}' }))).toBeInstanceOf(TransportError);
    expect(writes).toBe(1);
  });

  it('gives up on an answer that does not come, or that breaks off', async () => {
    answer = () => {};
    expect(await failure(transport({ timeoutMs: 50 }).request(get()))).toMatchObject({ message: expect.stringContaining('no answer within 50 ms') });
    expect(await failure(transport({ timeoutMs: 50 }).stream(get()))).toMatchObject({ message: expect.stringContaining('no answer within 50 ms') });
    answer = (request, response) => {
      response.writeHead(200, { 'content-length': 100 }).write('half');
      setImmediate(() => request.socket.destroy());
    };
    expect(await failure(transport().request(get()))).toBeInstanceOf(TransportError);
  });

  it('streams as it arrives, beyond the pool, at the pace of the reader, and tells a break from an end', async () => {
    const made = transport({ maxSockets: 1, timeoutMs: 100 });
    const replies: ServerResponse[] = [];
    answer = (request, response) => {
      if (request.url !== '/watch') return void response.end('ok');
      replies.push(response);
      response.writeHead(200).write('1');
    };
    const streams = await Promise.all([made.stream(get('/watch')), made.stream(get('/watch'))]);
    const [first, second] = streams.map(({ chunks }) => chunks[Symbol.asyncIterator]());
    expect(String((await first!.next()).value)).toBe('1');
    expect((await made.request(get())).body).toBe('ok');
    const later = first!.next();
    // Longer than the timeout of requests: silence on a stream is normal.
    setTimeout(() => replies[0]!.end('2'), 150);
    expect(String((await later).value)).toBe('2');
    expect((await first!.next()).done).toBe(true);
    await second!.next();
    replies[1]!.destroy();
    expect(await failure(second!.next())).toBeInstanceOf(TransportError);

    let written = 0;
    answer = (request, response) => {
      if (request.url !== '/big') return void response.end('ok');
      const chunk = Buffer.alloc(64 * 1024);
      const pour = (): void => {
        while (written < 500 && response.write(chunk)) written++;
        if (written < 500) response.once('drain', pour);
        written++;
      };
      pour();
    };
    const slow = await made.stream(get('/big'));
    const reading = slow.chunks[Symbol.asyncIterator]();
    await reading.next();
    for (let i = 0; i < 20; i++) await made.request(get());
    expect(written).toBeLessThan(500);
    await reading.return?.();
  });

  it('lets go of a stream when its reader or its signal does', async () => {
    const closed: Promise<unknown>[] = [];
    answer = (_request, response) => {
      closed.push(once(response, 'close'));
      response.writeHead(200).write('1');
    };
    const made = transport();
    for await (const chunk of (await made.stream(get())).chunks) {
      expect(String(chunk)).toBe('1');
      break;
    }
    const stop = new AbortController();
    const { chunks } = await made.stream(get('/x', { signal: stop.signal }));
    const reading = failure((async () => { for await (const chunk of chunks) if (chunk.length > 0) stop.abort(); })());
    expect(await reading).toBeInstanceOf(TransportError);
    await Promise.all(closed);
    expect(closed).toHaveLength(2);
  });
});
