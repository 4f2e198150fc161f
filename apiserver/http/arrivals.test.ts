import { describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { takeInTurns } from './arrivals.js';

describe('takeInTurns', () => {
  function arrivals(count: number) {
    const taken: Socket[] = [];
    const server = createServer((socket) => taken.push(socket));
    takeInTurns(server, 2);
    const sockets = Array.from({ length: count }, () => new Socket());
    for (const socket of sockets) server.emit('connection', socket);
    return { taken, sockets, server };
  }

  it('takes a few connections per turn, in order', async () => {
    const { taken, sockets } = arrivals(5);
    expect(taken).toEqual([]);
    const counts: number[] = [];
    while (taken.length < 5) counts.push((await turn(), taken.length));
    expect(counts).toEqual([2, 4, 5]);
    expect(taken.every((socket, index) => socket === sockets[index])).toBe(true);
  });

  it('takes one that comes when nobody waits in the same turn', async () => {
    const { taken, server } = arrivals(1);
    await turn();
    server.emit('connection', new Socket());
    await turn();
    expect(taken).toHaveLength(2);
  });

  it('leaves out what breaks while it waits, and listens to nobody whom it has passed on', async () => {
    const { taken, sockets } = arrivals(4);
    sockets[0]!.destroy(new Error('reset by peer'));
    sockets[3]!.destroy();
    await once(sockets[3]!, 'close');
    while (taken.length < 2) await turn();
    await turn();
    expect(taken).toEqual([sockets[1], sockets[2]]);
    expect(sockets[1]!.listenerCount('error') + sockets[1]!.listenerCount('close')).toBe(0);
  });
});
