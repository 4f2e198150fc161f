// exec-pipes.ts
//
// Real pipes for a command's stdin, stdout and stderr. What Node makes for `stdio: 'pipe'` are sockets, and those cannot be
// opened by name: `echo oops >/dev/stderr` in a script would fail. So they are made as named pipes, opened at both ends, and
// unlinked; the command's ends belong to its user, for the same reason.

import { execFile } from 'node:child_process';
import { chownSync, closeSync, constants, openSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

export interface Pipe {
  read: number;
  write: number;
}

/**
 * Makes one pipe per name; the caller closes all descriptors. `dir` must be closed to others.
 * @throws Error when there is no room for more files
 */
export async function makePipes<Name extends string>(dir: string, names: readonly Name[], owner: { uid: number; gid: number } | undefined): Promise<Map<Name, Pipe>> {
  const pipes = new Map<Name, Pipe>();
  if (names.length === 0) return pipes;
  await makeFifos(names.map((name) => join(dir, name)), owner);
  try {
    for (const name of names) {
      const path = join(dir, name);
      pipes.set(name, openBothEnds(path));
      unlinkSync(path);
    }
    return pipes;
  } catch (error) {
    for (const { read, write } of pipes.values()) [read, write].forEach((fd) => closeSync(fd));
    throw error;
  }
}

/** Named pipes that only `owner` (the agent's user when absent) may open. */
export async function makeFifos(paths: readonly string[], owner: { uid: number; gid: number } | undefined): Promise<void> {
  await promisify(execFile)('mkfifo', ['-m', '600', '--', ...paths]);
  if (owner) for (const path of paths) chownSync(path, owner.uid, owner.gid);
}

/** Two descriptions, so that one end may be non-blocking and the other not. Neither open waits: for a moment the pipe is open both ways. */
export function openBothEnds(path: string): Pipe {
  const both = openSync(path, constants.O_RDWR);
  try {
    const read = openSync(path, constants.O_RDONLY);
    try {
      return { read, write: openSync(path, constants.O_WRONLY) };
    } catch (error) {
      closeSync(read);
      throw error;
    }
  } finally {
    closeSync(both);
  }
}
