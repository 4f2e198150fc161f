import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { encodeFrame, FrameReader, framePayloadBytesMax, type Frame } from './stream-frames.js';

describe('frames', () => {
  it('come out as they went in, however the bytes are cut', () => {
    const frame = fc.record({ channel: fc.integer({ min: 0, max: 255 }), payload: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)) });
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 20 }), fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }), (frames, cuts) => {
        const bytes = Buffer.concat(frames.map(({ channel, payload }) => encodeFrame(channel, payload)));
        const reader = new FrameReader();
        const read: Frame[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const size = cuts[turn % cuts.length]!;
          for (const { channel, payload } of reader.read(bytes.subarray(at, at + size))) read.push({ channel, payload: Buffer.from(payload) });
          at += size;
        }
        expect(read).toEqual(frames);
      }),
    );
  });

  it('of an absurd length are refused before they are waited for', () => {
    const header = Buffer.from([1, 0, 0, 0, 0]);
    header.writeUInt32BE(framePayloadBytesMax + 1, 1);
    expect(() => [...new FrameReader().read(header)]).toThrow(RangeError);
  });
});
