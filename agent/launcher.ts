// launcher.ts
//
// How the agent makes a process. Node's own way forks the agent, which copies the tables of all its memory only to throw them
// away at the exec: more than a millisecond, and every page that the agent writes afterwards costs a fault. posix_spawn (vfork)
// borrows them instead; native-launcher.ts calls it where libc can be called.

import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface LaunchSpec {
  /** Path of the program. */
  file: string;
  args: readonly string[];
  env: Readonly<Record<string, string>>;
  cwd: string;
  /** Descriptors that become 0, 1, 2 …; `ignore` is /dev/null. */
  stdio: readonly (number | 'ignore')[];
}

/** A process that leads its own session. */
export interface Launched {
  readonly pid: number;
  /** Calls `handler` once when the process has ended: soon, never before this returns. */
  onExit(handler: (code: number | null, signal: NodeJS.Signals | null) => void): void;
}

export interface Launcher {
  /** @throws an error with the kernel's `code` (EAGAIN, E2BIG, ENOENT …) when there is no process */
  launch(spec: LaunchSpec): Promise<Launched>;
}

/** By Node's own means. */
export const nodeLauncher: Launcher = {
  async launch({ file, args, env, cwd, stdio }) {
    const child = spawn(file, args, { cwd, env, detached: true, stdio: [...stdio] });
    if (child.pid === undefined) throw ((await once(child, 'error')) as [Error])[0];
    child.unref();
    return { pid: child.pid, onExit: (handler) => void child.once('exit', handler) };
  },
};
