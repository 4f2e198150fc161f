// stream-world.ts: an API server behind a port, a task that runs, and a fake agent at the other end of its tunnel.

import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request, type RequestOptions } from 'node:https';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { tunnelProtocol } from '../../../../api/protocol.js';
import type { MessageChannel } from '../../../../lib/mux.js';
import { startServer } from '../../testing/running-server.js';
import { FakeAgent } from './fake-agent.js';

export async function startStreamWorld(options: { stoppingMs?: number } = {}) {
  const server = await startServer(options);
  const directory = await mkdtemp(join(tmpdir(), 'taskplane-streams-'));
  const pods = '/api/v1/namespaces/default/pods';
  const admin = server.admin;
  await server.send({ method: 'POST', path: '/api/v1/nodes', body: '{"metadata":{"name":"n1"}}', pair: server.agent });

  /** @returns its uid */
  const createTask = async (name: string, phase?: 'Running' | 'Succeeded'): Promise<string> => {
    const path = '/apis/taskplane.dev/v1/namespaces/default/tasks';
    const { body } = await server.send({ method: 'POST', path, body: JSON.stringify({ metadata: { name }, spec: { command: ['true'] } }), pair: admin });
    const uid = (JSON.parse(body) as { metadata: { uid: string } }).metadata.uid;
    const item = { namespace: 'default', name, uid };
    const report = async (as: string): Promise<void> => {
      const items = [{ ...item, bindings: 1, attempt: 1, phase: as, startTime: '2026-01-01T00:00:00Z', ...(as === 'Succeeded' ? { exitCode: 0, finishTime: '2026-01-01T00:00:01Z' } : {}) }];
      await server.send({ method: 'POST', path: '/apis/taskplane.dev/v1/bulk/statuses', body: JSON.stringify({ nodeName: 'n1', items }), pair: server.agent });
    };
    if (!phase) return uid;
    await server.send({ method: 'POST', path: '/apis/taskplane.dev/v1/bulk/bindings', body: JSON.stringify({ items: [{ ...item, nodeName: 'n1' }] }), pair: admin });
    await report('Running');
    if (phase === 'Succeeded') await report('Succeeded');
    return uid;
  };

  const uid = await createTask('running', 'Running');
  const tunnel = new WebSocket(`wss://127.0.0.1:${server.port}/api/v1/nodes/n1/tunnel`, tunnelProtocol, { ca: server.authority.cert, ...server.agent });
  await once(tunnel, 'open');
  const agent = new FakeAgent(channelOf(tunnel));

  const kubeconfig = join(directory, 'kubeconfig');
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  await writeFile(
    kubeconfig,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'c',
      clusters: [{ name: 'c', cluster: { server: `https://127.0.0.1:${server.port}`, 'certificate-authority-data': base64(server.authority.cert) } }],
      contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
      users: [{ name: 'u', user: { 'client-certificate-data': base64(admin.cert), 'client-key-data': base64(admin.key) } }],
    }),
  );
  return {
    server, agent, tunnel, uid, kubeconfig, directory, pods, createTask,
    /** A WebSocket as the admin. */
    webSocket: (path: string, protocols?: string | string[]): WebSocket => new WebSocket(`wss://127.0.0.1:${server.port}${path}`, protocols, { ca: server.authority.cert, ...admin }),
    tunnelledSpdy: (path: string): Promise<WebSocket> => openTunnelledSpdy({ host: '127.0.0.1', port: server.port, ca: server.authority.cert, ...admin, path }),
    async stop() {
      tunnel.close();
      await server.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

export type StreamWorld = Awaited<ReturnType<typeof startStreamWorld>>;

function channelOf(webSocket: WebSocket): MessageChannel {
  return {
    send: (message) => webSocket.send(message),
    onMessage: (handler) => webSocket.on('message', (data: Buffer) => handler(data)),
    onClose: (handler) => webSocket.on('close', handler),
    close: () => webSocket.close(),
  };
}

/** ws opens no WebSocket whose subprotocol has a slash: the handshake is made by hand, and the rest left to it. */
async function openTunnelledSpdy(options: RequestOptions): Promise<WebSocket> {
  const protocol = 'SPDY/3.1+portforward.k8s.io';
  const headers = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': Buffer.alloc(16, 1).toString('base64'), 'sec-websocket-protocol': protocol };
  const outgoing = request({ ...options, agent: false, headers }).end();
  const [incoming, socket, head] = (await once(outgoing, 'upgrade')) as [IncomingMessage, Socket, Buffer];
  if (incoming.headers['sec-websocket-protocol'] !== protocol) throw new Error(`the server chose ${incoming.headers['sec-websocket-protocol']}`);
  const webSocket = new WebSocket(null as unknown as string, undefined, {}) as WebSocket & { _isServer: boolean; setSocket(socket: Socket, head: Buffer, options: object): void };
  webSocket._isServer = false;
  webSocket.setSocket(socket, head, { allowSynchronousEvents: true, maxPayload: 0, skipUTF8Validation: false });
  return webSocket;
}

/** A TCP server that answers each line with itself in upper case, and ends when the client has. */
export async function startShouter(): Promise<{ port: number; close(): Promise<void> }> {
  const shouter = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    socket.on('data', (data) => socket.write(data.toString().toUpperCase()));
    socket.on('end', () => socket.end());
  });
  shouter.listen(0, '127.0.0.1');
  await once(shouter, 'listening');
  return {
    port: (shouter.address() as AddressInfo).port,
    close: () => new Promise((resolve) => void shouter.close(() => resolve())),
  };
}
