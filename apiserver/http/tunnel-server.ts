// tunnel-server.ts: GET /api/v1/nodes/NAME/tunnel, upgraded to a WebSocket that an agent keeps open.

import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import { ApiError, badRequest } from '../../api/errors.js';
import { nodeKind } from '../../api/node.js';
import { tunnelProtocol } from '../../api/protocol.js';
import type { Clock } from '../../lib/clock.js';
import type { Logger } from '../../lib/log.js';
import type { MessageChannel } from '../../lib/mux.js';
import type { Handler } from '../handler.js';
import type { User } from '../resources/service.js';
import { toApiError } from './errors.js';
import { splitUrl } from './node-http.js';
import { parsePath } from './route.js';
import { refuse } from './streams/raw-reply.js';
import type { Tunnels } from './tunnels.js';

/** A connection that has not answered for this long is dead, whatever TCP thinks. */
const pingEveryMs = 10_000;
const messageBytesMax = 1024 * 1024;

export interface TunnelServerOptions {
  handler: Pick<Handler, 'admit'>;
  tunnels: Tunnels;
  clock: Clock;
  logger: Logger;
}

export class TunnelServer {
  readonly #options: TunnelServerOptions;
  readonly #webSockets = new WebSocketServer({
    noServer: true,
    maxPayload: messageBytesMax,
    perMessageDeflate: false,
    handleProtocols: (protocols) => (protocols.has(tunnelProtocol) ? tunnelProtocol : false),
  });

  constructor(options: TunnelServerOptions) {
    this.#options = options;
  }

  /** For the server's `upgrade` event. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, user: User | undefined): void {
    const { handler, tunnels, clock, logger } = this.#options;
    socket.on('error', () => socket.destroy());
    try {
      const nodeName = tunnelNode(request);
      handler.admit(user, request.headers as Record<string, string | undefined>, { verb: 'get', kind: nodeKind, name: nodeName, subresource: 'tunnel' });
      if (!(request.headers['sec-websocket-protocol'] ?? '').split(',').some((protocol) => protocol.trim() === tunnelProtocol)) {
        throw badRequest(`the tunnel speaks the WebSocket subprotocol ${tunnelProtocol}`);
      }
      this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => tunnels.connect(nodeName, channelOf(webSocket, clock)));
    } catch (error) {
      refuse(socket, toApiError(error, { requestId: '', method: 'GET', path: splitUrl(request.url ?? '').path }, logger).toStatus(), clock);
    }
  }

  close(): void {
    for (const webSocket of this.#webSockets.clients) webSocket.close(1001);
    this.#webSockets.close();
  }
}

/** @throws ApiError NotFound for any other path: nothing else is upgraded */
function tunnelNode(request: IncomingMessage): string {
  const route = parsePath(splitUrl(request.url ?? '/').path);
  const isTunnel = route.type === 'resource' && route.group === '' && route.version === 'v1' && route.plural === nodeKind.plural && route.subresource === 'tunnel';
  if (!isTunnel || request.method !== 'GET') throw new ApiError('NotFound', 'the server has nothing at this path that a connection could be upgraded to');
  return route.name!;
}

function channelOf(webSocket: WebSocket, clock: Clock): MessageChannel {
  let heard = true;
  const ping = (): void => {
    if (!heard) return webSocket.terminate();
    heard = false;
    webSocket.ping();
    timer = clock.timer(pingEveryMs, ping, { unref: true });
  };
  let timer = clock.timer(pingEveryMs, ping, { unref: true });
  webSocket.on('pong', () => (heard = true));
  webSocket.on('close', () => timer.cancel());
  webSocket.on('error', () => webSocket.terminate());
  return {
    send: (message) => webSocket.send(message, { binary: true }),
    onMessage: (handler) => webSocket.on('message', (data: Buffer) => {
      heard = true;
      handler(data);
    }),
    onClose: (handler) => webSocket.on('close', handler),
    close: () => webSocket.close(),
  };
}
