// native-launcher.ts
//
// posix_spawn and waitpid, called in libc through a library that is loaded with the first process: an agent that runs nothing
// does without its memory. The first process, those that need more than three descriptors, and all of them where the library or
// a function is missing, are made by Node.
//
// Node does not know these children, so nobody but this file waits for them. SIGCHLD says that some child has ended, not which:
// waitid is asked whether it is one of ours, without taking it, as those of Node are Node's to take.
//
// https://man7.org/linux/man-pages/man3/posix_spawn.3.html, https://man7.org/linux/man-pages/man2/waitid.2.html

import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import type { Logger } from '../lib/log.js';
import { nodeLauncher, type Launched, type Launcher, type LaunchSpec } from './launcher.js';

/** The functions of libc that are used here. Those that return an int give an error number (posix_spawn*) or -1 (wait*). */
interface Libc {
  spawn: { async(pid: Int32Array, path: string, actions: Buffer, attributes: Buffer, argv: readonly (string | null)[], env: readonly (string | null)[], done: (error: Error | null, result: number) => void): void };
  actionsInit(actions: Buffer): number;
  actionsDestroy(actions: Buffer): number;
  addOpen(actions: Buffer, fd: number, path: string, flags: number, mode: number): number;
  addDup2(actions: Buffer, from: number, to: number): number;
  addChdir(actions: Buffer, path: string): number;
  waitpid(pid: number, status: Int32Array, options: number): number;
  waitid(idType: number, id: number, info: Buffer, options: number): number;
  /** Own session, default actions for all signals, none blocked. */
  attributes: Buffer;
}

/** posix_spawn_file_actions_t, posix_spawnattr_t, sigset_t and siginfo_t are smaller, with glibc and musl. */
const roomBytes = 512;
const flagSetSignalDefaults = 0x04;
const flagSetSignalMask = 0x08;
const flagSetSession = 0x80;
const noHang = 1;
const anyExitLeftInPlace = { idType: 0, options: noHang | 4 | 0x0100_0000 };
/** Where siginfo_t has si_pid, on machines of 64 bits. */
const pidOffset = 16;

export interface NativeLauncherOptions {
  /** Calls the handler whenever a child of this process may have ended. @returns stops that */
  onChildEnded(handler: () => void): () => void;
  logger: Logger;
}

type ExitHandler = Parameters<Launched['onExit']>[0];

export class NativeLauncher implements Launcher {
  readonly #options: NativeLauncherOptions;
  readonly #children = new Map<number, NativeChild>();
  #libc: Libc | undefined;
  #loading: Promise<void> | undefined;
  #stopListening: (() => void) | undefined;

  constructor(options: NativeLauncherOptions) {
    this.#options = options;
  }

  async launch(spec: LaunchSpec): Promise<Launched> {
    if (!this.#loading) {
      this.#loading = this.#load();
      return nodeLauncher.launch(spec);
    }
    await this.#loading;
    const libc = this.#libc;
    if (!libc) return nodeLauncher.launch(spec);
    // Node says what is wrong with the latter.
    if (spec.stdio.length > 3 || hasZero(spec)) return nodeLauncher.launch(spec);
    const child = new NativeChild(await spawnWith(libc, spec));
    this.#children.set(child.pid, child);
    this.#stopListening ??= this.#options.onChildEnded(() => this.#reap(libc));
    // It may have ended already, when nobody here knew it.
    this.#take(libc, child);
    return child;
  }

  /** Resolves when it is known whether libc can be called; loads it. */
  ready(): Promise<void> {
    return (this.#loading ??= this.#load());
  }

  async #load(): Promise<void> {
    try {
      this.#libc = await loadLibc();
    } catch (error) {
      this.#options.logger.info('processes are started by way of a fork of the agent, which takes longer: libc cannot be called (install with optional dependencies)', { error });
    }
  }

  #reap(libc: Libc): void {
    const info = Buffer.alloc(roomBytes);
    while (this.#children.size > 0) {
      info.fill(0);
      if (libc.waitid(anyExitLeftInPlace.idType, 0, info, anyExitLeftInPlace.options) !== 0) return;
      const pid = info.readInt32LE(pidOffset);
      if (pid === 0) return;
      const child = this.#children.get(pid);
      if (child) this.#take(libc, child);
      // One of Node's is in front of ours, which have to be asked after one by one.
      else return [...this.#children.values()].forEach((each) => this.#take(libc, each));
    }
  }

  #take(libc: Libc, child: NativeChild): void {
    const status = new Int32Array(1);
    if (libc.waitpid(child.pid, status, noHang) === 0) return;
    this.#children.delete(child.pid);
    if (this.#children.size === 0) {
      this.#stopListening?.();
      this.#stopListening = undefined;
    }
    child.ended(status[0]!);
  }
}

