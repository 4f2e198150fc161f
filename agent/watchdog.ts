// watchdog.ts
//
// Keeps the helper process of wrapper.ts (watchdogScript) and the files it reads:
//
//   fence/deadline       hundredths of a second of /proc/uptime; replaced by rename at each renewal of presence
//   fence/guarded/N      how to kill one attempt, in four lines; used again, because creating and emptying files is what costs, so that the rest
//                        of a longer one may follow them. Emptied when nobody used it again for a while
//   fence/watchdog       pid of the watchdog in charge
//
// It is started with the first attempt to guard, and again whenever it ends while the agent lives.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, mkdirSync, openSync, readdirSync, readFileSync, renameSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '../lib/log.js';
import type { AttemptGroup, Cgroups } from './cgroup.js';
import { readStat, uptimeCentiseconds } from './proc.js';
import { watchdogScript } from './wrapper.js';

/** More than start and end at once on a busy node. */
const openMax = 64;

export class Watchdog {
  readonly #dir: string;
  readonly #guarded: string;
  readonly #cgroups: Cgroups | undefined;
  readonly #logger: Logger;
  /** File name by attempt key. */
  readonly #slots = new Map<string, string>();
  readonly #free: string[] = [];
  /** Descriptors of files, kept open, by name. */
  readonly #open = new Map<string, number>();
  /** Free, but not emptied yet: what is listed there has ended, so that killing it finds nothing. */
  #stale: string[] = [];
  #wanted = false;
  #child: ChildProcess | undefined;

  constructor(options: { dataDir: string; cgroups: Cgroups | undefined; logger: Logger }) {
    this.#dir = join(options.dataDir, 'fence');
    this.#guarded = join(this.#dir, 'guarded');
    this.#cgroups = options.cgroups;
    this.#logger = options.logger;
    mkdirSync(this.#guarded, { recursive: true, mode: 0o700 });
    for (const slot of readdirSync(this.#guarded)) {
      const key = readFileSync(join(this.#guarded, slot), 'utf8').split('\n')[3];
      if (key) this.#slots.set(key, slot);
      else this.#free.push(slot);
    }
    writeFileSync(join(this.#dir, 'watchdog.sh'), watchdogScript, { mode: 0o600 });
  }

  /** Hundredths of a second since boot. */
  uptime(): number {
    return uptimeCentiseconds();
  }

  /** The file that a wrapper looks at before it runs a command. */
  get deadlineFile(): string {
    return join(this.#dir, 'deadline');
  }

  /** Guarded attempts may run until then. @param centiseconds of /proc/uptime */
  setDeadline(centiseconds: number): void {
    const fresh = `${this.deadlineFile}.new`;
    writeFileSync(fresh, `${Math.floor(centiseconds)}\n`, { mode: 0o600 });
    renameSync(fresh, this.deadlineFile);
    this.#emptyStale();
  }

  /** What an earlier agent set on this boot; undefined when there is none. */
  readDeadline(): number | undefined {
    try {
      return Number(readFileSync(this.deadlineFile, 'utf8'));
    } catch {
      return undefined;
    }
  }

  /** Call before the attempt's process exists. */
  guard(key: string, group: AttemptGroup | undefined, attemptDir: string): void {
    const slot = this.#slots.get(key) ?? this.#stale.pop() ?? this.#free.pop() ?? String(this.#slots.size);
    this.#slots.set(key, slot);
    this.#write(slot, `${group?.killFile ?? '-'}\n${group && !group.killFile ? group.procsFiles[0] : '-'}\n${attemptDir}\n${key}\n`);
    this.#ensure();
  }

  #write(slot: string, text: string): void {
    let fd = this.#open.get(slot);
    // Not emptied first: a file system takes that for a file being replaced, and writes it to the disk at once.
    fd ??= openSync(join(this.#guarded, slot), constants.O_CREAT | constants.O_WRONLY, 0o600);
    try {
      writeSync(fd, text, 0);
    } finally {
      if (this.#open.size < openMax) this.#open.set(slot, fd);
      else if (!this.#open.has(slot)) closeSync(fd);
    }
  }

  isGuarded(key: string): boolean {
    return this.#slots.has(key);
  }

  /** Releases all others. */
  retain(keep: ReadonlySet<string>): void {
    for (const key of [...this.#slots.keys()]) if (!keep.has(key)) this.release(key);
  }

  release(key: string): void {
    const slot = this.#slots.get(key);
    if (slot === undefined) return;
    this.#slots.delete(key);
    this.#stale.push(slot);
  }

  /** Not one by one: the next attempt to guard, a moment later, overwrites its slot anyway. */
  #emptyStale(): void {
    for (const slot of this.#stale) truncateSync(join(this.#guarded, slot));
    this.#free.push(...this.#stale);
    this.#stale = [];
  }

  /** The agent goes. The watchdog stays while there is something to guard, and then ends by itself. */
  async close(): Promise<void> {
    this.#wanted = false;
    this.#emptyStale();
    for (const fd of this.#open.values()) closeSync(fd);
    this.#open.clear();
    const child = this.#child;
    if (!child || this.#slots.size > 0) return;
    // Nothing else may be left that keeps this process from ending before the watchdog has.
    child.ref();
    const gone = once(child, 'exit');
    // With the `sleep` that it waits in, which would keep its cgroup in use.
    if (child.pid !== undefined) killGroup(child.pid);
    await gone;
  }

  #ensure(): void {
    this.#wanted = true;
    if (this.#child) return;
    const groups = this.#cgroups?.ownDirectories() ?? [];
    const top = groups.length > 0 && this.#cgroups!.helperProcsFiles().length > 0 ? join(groups.at(-1)!, '..', 'cgroup.procs') : '';
    const born = readStat(process.pid)?.startTicks ?? '0';
    const child = spawn(
      '/bin/sh',
      [join(this.#dir, 'watchdog.sh'), this.#dir, String(process.pid), born, top, ...(this.#cgroups?.helperProcsFiles() ?? []), '--', ...groups],
      { detached: true, stdio: 'ignore', cwd: '/', env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' } },
    );
    const over = (why: string): void => {
      this.#child = undefined;
      if (!this.#wanted) return;
      this.#logger.warn('the watchdog that guards tasks while the agent is away has ended; starting another', { why });
      this.#ensure();
    };
    child.once('exit', (code, signal) => over(String(signal ?? code)));
    child.once('error', (error) => {
      this.#child = undefined;
      this.#logger.error('cannot start the watchdog: if this agent dies, its tasks may run on after they were moved to another node', { error });
    });
    child.unref();
    if (child.pid !== undefined) this.#child = child;
  }
}

function killGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL');
  } catch {
    // It has ended meanwhile.
  }
}
