// outcome.ts: the last word on a stream, as the kubelet says it.
// https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/kubelet/pkg/cri/streaming/remotecommand/exec.go

import { ApiError, type Status } from '../../api/errors.js';
import { channels, encodeFrame } from '../../api/stream-frames.js';
import { sleep, type Clock } from '../../lib/clock.js';
import type { MuxStream } from '../../lib/mux.js';

/** Milliseconds for the other side to close its direction, too. */
const farewellMs = 10_000;

/** Without a code: no request failed. */
export type StreamStatus = Omit<Status, 'code'> & { code?: number };

export function success(): StreamStatus {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' };
}

/** How a command ended; kubectl exits with the same code. */
export function exitStatus(exitCode: number): StreamStatus {
  if (exitCode === 0) return success();
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: `command terminated with exit code ${exitCode}`,
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(exitCode) }] },
  };
}

export function internalError(message: string): StreamStatus {
  return new ApiError('InternalError', `Internal error occurred: ${message}`).toStatus();
}

/** Sends the Status and ends the stream, once the other side has done so too or was given the time. The stream must still be read by somebody. */
export async function conclude(stream: MuxStream, status: StreamStatus, clock: Clock): Promise<void> {
  try {
    await stream.write(encodeFrame(channels.status, Buffer.from(JSON.stringify(status))));
  } catch {
    // The client is gone.
    return;
  }
  stream.end();
  const closed = new AbortController();
  await Promise.race([stream.closed, sleep(clock, farewellMs, closed.signal)]);
  closed.abort();
  stream.reset('the stream is over');
}
