// web-socket.ts: a WebSocket of a client as something that waits: messages are taken one by one, and sending resolves when
// there is room for more.

import type { WebSocket } from 'ws';
import type { Clock } from '../../../lib/clock.js';
import { Inbox } from './inbox.js';
import { decodeMessage, encodeMessage, type ChannelMessage, type ChannelProtocol } from './web-socket-protocols.js';

/** Arrived and not taken. */
const inboxBytesMax = 256 * 1024;
/** Sent and not yet given to the system. */
const unsentBytesMax = 256 * 1024;
/**
 * Clients take a connection for dead that does not answer their pings, and while we hold one up we do not read them. A pong that
 * nobody asked for counts, too. kubectl waits for 61 s.
 */
const pongEveryMs = 10_000;
/** The closing handshake has this long. */
const closingMsMax = 5_000;

export class ChannelSocket {
  readonly #webSocket: WebSocket;
  readonly #protocol: ChannelProtocol;
  readonly #clock: Clock;
  readonly #inbox: Inbox<ChannelMessage>;
  readonly #gone = new AbortController();
  #closing = false;

  constructor(options: { webSocket: WebSocket; protocol: ChannelProtocol; clock: Clock }) {
    const { webSocket, protocol, clock } = options;
    this.#webSocket = webSocket;
    this.#protocol = protocol;
    this.#clock = clock;
    this.#inbox = new Inbox({ bytesMax: inboxBytesMax, bytesOf: ({ data }) => data.length + 64, pause: () => webSocket.pause(), resume: () => webSocket.resume() });
    webSocket.on('message', (data: Buffer) => {
      const message = decodeMessage(protocol, data);
      if (message) this.#inbox.push(message);
    });
    // A message that is too long, or no message at all: ws closes with the reason.
    webSocket.on('error', () => webSocket.terminate());
    const pong = (): void => {
      if (webSocket.readyState === webSocket.OPEN) webSocket.pong();
      timer = clock.timer(pongEveryMs, pong, { unref: true });
    };
    let timer = clock.timer(pongEveryMs, pong, { unref: true });
    webSocket.once('close', () => {
      timer.cancel();
      this.#inbox.end();
      this.#gone.abort();
    });
  }

  /** Aborts when the connection is over, whoever ended it. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** What arrives, until the connection is over. For one reader. */
  messages(): AsyncIterable<ChannelMessage> {
    return this.#inbox;
  }

  /** Resolves when there is room for more, or the connection is over. */
  send(channel: number, data: Buffer): Promise<void> {
    const webSocket = this.#webSocket;
    if (this.#closing || webSocket.readyState !== webSocket.OPEN) return Promise.resolve();
    const message = encodeMessage(this.#protocol, channel, data);
    if (webSocket.bufferedAmount + message.length < unsentBytesMax) {
      webSocket.send(message, ignore);
      return Promise.resolve();
    }
    // The error is that the connection is over.
    return new Promise((resolve) => webSocket.send(message, () => resolve()));
  }

  /** Ends the connection once what was sent has gone out. Idempotent. @param code RFC 6455, section 7.4 */
  close(code: number): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#inbox.discard();
    const webSocket = this.#webSocket;
    // Paused, it would not see that the client closes as well.
    webSocket.resume();
    webSocket.close(code);
    const timer = this.#clock.timer(closingMsMax, () => webSocket.terminate(), { unref: true });
    webSocket.once('close', () => timer.cancel());
  }
}

function ignore(): void {
  // The connection is over; `close` says so.
}
