// stream-frames.ts
//
// Several channels in one stream of bytes, between API server and agent: exec and attach. A frame is
//
//   channel (1 byte)   length of the payload (4 bytes, big-endian)   payload
//
// Channels are those of Kubernetes' v5.channel.k8s.io. The agent ends with one frame on `status`: a v1 Status in JSON, as Kubernetes words it
// (Success; or Failure with reason NonZeroExitCode and a cause ExitCode; or Failure with reason InternalError).

export const channels = {
  stdin: 0,
  stdout: 1,
  stderr: 2,
  status: 3,
  /** Payload `{"Width":W,"Height":H}`. */
  resize: 4,
  /** Payload: the number of one channel, which has ended (stdin, as a rule). */
  close: 255,
} as const;

const headerBytes = 5;
/** Far above what anybody sends at once. */
export const framePayloadBytesMax = 1024 * 1024;

export interface Frame {
  channel: number;
  payload: Buffer;
}

export function encodeFrame(channel: number, payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(headerBytes + payload.length);
  frame[0] = channel;
  frame.writeUInt32BE(payload.length, 1);
  frame.set(payload, headerBytes);
  return frame;
}

/** Puts frames together from pieces of any size. One per direction. */
export class FrameReader {
  #pieces: Buffer[] = [];
  #bytes = 0;

  /** The frames that are complete with this piece. @throws RangeError for a frame that is longer than anybody sends */
  *read(piece: Buffer): Generator<Frame> {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    while (this.#bytes >= headerBytes) {
      const header = this.#join(headerBytes);
      const length = header.readUInt32BE(1);
      if (length > framePayloadBytesMax) throw new RangeError(`a frame of ${length} bytes: at most ${framePayloadBytesMax} are sent`);
      if (this.#bytes < headerBytes + length) return;
      const frame = this.#join(headerBytes + length);
      this.#drop(headerBytes + length);
      yield { channel: frame[0]!, payload: frame.subarray(headerBytes, headerBytes + length) };
    }
  }

  /** The first pieces as one that holds at least `bytes`. */
  #join(bytes: number): Buffer {
    if (this.#pieces[0]!.length < bytes) this.#pieces = [Buffer.concat(this.#pieces)];
    return this.#pieces[0]!;
  }

  #drop(bytes: number): void {
    const rest = this.#pieces[0]!.subarray(bytes);
    this.#bytes -= bytes;
    if (rest.length > 0) this.#pieces[0] = rest;
    else this.#pieces.shift();
  }
}
