// command.ts: what exactly to execute for a task, with the reasons why it cannot be, found out before a process exists.

import { accessSync, constants, statSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { StartError } from './driver.js';

/**
 * The program as a path, so that the shell never takes it for a word of its own.
 * @param asRoot whether the agent may look everywhere; without that, or for another user, execute rights are left to the kernel
 * @throws StartError
 */
export function resolveProgram(program: string, path: string, cwd: string): string {
  if (program.includes('/')) {
    const problem = executableProblem(isAbsolute(program) ? program : resolve(cwd, program));
    if (problem === 'missing') throw new StartError(`${program}: no such file`, 127);
    if (problem) throw new StartError(`${program}: ${problem}`, 126);
    return program;
  }
  let found: string | undefined;
  for (const directory of path.split(':')) {
    const candidate = resolve(cwd, directory, program);
    const problem = executableProblem(candidate);
    if (!problem) return candidate;
    if (problem !== 'missing') found ??= `${candidate}: ${problem}`;
  }
  if (found) throw new StartError(found, 126);
  throw new StartError(`${program}: command not found in PATH (${path})`, 127);
}

/** @throws StartError when it is no directory */
export function checkWorkingDir(path: string): void {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) throw new StartError(`workingDir ${path} does not exist on this node`, 128);
  if (!stat.isDirectory()) throw new StartError(`workingDir ${path} is not a directory`, 128);
}

function executableProblem(path: string): string | undefined {
  let stat;
  try {
    stat = statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES' ? 'permission denied' : 'missing';
  }
  if (!stat) return 'missing';
  if (stat.isDirectory()) return 'is a directory';
  try {
    accessSync(path, constants.X_OK);
    return undefined;
  } catch {
    return 'is not executable';
  }
}

/** Variables whose names are no shell words: dash drops them on the way, bash hands them on. */
export function unusualNames(env: Readonly<Record<string, string>>): string[] {
  return Object.keys(env).filter((name) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name));
}