class NativeChild implements Launched {
  #handler: ExitHandler | undefined;
  #status: number | undefined;

  constructor(readonly pid: number) {}

  onExit(handler: ExitHandler): void {
    this.#handler = handler;
    if (this.#status !== undefined) queueMicrotask(() => this.#tell());
  }

  ended(status: number): void {
    this.#status = status;
    this.#tell();
  }

  #tell(): void {
    const signal = this.#status! & 0x7f;
    this.#handler?.(signal === 0 ? (this.#status! >> 8) & 0xff : null, signal === 0 ? null : nameOf(signal));
    this.#handler = undefined;
  }
}

/** Not on this thread: it stands still until the new process has begun its program, which on a busy machine takes as long as it takes. */
async function spawnWith(libc: Libc, { file, args, env, cwd, stdio }: LaunchSpec): Promise<number> {
  const actions = Buffer.alloc(roomBytes);
  checked(libc.actionsInit(actions), 'posix_spawn_file_actions_init');
  try {
    stdio.forEach((from, to) => {
      if (from === 'ignore') checked(libc.addOpen(actions, to, '/dev/null', to === 0 ? 0 : 2, 0), 'posix_spawn_file_actions_addopen');
      else checked(libc.addDup2(actions, from, to), 'posix_spawn_file_actions_adddup2');
    });
    checked(libc.addChdir(actions, cwd), 'posix_spawn_file_actions_addchdir_np');
    const pid = new Int32Array(1);
    const environment = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    const errorNumber = await new Promise<number>((resolve, reject) => {
      libc.spawn.async(pid, file, actions, libc.attributes, [file, ...args, null], [...environment, null], (error, result) => (error ? reject(error) : resolve(result)));
    });
    checked(errorNumber, `spawn ${file}`);
    return pid[0]!;
  } finally {
    libc.actionsDestroy(actions);
  }
}

function checked(errorNumber: number, what: string): void {
  if (errorNumber === 0) return;
  const code = getSystemErrorName(-errorNumber);
  throw Object.assign(new Error(`${what} ${code}`), { code, errno: -errorNumber, syscall: what });
}

function hasZero({ args, env, cwd }: LaunchSpec): boolean {
  return cwd.includes('\0') || args.some((arg) => arg.includes('\0')) || Object.entries(env).some(([name, value]) => name.includes('\0') || value.includes('\0'));
}

function nameOf(signal: number): NodeJS.Signals {
  return (Object.entries(constants.signals).find(([, number]) => number === signal)?.[0] ?? 'SIGKILL') as NodeJS.Signals;
}

/** @throws Error when there is no library for this machine, or libc lacks a function */
async function loadLibc(): Promise<Libc> {
  if (process.platform !== 'linux') throw new Error(`this is ${process.platform}`);
  const { default: koffi } = await import('koffi');
  // As many as starts under way at once, kept: made for each call they cost more than the call.
  koffi.config({ resident_async_pools: 32, async_stack_size: 64 * 1024, async_heap_size: 64 * 1024 });
  const lib = koffi.load(null);
  const libc = {
    spawn: lib.func('int posix_spawn(int *pid, const char *path, const void *actions, const void *attributes, const char **argv, const char **env)'),
    actionsInit: lib.func('int posix_spawn_file_actions_init(void *actions)'),
    actionsDestroy: lib.func('int posix_spawn_file_actions_destroy(void *actions)'),
    addOpen: lib.func('int posix_spawn_file_actions_addopen(void *actions, int fd, const char *path, int flags, unsigned int mode)'),
    addDup2: lib.func('int posix_spawn_file_actions_adddup2(void *actions, int from, int to)'),
    addChdir: lib.func('int posix_spawn_file_actions_addchdir_np(void *actions, const char *path)'),
    waitpid: lib.func('int waitpid(int pid, _Out_ int *status, int options)'),
    waitid: lib.func('int waitid(int type, unsigned int id, void *info, int options)'),
    attributes: Buffer.alloc(roomBytes),
  };
  // Not sigfillset, which leaves out the two that glibc keeps for itself and that would stay ignored.
  const every = Buffer.alloc(roomBytes, 0xff);
  lib.func('int posix_spawnattr_init(void *attributes)')(libc.attributes);
  lib.func('int posix_spawnattr_setsigdefault(void *attributes, const void *set)')(libc.attributes, every);
  lib.func('int posix_spawnattr_setsigmask(void *attributes, const void *set)')(libc.attributes, Buffer.alloc(roomBytes));
  lib.func('int posix_spawnattr_setflags(void *attributes, short flags)')(libc.attributes, flagSetSignalDefaults | flagSetSignalMask | flagSetSession);
  return libc as unknown as Libc;
}
