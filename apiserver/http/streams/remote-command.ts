// remote-command.ts
//
// Exec and attach between a client, whatever it speaks (web-socket-command.ts, spdy-command.ts), and the stream to the
// agent (api/stream-frames.ts). Nothing is buffered here: each direction waits for the side that it writes to.

import type { Status } from '../../../api/errors.js';
import { channels, encodeFrame, framePayloadBytesMax, FrameReader, type Frame } from '../../../api/stream-frames.js';
import type { MuxStream } from '../../../lib/mux.js';
import { failure, statusOf, statusOfReset } from './command-status.js';
import type { CommandOptions } from './stream-request.js';

/** The client's side. */
export interface CommandClient {
  /** Input, sizes of the terminal, and the end of input, until the client has nothing more to say. `send` resolves when there is room for more. */
  forward(send: (frame: Frame) => Promise<void>): Promise<void>;
  /** Resolves when there is room for more, or the client is gone. */
  write(channel: number, data: Buffer): Promise<void>;
  /** Tells how it ended, and ends the connection. Idempotent. */
  finish(status: Status): void;
  /** Aborts when the client has gone. */
  readonly gone: AbortSignal;
}

/** Carries a command until it has ended, or its client is gone: then the stream is reset, and the agent ends the process. Never rejects. */
export async function relayCommand(client: CommandClient, agent: MuxStream, options: CommandOptions): Promise<void> {
  const gone = (): void => agent.reset('the client went away');
  client.gone.addEventListener('abort', gone, { once: true });
  if (client.gone.aborted) gone();
  // Ends by the reset below, at the latest.
  const forwarding = client.forward((frame) => sendFrame(agent, frame, options)).catch(() => undefined);
  try {
    client.finish(await relayOutput(client, agent));
  } catch (error) {
    client.finish(statusOfReset(error));
  } finally {
    agent.reset('done');
    client.gone.removeEventListener('abort', gone);
  }
  await forwarding;
}

async function relayOutput(client: CommandClient, agent: MuxStream): Promise<Status> {
  const reader = new FrameReader();
  for await (const piece of agent) {
    for (const { channel, payload } of reader.read(piece)) {
      if (channel === channels.status) return statusOf(payload);
      if (channel === channels.stdout || channel === channels.stderr) await client.write(channel, payload);
    }
  }
  return failure('the agent ended the stream before the command had ended');
}

async function sendFrame(agent: MuxStream, { channel, payload }: Frame, options: CommandOptions): Promise<void> {
  switch (channel) {
    case channels.stdin:
      if (!options.stdin) return;
      for (let at = 0; at < payload.length; at += framePayloadBytesMax) await agent.write(encodeFrame(channel, payload.subarray(at, at + framePayloadBytesMax)));
      return;
    case channels.resize: {
      const size = options.tty ? terminalSize(payload) : undefined;
      if (size) await agent.write(encodeFrame(channel, size));
      return;
    }
    case channels.close:
      if (options.stdin && payload[0] === channels.stdin) await agent.write(encodeFrame(channel, Buffer.from([channels.stdin])));
      return;
    default:
      return;
  }
}

/** As the agent is promised it; undefined for anything that is no size. */
export function terminalSize(payload: Buffer): Buffer | undefined {
  const isSize = (value: unknown): value is number => Number.isInteger(value) && (value as number) > 0 && (value as number) <= 0xffff;
  try {
    const size = JSON.parse(payload.toString('utf8')) as { Width?: unknown; Height?: unknown } | null;
    const [width, height] = [size?.Width, size?.Height];
    return isSize(width) && isSize(height) ? Buffer.from(JSON.stringify({ Width: width, Height: height })) : undefined;
  } catch {
    return undefined;
  }
}
