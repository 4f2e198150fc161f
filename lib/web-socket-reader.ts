// web-socket-reader.ts: reads the frames that a WebSocket's client sends (RFC 6455, section 5), as few copies as there can be: nearly always one
// frame is all that has arrived.

export const webSocketOpcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** The other side broke the rules; `code` is what a close frame says of it (section 7.4.1). */
export class WebSocketProtocolError extends Error {
  override readonly name = 'WebSocketProtocolError';
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message);
  }
}

export interface WebSocketEvents {
  /** A whole message. The bytes belong to whoever takes them. */
  message(payload: Buffer): void;
  ping(payload: Buffer): void;
  pong(): void;
  /** Nothing that comes after it is read. */
  close(): void;
}

const finalBit = 0x80;
const reservedBits = 0x70;
const maskedBit = 0x80;
const lengthIn16Bits = 126;
const controlBytesMax = 125;
const maskBytes = 4;

/** Pieces in one buffer, which grows with what arrives, not with what a header says: neither many small pieces nor large claims cost much. */
class Pieces {
  #buffer: Buffer = Buffer.alloc(0);
  #bytes = 0;

  get length(): number {
    return this.#bytes;
  }

  append(piece: Buffer): Buffer {
    const bytes = this.#bytes + piece.length;
    if (bytes > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(bytes, 2 * this.#buffer.length));
      this.#buffer.copy(larger, 0, 0, this.#bytes);
      this.#buffer = larger;
    }
    piece.copy(this.#buffer, this.#bytes);
    this.#bytes = bytes;
    return this.#buffer.subarray(0, bytes);
  }
}

export class WebSocketReader {
  readonly #events: WebSocketEvents;
  readonly #messageBytesMax: number;
  /** What has arrived of a frame that is not whole. */
  #held: Pieces | undefined;
  /** The frames so far of a message whose last one has not come. */
  #fragments: Pieces | undefined;
  #over = false;

  constructor(options: { events: WebSocketEvents; messageBytesMax: number }) {
    this.#events = options.events;
    this.#messageBytesMax = options.messageBytesMax;
  }

  /** @param arrived is changed: what it holds is unmasked in place. @throws WebSocketProtocolError, once; then nothing more is read */
  take(arrived: Buffer): void {
    if (this.#over) return;
    const data = this.#held ? this.#held.append(arrived) : arrived;
    let at = 0;
    try {
      for (let end = this.#frame(data, 0); end !== undefined; end = this.#frame(data, at)) at = end;
    } catch (error) {
      this.#over = true;
      throw error;
    }
    if (at === data.length || this.#over) {
      this.#held = undefined;
    } else if (at > 0 || !this.#held) {
      // A copy, as what came before it belongs to others now.
      this.#held = new Pieces();
      this.#held.append(data.subarray(at));
    }
  }

  /** @returns where the frame at `at` ends; undefined while it is not whole */
  #frame(data: Buffer, at: number): number | undefined {
    if (this.#over || data.length - at < 2) return undefined;
    const first = data[at]!;
    const second = data[at + 1]!;
    if (first & reservedBits) throw new WebSocketProtocolError(1002, 'reserved bits are set');
    if (!(second & maskedBit)) throw new WebSocketProtocolError(1002, 'a frame is not masked');
    let length = second & ~maskedBit;
    let start = at + 2;
    if (length === lengthIn16Bits) {
      if (data.length < start + 2) return undefined;
      length = data.readUInt16BE(start);
      start += 2;
    } else if (length > lengthIn16Bits) {
      if (data.length < start + 8) return undefined;
      length = data.readUInt32BE(start) * 2 ** 32 + data.readUInt32BE(start + 4);
      start += 8;
    }
    const isFinal = (first & finalBit) !== 0;
    const opcode = first & 0x0f;
    this.#check(opcode, isFinal, length);
    start += maskBytes;
    const end = start + length;
    if (end > data.length) return undefined;
    unmask(data, start, end);
    this.#take(opcode, isFinal, data.subarray(start, end));
    return end;
  }

  #check(opcode: number, isFinal: boolean, length: number): void {
    const { continuation, text, binary, close, pong } = webSocketOpcodes;
    if (opcode >= close && opcode <= pong) {
      if (!isFinal || length > controlBytesMax) throw new WebSocketProtocolError(1002, 'a control frame is too long, or not whole');
      return;
    }
    if (opcode === text) throw new WebSocketProtocolError(1003, 'messages are binary');
    if (opcode !== (this.#fragments ? continuation : binary)) throw new WebSocketProtocolError(1002, 'the kind of a frame is unknown, or not its turn');
    if ((this.#fragments?.length ?? 0) + length > this.#messageBytesMax) throw new WebSocketProtocolError(1009, `a message is longer than ${this.#messageBytesMax} bytes`);
  }

  #take(opcode: number, isFinal: boolean, payload: Buffer): void {
    const { close, ping, pong } = webSocketOpcodes;
    if (opcode === ping) return this.#events.ping(payload);
    if (opcode === pong) return this.#events.pong();
    if (opcode === close) {
      this.#over = true;
      return this.#events.close();
    }
    if (isFinal && !this.#fragments) return this.#events.message(payload);
    this.#fragments ??= new Pieces();
    const message = this.#fragments.append(payload);
    if (!isFinal) return;
    this.#fragments = undefined;
    this.#events.message(message);
  }
}

function unmask(data: Buffer, start: number, end: number): void {
  const a = data[start - 4]!;
  const b = data[start - 3]!;
  const c = data[start - 2]!;
  const d = data[start - 1]!;
  let at = start;
  for (const last = end - 3; at < last; at += 4) {
    data[at]! ^= a;
    data[at + 1]! ^= b;
    data[at + 2]! ^= c;
    data[at + 3]! ^= d;
  }
  if (at < end) data[at]! ^= a;
  if (at + 1 < end) data[at + 1]! ^= b;
  if (at + 2 < end) data[at + 2]! ^= c;
}
