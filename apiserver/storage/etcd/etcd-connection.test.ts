import { afterEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import { createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import { SystemClock } from '../../../lib/clock.js';
import { Deferred } from '../../../lib/deferred.js';
import { FakeClock } from '../../../lib/fake-clock.js';
import { UnaryClient } from './etcd-connection.js';
import { EtcdEndpoints } from './etcd-endpoints.js';

const path = '/etcdserverpb.KV/Txn';
const head = { ':status': 200, 'content-type': 'application/grpc' };

/** A message of gRPC with its prefix. */
function framed(message: string): Buffer {
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.write(message, 5);
  return frame;
}

function answer(stream: ServerHttp2Stream, body: Buffer, trailers: Record<string, string> = { 'grpc-status': '0' }): void {
  stream.respond(head, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers(trailers));
  stream.end(body);
}

/** A server that does with its n-th request, from 0, what `handler` does, once it has the whole of it. */
class FakeServer {
  readonly requests: string[] = [];
  readonly sessions: ServerHttp2Session[] = [];
  readonly #server: Http2Server = createServer();
  readonly #sockets = new Set<Socket>();

  static async start(handler: (stream: ServerHttp2Stream, n: number, server: FakeServer) => void): Promise<FakeServer> {
    const server = new FakeServer();
    server.#server.on('connection', (socket: Socket) => server.#sockets.add(socket));
    server.#server.on('session', (session) => server.sessions.push(session));
    server.#server.on('stream', (stream) => {
      const parts: Buffer[] = [];
      stream.on('error', () => {});
      stream.on('data', (part: Buffer) => parts.push(part));
      stream.on('end', () => {
        if (stream.destroyed) return;
        server.requests.push(Buffer.concat(parts).toString('latin1', 5));
        handler(stream, server.requests.length - 1, server);
      });
    });
    await once(server.#server.listen(0, '127.0.0.1'), 'listening');
    return server;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Cuts all connections. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }

  async stop(): Promise<void> {
    this.cut();
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
  }
}

describe('UnaryClient', () => {
  const closers: (() => Promise<void> | void)[] = [];
  const serve = async (handler: (stream: ServerHttp2Stream, n: number, server: FakeServer) => void): Promise<FakeServer> => {
    const server = await FakeServer.start(handler);
    closers.push(() => server.stop());
    return server;
  };
  const clientOf = (endpoint: string, clock: SystemClock | FakeClock = new SystemClock()): ((message: string) => Promise<string>) => {
    const client = new UnaryClient({ endpoint, clock, deadlineMs: 5_000, windowBytes: 1 << 20 });
    closers.push(() => client.close());
    return async (message) => (await client.call(path, Buffer.from(message))).toString();
  };

  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close();
  });

  it('sends messages of any size and gives their answers, all on one connection', async () => {
    const server = await serve((stream, n, { requests }) => answer(stream, framed(requests[n]!)));
    const call = clientOf(server.endpoint);
    const large = 'x'.repeat(3 << 20);
    expect(await call('a')).toBe('a');
    expect(await Promise.all([call(''), call(large), call('b')])).toEqual(['', large, 'b']);
    expect(server.sessions).toHaveLength(1);
  });

  it('gives what the server says is wrong, with or without a message before it, and keeps the connection', async () => {
    const wrong = { 'grpc-status': '11', 'grpc-message': 'etcdserver: mvcc: required revision%20has been compacted' };
    const server = await serve((stream, n) => {
      if (n === 0) stream.respond({ ...head, ...wrong }, { endStream: true });
      else answer(stream, framed('a'), wrong);
    });
    const call = clientOf(server.endpoint);
    for (const _ of [0, 1]) {
      await expect(call('a')).rejects.toMatchObject({ code: 11, message: 'gRPC status 11: etcdserver: mvcc: required revision has been compacted' });
    }
    expect(server.sessions).toHaveLength(1);
  });

  it.each<[string, (stream: ServerHttp2Stream) => void]>([
    ['half a message', (stream) => answer(stream, framed('abc').subarray(0, 6))],
    ['no message', (stream) => answer(stream, Buffer.alloc(0))],
    ['two messages', (stream) => answer(stream, Buffer.concat([framed('a'), framed('b')]))],
    ['a compressed message', (stream) => answer(stream, Buffer.from([1, 0, 0, 0, 1, 65]))],
  ])('takes %s for no answer', async (_, handler) => {
    const call = clientOf((await serve(handler)).endpoint);
    await expect(call('a')).rejects.toMatchObject({ code: 13 });
  });

  it('takes a page of another server for no answer', async () => {
    const call = clientOf(
      (
        await serve((stream) => {
          stream.respond({ ':status': 502 });
          stream.end('<html>');
        })
      ).endpoint,
    );
    await expect(call('a')).rejects.toMatchObject({ code: 14, message: 'gRPC status 14: HTTP status 502' });
  });

  it('takes a whole message without a status for no answer', async () => {
    const call = clientOf(
      (
        await serve((stream) => {
          stream.respond(head);
          stream.end(framed('a'));
        })
      ).endpoint,
    );
    await expect(call('a')).rejects.toMatchObject({ code: 14 });
  });

  it('says that nothing was sent when nobody listens, and when the server says nothing', async () => {
    const gone = await FakeServer.start(() => {});
    const { endpoint } = gone;
    await gone.stop();
    await expect(clientOf(endpoint)('a')).rejects.toMatchObject({ code: 14, message: expect.stringContaining('No connection established') });

    const clock = new FakeClock();
    const connected = new Deferred<Socket>();
    const mute = createTcpServer((socket) => connected.resolve(socket.on('error', () => {})));
    await once(mute.listen(0, '127.0.0.1'), 'listening');
    const call = clientOf(`http://127.0.0.1:${(mute.address() as AddressInfo).port}`, clock)('a');
    const rejected = expect(call).rejects.toMatchObject({ code: 14, message: expect.stringContaining('No connection established') });
    const socket = await connected.promise;
    await clock.advance(5_000);
    await rejected;
    expect(clock.pendingTimers).toBe(0);
    socket.destroy();
    await new Promise((resolve) => mute.close(resolve));
  });

  it.each<[string, (stream: ServerHttp2Stream, server: FakeServer) => void]>([
    ['is cut before the answer', (_, server) => server.cut()],
    [
      'is cut in the middle of the answer',
      (stream, server) => {
        stream.respond(head);
        stream.write(framed('abc').subarray(0, 6), () => server.cut());
      },
    ],
    ['is ended with an error', (_, server) => server.sessions[0]!.destroy(undefined, 11)],
    ['is ended with the code that refuses requests', (_, server) => server.sessions[0]!.goaway(7, 2 ** 31 - 1)],
    ['breaks off the request', (stream) => stream.close(2)],
    ['takes the request back', (stream) => stream.close(8)],
  ])('does not repeat a call when its connection %s, and makes another for the next', async (_, fault) => {
    const server = await serve((stream, n, self) => (n === 0 ? fault(stream, self) : answer(stream, framed(`${n}`))));
    const call = clientOf(server.endpoint);
    await expect(call('a')).rejects.toMatchObject({ code: 14, message: expect.stringContaining('the connection broke') });
    expect(await call('b')).toBe('1');
    expect(server.requests).toEqual(['a', 'b']);
  });

  it('repeats a call that was refused, once, and says then that it was not carried out', async () => {
    const server = await serve((stream, n, self) => {
      // The second request is number 3 of its connection.
      if (n === 1) self.sessions[0]!.goaway(0, 1);
      else if (n < 3) answer(stream, framed('done'));
      else stream.close(7);
    });
    const call = clientOf(server.endpoint);
    expect(await call('a')).toBe('done');
    expect(await call('b')).toBe('done');
    expect(server.requests).toEqual(['a', 'b', 'b']);
    await expect(call('c')).rejects.toMatchObject({ code: 14, message: expect.stringContaining('No connection established') });
    expect(server.requests).toEqual(['a', 'b', 'b', 'c', 'c']);
  });

  it('lets a server finish what it has when it says goodbye, and goes to a new connection meanwhile', async () => {
    const first = new Deferred<ServerHttp2Stream>();
    const server = await serve((stream, n, self) => {
      if (n > 0) return answer(stream, framed('second'));
      self.sessions[0]!.goaway(0, 2 ** 31 - 1);
      self.sessions[0]!.ping(() => first.resolve(stream));
    });
    const call = clientOf(server.endpoint);
    const one = call('a');
    const stream = await first.promise;
    expect(await call('b')).toBe('second');
    answer(stream, framed('first'));
    expect(await one).toBe('first');
    expect(server.sessions).toHaveLength(2);
  });

  it('gives up at the deadline, and the next call has another connection', async () => {
    const clock = new FakeClock();
    const asked = new Deferred<void>();
    const server = await serve((stream, n) => (n === 0 ? asked.resolve() : answer(stream, framed('b'))));
    const call = clientOf(server.endpoint, clock);
    const late = expect(call('a')).rejects.toMatchObject({ code: 4 });
    await asked.promise;
    await clock.advance(5_000);
    await late;
    expect(await call('b')).toBe('b');
    expect(server.sessions).toHaveLength(2);
    expect(clock.pendingTimers).toBe(0);
  });

  it('lets calls under way go on when it is closed', async () => {
    const asked = new Deferred<ServerHttp2Stream>();
    const server = await serve((stream) => asked.resolve(stream));
    const client = new UnaryClient({ endpoint: server.endpoint, clock: new SystemClock(), deadlineMs: 5_000, windowBytes: 1 << 20 });
    const call = client.call(path, Buffer.from('a'));
    const stream = await asked.promise;
    client.close();
    const ended = once(server.sessions[0]!, 'close');
    answer(stream, framed('b'));
    expect((await call).toString()).toBe('b');
    await ended;
  });

  it('goes on to another endpoint only with what was surely not carried out', async () => {
    const dead = await FakeServer.start(() => {});
    const { endpoint } = dead;
    await dead.stop();
    const cutting = await serve((_stream, _n, self) => self.cut());
    const good = await serve((stream) => answer(stream, framed('')));
    const endpoints = new EtcdEndpoints({ endpoints: [endpoint, cutting.endpoint, good.endpoint], clock: new SystemClock() });
    closers.push(() => endpoints.close());
    const batch = [{ op: 'put', key: 'a', value: '{}' }] as const;
    await expect(endpoints.txn(batch)).rejects.toMatchObject({ name: 'StoreUnavailableError', applied: 'unknown' });
    expect([cutting.requests.length, good.requests.length]).toEqual([1, 0]);
    await endpoints.txn(batch);
    expect([cutting.requests.length, good.requests.length]).toEqual([1, 1]);
  });
});
