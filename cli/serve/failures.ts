// failures.ts: why a server cannot start, in one sentence for the one who started it.

import { CliError } from '../failure.js';

/** The error itself when it is not one that a user can do something about. */
export function startFailure(error: unknown, { listen, dataDir }: { listen: string; dataDir: string }): unknown {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    const { code, path } = cause as NodeJS.ErrnoException;
    const options = { cause: error };
    if (code === 'EADDRINUSE') return new CliError(`${listen} is in use, by another Taskplane perhaps; stop that one, or choose another address with --listen (port 0 picks a free one)`, 1, options);
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') return new CliError(`${listen} is no address of this machine; choose another with --listen`, 1, options);
    if (code === 'EACCES' && cause.message.startsWith('listen')) return new CliError(`this user may not listen on ${listen}; choose a port above 1023 with --listen`, 1, options);
    if (['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST', 'ENOSPC'].includes(code ?? '')) return new CliError(unwritable(path ?? dataDir, code!), 1, options);
  }
  return error;
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'permission denied', EPERM: 'not permitted', EROFS: 'the file system is read-only', ENOTDIR: 'a part of the path is no directory', EEXIST: 'it is no directory', ENOSPC: 'the disk is full',
};

export function unwritable(path: string, code: string): string {
  return `cannot write to ${path}: ${reasons[code] ?? code}; choose another directory with --data-dir`;
}
