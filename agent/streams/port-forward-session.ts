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
  let ended = false;
  void execution.ended.then(() => {
    ended = true;
    socket.destroy();
  });
  void stream.closed.then(() => socket.destroy());
  const results = await Promise.allSettled([toClient(socket, stream), toTask(stream, socket)]);
  const failure = results.find((result) => result.status === 'rejected')?.reason as Error | undefined;
  socket.destroy();
  if (failure instanceof StreamClosedError) return;
  if (ended) throw refused(request, 'the task has ended');
  if (failure) throw refused(request, failure.message);
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
  try {
    for await (const chunk of socket as AsyncIterable<Buffer>) await stream.write(chunk);
  } catch (error) {
    // What still arrives from the client would go nowhere.
    if (!(error instanceof StreamClosedError)) socket.destroy();
    throw error;
  }
  stream.end();
}

async function toTask(stream: MuxStream, socket: Socket): Promise<void> {
  for await (const chunk of stream) await write(socket, chunk);
  socket.end();
}

function refused({ port, name }: PortForwardTunnelRequest, why: string): ApiError {
  return new ApiError('BadRequest', `failed to connect to localhost:${port} inside task "${name}": ${why}`);
}
