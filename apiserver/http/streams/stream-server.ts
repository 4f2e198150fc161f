// stream-server.ts
//
// exec, attach and port-forward: connections that are upgraded to a WebSocket or to SPDY/3.1. Who asks and whether they may
// is found out as for any request; then what they ask for is checked, so that every refusal still is an HTTP answer with a
// Status; then the protocol changes, and the connection is tied to a stream of the agent's tunnel.

import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createWebSocketStream, WebSocketServer, type WebSocket } from 'ws';
import { ApiError, badRequest, notFound } from '../../../api/errors.js';
import type { AttachTunnelRequest, ExecTunnelRequest } from '../../../api/protocol.js';
import { taskKind, type Task } from '../../../api/task.js';
import type { Clock } from '../../../lib/clock.js';
import type { Logger } from '../../../lib/log.js';
import type { MuxStream } from '../../../lib/mux.js';
import type { Handler } from '../../handler.js';
import type { Caller, ResourceService, User } from '../../resources/service.js';
import type { Endpoint } from '../endpoint.js';
import { methodNotAllowed, toApiError } from '../errors.js';
import { splitUrl } from '../node-http.js';
import { parsePath } from '../route.js';
import type { Tunnels } from '../tunnels.js';
import { failure } from './command-status.js';
import { forwardRequest, type ForwardTarget } from './forward.js';
import { endSocket, refuse, switchProtocols } from './raw-reply.js';
import { relayCommand } from './remote-command.js';
import { SpdyConnection, type SpdyStream } from './spdy/connection.js';
import { SpdyCommand, type CommandProtocol } from './spdy-command.js';
import { SpdyForward } from './spdy-forward.js';
import { streamEndpoint } from './stream-endpoint.js';
import { commandOptions, forwardedPorts, nodeOfRunning, streamRequestOf, type CommandOptions, type StreamRequest } from './stream-request.js';
import { chooseTransport, type Choice } from './upgrade-offer.js';
import { WebSocketCommand } from './web-socket-command.js';
import { forwardChannels } from './web-socket-forward.js';
import { tunnelledSpdy } from './web-socket-protocols.js';
import { ChannelSocket } from './web-socket.js';

/** Of one message; clients cut their input into far smaller ones. */
const messageBytesMax = 4 * 1024 * 1024;
/** A client that is gone without a word is found out by TCP. */
const keepAliveMs = 30_000;
/** Two for each forwarded connection. */
const spdyStreamsMax = 512;
const goingAway = 1001;

export interface StreamServerOptions {
  handler: Pick<Handler, 'admitStream' | 'replied'>;
  resources: Pick<ResourceService, 'get'>;
  tunnels: Pick<Tunnels, 'open' | 'check'>;
  clock: Clock;
  logger: Logger;
}

/** A connection on its way to become a stream. */
interface Upgrade {
  request: IncomingMessage;
  socket: Duplex;
  head: Buffer;
  asked: StreamRequest;
  query: URLSearchParams;
}

/** What the connection becomes; nothing has been said to the client yet. */
type Stand = (upgrade: Upgrade) => Promise<void>;

export class StreamServer {
  readonly #options: StreamServerOptions;
  readonly #webSockets = new WebSocketServer({ noServer: true, maxPayload: messageBytesMax, perMessageDeflate: false });
  /** Subprotocols that we answer by hand: ws takes no slash in their names. */
  readonly #subprotocols = new WeakMap<IncomingMessage, string>();
  /** How to end each open stream. */
  readonly #open = new Set<() => void>();

