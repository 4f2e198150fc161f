// spare-directories.ts
//
// Directories for attempts to come: one that is made ahead, and those of removed attempts, emptied. To make and remove two directories per attempt is
// what a file system takes longest for, and ext4 looks at every inode that was freed within the last minutes before it gives out one. Used again is what
// holds nothing and belongs to nobody else: the attempt's directory, which is the agent's alone, with its empty `work`. Files are never used again, as
// somebody may still read them.
//
// Given back only by attempts in cgroups, of which no process can be left that still has its feet in the directory.

import { lstatSync, mkdir, mkdirSync, readdirSync, renameSync, rmSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';

/** More than start at once. */
const sparesMax = 64;
const ownModeOnly = 0o40700;
/** A directory that held many names stays large. */
const sizeMax = 4_096;

export class SpareDirectories {
  readonly #dir: string;
  readonly #names: string[] = [];
  #made = 0;
  #making = false;

  /** Those of an earlier agent are removed: what became of them when it ended is not known. */
  constructor(dataDir: string) {
    this.#dir = join(dataDir, 'spare');
    rmSync(this.#dir, { recursive: true, force: true });
    mkdirSync(this.#dir, { mode: 0o700 });
  }

  /** Makes the directory of an attempt, with an empty `work` in it. @returns false when there is none to spare, or something is there already */
  take(path: string): boolean {
    const name = this.#names.pop();
    if (name === undefined) return false;
    try {
      renameSync(join(this.#dir, name), path);
      return true;
    } catch {
      this.#names.push(name);
      return false;
    }
  }

  /** Sees to it that there is one for the next attempt: on another thread, when nobody waits for it. */
  prepare(): void {
    if (this.#names.length > 0 || this.#making) return;
    const name = String(this.#made++);
    const path = join(this.#dir, name);
    this.#making = true;
    const over = (error: Error | null): void => {
      this.#making = false;
      // Whoever finds none makes his own, and tells what is wrong.
      if (!error) this.#names.push(name);
    };
    mkdir(path, { mode: 0o700 }, (error) => (error ? over(error) : mkdir(join(path, 'work'), { mode: 0o700 }, over)));
  }

  /** Removes what most attempts leave, and keeps the directory. @returns false when there is more in it, or there are enough */
  give(path: string): boolean {
    if (this.#names.length >= sparesMax) return false;
    try {
      for (const name of ['run', 'output.log']) unlinkSync(join(path, name));
      if (readdirSync(path).join() !== 'work' || ![path, join(path, 'work')].every(isOwn) || readdirSync(join(path, 'work')).length > 0) return false;
      const name = String(this.#made++);
      renameSync(path, join(this.#dir, name));
      this.#names.push(name);
      return true;
    } catch {
      return false;
    }
  }
}

/** As the agent has made it: the attempt may have given it away or opened it to others. */
function isOwn(path: string): boolean {
  const { mode, uid, size } = lstatSync(path);
  return mode === ownModeOnly && uid === process.getuid!() && size <= sizeMax;
}
