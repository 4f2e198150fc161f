// arrivals.ts
//
// New connections begin their handshakes a few per turn of the event loop. A handshake takes as long as a dozen renewals of agents. An agent whose
// renewal is answered late asks beside its tunnel, too, over a new connection: if a busy server took those as they come, it would be busy with
// handshakes alone, answer more renewals late, and not come out of that by itself. While the server has time, turns are short and nobody waits.

import type { Server, Socket } from 'node:net';

const perTurnDefault = 8;

/**
 * Has what listens for connections of the server so far be told of at most `perTurn` of them per turn of the event loop, in the order of their arrival.
 * Those that break while they wait are not told of.
 */
export function takeInTurns(server: Server, perTurn = perTurnDefault): void {
  const listeners = server.listeners('connection');
  server.removeAllListeners('connection');
  const waiting = new Map<Socket, () => void>();

  const takeSome = (): void => {
    let left = perTurn;
    for (const [socket, forget] of waiting) {
      if (left-- === 0) return void setImmediate(takeSome);
      forget();
      for (const listener of listeners) listener.call(server, socket);
    }
  };

  server.on('connection', (socket: Socket) => {
    const forget = (): void => {
      waiting.delete(socket);
      socket.off('close', forget).off('error', ignore);
    };
    // Its end is told by 'close'.
    const ignore = (): void => undefined;
    socket.on('close', forget).on('error', ignore);
    waiting.set(socket, forget);
    if (waiting.size === 1) setImmediate(takeSome);
  });
}
