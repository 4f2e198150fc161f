// tunnel-socket.ts: an agent's connection to the API server, as the channel that its tunnel runs over.

import WebSocket from 'ws';
import { tunnelProtocol, tunnelRequestsProtocol } from '../api/protocol.js';
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

export interface TunnelChannel extends MessageChannel {
  /** Whether the server takes the agent's own requests over it. */
  readonly takesRequests: boolean;
}

/** The server says something every 10 s; who has heard nothing for so long has a dead connection, whatever TCP thinks. */
const silenceMsMax = 30_000;

/** @throws Error when the server cannot be reached or refuses */
export function dialTunnel(access: TunnelAccess, nodeName: string, clock: Clock): (signal: AbortSignal) => Promise<TunnelChannel> {
  const url = `${access.server.replace(/^http/, 'ws').replace(/\/+$/, '')}/api/v1/nodes/${encodeURIComponent(nodeName)}/tunnel`;
  return (signal) =>
    new Promise((resolve, reject) => {
      const webSocket = new WebSocket(url, [tunnelRequestsProtocol, tunnelProtocol], {
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
      let heard = true;
      const hear = (): void => void (heard = true);
      const look = (): void => {
        if (!heard) return abort();
        heard = false;
        silence = clock.timer(silenceMsMax, look, { unref: true });
      };
      let silence = clock.timer(silenceMsMax, look, { unref: true });
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

const binary = { binary: true };

function channelOf(webSocket: WebSocket): TunnelChannel {
  return {
    takesRequests: webSocket.protocol === tunnelRequestsProtocol,
    get bufferedBytes() {
      return webSocket.bufferedAmount;
    },
    send: (message) => webSocket.send(message, binary),
    onMessage: (handler) => webSocket.on('message', (data: Buffer) => handler(data)),
    onClose: (handler) => webSocket.on('close', handler),
    close: () => webSocket.close(),
  };
}
