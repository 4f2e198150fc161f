// web-socket.ts: the agent's connection to the API server, as the channel that its tunnel runs over.

import WebSocket from 'ws';
import { tunnelProtocol } from '../api/protocol.js';
import type { Clock } from '../lib/clock.js';
import type { MessageChannel } from '../lib/mux.js';

/** Where to dial, and as whom. */
export interface TunnelAccess {
  server: string;
  ca?: string;
  cert?: string;
  key?: string;
  token?: string;
  insecureSkipTlsVerify?: boolean;
  tlsServerName?: string;
}

const silenceMsMax = 30_000;

/** @throws Error when the server cannot be reached or refuses */
export function dialWebSocket(access: TunnelAccess, nodeName: string, clock: Clock): (signal: AbortSignal) => Promise<MessageChannel> {
  const url = `${access.server.replace(/^http/, 'ws').replace(/\/+$/, '')}/api/v1/nodes/${encodeURIComponent(nodeName)}/tunnel`;
  return (signal) =>
    new Promise((resolve, reject) => {
      const webSocket = new WebSocket(url, tunnelProtocol, {
        perMessageDeflate: false,
        handshakeTimeout: 10_000,
        ...(access.ca ? { ca: access.ca } : {}),
        ...(access.cert ? { cert: access.cert, key: access.key } : {}),
        ...(access.token ? { headers: { authorization: `Bearer ${access.token}` } } : {}),
        ...(access.tlsServerName ? { servername: access.tlsServerName } : {}),
        rejectUnauthorized: !access.insecureSkipTlsVerify,
      });
      const abort = (): void => webSocket.terminate();
      signal.addEventListener('abort', abort, { once: true });
      // The server pings every 10 s; without that the connection is dead, whatever TCP thinks.
      const hear = (): void => {
        silence.cancel();
        silence = clock.timer(silenceMsMax, abort, { unref: true });
      };
      let silence = clock.timer(silenceMsMax, abort, { unref: true });
      webSocket.on('ping', hear);
      webSocket.on('message', hear);
      webSocket.on('close', () => {
        silence.cancel();
        signal.removeEventListener('abort', abort);
        reject(new Error('closed before it was open'));
      });
      webSocket.on('error', reject);
      webSocket.on('open', () => resolve(channelOf(webSocket)));
    });
}

function channelOf(webSocket: WebSocket): MessageChannel {
  return {
    send: (message) => webSocket.send(message, { binary: true }),
    onMessage: (handler) => webSocket.on('message', (data: Buffer) => handler(data)),
    onClose: (handler) => webSocket.on('close', handler),
    close: () => webSocket.close(),
  };
}
