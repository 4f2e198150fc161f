// web-socket-forward.ts
//
// Port forwarding over the channels of a WebSocket, as client-node does it: one connection to each port that the URL names, for as
// long as the WebSocket is open. Port number i has the channels 2i (its bytes) and 2i+1 (why it failed), and the first message on each is
// the number of the port, in two bytes, little-endian.

import { channels } from '../../../api/stream-frames.js';
import type { MuxStream } from '../../../lib/mux.js';
import { forwardingError, relayReplies, type ForwardTarget } from './forward.js';
import type { ChannelSocket } from './web-socket.js';

const normalClosure = 1000;

/** Resolves when every connection has ended, or the client is gone. Never rejects. @param connections one per port, in order */
export async function forwardChannels(socket: ChannelSocket, target: ForwardTarget, connections: readonly { port: number; agent: MuxStream }[]): Promise<void> {
  const gone = (): void => connections.forEach(({ agent }) => agent.reset('the client went away'));
  socket.gone.addEventListener('abort', gone, { once: true });
  if (socket.gone.aborted) gone();
  connections.forEach(({ port }, index) => {
    const number = Buffer.alloc(2);
    number.writeUInt16LE(port);
    void socket.send(2 * index, number);
    void socket.send(2 * index + 1, number);
  });
  const sending = sendAll(socket, connections.map(({ agent }) => agent));
  await Promise.all(
    connections.map(async ({ port, agent }, index) => {
      const why = await relayReplies(agent, (data) => socket.send(2 * index, data));
      if (why !== undefined) await socket.send(2 * index + 1, forwardingError(target, port, why));
    }),
  );
  socket.close(normalClosure);
  connections.forEach(({ agent }) => agent.reset('the connection has ended'));
  await sending;
}

async function sendAll(socket: ChannelSocket, agents: readonly MuxStream[]): Promise<void> {
  for await (const { channel, data } of socket.messages()) {
    if (channel === channels.close) {
      if (data[0] !== undefined && data[0] % 2 === 0) agents[data[0] / 2]?.end();
    } else if (channel % 2 === 0) {
      // One that has ended takes no more; the others go on.
      await agents[channel / 2]?.write(data).catch(() => undefined);
    }
  }
}
