// log-request.ts: from a request for a log, as it comes through the tunnel, to the attempt that is meant and its bytes.

import { ApiError } from '../api/errors.js';
import type { LogTunnelRequest } from '../api/protocol.js';
import type { Clock } from '../lib/clock.js';
import { readLog } from './log-reader.js';
import type { LogStore } from './log-store.js';

/** @throws ApiError NotFound when the attempt's output is not here */
export function requestedLog(logs: LogStore, request: LogTunnelRequest, clock: Clock, signal: AbortSignal): AsyncGenerator<Buffer> {
  let found = logs.find(request.uid, request.attempt);
  if (found && request.previous) {
    const current = Number(/-(\d+)(?:\.\d+)?$/.exec(found.key)![1]);
    found = logs.find(request.uid, current - 1);
  }
  if (!found) {
    const which = request.attempt === undefined ? '' : ` of attempt ${request.attempt}`;
    throw new ApiError('NotFound', `the log${which} of task "${request.name}" is not on its node: it has not started there, or its log was removed to save room`);
  }
  const { key, dir } = found;
  return readLog({
    dir,
    follow: request.follow,
    ...(request.tailLines === undefined ? {} : { tailLines: request.tailLines }),
    ...(request.limitBytes === undefined ? {} : { limitBytes: request.limitBytes }),
    ...(request.timestamps ? { timestamps: true } : {}),
    ...sinceOf(request, clock),
    timesAfter: (end) => logs.times.entriesAfter(key, end),
    running: () => logs.isRunning(key),
    onEnd: (handler) => logs.onEnd(key, handler),
    clock,
    signal,
  });
}

function sinceOf({ sinceMs, sinceSeconds }: LogTunnelRequest, clock: Clock): { sinceMs?: number } {
  if (sinceMs !== undefined) return { sinceMs };
  return sinceSeconds === undefined ? {} : { sinceMs: clock.now() - sinceSeconds * 1_000 };
}
