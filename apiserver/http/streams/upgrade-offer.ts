// upgrade-offer.ts: what a client offers to speak after the upgrade, and what of it we choose. Pure.

import type { IncomingMessage } from 'node:http';
import { ApiError, badRequest } from '../../../api/errors.js';
import { commandProtocols, type CommandProtocol } from './spdy-command.js';
import { forwardProtocol } from './spdy-forward.js';
import type { StreamSubresource } from './stream-request.js';
import { channelProtocols, chooseProtocol, tunnelledSpdy, type ChannelProtocol } from './web-socket-protocols.js';

export type Choice =
  | { transport: 'web-socket'; protocol: ChannelProtocol }
  /** SPDY inside the messages of a WebSocket. */
  | { transport: 'tunnelled-spdy' }
  | { transport: 'spdy'; protocol: CommandProtocol | typeof forwardProtocol };

type Offer = Pick<IncomingMessage, 'method' | 'headers'>;

/** @throws ApiError BadRequest, Forbidden (as Kubernetes answers protocols that it does not know), MethodNotAllowed */
export function chooseTransport({ method, headers }: Offer, subresource: StreamSubresource): Choice {
  const upgrade = (headers.upgrade ?? '').toLowerCase();
  if (upgrade === 'websocket') {
    if (method !== 'GET') throw new ApiError('MethodNotAllowed', 'a WebSocket is opened with GET');
    refuseBadHandshake(headers);
    return webSocketChoice(listOf(headers['sec-websocket-protocol']), subresource);
  }
  if (!listOf(upgrade).includes('spdy/3.1')) throw badRequest(`unable to upgrade: this server speaks websocket and SPDY/3.1 here, not ${JSON.stringify(headers.upgrade ?? '')}`);
  return { transport: 'spdy', protocol: spdyProtocol(listOf(headers['x-stream-protocol-version']), subresource) };
}

/** What the handshake would fail for: by then the command would run. https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1 */
function refuseBadHandshake(headers: Offer['headers']): void {
  const key = headers['sec-websocket-key'];
  const version = headers['sec-websocket-version'];
  if (key === undefined || !/^[+/0-9A-Za-z]{22}==$/.test(key)) throw badRequest('unable to upgrade: Missing or invalid Sec-WebSocket-Key header');
  if (version !== '13' && version !== '8') throw badRequest('unable to upgrade: Missing or invalid Sec-WebSocket-Version header');
}

function webSocketChoice(offered: readonly string[], subresource: StreamSubresource): Choice {
  if (subresource === 'portforward' && offered.includes(tunnelledSpdy)) return { transport: 'tunnelled-spdy' };
  const protocol = chooseProtocol(offered);
  if (!protocol) throw notNegotiable(offered, [...(subresource === 'portforward' ? [tunnelledSpdy] : []), ...channelProtocols.map(({ name }) => name!)]);
  return { transport: 'web-socket', protocol };
}

function spdyProtocol(offered: readonly string[], subresource: StreamSubresource): CommandProtocol | typeof forwardProtocol {
  if (offered.length === 0) throw badRequest('unable to upgrade: X-Stream-Protocol-Version is required');
  const known: readonly (CommandProtocol | typeof forwardProtocol)[] = subresource === 'portforward' ? [forwardProtocol] : commandProtocols;
  // The client's order is what it likes best.
  const chosen = offered.map((name) => known.find((protocol) => protocol === name)).find((protocol) => protocol !== undefined);
  if (!chosen) throw notNegotiable(offered, known);
  return chosen;
}

function notNegotiable(offered: readonly string[], accepted: readonly string[]): ApiError {
  return new ApiError('Forbidden', `unable to upgrade: unable to negotiate protocol: client supports [${offered.join(' ')}], server accepts [${accepted.join(' ')}]`);
}

/** A header may come several times, or once with commas. */
function listOf(header: string | string[] | undefined): string[] {
  return [header ?? []].flat().flatMap((line) => line.split(',')).map((word) => word.trim()).filter((word) => word !== '');
}
