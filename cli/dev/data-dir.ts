// data-dir.ts: the directory of one `dev`: made when needed, writable, and nobody else's while it runs.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { CliError } from '../failure.js';
import { unwritable } from '../serve/failures.js';

/**
 * The lock is flock's, on a file that stays open: the kernel drops it when this process ends, however that happens.
 * @throws CliError when the directory cannot be used, or another dev uses it
 */
export async function takeDataDir(dataDir: string): Promise<{ release(): void }> {
  let fd: number;
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    fd = openSync(join(dataDir, 'dev.lock'), 'a', 0o600);
  } catch (error) {
    throw new CliError(unwritable(dataDir, (error as NodeJS.ErrnoException).code ?? 'unknown'), 1, { cause: error });
  }
  const child = spawn('flock', ['-n', '3'], { stdio: ['ignore', 'ignore', 'ignore', fd] });
  const code = await once(child, 'exit').then(
    ([status]) => status as number | null,
    () => 127,
  );
  if (code === 0) return { release: () => closeSync(fd) };
  closeSync(fd);
  if (code === 127) throw new CliError('the program flock is missing; install util-linux (apt-get install util-linux)');
  throw new CliError(`another taskplane dev uses ${dataDir}; stop it (Ctrl-C where it runs), or give this one a directory of its own with --data-dir and a port with --listen`);
}
