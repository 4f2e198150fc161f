// tunnel-server.ts: GET /api/v1/nodes/NAME/tunnel, upgraded to a WebSocket that an agent keeps open.

import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { ApiError, badRequest } from '../../api/errors.js';
import { nodeKind } from '../../api/node.js';
import { tunnelProtocol, tunnelRequestsProtocol } from '../../api/protocol.js';
import type { Clock } from '../../lib/clock.js';
import type { Logger } from '../../lib/log.js';
import type { Handler } from '../handler.js';
import type { User } from '../resources/service.js';
import { toApiError } from './errors.js';
import { splitUrl } from './node-http.js';
import { parsePath } from './route.js';
import { refuse } from './streams/raw-reply.js';
import { TunnelLooks } from './tunnel-looks.js';
import { TunnelRequests } from './tunnel-requests.js';
import { acceptTunnel, checkHandshake, type TunnelSocket } from './tunnel-socket.js';
import type { Tunnels } from './tunnels.js';

export interface TunnelServerOptions {
  handler: Pick<Handler, 'admit' | 'handle' | 'shortWay'>;
  tunnels: Tunnels;
  clock: Clock;
  logger: Logger;
}

export class TunnelServer {
  readonly #options: TunnelServerOptions;
  readonly #looks: TunnelLooks<TunnelSocket>;

  constructor(options: TunnelServerOptions) {
    this.#options = options;
    this.#looks = new TunnelLooks(options.clock);
  }

  /** For the server's `upgrade` event. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, user: User | undefined): void {
    const { handler, tunnels, clock, logger } = this.#options;
    socket.on('error', () => socket.destroy());
    try {
      const nodeName = tunnelNode(request);
      handler.admit(user, request.headers as Record<string, string | undefined>, { verb: 'get', kind: nodeKind, name: nodeName, subresource: 'tunnel' });
      checkHandshake(request);
      const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((protocol) => protocol.trim());
      const protocol = [tunnelRequestsProtocol, tunnelProtocol].find((known) => offered.includes(known));
      if (!protocol) throw badRequest(`the tunnel speaks the WebSocket subprotocols ${tunnelRequestsProtocol} and ${tunnelProtocol}`);
      const requests = protocol === tunnelRequestsProtocol ? new TunnelRequests({ handler, user, clock }) : undefined;
      const channel = acceptTunnel(request, socket, protocol);
      channel.onClose(this.#looks.add(channel));
      tunnels.connect(nodeName, channel, requests);
      if (head.length > 0) channel.read(head);
    } catch (error) {
      refuse(socket, toApiError(error, { requestId: '', method: 'GET', path: splitUrl(request.url ?? '').path }, logger).toStatus(), clock);
    }
  }

  close(): void {
    for (const tunnel of this.#looks) tunnel.leave();
  }
}

/** @throws ApiError NotFound for any other path: nothing else is upgraded */
function tunnelNode(request: IncomingMessage): string {
  const route = parsePath(splitUrl(request.url ?? '/').path);
  const isTunnel = route.type === 'resource' && route.group === '' && route.version === 'v1' && route.plural === nodeKind.plural && route.subresource === 'tunnel';
  if (!isTunnel || request.method !== 'GET') throw new ApiError('NotFound', 'the server has nothing at this path that a connection could be upgraded to');
  return route.name!;
}
