// tunnel-server.ts: GET /api/v1/nodes/NAME/tunnel, upgraded to a WebSocket that an agent keeps open.

import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import { ApiError, badRequest } from '../../api/errors.js';
import { nodeKind } from '../../api/node.js';
import { tunnelProtocol, tunnelRequestsProtocol } from '../../api/protocol.js';
import type { Clock } from '../../lib/clock.js';
import type { Logger } from '../../lib/log.js';
import type { MessageChannel } from '../../lib/mux.js';
import type { Handler } from '../handler.js';
import type { User } from '../resources/service.js';
import { toApiError } from './errors.js';
import { splitUrl } from './node-http.js';
import { parsePath } from './route.js';
import { refuse } from './streams/raw-reply.js';
import { TunnelRequests } from './tunnel-requests.js';
import type { Tunnels } from './tunnels.js';

/** A connection that has not answered for this long is dead, whatever TCP thinks. */
const pingEveryMs = 10_000;
const messageBytesMax = 1024 * 1024;
/** An agent that leaves more than this unread is not listened to until it has read. */
const unreadBytesMax = 8 * 1024 * 1024;

export interface TunnelServerOptions {
  handler: Pick<Handler, 'admit' | 'handle'>;
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
    handleProtocols: (protocols) => [tunnelRequestsProtocol, tunnelProtocol].find((known) => protocols.has(known)) ?? false,
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
      if (!(request.headers['sec-websocket-protocol'] ?? '').split(',').some((protocol) => [tunnelProtocol, tunnelRequestsProtocol].includes(protocol.trim()))) {
        throw badRequest(`the tunnel speaks the WebSocket subprotocols ${tunnelRequestsProtocol} and ${tunnelProtocol}`);
      }
      this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
        const requests = webSocket.protocol === tunnelRequestsProtocol ? new TunnelRequests({ handler, user, clock }) : undefined;
        tunnels.connect(nodeName, channelOf({ webSocket, socket, clock }), requests);
      });
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

/** @param socket what the WebSocket runs over */
export function channelOf({ webSocket, socket, clock }: { webSocket: WebSocket; socket: Duplex; clock: Clock }): MessageChannel {
  // What goes over it in both directions shows both sides that it lives; only a silent one is pinged.
  let heard = true;
  let said = false;
  let answered = true;
  const look = (): void => {
    if (!heard && !answered) return webSocket.terminate();
    if (!heard || !said) {
      answered = false;
      webSocket.ping();
    }
    heard = said = false;
    timer = clock.timer(pingEveryMs, look, { unref: true });
  };
  let timer = clock.timer(pingEveryMs, look, { unref: true });
  webSocket.on('pong', () => (answered = true));
  webSocket.on('close', () => timer.cancel());
  webSocket.on('error', () => webSocket.terminate());
  return {
    send: (message) => {
      said = true;
      webSocket.send(message, binary);
      // Each question that is taken brings an answer: who asks on without reading would fill the memory with them.
      if (socket.writableLength <= unreadBytesMax || webSocket.isPaused) return;
      webSocket.pause();
      socket.once('drain', () => webSocket.resume());
    },
    onMessage: (handler) => webSocket.on('message', (data: Buffer) => {
      heard = answered = true;
      handler(data);
    }),
    onClose: (handler) => webSocket.on('close', handler),
    close: () => webSocket.close(),
  };
}

const binary = { binary: true };
