// data-lock.ts
//
// One agent per data directory. The lock (flock) belongs to an open file of this process: the kernel drops it at the
// instant the process dies, however that happens, and no child inherits it. Node has no flock call, so util-linux's
// `flock` sets it on the file that we hand it.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';

/** @throws Error, in a sentence, when another agent has the directory or it cannot be locked */
export async function lockDataDir(dataDir: string): Promise<{ release(): void }> {
  const fd = openSync(join(dataDir, 'lock'), 'a', 0o600);
  try {
    const child = spawn('flock', ['-n', '3'], { stdio: ['ignore', 'ignore', 'ignore', fd] });
    const [code] = (await once(child, 'exit')) as [number | null];
    if (code !== 0) throw new Error(`another agent uses ${dataDir}: stop it, or give this one a data directory of its own`);
    return { release: () => closeSync(fd) };
  } catch (error) {
    closeSync(fd);
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new Error('the program flock is missing: install util-linux', { cause: error });
    throw error;
  }
}
