// port-forward-session.ts: one connection to a port that a process of the task listens on (listeners.ts), both ways, for as long as
// the attempt runs.

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { ApiError } from '../../api/errors.js';
import type { PortForwardTunnelRequest } from '../../api/protocol.js';
import { StreamClosedError, type MuxStream } from '../../lib/mux.js';
import type { Execution } from '../driver.js';
import { write } from './frame-input.js';
import { haveSockets, readListeners, reachable } from './listeners.js';

/** Resolves when the connection is over. @throws ApiError when it cannot be made */
export async function servePortForward(stream: MuxStream, request: PortForwardTunnelRequest, execution: Execution): Promise<void> {
  const socket = await open(request, execution);
  const ended = execution.ended.then(() => {
    throw new Error('the task has ended');
  });
  void stream.closed.then(() => socket.destroy());
  try {
    // The failure of one direction is that of both: what is thrown here resets the stream.
    await Promise.race([Promise.all([toClient(socket, stream), toTask(stream, socket)]), ended]);
  } catch (error) {
    if (!(error instanceof StreamClosedError)) throw refused(request, (error as Error).message);
  } finally {
    socket.destroy();
  }
}

async function open(request: PortForwardTunnelRequest, execution: Execution): Promise<Socket> {
  const { port } = request;
  const found = reachable(readListeners(), port, (inodes) => haveSockets(execution.pids(), inodes));
  if ('problem' in found) {
    throw refused(request, found.problem === 'nobody listens' ? 'connection refused' : 'no process of the task listens on that port; the one that does belongs to something else on its machine');
  }
  const socket = connect({ host: found.address, port, allowHalfOpen: true, noDelay: true });
  try {
    await once(socket, 'connect');
    // From here on both directions tell of it.
    socket.on('error', () => undefined);
    return socket;
  } catch (error) {
    socket.destroy();
    throw refused(request, (error as NodeJS.ErrnoException).code === 'ECONNREFUSED' ? 'connection refused' : (error as Error).message);
  }
}

async function toClient(socket: Socket, stream: MuxStream): Promise<void> {
  for await (const chunk of socket as AsyncIterable<Buffer>) await stream.write(chunk);
  stream.end();
}

async function toTask(stream: MuxStream, socket: Socket): Promise<void> {
  for await (const chunk of stream) {
    await write(socket, chunk);
    if (socket.destroyed) throw new Error('the task has closed the connection');
  }
  socket.end();
}

function refused({ port, name }: PortForwardTunnelRequest, why: string): ApiError {
  return new ApiError('BadRequest', `failed to connect to localhost:${port} inside task "${name}": ${why}`);
}
