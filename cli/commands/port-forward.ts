// port-forward.ts: local ports that lead to ports of a task. Each connection is a WebSocket of its own, so that one that stands still
// holds up no other, and the end of one says nothing about the others.

import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { ChannelSocket } from '../../client/channel-socket.js';
import type { ClusterAccess } from '../../client/kubeconfig.js';
import { aborted } from '../../lib/service.js';
import type { CommandContext } from '../context.js';
import { CliError, failureText } from '../failure.js';
import { version } from '../version.js';
import { subresourcePath, taskName } from './remote-command.js';
import { taskKind } from '../../api/task.js';
import type { KindDefinition } from '../../api/kind.js';

export interface PortForwardOptions {
  /** Addresses to listen on, by comma. */
  address?: string;
}

export interface ForwardedPort {
  /** 0: any that is free. */
  local: number;
  remote: number;
}

/** `8080`, `8080:80` or `:80`. @throws CliError */
export function parsePort(text: string): ForwardedPort {
  const match = /^(?:(\d*):)?(\d+)$/.exec(text);
  const remote = Number(match?.[2]);
  const local = match?.[1] === undefined ? remote : Number(match[1]);
  if (!match || remote < 1 || remote > 65_535 || local > 65_535) throw new CliError(`port ${text}: expected PORT, LOCAL:PORT or :PORT, with numbers from 1 to 65535`);
  return { local, remote };
}

/** Resolves when the signal aborts. */
export async function portForward(context: CommandContext, access: ClusterAccess, task: string, ports: readonly string[], options: PortForwardOptions): Promise<number> {
  const { client, io, namespace, signal } = context;
  const name = taskName(task);
  if (ports.length === 0) throw new CliError('say which port: taskplane port-forward TASK [LOCAL:]PORT');
  const forwarded = ports.map(parsePort);
  await client.get(taskKind as unknown as KindDefinition, name, namespace);
  const addresses = (options.address ?? '127.0.0.1').split(',').map((address) => (address === 'localhost' ? '127.0.0.1' : address));
  const servers: Server[] = [];
  try {
    for (const { local, remote } of forwarded) {
      for (const address of addresses) {
        const path = subresourcePath(namespace, name, 'portforward', new URLSearchParams({ ports: String(remote) }));
        const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => void connect(context, access, path, socket));
        servers.push(server);
        await listen(server, local, address);
        const { port } = server.address() as AddressInfo;
        io.out.write(`Forwarding from ${address.includes(':') ? `[${address}]` : address}:${port} -> ${remote}\n`);
      }
    }
    await aborted(signal);
    return 0;
  } finally {
    for (const server of servers) server.close();
  }
}

async function listen(server: Server, port: number, address: string): Promise<void> {
  server.listen(port, address);
  try {
    await once(server, 'listening');
  } catch (error) {
    throw new CliError(`unable to listen on port ${port} of ${address}: ${(error as Error).message}`);
  }
}

/** Channel 0 has the bytes, channel 1 says what is wrong; the first message on each is the number of the port. */
async function connect({ io, signal }: CommandContext, access: ClusterAccess, path: string, local: Socket): Promise<void> {
  const end = (): void => void local.destroy();
  local.on('error', () => undefined);
  signal.addEventListener('abort', end, { once: true });
  let socket: ChannelSocket | undefined;
  try {
    socket = await ChannelSocket.open({ access, path, userAgent: `taskplane/${version}`, signal });
    const opened = socket;
    local.once('close', () => opened.close());
    void send(local, opened);
    const greeted = new Set<number>();
    for await (const { channel, data } of opened.messages()) {
      if (!greeted.has(channel)) greeted.add(channel);
      else if (channel === 1) io.err.write(`error: ${data.toString('utf8')}\n`);
      else if (channel === 0 && !local.destroyed && !local.write(data)) await Promise.race([once(local, 'drain'), once(local, 'close')]).catch(() => undefined);
    }
    local.end();
  } catch (error) {
    if (!signal.aborted) io.err.write(`${failureText(error)}\n`);
    local.destroy();
  } finally {
    signal.removeEventListener('abort', end);
    socket?.close();
  }
}

async function send(local: Socket, socket: ChannelSocket): Promise<void> {
  try {
    for await (const chunk of local as AsyncIterable<Buffer>) await socket.send(0, chunk);
    await socket.endChannel(0);
  } catch {
    socket.close();
  }
}
