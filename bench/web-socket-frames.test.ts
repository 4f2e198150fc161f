import { describe, expect, it } from '@jest/globals';
import { encodeFrame, FrameReader, opcodes } from './web-socket-frames.js';

/** As a server writes: not masked. */
function unmasked(opcode: number, payload: Buffer): Buffer {
  const length = payload.length < 126 ? Buffer.from([payload.length]) : payload.length < 65_536 ? Buffer.from([126, payload.length >> 8, payload.length & 255]) : Buffer.from([127, 0, 0, 0, 0, 0, payload.length >> 16, (payload.length >> 8) & 255, payload.length & 255]);
  return Buffer.concat([Buffer.from([0x80 | opcode]), length, payload]);
}

describe('frames of a WebSocket', () => {
  it('are masked, by another mask each time', () => {
    const hello = Buffer.from('Hello');
    const [first, second] = [encodeFrame(opcodes.binary, hello), encodeFrame(opcodes.binary, hello)];
    expect([...first.subarray(0, 2)]).toEqual([0x82, 0x85]);
    const plain = Buffer.from(first.subarray(6).map((byte, index) => byte ^ first[2 + (index % 4)]!));
    expect(plain.toString()).toBe('Hello');
    expect(first.subarray(2, 6)).not.toEqual(second.subarray(2, 6));
  });

  it.each([[0, 2], [125, 2], [126, 4], [65_535, 4], [65_536, 10]])('of %i bytes say so in %i', (length, header) => {
    expect(encodeFrame(opcodes.binary, Buffer.alloc(length)).length).toBe(header + 4 + length);
  });

  it('are read however the network cut them', () => {
    const sent: [number, Buffer][] = [[opcodes.binary, Buffer.alloc(70_000, 1)], [opcodes.ping, Buffer.alloc(0)], [opcodes.binary, Buffer.alloc(300, 2)], [opcodes.binary, Buffer.from('x')]];
    const bytesOf = (frames: typeof sent): Buffer => Buffer.concat(frames.map(([opcode, payload]) => unmasked(opcode, payload)));
    for (const [frames, step] of [[sent.slice(1), 1], [sent.slice(1), 3], [sent, 4_096], [sent, 1e6]] as const) {
      const bytes = bytesOf([...frames]);
      const read: [number, Buffer][] = [];
      const reader = new FrameReader((opcode, payload) => void read.push([opcode, payload]));
      for (let at = 0; at < bytes.length; at += step) reader.take(bytes.subarray(at, at + step));
      expect(read).toEqual(frames);
    }
  });
});
