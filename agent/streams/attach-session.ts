// attach-session.ts
//
// A client listens to a running task. What the task writes to stdout and stderr is one log, in the order of writing, so that all
// of it arrives on stdout. The end of the attempt is the end of the stream, and a success: attach does not tell exit codes.

import type { AttachTunnelRequest } from '../../api/protocol.js';
import { channels, encodeFrame } from '../../api/stream-frames.js';
import type { Clock } from '../../lib/clock.js';
import { Deferred } from '../../lib/deferred.js';
import type { MuxStream } from '../../lib/mux.js';
import type { AttachedInput } from '../stdin.js';
import { feed } from './frame-input.js';
import { conclude, internalError, success, type StreamStatus } from './outcome.js';

export interface AttachOptions {
  stream: MuxStream;
  request: AttachTunnelRequest;
  /** The output from now to the end of the attempt. @param began called when it is certain what "now" is */
  output(began: () => void): AsyncIterable<Buffer>;
  /** Absent when the client has none to give. */
  input: AttachedInput | undefined;
  clock: Clock;
}

/** Resolves when the stream is over. */
export async function serveAttach({ stream, request, output, input, clock }: AttachOptions): Promise<void> {
  const gone = stream.closed.then(() => input?.leave());
  const channel = request.stdout ? channels.stdout : request.stderr && !request.tty ? channels.stderr : undefined;
  const began = new Deferred<void>();
  const send = async (): Promise<StreamStatus> => {
    try {
      for await (const chunk of output(() => began.resolve())) if (channel !== undefined) await stream.write(encodeFrame(channel, chunk));
      return success();
    } catch (error) {
      return internalError(`error attaching to task "${request.name}": ${(error as Error).message}`);
    }
  };
  const sending = send();
  // So that the client sees all that its input brings about.
  await Promise.race([began.promise, sending]);
  void feed(stream, { stdin: input?.writable });
  await conclude(stream, await sending, clock);
  stream.reset('the stream is over');
  await gone;
}
