// raw-reply.ts: HTTP by hand, for connections that asked to become something else: node:http leaves those to us.

import type { Duplex } from 'node:stream';
import type { Status } from '../../../api/errors.js';
import type { Clock } from '../../../lib/clock.js';

/** A connection that has been ended has this long to take what was written. */
const endingMsMax = 10_000;

/** Answers with a Status and ends the connection. */
export function refuse(socket: Duplex, status: Status, clock: Clock): void {
  const body = `${JSON.stringify(status)}\n`;
  const retryAfter = status.details?.retryAfterSeconds;
  const lines = [
    `HTTP/1.1 ${status.code} ${status.reason}`,
    'Connection: close',
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...(retryAfter === undefined ? [] : [`Retry-After: ${retryAfter}`]),
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n${body}`);
  endSocket(socket, clock);
}

/** @param headers names as they are to be sent */
export function switchProtocols(socket: Duplex, headers: Readonly<Record<string, string>>): void {
  const lines = Object.entries({ Connection: 'Upgrade', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join('')}\r\n`);
}

/** Ends the connection gently; cuts it when the other side does not take part. */
export function endSocket(socket: Duplex, clock: Clock): void {
  // What still arrives is nobody's; unread it would keep the connection from ending.
  socket.resume();
  socket.end();
  if (socket.destroyed) return;
  const timer = clock.timer(endingMsMax, () => socket.destroy(), { unref: true });
  socket.once('close', () => timer.cancel());
}
