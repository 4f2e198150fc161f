// stdin.ts
//
// The input of a task that takes any (spec.stdin): a named pipe `stdin` in the attempt's directory, which the command has open
// for reading and each attached client, through the agent, for writing. So that the input does not end when no client is
// there, nor when the agent is not, a small shell beside the command (inputWrapperScript in wrapper.ts) keeps the pipe open for
// writing, until somebody writes into a second pipe, `stdin-end`.

import { closeSync, constants, openSync, rmSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { ApiError } from '../api/errors.js';
import { makeFifos, openBothEnds } from './exec-pipes.js';

/** The input of a running task, for one client that is attached to it. */
export interface AttachedInput {
  readonly writable: Writable;
  /** The client has gone. Idempotent. */
  leave(): void;
}

export async function makeStdin(attemptDir: string, owner: { uid: number; gid: number } | undefined): Promise<void> {
  // A start that the machine was too busy for may have left them.
  for (const name of ['stdin', 'stdin-end']) rmSync(join(attemptDir, name), { force: true });
  await makeFifos([join(attemptDir, 'stdin')], owner);
  await makeFifos([join(attemptDir, 'stdin-end')], undefined);
}

/** For the wrapper, as its descriptors 0 (the command's), 3 and 4 (the keeper's); the caller closes them. */
export function openStdin(attemptDir: string): { command: number; keeper: [end: number, write: number]; close(): void } {
  const { read, write } = openBothEnds(join(attemptDir, 'stdin'));
  try {
    // Open both ways, so that the keeper waits although nobody writes yet.
    const end = openSync(join(attemptDir, 'stdin-end'), constants.O_RDWR);
    return { command: read, keeper: [end, write], close: () => [read, write, end].forEach((fd) => closeSync(fd)) };
  } catch (error) {
    [read, write].forEach((fd) => closeSync(fd));
    throw error;
  }
}

/**
 * @param once whether the input ends when the client leaves
 * @throws ApiError BadRequest when the attempt takes no input
 */
export function attachInput(attemptDir: string, once: boolean): AttachedInput {
  const end = open(join(attemptDir, 'stdin-end'));
  let writable: Writable;
  try {
    writable = new Socket({ fd: open(join(attemptDir, 'stdin')), readable: false, writable: true });
  } catch (error) {
    closeSync(end);
    throw error;
  }
  // A task that has closed its input is no error.
  writable.on('error', () => undefined);
  let left = false;
  const leave = (): void => {
    if (left) return;
    left = true;
    try {
      if (once) writeSync(end, '\n');
    } catch {
      // It has ended already, or the task has (EPIPE).
    } finally {
      closeSync(end);
    }
  };
  // The client may end its input and listen on.
  writable.once('close', leave);
  return { writable, leave: () => void writable.destroy() };
}

/** Both have a reader while the input has not ended. */
function open(path: string): number {
  try {
    return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new ApiError('BadRequest', 'the task takes no input: its spec.stdin is not true; attach without input (kubectl attach without -i)');
    if (code === 'ENXIO') throw new ApiError('BadRequest', 'the input of the task has ended: it has closed it, or it ends with its first client (spec.stdinOnce)');
    throw error;
  }
}
