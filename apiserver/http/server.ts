// server.ts: the one file of the API server that listens. TLS always, also on loopback: clients send their credentials to
// https only, and an open port that runs commands would be everybody's.

import { constants } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { ApiError, badRequest, unauthorized } from '../../api/errors.js';
import type { Clock } from '../../lib/clock.js';
import type { Logger } from '../../lib/log.js';
import { aborted } from '../../lib/service.js';
import type { Handler } from '../handler.js';
import type { ResourceService } from '../resources/service.js';
import { createApp } from './app.js';
import { takeInTurns } from './arrivals.js';
import { limitConnections } from './connection-limit.js';
import { NodeRequest, splitUrl, writeReply } from './node-http.js';
import { PlainConnection, takePrepared } from './plain-connection.js';
import { StreamServer } from './streams/stream-server.js';
import { userOfSocket } from './tls-user.js';
import { TunnelServer } from './tunnel-server.js';
import type { Tunnels } from './tunnels.js';

/** Go clients keep idle connections for 90 s: whoever closes first must not be us, or their next request fails. */
const keepAliveMs = 100_000;
const arrivalMsDefault = 32_000;
/** Long selectors travel in the URL. */
const headerBytesMax = 64 * 1024;
/** A request must have arrived whole within this. */
const requestMsMax = 120_000;
const stoppingMsDefault = 5_000;

const unwritten = 'A reply could not be written, so its connection was cut; this is a defect of the server: please report it with this line.';

export interface HttpsServerOptions {
  handler: Handler;
  resources: Pick<ResourceService, 'get'>;
  tunnels: Tunnels;
  tls: { ca: string; cert: string; key: string };
  listen: { host: string; port: number };
  /** Requests in flight have this long to finish when the server stops. @default 5,000 */
  stoppingMs?: number;
  /** Who has not finished its handshake, or the headers of a request, by then is cut. @default 32,000, as the Kubernetes API server has it */
  arrivalMs?: number;
  clock: Clock;
  logger: Logger;
}

export class HttpsServer {
  readonly #options: HttpsServerOptions;
  readonly #stopping = new AbortController();
  readonly #server: Server;
  readonly #tunnelServer: TunnelServer;
  readonly #streamServer: StreamServer;
  /** Every connection, also those that became tunnels or never got through their handshake: node:http forgets these. */
  readonly #sockets = new Set<Socket>();
  /** Those that node:http has not seen yet. */
  readonly #plain = new Map<TLSSocket, PlainConnection>();

