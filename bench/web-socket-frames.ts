// web-socket-frames.ts: the frames of a WebSocket (RFC 6455, section 5.2) as a client writes and reads them: whole messages,
// masked on the way to the server as the standard asks.

import { randomFillSync } from 'node:crypto';

export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

const finalBit = 0x80;
const maskedBit = 0x80;
const lengthIn16Bits = 126;
const lengthIn64Bits = 127;

/** Chance is fetched in large pieces. */
const masks = Buffer.alloc(16 * 1024);
let maskAt = masks.length;

/** Room for the longest header and its mask. */
export const headroomBytes = 14;
const maskBytes = 4;

/** A masked frame that holds a whole message. */
export function encodeFrame(opcode: number, payload: Buffer): Buffer {
  const message = Buffer.allocUnsafe(headroomBytes + payload.length);
  payload.copy(message, headroomBytes);
  return frameInPlace(opcode, message);
}

/** The same where the message has room for the header in front; it is not copied, and is changed. */
export function frameInPlace(opcode: number, message: Buffer): Buffer {
  const length = message.length - headroomBytes;
  const lengthBytes = length < lengthIn16Bits ? 0 : length < 0x1_0000 ? 2 : 8;
  const start = headroomBytes - maskBytes - lengthBytes - 2;
  message[start] = finalBit | opcode;
  message[start + 1] = maskedBit | (lengthBytes === 0 ? length : lengthBytes === 2 ? lengthIn16Bits : lengthIn64Bits);
  if (lengthBytes === 2) message.writeUInt16BE(length, start + 2);
  else if (lengthBytes === 8) message.writeBigUInt64BE(BigInt(length), start + 2);
  if (maskAt === masks.length) {
    randomFillSync(masks);
    maskAt = 0;
  }
  const from = maskAt;
  maskAt += maskBytes;
  for (let index = 0; index < maskBytes; index++) message[headroomBytes - maskBytes + index] = masks[from + index]!;
  for (let index = 0; index < length; index++) message[headroomBytes + index]! ^= masks[from + (index & 3)]!;
  return message.subarray(start);
}

const none = Buffer.alloc(0);

export class FrameReader {
  #rest: Buffer = none;

  /** @param frame told of each frame; the payload is valid for as long as anyone holds it */
  constructor(private readonly frame: (opcode: number, payload: Buffer) => void) {}

  /** @throws Error for a message in several frames, which our server does not send */
  take(arrived: Buffer): void {
    let data = this.#rest.length > 0 ? Buffer.concat([this.#rest, arrived]) : arrived;
    for (let end = frameEnd(data); end !== undefined && end.at <= data.length; end = frameEnd(data)) {
      const opcode = data[0]! & 0x0f;
      if (!(data[0]! & finalBit) || opcode === opcodes.continuation) throw new Error('the server sent a message in several frames');
      const payload = data.subarray(end.start, end.at);
      data = data.subarray(end.at);
      this.frame(opcode, payload);
    }
    this.#rest = data;
  }
}

/** Where the payload of the first frame starts and ends; undefined while its header is not whole. */
function frameEnd(data: Buffer): { start: number; at: number } | undefined {
  if (data.length < 2) return undefined;
  const short = data[1]! & 0x7f;
  if (short < lengthIn16Bits) return { start: 2, at: 2 + short };
  if (short === lengthIn16Bits) return data.length < 4 ? undefined : { start: 4, at: 4 + data.readUInt16BE(2) };
  return data.length < 10 ? undefined : { start: 10, at: 10 + Number(data.readBigUInt64BE(2)) };
}
