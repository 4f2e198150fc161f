import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { userInfo } from 'node:os';
import { once } from 'node:events';
import { ApiError } from '../../api/errors.js';
import { freePort } from '../../lib/testing/free-port.js';
import type { MuxStream } from '../../lib/mux.js';
import { StreamFixture } from '../testing/stream-fixture.js';
import type { Execution } from '../driver.js';
import { parseListeners, reachable, type Listener } from './listeners.js';

const root = userInfo().uid === 0;
/** Listens on a free port, tells which, and does what its last argument says with each connection. */
const server = (host: string, doing: string): string[] => [
  process.execPath,
  '-e',
  `require('node:net').createServer({ allowHalfOpen: true }, (socket) => { socket.on('error', () => {}); ${doing} }).listen(0, '${host}', function () { console.log(this.address().port); })`,
];
const echoes = 'socket.pipe(socket)';

describe.each(root ? [true, false] : [false])('forwarding a port of a task (cgroups: %s)', (withCgroups) => {
  let fixture: StreamFixture;
  beforeEach(async () => {
    fixture = await StreamFixture.make(withCgroups, { sessionsMax: 32 });
  });
  afterEach(() => fixture.dispose());

  async function listening(host: string, doing: string): Promise<{ task: Execution; port: number }> {
    const task = await fixture.start({ argv: server(host, doing) });
    const log = fixture.open({ type: 'log', namespace: 'default', name: 'web', uid: task.key.slice(0, 36), previous: false, follow: true });
    const { value } = await log[Symbol.asyncIterator]().next();
    log.reset('seen');
    return { task, port: Number(String(value)) };
  }

  it.each(['127.0.0.1', '0.0.0.0', '::', '::1'])('connects to what the task listens on at %s, and hands on the end of either side', async (host) => {
    const { task, port } = await listening(host, `let got = ''; socket.on('data', (data) => (got += data)); socket.on('end', () => socket.end('got ' + got))`);
    const stream = fixture.forward(task, port);
    await stream.write(Buffer.from('hello'));
    stream.end();
    expect((await readAll(stream)).toString()).toBe('got hello');
  });

  it('moves 20 MB both ways intact, whoever is slower', async () => {
    const { task, port } = await listening('127.0.0.1', echoes);
    const bytes = Buffer.alloc(20 * 1024 * 1024);
    for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE((at * 2_654_435_761) >>> 0, at);
    const stream = fixture.forward(task, port);
    const writing = (async () => {
      for (let at = 0; at < bytes.length; at += 100_000) await stream.write(bytes.subarray(at, at + 100_000));
      stream.end();
    })();
    const received = await readAll(stream);
    await writing;
    expect(createHash('sha1').update(received).digest('hex')).toBe(createHash('sha1').update(bytes).digest('hex'));
  });

  it('refuses a port that nobody listens on, in words that name it', async () => {
    const task = await fixture.start({ argv: ['sleep', '1000'] });
    const port = await freePort();
    expect(await refusal(fixture.forward(task, port))).toMatchObject({ code: 400, message: `failed to connect to localhost:${port} inside task "web": connection refused` });
  });

  it('refuses a port that something else on the machine listens on', async () => {
    const other: Server = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const connections: unknown[] = [];
    other.on('connection', (socket) => connections.push(socket));
    const task = await fixture.start({ argv: ['sleep', '1000'] });
    expect((await refusal(fixture.forward(task, port))).message).toContain('no process of the task listens on that port');
    expect(connections).toEqual([]);
    other.close();
  });

  it('ends with the task, and is refused after that', async () => {
    const { task, port } = await listening('127.0.0.1', echoes);
    const stream = fixture.forward(task, port);
    await stream.write(Buffer.from('x'));
    const chunks = stream[Symbol.asyncIterator]();
    expect((await chunks.next()).value).toEqual(Buffer.from('x'));
    task.kill();
    await stream.closed.catch(() => undefined);
    await task.ended;
    expect((await refusal(fixture.forward(task, port))).message).toContain('cannot forward a port of task "web"');
  });

  it('closes the connection when the client goes away', async () => {
    const { task, port } = await listening('127.0.0.1', `socket.resume(); socket.write('x'); for (const over of ['end', 'close']) socket.on(over, () => require('node:fs').writeFileSync('closed', ''))`);
    const stream = fixture.forward(task, port);
    await stream[Symbol.asyncIterator]().next();
    const seen = fixture.exec(task, ['sh', '-c', 'while ! [ -e closed ]; do sleep 0.01; done; echo closed']);
    stream.reset('gone');
    expect((await seen.end()).stdout).toBe('closed\n');
  });

  it('serves many connections at once, to a limit', async () => {
    const { task, port } = await listening('127.0.0.1', echoes);
    const streams = Array.from({ length: 32 }, () => fixture.forward(task, port));
    await Promise.all(streams.map((stream) => stream.write(Buffer.from('x'))));
    await Promise.all(streams.map((stream) => stream[Symbol.asyncIterator]().next()));
    expect(await refusal(fixture.forward(task, port))).toMatchObject({ code: 429, reason: 'TooManyRequests' });
    for (const stream of streams) stream.reset('enough');
  });
});

