// frames.ts
//
// The frames of SPDY/3.1. A header of 8 bytes, then what its last 24 bits count:
//
//   control   1, version (15 bits), type (16)   flags (8), length (24)
//   data      0, stream id (31)                 flags (8), length (24)
//
// https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/#2.2-Framing

import { SpdyError } from './header-block.js';

export type SpdyFrame =
  | { type: 'syn-stream'; streamId: number; fin: boolean; block: Buffer }
  | { type: 'syn-reply'; streamId: number; fin: boolean; block: Buffer }
  | { type: 'headers'; streamId: number; fin: boolean; block: Buffer }
  | { type: 'rst-stream'; streamId: number; status: number }
  | { type: 'ping'; id: number }
  | { type: 'go-away'; lastStreamId: number; status: number }
  /** A frame, or a part of a long one: nobody has to wait for its end. */
  | { type: 'data'; streamId: number; fin: boolean; data: Buffer };

const types = { synStream: 1, synReply: 2, rstStream: 3, ping: 6, goAway: 7, headers: 8 } as const;
export const resetStatus = { protocolError: 1, invalidStream: 2, refusedStream: 3, cancel: 5 } as const;
export const goAwayStatus = { ok: 0, protocolError: 1 } as const;

const version = 3;
const headerBytes = 8;
const finFlag = 1;
const idMask = 0x7fff_ffff;
/** Of a control frame: far above what a few headers need. */
export const controlBytesMax = 64 * 1024;
const none = Buffer.alloc(0);

/** Takes a stream of bytes apart. One per connection; after an error it is of no more use. */
export class SpdyFrameReader {
  /** What does not make a header, or a control frame, yet. */
  #pending: Buffer = none;
  /** Of the data frame that is arriving. */
  #data: { streamId: number; fin: boolean; remaining: number } | undefined;

  /** The frames that `piece` completes; those that say nothing to us (settings, windows, unknown ones) are left out. @throws SpdyError */
  *read(piece: Buffer): Generator<SpdyFrame> {
    let rest = this.#pending.length > 0 ? Buffer.concat([this.#pending, piece]) : piece;
    this.#pending = none;
    while (rest.length > 0 || this.#data?.remaining === 0) {
      if (this.#data) {
        const data = rest.subarray(0, this.#data.remaining);
        rest = rest.subarray(data.length);
        yield this.#dataFrame(this.#data, data);
        continue;
      }
      if (rest.length < headerBytes) break;
      const length = rest.readUInt32BE(4) & 0xff_ffff;
      if ((rest[0]! & 0x80) === 0) {
        this.#data = { streamId: rest.readUInt32BE(0) & idMask, fin: (rest[4]! & finFlag) !== 0, remaining: length };
        rest = rest.subarray(headerBytes);
        continue;
      }
      if ((rest.readUInt16BE(0) & 0x7fff) !== version) throw new SpdyError('a frame that is not of SPDY/3');
      if (length > controlBytesMax) throw new SpdyError(`a control frame of ${length} bytes: at most ${controlBytesMax} are read`);
      if (rest.length < headerBytes + length) break;
      const frame = controlFrame(rest.readUInt16BE(2), rest[4]!, rest.subarray(headerBytes, headerBytes + length));
      rest = rest.subarray(headerBytes + length);
      if (frame) yield frame;
    }
    this.#pending = rest;
  }

  #dataFrame(of: { streamId: number; fin: boolean; remaining: number }, data: Buffer): SpdyFrame {
    of.remaining -= data.length;
    const last = of.remaining === 0;
    if (last) this.#data = undefined;
    return { type: 'data', streamId: of.streamId, fin: of.fin && last, data };
  }
}

/** @throws SpdyError */
function controlFrame(type: number, flags: number, payload: Buffer): SpdyFrame | undefined {
  const fin = (flags & finFlag) !== 0;
  const number = (at: number): number => {
    if (payload.length < at + 4) throw new SpdyError(`a control frame of type ${type} is too short`);
    return payload.readUInt32BE(at);
  };
  switch (type) {
    case types.synStream: {
      const streamId = number(0) & idMask;
      // The stream it belongs to, its priority and slot are nothing to us.
      if (payload.length < 10) throw new SpdyError('a SYN_STREAM is too short');
      return { type: 'syn-stream', streamId, fin, block: payload.subarray(10) };
    }
    case types.synReply:
      return { type: 'syn-reply', streamId: number(0) & idMask, fin, block: payload.subarray(4) };
    case types.headers:
      return { type: 'headers', streamId: number(0) & idMask, fin, block: payload.subarray(4) };
    case types.rstStream:
      return { type: 'rst-stream', streamId: number(0) & idMask, status: number(4) };
    case types.ping:
      return { type: 'ping', id: number(0) };
    case types.goAway:
      return { type: 'go-away', lastStreamId: number(0) & idMask, status: number(4) };
    default:
      return undefined;
  }
}

function control(type: number, flags: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.writeUInt16BE(0x8000 | version, 0);
  header.writeUInt16BE(type, 2);
  header.writeUInt32BE(payload.length, 4);
  header[4] = flags;
  return Buffer.concat([header, payload]);
}

function numbers(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, index) => bytes.writeUInt32BE(value, 4 * index));
  return bytes;
}

export function synStreamFrame(streamId: number, block: Buffer, fin = false): Buffer {
  return control(types.synStream, fin ? finFlag : 0, Buffer.concat([numbers(streamId, 0), Buffer.alloc(2), block]));
}

export function synReplyFrame(streamId: number, block: Buffer): Buffer {
  return control(types.synReply, 0, Buffer.concat([numbers(streamId), block]));
}

export function rstStreamFrame(streamId: number, status: number): Buffer {
  return control(types.rstStream, 0, numbers(streamId, status));
}

export function pingFrame(id: number): Buffer {
  return control(types.ping, 0, numbers(id));
}

export function goAwayFrame(lastStreamId: number, status: number): Buffer {
  return control(types.goAway, 0, numbers(lastStreamId, status));
}

/** What comes before the bytes of a data frame. */
export function dataHeader(streamId: number, length: number, fin = false): Buffer {
  const header = numbers(streamId, length);
  if (fin) header[4] = finFlag;
  return header;
}
