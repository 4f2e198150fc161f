// frame-input.ts: what a client sends to a command (api/stream-frames.ts), given to the command no faster than it reads.

import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { ApiError } from '../../api/errors.js';
import { channels, FrameReader, type Frame } from '../../api/stream-frames.js';
import { StreamClosedError, type MuxStream } from '../../lib/mux.js';

export interface FrameTarget {
  /** Where stdin goes; dropped when absent, or once it is destroyed. */
  stdin: Writable | undefined;
  resize?(size: { width: number; height: number }): void;
}

/**
 * Resolves when the client will send no more, or is gone; what is not framed as agreed resets the stream. It goes on reading
 * when the command has ended, so that the client can still say that it has, too.
 */
export async function feed(stream: MuxStream, { stdin, resize }: FrameTarget): Promise<void> {
  const reader = new FrameReader();
  try {
    for await (const piece of stream) {
      for (const { channel, payload } of framesOf(stream, reader, piece)) {
        if (channel === channels.stdin && stdin) await write(stdin, payload);
        else if (channel === channels.close && payload[0] === channels.stdin) stdin?.end();
        else if (channel === channels.resize) {
          const size = sizeOf(payload);
          if (size) resize?.(size);
        }
      }
    }
    stdin?.end();
  } catch (error) {
    if (!(error instanceof StreamClosedError)) throw error;
  }
}

function* framesOf(stream: MuxStream, reader: FrameReader, piece: Buffer): Generator<Frame> {
  try {
    yield* reader.read(piece);
  } catch (error) {
    stream.reset(JSON.stringify(new ApiError('BadRequest', (error as Error).message).toStatus()));
  }
}

/** Resolves when there is room for more. */
export async function write(writable: Writable, payload: Buffer): Promise<void> {
  if (writable.destroyed || writable.writableEnded || writable.write(payload)) return;
  const over = new AbortController();
  const { signal } = over;
  await Promise.race([once(writable, 'drain', { signal }), once(writable, 'close', { signal })].map((event) => event.catch(() => undefined)));
  over.abort();
}

/** Undefined for what is no size; clients send whatever their terminals say. */
function sizeOf(payload: Buffer): { width: number; height: number } | undefined {
  let size: unknown;
  try {
    size = JSON.parse(payload.toString('utf8'));
  } catch {
    return undefined;
  }
  const { Width: width, Height: height } = (size ?? {}) as { Width?: unknown; Height?: unknown };
  return isCount(width) && isCount(height) ? { width, height } : undefined;
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 65_535;
}
