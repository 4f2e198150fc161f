import { describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { SystemClock } from '../../lib/clock.js';
import type { Logger } from '../../lib/log.js';
import { silentLogger } from '../../lib/log.js';
import { limitConnections, openFilesMax } from './connection-limit.js';

const limits = (soft: string): string => `Limit                     Soft Limit           Hard Limit           Units\nMax open files            ${soft}                 20000                files\n`;

describe('the limit of connections', () => {
  it('is read from what the kernel says', () => {
    expect([limits('1024'), limits('unlimited'), ''].map(openFilesMax)).toEqual([1_024, undefined, undefined]);
  });

  it('is below that of open files; who comes past it is dropped, which is said, and the others go on', async () => {
    const said: unknown[] = [];
    const logger: Logger = { ...silentLogger, error: (message: string, fields?: object) => void said.push([message.slice(0, 23), fields]) } as Logger;
    const sockets: Socket[] = [];
    const server = createServer((socket) => void sockets.push(socket.on('data', (data) => socket.write(data)))).listen(0, '127.0.0.1');
    limitConnections(server, { clock: new SystemClock(), logger, limits: limits('129') });
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const first = connect(port, '127.0.0.1');
    await once(first, 'connect');
    for (let i = 0; i < 3; i++) {
      const more = connect(port, '127.0.0.1').on('error', () => undefined).resume();
      await once(more, 'close');
    }
    expect(said).toEqual([['Connections are dropped', { connections: 1, openFilesMax: 129, dropped: 1 }]]);
    first.write('still here');
    expect(String((await once(first, 'data'))[0])).toBe('still here');
    first.destroy();
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
});