describe('who listens', () => {
  const listener = (address: string, inode: string, port = 80): Listener => ({ address, port, inode });
  const owns = (...inodes: string[]) => (asked: readonly string[]): boolean => asked.every((inode) => inodes.includes(inode));

  it('reads what Linux tells of listening sockets', () => {
    const tcp = [
      '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode',
      '   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0000000000000000 100 0 0 10 0',
      '   1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1 0000000000000000 100 0 0 10 0',
      '   2: 0100007F:0051 0100007F:1234 01 00000000:00000000 00:00000000 00000000     0        0 333 1 0000000000000000 100 0 0 10 0',
    ].join('\n');
    expect(parseListeners(tcp)).toEqual([listener('127.0.0.1', '111', 8080), listener('0.0.0.0', '222')]);
    const line = (address: string): string => `head\n   0: ${address}:0050 0:0 0A 0:0 0:0 0 0 0 9 1`;
    expect(parseListeners(line('00000000000000000000000000000000'))[0]!.address).toBe('::');
    expect(parseListeners(line('00000000000000000000000001000000'))[0]!.address).toBe('::1');
    expect(parseListeners(line('0000000000000000FFFF00000100007F'))[0]!.address).toBe('::ffff:127.0.0.1');
    expect(parseListeners(line('B80D0120000000000000000001000000'))[0]!.address).toBe('2001:0db8:0000:0000:0000:0000:0000:0001');
  });

  it.each([
    ['nobody', [], owns('1'), { problem: 'nobody listens' }],
    ['the task, on IPv4', [listener('127.0.0.1', '1')], owns('1'), { address: '127.0.0.1' }],
    ['the task, on every address', [listener('::', '1')], owns('1'), { address: '127.0.0.1' }],
    ['the task, on IPv6', [listener('::1', '1')], owns('1'), { address: '::1' }],
    ['somebody else', [listener('0.0.0.0', '2')], owns('1'), { problem: 'others listen' }],
    ['the task on IPv6, somebody else on IPv4', [listener('::1', '1'), listener('127.0.0.1', '2')], owns('1'), { address: '::1' }],
    ['both, so that either may answer', [listener('0.0.0.0', '1'), listener('127.0.0.1', '2')], owns('1'), { problem: 'others listen' }],
    ['the task, on another address of the machine', [listener('10.0.0.1', '1')], owns('1'), { problem: 'nobody listens' }],
  ])('connects where it is certain that the task answers: %s', (_who, listeners, ownsAll, expected) => {
    expect(reachable(listeners, 80, ownsAll)).toEqual(expected);
  });
});

async function readAll(stream: MuxStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function refusal(stream: MuxStream): Promise<ApiError> {
  try {
    await readAll(stream);
  } catch (error) {
    return ApiError.fromStatus(JSON.parse((error as Error).message) as object, 500);
  }
  throw new Error('it was not refused');
}
