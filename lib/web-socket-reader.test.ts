import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { webSocketOpcodes, WebSocketReader } from './web-socket-reader.js';

const { binary, close, continuation, ping, pong, text } = webSocketOpcodes;

interface Frame {
  opcode: number;
  payload?: Buffer;
  isFinal?: boolean;
  first?: number;
  masked?: boolean;
}

function frame({ opcode, payload = Buffer.alloc(0), isFinal = true, first = 0, masked = true }: Frame): Buffer {
  const { length } = payload;
  const lengthBytes = length < 126 ? 0 : length < 65_536 ? 2 : 8;
  const head = Buffer.alloc(2 + lengthBytes);
  head[0] = (isFinal ? 0x80 : 0) | opcode | first;
  head[1] = (masked ? 0x80 : 0) | (lengthBytes === 0 ? length : lengthBytes === 2 ? 126 : 127);
  if (lengthBytes === 2) head.writeUInt16BE(length, 2);
  if (lengthBytes === 8) head.writeBigUInt64BE(BigInt(length), 2);
  const mask = Buffer.from([7, 200, 3, 91]);
  return Buffer.concat([head, ...(masked ? [mask] : []), payload.map((byte, index) => (masked ? byte ^ mask[index % 4]! : byte))]);
}

function readerOf(messageBytesMax = 100_000): { reader: WebSocketReader; told: string[] } {
  const told: string[] = [];
  const reader = new WebSocketReader({
    messageBytesMax,
    events: {
      message: (payload) => told.push(payload.toString('latin1')),
      ping: (payload) => told.push(`ping ${payload.toString('latin1')}`),
      pong: () => told.push('pong'),
      close: () => told.push('close'),
    },
  });
  return { reader, told };
}

describe('WebSocketReader', () => {
  it('reads the same however the bytes arrive', () => {
    const sizes = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.constantFrom(125, 126, 65_535, 65_536));
    const messages = fc.array(fc.tuple(sizes, fc.integer({ min: 1, max: 4 }), fc.boolean()), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(messages, fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 20 }), (given, pieces) => {
        const expected: string[] = [];
        const frames = given.flatMap(([size, parts, pings], index) => {
          const payload = Buffer.alloc(size, String.fromCharCode(97 + index));
          if (pings) expected.push('ping x');
          expected.push(payload.toString('latin1'));
          return Array.from({ length: parts }, (_, part) => [
            frame({ opcode: part === 0 ? binary : continuation, isFinal: part === parts - 1, payload: payload.subarray(Math.floor((size * part) / parts), Math.floor((size * (part + 1)) / parts)) }),
            ...(pings && part === 0 ? [frame({ opcode: ping, payload: Buffer.from('x') })] : []),
          ])
            .flat();
        });
        const all = Buffer.concat(frames);
        const { reader, told } = readerOf();
        for (let at = 0, turn = 0; at < all.length; turn++) {
          const size = pieces[turn % pieces.length]!;
          reader.take(Buffer.from(all.subarray(at, at + size)));
          at += size;
        }
        expect([...told].sort()).toEqual([...expected].sort());
        expect(told.filter((line) => !line.startsWith('ping'))).toEqual(expected.filter((line) => !line.startsWith('ping')));
      }),
      { numRuns: 50 },
    );
  });

  it.each([
    ['a frame that is not masked', { opcode: binary, masked: false }, 1002],
    ['reserved bits', { opcode: binary, first: 0x40 }, 1002],
    ['text', { opcode: text }, 1003],
    ['an unknown kind', { opcode: 3 }, 1002],
    ['a continuation of nothing', { opcode: continuation }, 1002],
    ['a control frame in parts', { opcode: ping, isFinal: false }, 1002],
    ['a long control frame', { opcode: pong, payload: Buffer.alloc(126) }, 1002],
    ['a message that is too long', { opcode: binary, payload: Buffer.alloc(1_001) }, 1009],
  ])('refuses %s', (_, bad, code) => {
    const { reader, told } = readerOf(1_000);
    expect(() => reader.take(frame(bad))).toThrow(expect.objectContaining({ code }));
    reader.take(frame({ opcode: binary }));
    expect(told).toEqual([]);
  });

  it('refuses a message that is too long in parts, and a new one before the last has ended', () => {
    const { reader } = readerOf(1_000);
    reader.take(frame({ opcode: binary, isFinal: false, payload: Buffer.alloc(600) }));
    expect(() => reader.take(frame({ opcode: continuation, payload: Buffer.alloc(600) }))).toThrow(expect.objectContaining({ code: 1009 }));
    const other = readerOf().reader;
    other.take(frame({ opcode: binary, isFinal: false }));
    expect(() => other.take(frame({ opcode: binary }))).toThrow(expect.objectContaining({ code: 1002 }));
  });

  it('reads nothing after a close', () => {
    const { reader, told } = readerOf();
    reader.take(Buffer.concat([frame({ opcode: pong }), frame({ opcode: close }), frame({ opcode: binary, payload: Buffer.from('late') })]));
    expect(told).toEqual(['pong', 'close']);
  });
});
