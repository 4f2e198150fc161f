import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { WebSocket } from 'ws';
import { acceptTunnel, checkHandshake, type TunnelSocket } from './tunnel-socket.js';

/** Against the library for WebSockets, which speaks the standard. */
describe('the channel to an agent', () => {
  let server: Server;
  let agent: WebSocket;
  let tunnel: TunnelSocket;
  let socket: Socket;

  beforeEach(async () => {
    server = createServer();
    const accepted = new Promise<void>((resolve) =>
      server.on('upgrade', (request: IncomingMessage, upgraded: Socket) => {
        checkHandshake(request);
        socket = upgraded;
        tunnel = acceptTunnel(request, upgraded, 'test');
        resolve();
      }),
    );
    await once(server.listen(0, '127.0.0.1'), 'listening');
    agent = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`, 'test', { perMessageDeflate: false });
    await Promise.all([once(agent, 'open'), accepted]);
  });
  afterEach(async () => {
    agent.terminate();
    socket.destroy();
    server.close();
    await once(server, 'close');
  });

  const send = (bytes: Buffer) => {
    const message = Buffer.allocUnsafe(tunnel.headroomBytes + bytes.length);
    bytes.copy(message, tunnel.headroomBytes);
    tunnel.send(message);
  };

  it('carries messages of all sizes both ways, whole, in pieces and in order', async () => {
    tunnel.onMessage((message) => send(message));
    const sizes = [0, 1, 125, 126, 65_535, 65_536, 900_000];
    const messages = sizes.map((size) => Buffer.alloc(size, String(size)));
    const echoed: Buffer[] = [];
    const all = new Promise<void>((resolve) => agent.on('message', (data: Buffer) => echoed.push(data) === 2 * sizes.length && resolve()));
    for (const message of messages) agent.send(message);
    for (const message of messages) {
      for (let at = 0; at < 3; at++) agent.send(message.subarray(Math.floor((message.length * at) / 3), Math.floor((message.length * (at + 1)) / 3)), { fin: at === 2 });
      agent.ping();
    }
    await all;
    expect(echoed.map(({ length }) => length)).toEqual([...sizes, ...sizes]);
    expect(echoed.every((message, index) => message.equals(messages[index % sizes.length]!))).toBe(true);
  });

  it('answers pings, and closes when the agent does', async () => {
    agent.ping('hello');
    expect(String((await once(agent, 'pong'))[0])).toBe('hello');
    const gone = new Promise<void>((resolve) => tunnel.onClose(resolve));
    agent.close();
    await Promise.all([gone, once(agent, 'close')]);
  });

  it('closes to a message that is too long, and says so', async () => {
    agent.send(Buffer.alloc(1024 * 1024 + 1));
    expect((await once(agent, 'close'))[0]).toBe(1009);
  });

  it('pings who is silent, and lets go of who stays so', async () => {
    const gone = new Promise<void>((resolve) => tunnel.onClose(resolve));
    tunnel.look();
    await once(agent, 'ping');
    await new Promise<void>((resolve) => socket.once('data', () => resolve()));
    tunnel.look();
    agent.pause();
    tunnel.look();
    await gone;
  });

  it('takes no more questions while megabytes of answers lie unread, and goes on when they are read', async () => {
    let taken = 0;
    tunnel.onMessage((message) => {
      taken++;
      send(Buffer.alloc(1024 * 1024, message[0]));
    });
    const questions = 64;
    let answers = 0;
    const all = new Promise<void>((resolve) => agent.on('message', () => ++answers === questions && resolve()));
    agent.pause();
    for (let index = 0; index < questions; index++) {
      await new Promise((resolve) => agent.send(Buffer.from([index]), resolve));
      await new Promise((resolve) => setImmediate(resolve));
    }
    const [takenUnread, unsentUnread] = [taken, tunnel.bufferedBytes];
    agent.resume();
    await all;
    expect(takenUnread).toBeLessThan(questions);
    expect(unsentUnread).toBeLessThan(12 * 1024 * 1024);
    expect(taken).toBe(questions);
  });
});
