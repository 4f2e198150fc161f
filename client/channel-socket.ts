// channel-socket.ts
//
// The channels of exec, attach and port-forward over a WebSocket, as v5.channel.k8s.io has them: the first byte of a message is its channel;
// channel 255 says that another one has ended. Neither side is asked to keep what it cannot pass on.
// https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/apimachinery/pkg/util/remotecommand/constants.go

import WebSocket from 'ws';
import { ApiError, type Status } from '../api/errors.js';
import { channels } from '../api/stream-frames.js';
import { TransportError } from '../api/transport.js';
import type { ClusterAccess } from './kubeconfig.js';

export interface ChannelSocketOptions {
  access: ClusterAccess;
  /** With the query. */
  path: string;
  userAgent?: string;
  signal: AbortSignal;
}

const protocol = 'v5.channel.k8s.io';
const refusalBytesMax = 64 * 1024;
const messageBytesMax = 32 * 1024;
/** What may wait to be sent before the sender waits, too. */
const waitingBytesMax = 256 * 1024;
/** Messages that have arrived before the server is asked to wait. */
const arrivedMax = 16;

export class ChannelSocket {
  readonly #webSocket: WebSocket;
  readonly #arrived: Buffer[] = [];
  #wake: () => void = () => undefined;
  #over = false;

  private constructor(webSocket: WebSocket) {
    this.#webSocket = webSocket;
    webSocket.on('message', (data: Buffer) => {
      this.#arrived.push(data);
      if (this.#arrived.length >= arrivedMax) webSocket.pause();
      this.#wake();
    });
    webSocket.on('close', () => {
      this.#over = true;
      this.#wake();
    });
    webSocket.on('error', () => webSocket.terminate());
  }

  /** @throws ApiError when the server refuses, TransportError when it cannot be reached */
  static open({ access, path, userAgent, signal }: ChannelSocketOptions): Promise<ChannelSocket> {
    const url = access.server.replace(/^http/, 'ws').replace(/\/+$/, '') + path;
    return new Promise((resolve, reject) => {
      const webSocket = new WebSocket(url, protocol, {
        perMessageDeflate: false,
        handshakeTimeout: 30_000,
        headers: { ...(userAgent ? { 'user-agent': userAgent } : {}), ...(access.token ? { authorization: `Bearer ${access.token}` } : {}) },
        ...(access.ca ? { ca: access.ca } : {}),
        ...(access.cert ? { cert: access.cert, key: access.key } : {}),
        ...(access.tlsServerName ? { servername: access.tlsServerName } : {}),
        rejectUnauthorized: !access.insecureSkipTlsVerify,
      });
      const abort = (): void => webSocket.terminate();
      if (signal.aborted) abort();
      signal.addEventListener('abort', abort, { once: true });
      webSocket.on('close', () => signal.removeEventListener('abort', abort));
      webSocket.once('open', () => resolve(new ChannelSocket(webSocket)));
      webSocket.once('error', (error) => reject(new TransportError(`cannot connect to ${access.server}`, { cause: error })));
      webSocket.once('unexpected-response', (_request, response) => {
        void refusal(response, response.statusCode ?? 500).then((error) => {
          reject(error);
          webSocket.terminate();
        });
      });
    });
  }

  /** Resolves when there is room for more. Dropped once the socket is closed. */
  async send(channel: number, data: Buffer): Promise<void> {
    const webSocket = this.#webSocket;
    for (let at = 0; at < data.length || at === 0; at += messageBytesMax) {
      if (webSocket.readyState !== WebSocket.OPEN) return;
      const sent = new Promise<void>((resolve) => webSocket.send(Buffer.concat([Buffer.of(channel), data.subarray(at, at + messageBytesMax)]), { binary: true }, () => resolve()));
      if (webSocket.bufferedAmount > waitingBytesMax) await sent;
    }
  }

  /** No more will be sent on the channel. */
  endChannel(channel: number): Promise<void> {
    return this.send(channels.close, Buffer.of(channel));
  }

  /** What arrives, until the socket is closed. */
  async *messages(): AsyncGenerator<{ channel: number; data: Buffer }> {
    for (;;) {
      const message = this.#arrived.shift();
      if (message) {
        if (this.#arrived.length === 0) this.#webSocket.resume();
        if (message.length > 0) yield { channel: message[0]!, data: message.subarray(1) };
      } else if (this.#over) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  close(): void {
    // A paused socket would not hear the other side's goodbye.
    this.#webSocket.resume();
    this.#webSocket.close(1000);
  }
}

async function refusal(response: AsyncIterable<Buffer>, httpCode: number): Promise<ApiError> {
  let body = '';
  try {
    for await (const chunk of response) if (body.length < refusalBytesMax) body += chunk.toString('utf8');
    return ApiError.fromStatus(JSON.parse(body) as Partial<Status>, httpCode);
  } catch {
    return ApiError.fromStatus(body ? { message: body } : {}, httpCode);
  }
}
