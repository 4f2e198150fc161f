// restart-policy.ts
//
// What follows when an attempt has ended: pure, so that every case is a row in a table (restart-policy.test.ts).

import { attemptsMax, type TaskSpec } from '../api/task.js';
import { backoffMs, type BackoffPolicy } from '../lib/backoff.js';

/** How the attempt ended, as the runner sees it. */
export interface AttemptEnd {
  exitCode: number;
  signal?: string;
  oomKilled?: boolean;
  /** The command could not be started; says why. */
  startError?: string;
  /** The agent ended it, for this reason. */
  stoppedFor?: 'DeadlineExceeded' | 'Deleted';
  startedAt?: number;
  finishedAt: number;
}

export interface RestartInput {
  end: AttemptEnd;
  spec: Pick<TaskSpec, 'restartPolicy' | 'backoffLimit' | 'activeDeadlineSeconds' | 'resources'>;
  /** Number of the attempt that ended. */
  attempt: number;
  /** Attempts before it that evictions ended: they do not count against backoffLimit. */
  evictions?: number;
  /** Ends in a row before this one that were followed by a delay. */
  delays: number;
  /** Milliseconds since the epoch after which nothing may start, if the task has a deadline. */
  deadlineAt?: number;
}

export type Decision =
  | { action: 'restart'; atMs: number; delays: number; reason: 'BackOff'; message: string }
  | { action: 'finish'; phase: 'Succeeded' | 'Failed'; reason: string; message: string };

/** 1 s, doubling to 5 min. */
export const restartBackoff: BackoffPolicy = { firstMs: 1_000, maxMs: 300_000, factor: 2 };
/** A run of at least this long starts the delays anew. */
export const healthyRunMs = 600_000;

export function decide(input: RestartInput): Decision {
  const { end, spec, attempt } = input;
  const policy = spec.restartPolicy ?? 'Never';
  const what = describeEnd(end, spec);
  if (end.stoppedFor === 'DeadlineExceeded') return fail('DeadlineExceeded', deadlineMessage(spec));
  const good = end.exitCode === 0 && end.startError === undefined;
  if (end.stoppedFor === 'Deleted') return good ? succeed(what) : fail(reasonOf(end), `stopped because the task was deleted: ${what}`);
  if (policy === 'Never' || (policy === 'OnFailure' && good)) return good ? succeed(what) : fail(reasonOf(end), what);
  const max = attemptsMax(spec);
  const used = attempt - (input.evictions ?? 0);
  if (used >= max) {
    return good ? succeed(`${what}; it was attempt ${used} of ${max}`) : fail('BackoffLimitExceeded', `${what}; it was attempt ${used} of ${max}`);
  }
  const healthy = end.startedAt !== undefined && end.finishedAt - end.startedAt >= healthyRunMs;
  const delays = healthy ? 1 : input.delays + 1;
  const delayMs = backoffMs(restartBackoff, delays);
  const atMs = end.finishedAt + delayMs;
  if (input.deadlineAt !== undefined && atMs >= input.deadlineAt) {
    return fail('DeadlineExceeded', `${what}; the next attempt would start after activeDeadlineSeconds (${spec.activeDeadlineSeconds}) are over`);
  }
  return { action: 'restart', atMs, delays, reason: 'BackOff', message: `attempt ${attempt} ended: ${what}; attempt ${attempt + 1} follows in ${delayMs / 1000} s` };
}

/** One word for how it ended. */
export function reasonOf(end: AttemptEnd): string {
  if (end.startError !== undefined) return 'StartError';
  if (end.oomKilled) return 'OOMKilled';
  return end.exitCode === 0 ? 'Completed' : 'Error';
}

export function deadlineMessage(spec: Pick<TaskSpec, 'activeDeadlineSeconds'>): string {
  return `stopped: activeDeadlineSeconds (${spec.activeDeadlineSeconds}) are over`;
}

function describeEnd(end: AttemptEnd, spec: RestartInput['spec']): string {
  if (end.startError !== undefined) return end.startError;
  if (end.oomKilled) {
    const limit = spec.resources?.limits?.['memory'];
    return limit === undefined ? 'killed: out of memory' : `killed: over its memory limit of ${limit}`;
  }
  return end.signal ? `ended by ${end.signal}` : `exit code ${end.exitCode}`;
}

function succeed(message: string): Decision {
  return { action: 'finish', phase: 'Succeeded', reason: 'Completed', message };
}

function fail(reason: string, message: string): Decision {
  return { action: 'finish', phase: 'Failed', reason, message };
}
