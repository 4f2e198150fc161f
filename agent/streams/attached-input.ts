// attached-input.ts: the stdin of a running task, for one client that is attached to it.

import { closeSync, constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { ApiError } from '../../api/errors.js';

export interface AttachedInput {
  readonly writable: Writable;
  /** The client has gone. */
  leave(): void;
}

/** @throws ApiError BadRequest when the attempt takes no input */
export function openInput(attemptsDir: string, key: string): AttachedInput {
  const path = join(attemptsDir, key, 'stdin');
  let fd: number;
  try {
    fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new ApiError('BadRequest', 'the task takes no input: its spec.stdin is not true; attach without stdin (-i)');
    throw error;
  }
  try {
    const writable = new Socket({ fd, readable: false, writable: true });
    // A task that has closed its stdin is no error.
    writable.on('error', () => undefined);
    return { writable, leave: () => void writable.destroy() };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