  constructor(options: HttpsServerOptions) {
    this.#options = options;
    const { tls, arrivalMs = arrivalMsDefault } = options;
    const serve = (request: IncomingMessage, response: ServerResponse): void => void this.#serve(request, response);
    const app = createApp({ serve, logger: options.logger });
    this.#tunnelServer = new TunnelServer(options);
    this.#streamServer = new StreamServer(options);
    this.#server = createServer(
      {
        ...tls,
        requestCert: true,
        // Who has no certificate of ours gets a Status, not a broken handshake.
        rejectUnauthorized: false,
        minVersion: 'TLSv1.2',
        // Making them takes a quarter of the time of a handshake, and those who come by the thousand show their certificate each time.
        secureOptions: constants.SSL_OP_NO_TICKET,
        ALPNProtocols: ['http/1.1'],
        keepAliveTimeout: keepAliveMs,
        handshakeTimeout: arrivalMs,
        headersTimeout: arrivalMs,
        maxHeaderSize: headerBytesMax,
        requestTimeout: requestMsMax,
      },
      (request, response) => (isResourcePath(request.url ?? '') ? serve(request, response) : app(request, response)),
    );
    this.#server.on('upgrade', (request, socket, head) => {
      const user = userOfSocket(request.socket as TLSSocket);
      if (!this.#streamServer.upgrade(request, socket, head, user)) this.#tunnelServer.upgrade(request, socket, head, user);
    });
    takeInTurns(this.#server);
    // Those that wait for their turn are among them.
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    limitConnections(this.#server, options);
    this.#beforeNodeHttp(arrivalMs);
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) => refuseBytes(error, socket as TLSSocket));
  }

  /** Connections are read here as long as they are plain, and by node:http from then on. */
  #beforeNodeHttp(arrivalMs: number): void {
    const { handler, clock, logger } = this.#options;
    const listeners = this.#server.listeners('secureConnection');
    this.#server.removeAllListeners('secureConnection');
    const handOver = (socket: TLSSocket): void => {
      this.#plain.delete(socket);
      for (const listener of listeners) listener.call(this.#server, socket);
      readThroughStream(socket);
    };
    const late = (socket: TLSSocket): void => refuseBytes({ code: 'ERR_HTTP_REQUEST_TIMEOUT' }, socket);
    const failed = (request: { method: string; path: string }, error: unknown): void => logger.error(unwritten, { method: request.method, path: request.path, error });
    this.#server.on('secureConnection', (socket) => {
      const connection = new PlainConnection({ socket, user: userOfSocket(socket), handler, arrivalMs, keepAliveMs, clock, handOver, late, failed });
      this.#plain.set(socket, connection);
      socket.once('close', () => this.#plain.delete(socket));
      connection.start();
    });
  }

  /** @returns the port. @throws Error with `code` EADDRINUSE, EACCES, … */
  async listen(): Promise<number> {
    const { host, port } = this.#options.listen;
    this.#server.listen({ host, port });
    // Rejects with the server's error.
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  /** Serves until the signal aborts, then lets requests finish and ends streams; what has not ended in time is cut. */
  async run(signal: AbortSignal): Promise<void> {
    await aborted(signal);
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#stopping.abort();
    for (const connection of this.#plain.values()) connection.stop();
    this.#streamServer.close();
    this.#tunnelServer.close();
    this.#options.tunnels.closeAll();
    const { clock, stoppingMs = stoppingMsDefault } = this.#options;
    const timer = clock.timer(stoppingMs, () => this.#cut());
    await closed;
    timer.cancel();
  }

  #cut(): void {
    this.#options.logger.warn('Connections that have not ended in time are cut.', { connections: this.#sockets.size });
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Never rejects: what fails here must not end the process. */
  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#answer(incoming, response);
    } catch (error) {
      this.#options.logger.error(unwritten, { method: incoming.method, path: splitUrl(incoming.url ?? '').path, error });
      response.destroy();
    }
  }

  async #answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const socket = incoming.socket as TLSSocket;
    const reply = takePrepared(socket) ?? (await this.#options.handler.handle(new NodeRequest(incoming, response, userOfSocket(socket))));
    if (this.#stopping.signal.aborted) response.shouldKeepAlive = false;
    await writeReply(reply, incoming, response, this.#stopping.signal, this.#options.clock);
  }
}

/** Measured: such a request costs half of what it does through Express. */
function isResourcePath(url: string): boolean {
  return url.startsWith('/apis/') || url.startsWith('/api/');
}

/**
 * Has node:http take what arrives from the stream instead of from the TLS handle below it. From the handle, the parser is
 * fed on while it is paused, because a reply of more than 16 KiB is still being written, and the connection breaks with
 * HPE_PAUSED: a bulk request right after the reply to the one before, for example. A listener for data, even for a moment,
 * makes it change over.
 */
function readThroughStream(socket: TLSSocket): void {
  const nobody = (): void => undefined;
  socket.on('data', nobody);
  socket.removeListener('data', nobody);
}

/** Bytes that are no request still get a Status. */
function refuseBytes(error: { code?: string }, socket: TLSSocket): void {
  // Without a handshake nothing can be said: what is written would wait for it, and keep the connection for ever.
  if (error.code === 'ECONNRESET' || error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT' || !socket.writable) return void socket.destroy();
  const status = refusalOf(error.code ?? '').toStatus();
  const body = `${JSON.stringify(status)}\n`;
  socket.end(`HTTP/1.1 ${status.code} ${status.reason}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}

function refusalOf(code: string): ApiError {
  if (code === 'HPE_HEADER_OVERFLOW') return new ApiError('BadRequest', `the URL and headers of the request are longer than ${headerBytesMax} bytes`, undefined, { code: 431 });
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new ApiError('Timeout', 'the request did not arrive in time', undefined, { code: 408 });
  // A client certificate that could not even be looked at.
  if (code.startsWith('ERR_SSL_')) return unauthorized();
  return badRequest('the request is not HTTP/1.1');
}
