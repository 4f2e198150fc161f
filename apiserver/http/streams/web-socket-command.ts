// web-socket-command.ts: exec and attach over the channels of a WebSocket.

import type { Status } from '../../../api/errors.js';
import { channels, type Frame } from '../../../api/stream-frames.js';
import { encodeStatus } from './command-status.js';
import type { CommandClient } from './remote-command.js';
import type { CommandOptions } from './stream-request.js';
import type { ChannelProtocol } from './web-socket-protocols.js';
import type { ChannelSocket } from './web-socket.js';

const normalClosure = 1000;

export class WebSocketCommand implements CommandClient {
  readonly #socket: ChannelSocket;
  readonly #protocol: ChannelProtocol;

  constructor(options: { socket: ChannelSocket; protocol: ChannelProtocol; command: CommandOptions }) {
    this.#socket = options.socket;
    this.#protocol = options.protocol;
    // As Kubernetes does: it tells the client that the connection stands.
    const { stdout, stderr } = options.command;
    if (stdout || stderr) void this.#socket.send(stdout ? channels.stdout : channels.stderr, Buffer.alloc(0));
  }

  get gone(): AbortSignal {
    return this.#socket.gone;
  }

  async forward(send: (frame: Frame) => Promise<void>): Promise<void> {
    for await (const { channel, data } of this.#socket.messages()) await send({ channel, payload: data });
  }

  write(channel: number, data: Buffer): Promise<void> {
    return this.#socket.send(channel, data);
  }

  /** With any other code than a normal one, kubectl shows that instead of what the status says. */
  finish(status: Status): void {
    const text = encodeStatus(status, this.#protocol.jsonStatus);
    if (text.length > 0) void this.#socket.send(channels.status, text);
    this.#socket.close(normalClosure);
  }
}
