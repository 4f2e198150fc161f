// hollow-channel.ts: the tunnel of a hollow agent (client/tunnel-socket.ts has the real one's): a WebSocket without the library
// for it, which would take more memory and time here than all the rest of an agent.

import { randomBytes } from 'node:crypto';
import { tunnelProtocol, tunnelRequestsProtocol } from '../api/protocol.js';
import type { TunnelChannel } from '../client/tunnel-socket.js';
import type { HollowDialer } from './hollow-dialer.js';
import { encodeFrame, frameInPlace, FrameReader, headroomBytes, opcodes } from './web-socket-frames.js';

/** An agent whose server knows tunnels for requests needs no other. */
export const connectionsPerAgent = 1;

const headEnd = Buffer.from('\r\n\r\n');

/** @throws Error when the server cannot be reached or does not open a tunnel */
export function dialHollowTunnel(dialer: HollowDialer, nodeName: string): Promise<TunnelChannel> {
  return new Promise((resolve, reject) => {
    const socket = dialer.dial();
    const onMessages: ((message: Buffer) => void)[] = [];
    const onCloses: (() => void)[] = [];
    const frames = new FrameReader((opcode, payload) => {
      if (opcode === opcodes.binary) for (const handler of onMessages) handler(payload);
      else if (opcode === opcodes.ping) socket.write(encodeFrame(opcodes.pong, payload));
      else if (opcode === opcodes.close) socket.destroy();
    });
    let head: Buffer | undefined = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      if (!head) return frames.take(chunk);
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf(headEnd);
      if (end < 0) return;
      const text = head.toString('latin1', 0, end);
      const rest = head.subarray(end + headEnd.length);
      head = undefined;
      if (!text.startsWith('HTTP/1.1 101 ')) return void socket.destroy(new Error(`no tunnel: ${text.split('\r\n')[0]} ${rest.toString('utf8', 0, 300)}`));
      resolve({
        takesRequests: new RegExp(`\\r\\nsec-websocket-protocol: ${tunnelRequestsProtocol}\\r\\n`, 'i').test(`${text}\r\n`),
        get bufferedBytes() {
          return socket.writableLength;
        },
        headroomBytes,
        send: (message) => void socket.write(frameInPlace(opcodes.binary, message)),
        onMessage: (handler) => void onMessages.push(handler),
        onClose: (handler) => void onCloses.push(handler),
        close: () => socket.end(encodeFrame(opcodes.close, Buffer.alloc(0))),
      });
      // Not before whoever asked has said what to do with messages.
      if (rest.length > 0) setImmediate(() => frames.take(rest));
    });
    let cause: Error | undefined;
    socket.once('error', (error) => (cause = error));
    socket.once('close', () => {
      reject(cause ?? new Error('the server closed the connection'));
      for (const handler of onCloses) handler();
    });
    socket.write(
      `GET /api/v1/nodes/${nodeName}/tunnel HTTP/1.1\r\nhost: ${dialer.host}:${dialer.port}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n` +
        `sec-websocket-version: 13\r\nsec-websocket-key: ${randomBytes(16).toString('base64')}\r\nsec-websocket-protocol: ${tunnelRequestsProtocol},${tunnelProtocol}\r\n\r\n`,
    );
  });
}
