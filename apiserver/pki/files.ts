// files.ts: secrets on disk. A file appears whole or not at all, readable by its owner only.

import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

export async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

export async function makePrivateDir(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
}

/** Replaces `path`, after the new text is on disk. */
export async function writeSecret(path: string, text: string): Promise<void> {
  await makePrivateDir(dirname(path));
  const next = `${path}.new`;
  const file = await open(next, 'w', 0o600);
  try {
    // An older file of this name may have had other rights.
    await file.chmod(0o600);
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(next, path);
}
