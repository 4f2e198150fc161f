// command-status.ts: how a command ended, as the versions of the remote command protocol say it.

import type { Status } from '../../../api/errors.js';
import { isStatusReason } from '../../../api/errors.js';

/** A Failure for what is not the command's own exit code. */
export function failure(message: string, reason = 'InternalError'): Status {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', reason, message, code: 500 };
}

/** What an agent says in its last frame. */
export function statusOf(payload: Buffer): Status {
  const status = parsed(payload.toString('utf8'));
  if (!status) return failure('the agent told how the command ended in a way that the server does not understand');
  return status;
}

/** Why an agent reset a stream: a Status in JSON, or a sentence. */
export function statusOfReset(error: unknown): Status {
  const message = error instanceof Error ? error.message : String(error);
  const status = parsed(message);
  // Of what it claims only that is taken which can do no harm in a reply.
  if (status) return failure(status.message ?? 'the agent refused', isStatusReason(status.reason) ? status.reason : 'InternalError');
  return failure(message);
}

function parsed(text: string): Status | undefined {
  try {
    const status = JSON.parse(text) as Partial<Status> | null;
    const known = typeof status === 'object' && status !== null && (status.status === 'Success' || status.status === 'Failure');
    const said = typeof status?.message === 'string' || status?.message === undefined;
    return known && said ? (status as Status) : undefined;
  } catch {
    return undefined;
  }
}

/** As JSON since v4; before that a sentence, and nothing at all of a success. */
export function encodeStatus(status: Status, asJson: boolean): Buffer {
  if (asJson) return Buffer.from(JSON.stringify(status));
  return Buffer.from(status.status === 'Success' ? '' : (status.message ?? 'the command failed'));
}