  constructor(options: StreamServerOptions) {
    this.#options = options;
    this.#webSockets.on('headers', (headers, request) => {
      const chosen = this.#subprotocols.get(request);
      if (chosen !== undefined) headers.push(`Sec-WebSocket-Protocol: ${chosen}`);
    });
    this.#webSockets.on('wsClientError', (error, socket) => refuse(socket, badRequest(`unable to upgrade: ${error.message}`).toStatus(), options.clock));
  }

  /** For the server's `upgrade` event. @returns false when the path is none of ours: nothing has been done then */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, user: User | undefined): boolean {
    const { path, query } = splitUrl(request.url ?? '/');
    const route = parsePath(path);
    const asked = route.type === 'resource' ? streamRequestOf(route) : undefined;
    if (route.type !== 'resource' || !asked) return false;
    socket.on('error', () => socket.destroy());
    const endpoint = streamEndpoint(asked, route, request.method ?? 'GET');
    if (endpoint) void this.#serve({ request, socket, head, asked, query }, endpoint, user);
    else refuse(socket, methodNotAllowed().toStatus(), this.#options.clock);
    return true;
  }

  /** Ends every stream, telling each client why. */
  close(): void {
    for (const end of [...this.#open]) end();
    this.#webSockets.close();
  }

  /** Never rejects. */
  async #serve(upgrade: Upgrade, endpoint: Endpoint, user: User | undefined): Promise<void> {
    const { handler, clock, logger } = this.#options;
    const { request, socket } = upgrade;
    const startedAt = clock.monotonic();
    const answered = (code: number): void => handler.replied(endpoint, code, (clock.monotonic() - startedAt) / 1000);
    let over = (): void => undefined;
    let stand: Stand;
    try {
      const admitted = handler.admitStream(user, request.headers as Record<string, string | undefined>, endpoint);
      over = admitted.over;
      stand = await this.#prepare(upgrade, admitted.caller);
    } catch (error) {
      over();
      const refused = toApiError(error, { requestId: '', method: request.method ?? '', path: pathOf(request) }, logger);
      answered(refused.code);
      return refuse(socket, refused.toStatus(), clock);
    }
    answered(101);
    try {
      (socket as Socket).setKeepAlive?.(true, keepAliveMs);
      (socket as Socket).setNoDelay?.(true);
      await stand(upgrade);
    } catch (error) {
      logger.error('A stream ended for a reason that the server did not foresee; this is a defect of the server: please report it with this line.', { path: pathOf(request), error });
      socket.destroy();
    } finally {
      over();
    }
  }

  /** Everything that may be refused. @throws ApiError */
  async #prepare(upgrade: Upgrade, caller: Caller): Promise<Stand> {
    const { request, asked, query, socket } = upgrade;
    const { tunnels, logger } = this.#options;
    const choice = chooseTransport(request, asked.subresource);
    const forwards = asked.subresource === 'portforward';
    const command = forwards ? undefined : commandOptions(asked, query);
    const ports = forwards && choice.transport === 'web-socket' ? forwardedPorts(query) : [];
    const task = await this.#task(caller, asked);
    const nodeName = nodeOfRunning(task, asked);
    tunnels.check(nodeName);
    if (socket.destroyed) throw badRequest('the client has gone');
    const { namespace = '', name = '', uid = '' } = task.metadata;
    logger.info('A stream to a task is opened.', { user: caller.user.name, [asked.kind.singular]: `${namespace}/${name}`, what: asked.subresource, node: nodeName, transport: choice.transport });
    if (command) {
      const { command: words, ...streams } = command;
      const about = { namespace, name, uid, ...streams };
      const tunnelRequest: ExecTunnelRequest | AttachTunnelRequest = asked.subresource === 'exec' ? { type: 'exec', command: words, ...about } : { type: 'attach', ...about };
      const agent = tunnels.open(nodeName, tunnelRequest);
      return (now) => this.#command(now, choice, command, agent);
    }
    const target: ForwardTarget = { namespace, name, uid, connect: (port) => tunnels.open(nodeName, forwardRequest({ namespace, name, uid }, port)) };
    const connections = connectAll(target, ports);
    return async (now) => {
      if (choice.transport === 'spdy') return this.#spdyForward(spdySocket(now, choice.protocol), target);
      const webSocket = this.#webSocket(now, choice.transport === 'web-socket' ? choice.protocol.name : tunnelledSpdy);
      if (!webSocket) return connections.forEach(({ agent }) => agent.reset('the client went away'));
      if (choice.transport === 'tunnelled-spdy') return this.#spdyForward(createWebSocketStream(webSocket), target, () => webSocket.close(goingAway));
      const socket = new ChannelSocket({ webSocket, protocol: choice.protocol, clock: this.#options.clock });
      await this.#until(() => socket.close(goingAway), forwardChannels(socket, target, connections));
    };
  }

  /** @throws ApiError NotFound */
  async #task(caller: Caller, { kind, namespace, name }: StreamRequest): Promise<Task> {
    try {
      const { object } = await this.#options.resources.get(caller, { kind: taskKind, namespace, name });
      return object as Task;
    } catch (error) {
      // Under the name that was asked for.
      if (error instanceof ApiError && error.reason === 'NotFound') throw notFound(kind, name);
      throw error;
    }
  }

  async #command(upgrade: Upgrade, choice: Choice, command: CommandOptions, agent: MuxStream): Promise<void> {
    const { clock } = this.#options;
    if (choice.transport === 'web-socket') {
      const webSocket = this.#webSocket(upgrade, choice.protocol.name);
      if (!webSocket) return agent.reset('the client went away');
      const client = new WebSocketCommand({ socket: new ChannelSocket({ webSocket, protocol: choice.protocol, clock }), protocol: choice.protocol, command });
      return this.#until(() => client.finish(stopping), relayCommand(client, agent, command));
    }
    const protocol = (choice as { protocol: CommandProtocol }).protocol;
    const client = new SpdyCommand({ connection: () => connection, protocol, command });
    const socket = spdySocket(upgrade, protocol);
    const connection = new SpdyConnection({ socket, streamsMax: spdyStreamsMax, clock, onStream: (stream) => client.open(stream) });
    const connected = connection.run().then(() => client.left());
    await this.#until(() => client.finish(stopping), (async () => {
      if (await client.opened(clock)) await relayCommand(client, agent, command);
      else agent.reset('the client did not open its streams');
    })());
    connection.close();
    await connected;
    endSocket(socket, clock);
  }

  async #spdyForward(socket: Duplex, target: ForwardTarget, andClose: () => void = () => undefined): Promise<void> {
    const forward = new SpdyForward({ target, clock: this.#options.clock });
    const connection = new SpdyConnection({ socket, streamsMax: spdyStreamsMax, clock: this.#options.clock, onStream: (stream: SpdyStream) => forward.open(stream) });
    const end = (): void => {
      connection.close();
      andClose();
    };
    await this.#until(end, connection.run());
    forward.close();
    endSocket(socket, this.#options.clock);
  }

  /** Undefined when the handshake was no good: the client has been told. */
  #webSocket({ request, socket, head }: Upgrade, subprotocol: string | undefined): WebSocket | undefined {
    delete request.headers['sec-websocket-protocol'];
    if (subprotocol !== undefined) this.#subprotocols.set(request, subprotocol);
    let opened: WebSocket | undefined;
    // Calls back at once, or not at all.
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => (opened = webSocket));
    return opened;
  }

  /** @param end how to end it when the server stops */
  async #until(end: () => void, done: Promise<void>): Promise<void> {
    this.#open.add(end);
    try {
      await done;
    } finally {
      this.#open.delete(end);
    }
  }
}

const stopping = failure('the API server is stopping; run the command again in a moment');

/** For log lines: the query of an exec holds its arguments, and people pass passwords. */
function pathOf(request: IncomingMessage): string {
  return splitUrl(request.url ?? '').path;
}

/** All or none. @throws ApiError */
function connectAll(target: ForwardTarget, ports: readonly number[]): { port: number; agent: MuxStream }[] {
  const connections: { port: number; agent: MuxStream }[] = [];
  try {
    for (const port of ports) connections.push({ port, agent: target.connect(port) });
    return connections;
  } catch (error) {
    for (const { agent } of connections) agent.reset('another of the ports could not be forwarded');
    throw error;
  }
}

function spdySocket({ socket, head }: Upgrade, protocol: string): Duplex {
  switchProtocols(socket, { Upgrade: 'SPDY/3.1', 'X-Stream-Protocol-Version': protocol });
  if (head.length > 0) socket.unshift(head);
  return socket;
}
