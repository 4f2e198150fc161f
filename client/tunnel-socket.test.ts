import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';
import { tunnelProtocol, tunnelRequestsProtocol } from '../api/protocol.js';
import { FakeClock } from '../lib/fake-clock.js';
import { TcpProxy } from '../lib/testing/tcp-proxy.js';
import { dialTunnel, type TunnelChannel } from './tunnel-socket.js';

describe('dialTunnel', () => {
  let protocol: string;
  let server: WebSocketServer;
  let proxy: TcpProxy;
  let clock: FakeClock;
  let stop: AbortController;

  beforeEach(async () => {
    protocol = tunnelRequestsProtocol;
    server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => protocol });
    await once(server, 'listening');
    proxy = await TcpProxy.start((server.address() as AddressInfo).port);
    clock = new FakeClock();
    stop = new AbortController();
  });
  afterEach(async () => {
    stop.abort();
    await proxy.stop();
    for (const webSocket of server.clients) webSocket.terminate();
    server.close();
    await once(server, 'close');
    expect(clock.pendingTimers).toBe(0);
  });

  const dial = () => dialTunnel({ server: `http://127.0.0.1:${proxy.port}` }, 'n1', clock)(stop.signal);
  const ended = async (channel: TunnelChannel) => {
    const closed = new Promise<void>((resolve) => channel.onClose(resolve));
    channel.close();
    await closed;
  };
  const accepted = async () => ((await once(server, 'connection')) as [WebSocket])[0];

  it('carries messages both ways, with requests where the server knows them', async () => {
    const [far, channel] = await Promise.all([accepted(), dial()]);
    expect(channel.takesRequests).toBe(true);
    const back = new Promise((resolve) => channel.onMessage(resolve));
    far.on('message', (data: Buffer) => far.send(data));
    channel.send(Buffer.from('hello'));
    expect(String(await back)).toBe('hello');
    await ended(channel);
  });

  it('sends no requests to a server that does not know them', async () => {
    protocol = tunnelProtocol;
    const channel = await dial();
    expect(channel.takesRequests).toBe(false);
    await ended(channel);
  });

  it('closes when nothing has come from the server in a minute, whatever TCP thinks, and not before', async () => {
    const [far, channel] = await Promise.all([accepted(), dial()]);
    let isOpen = true;
    const closed = new Promise<void>((resolve) =>
      channel.onClose(() => {
        isOpen = false;
        resolve();
      }),
    );
    for (let pings = 0; pings < 3; pings++) {
      const answered = once(far, 'pong');
      far.ping();
      await answered;
      await clock.advance(30_000);
    }
    expect(isOpen).toBe(true);
    proxy.swallow();
    far.ping();
    await clock.advance(60_000);
    await closed;
  });
});
