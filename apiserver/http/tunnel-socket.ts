// tunnel-socket.ts
//
// The server's end of a tunnel's WebSocket, on the connection itself: one buffer and one write per message, no object per frame. An agent's
// renewals and deliveries are small messages, and the library for WebSockets took a third of their time. Our agents' protocol needs
// no extension of the standard and no text.

import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { badRequest } from '../../api/errors.js';
import type { MessageChannel } from '../../lib/mux.js';
import { webSocketOpcodes, WebSocketProtocolError, WebSocketReader } from '../../lib/web-socket-reader.js';
import { switchProtocols } from './streams/raw-reply.js';

const messageBytesMax = 1024 * 1024;
/** An agent that leaves more than this unread is not listened to until it has read: each question that is taken brings an answer. */
const unreadBytesMax = 8 * 1024 * 1024;
const headroomBytes = 10;
const goingAway = 1001;
const normal = 1000;

/** https://www.rfc-editor.org/rfc/rfc6455#section-1.3 */
const acceptSuffix = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const keyPattern = /^[+/0-9A-Za-z]{22}==$/;

/** @throws ApiError BadRequest when it is not the opening handshake of a WebSocket */
export function checkHandshake({ headers }: IncomingMessage): void {
  if (headers.upgrade?.toLowerCase() !== 'websocket') throw badRequest('the header Upgrade must be "websocket"');
  if (headers['sec-websocket-version'] !== '13') throw badRequest('the header Sec-WebSocket-Version must be 13');
  if (!keyPattern.test(headers['sec-websocket-key'] ?? '')) throw badRequest('the header Sec-WebSocket-Key must be 16 bytes in base64');
}

/** Answers the handshake, which has been checked. */
export function acceptTunnel({ headers }: IncomingMessage, socket: Duplex, protocol: string): TunnelSocket {
  const accept = createHash('sha1').update(`${headers['sec-websocket-key']}${acceptSuffix}`).digest('base64');
  switchProtocols(socket, { Upgrade: 'websocket', 'Sec-WebSocket-Accept': accept, 'Sec-WebSocket-Protocol': protocol });
  return new TunnelSocket(socket as Socket);
}

export class TunnelSocket implements MessageChannel {
  readonly headroomBytes = headroomBytes;
  readonly #socket: Socket;
  readonly #reader: WebSocketReader;
  #onMessage: (message: Buffer) => void = () => undefined;
  #isEnding = false;
  /** Said since the last flush, and not yet written: nearly always it is one message, which then needs no corking. */
  #first: Buffer | undefined;
  #more: Buffer[] = [];
  #unwrittenBytes = 0;
  #isReading = false;
  readonly #flush: () => void;
  // What goes over it in both directions shows both sides that it lives; only a silent one is pinged.
  #heard = true;
  #said = false;
  #answered = true;

  constructor(socket: Socket) {
    this.#socket = socket;
    const heard = (): void => void (this.#heard = this.#answered = true);
    this.#reader = new WebSocketReader({
      messageBytesMax,
      events: {
        message: (payload) => {
          heard();
          this.#onMessage(payload);
        },
        ping: (payload) => this.#write(webSocketOpcodes.pong, withHeadroom(payload)),
        pong: () => void (this.#answered = true),
        close: () => this.#end(normal),
      },
    });
    this.#flush = () => this.#writeOut();
    // As it may have been told to give up on a silent connection while it spoke HTTP.
    socket.setTimeout(0);
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.read(chunk));
    socket.on('drain', () => socket.resume());
    // The agent has left; what was on its way to it has no reader.
    socket.on('end', () => socket.destroy());
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength + this.#unwrittenBytes;
  }

  /** What arrived along with the handshake comes by here, too. */
  read(chunk: Buffer): void {
    if (this.#isEnding) return;
    this.#isReading = true;
    try {
      this.#reader.take(chunk);
    } catch (error) {
      if (!(error instanceof WebSocketProtocolError)) throw error;
      this.#end(error.code);
    } finally {
      this.#isReading = false;
      this.#writeOut();
    }
  }

  send(message: Buffer): void {
    this.#said = true;
    this.#write(webSocketOpcodes.binary, message);
  }

  onMessage(handler: (message: Buffer) => void): void {
    this.#onMessage = handler;
  }

  onClose(handler: () => void): void {
    this.#socket.once('close', handler);
  }

  close(): void {
    this.#end(normal);
  }

  /** The server stops. */
  leave(): void {
    this.#end(goingAway);
  }

  /** Called from time to time: a peer that was silent since, also when it was asked, is dead, whatever TCP thinks. */
  look(): void {
    if (!this.#heard && !this.#answered) return void this.#socket.destroy();
    if (!this.#heard || !this.#said) {
      this.#answered = false;
      this.#write(webSocketOpcodes.ping, withHeadroom(none));
    }
    this.#heard = this.#said = false;
  }

  /** Says why, and ends the connection when that is sent. A peer that does not take it is found by `look`. */
  #end(code: number): void {
    if (this.#isEnding) return;
    const why = Buffer.allocUnsafe(2);
    why.writeUInt16BE(code, 0);
    this.#write(webSocketOpcodes.close, withHeadroom(why));
    this.#isEnding = true;
    this.#writeOut();
    // It has two looks' time for that.
    this.#heard = false;
    this.#answered = true;
    // What still arrives is nobody's; unread it would keep the connection from ending.
    this.#socket.resume();
    this.#socket.end();
  }

  /** @param message with room for the header in front; it is not copied */
  #write(opcode: number, message: Buffer): void {
    if (this.#isEnding || !this.#socket.writable) return;
    const length = message.length - headroomBytes;
    let start: number;
    if (length < 126) {
      start = headroomBytes - 2;
      message[start + 1] = length;
    } else if (length < 0x1_0000) {
      start = headroomBytes - 4;
      message[start + 1] = 126;
      message.writeUInt16BE(length, start + 2);
    } else {
      start = 0;
      message[1] = 127;
      message.writeUInt32BE(0, 2);
      message.writeUInt32BE(length, 6);
    }
    message[start] = 0x80 | opcode;
    // What is said in one turn, or in answer to what arrived together, goes out together: the end of a stream with its last bytes.
    const frame = start === 0 ? message : message.subarray(start);
    this.#unwrittenBytes += frame.length;
    if (this.#first) return void this.#more.push(frame);
    this.#first = frame;
    if (!this.#isReading) process.nextTick(this.#flush);
  }

  #writeOut(): void {
    const first = this.#first;
    if (!first) return;
    this.#first = undefined;
    this.#unwrittenBytes = 0;
    const socket = this.#socket;
    const more = this.#more;
    if (more.length > 0) this.#more = [];
    if (!socket.writable) return;
    if (more.length === 0) {
      socket.write(first);
    } else {
      socket.cork();
      socket.write(first);
      for (const frame of more) socket.write(frame);
      socket.uncork();
    }
    if (socket.writableLength > unreadBytesMax) socket.pause();
  }
}

const none = Buffer.alloc(0);

function withHeadroom(payload: Buffer): Buffer {
  const message = Buffer.allocUnsafe(headroomBytes + payload.length);
  payload.copy(message, headroomBytes);
  return message;
}
