// attempt-outcome.ts: what the end of an attempt means, given why the agent stopped it, if it did. Pure.

import { isVanished, type Usage } from './driver.js';
import type { RecordedEnd, StopReason } from './journal.js';
import type { AttemptEnd } from './restart-policy.js';

export type AttemptOutcome =
  | { kind: 'ended'; end: AttemptEnd; usage: Usage | undefined }
  /** Stopped, or not begun (without an end), because the task is to leave the node. */
  | { kind: 'evicted'; end?: AttemptEnd; usage?: Usage | undefined }
  | { kind: 'lost'; reason: string; message: string }
  /** Deleted or too late before it was started. */
  | { kind: 'unstarted' }
  /** Nothing is to be said of it. */
  | { kind: 'dropped' };

export function judge(end: RecordedEnd, stop: StopReason | undefined, nodeName: string): AttemptOutcome {
  const wasKilled = isVanished(end) || end.killed === true;
  if (stop === 'AgentStopped') return { kind: 'lost', reason: 'AgentStopped', message: 'stopped together with the agent of its node' };
  if (stop === 'Fenced' && wasKilled) return { kind: 'lost', reason: 'NodeLost', message: `node ${nodeName} lost touch with the API server and stopped it` };
  if (isVanished(end) && !stop) return { kind: 'lost', reason: 'Lost', message: 'its process is gone without an exit code: the machine was restarted, or everything was killed from outside' };
  const ended = isVanished(end) ? { exitCode: 137, signal: 'SIGKILL', oomKilled: false, finishedAt: end.finishedAt } : end;
  const attemptEnd: AttemptEnd = {
    exitCode: ended.exitCode,
    ...(ended.signal ? { signal: ended.signal } : {}),
    ...(end.startError === undefined ? {} : { startError: end.startError }),
    oomKilled: ended.oomKilled,
    ...(stop === 'Deleted' || stop === 'DeadlineExceeded' ? { stoppedFor: stop } : {}),
    ...(end.startedAt === undefined ? {} : { startedAt: end.startedAt }),
    finishedAt: Math.round(ended.finishedAt),
  };
  return { kind: stop === 'Evicted' ? 'evicted' : 'ended', end: attemptEnd, usage: end.usage };
}
