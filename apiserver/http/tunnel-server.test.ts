import { describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, connect, type AddressInfo } from 'node:net';
import { WebSocket, WebSocketServer } from 'ws';
import { SystemClock } from '../../lib/clock.js';
import { channelOf } from './tunnel-server.js';

describe('the channel to an agent', () => {
  it('takes no more questions while megabytes of answers lie unread, and goes on when they are read', async () => {
    const upgrades = new WebSocketServer({ noServer: true });
    const server = createServer((socket) => {
      socket.once('data', (head) => {
        const key = /sec-websocket-key: (.*)\r\n/i.exec(head.toString())![1]!;
        const request = { method: 'GET', headers: { upgrade: 'websocket', 'sec-websocket-key': key, 'sec-websocket-version': '13' }, url: '/', socket };
        upgrades.handleUpgrade(request as never, socket, Buffer.alloc(0), (webSocket) => {
          const channel = channelOf({ webSocket, socket, clock: new SystemClock() });
          unsent = () => socket.writableLength;
          channel.onMessage((message) => {
            taken++;
            channel.send(Buffer.alloc(1024 * 1024, message[0]));
          });
        });
      });
    });
    let taken = 0;
    let unsent = () => 0;
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const agent = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`, { createConnection: (options: object) => connect(options as never) });
    let answers = 0;
    const all = new Promise<void>((resolve) => agent.on('message', () => ++answers === questions && resolve()));
    const questions = 64;
    await once(agent, 'open');
    agent.pause();
    for (let index = 0; index < questions; index++) {
      await new Promise((resolve) => agent.send(Buffer.from([index]), resolve));
      await new Promise((resolve) => setImmediate(resolve));
    }
    const [takenUnread, unsentUnread] = [taken, unsent()];
    agent.resume();
    await all;
    agent.terminate();
    server.close();
    await once(server, 'close');
    expect(takenUnread).toBeLessThan(questions);
    expect(unsentUnread).toBeLessThan(12 * 1024 * 1024);
    expect(taken).toBe(questions);
  });
});
