// cgroup.ts
//
// Where attempts get groups of their own, whatever the machine offers: a pure v2 hierarchy, v1 controllers (with or
// without a v2 hierarchy beside them, which then serves to kill), or nothing that we may write to.
//
// Groups live under <mount>/taskplane/<node>-<hash>/<attempt key>; below the mount itself where that is writable, so that a
// service manager that cleans up the agent's own group leaves the tasks alone, else below the agent's own group.
//
// Calls are synchronous where they are short: these files are kernel memory, and a call costs less than handing it to another thread. Making and
// removing the group of an attempt is not short: the kernel does one at a time, and lets them wait for processes that join groups.
//
// Paths within the directory of an attempt are put together as text, here and in attempt-files.ts: `join` normalizes them, some thirty times per attempt.

import { accessSync, constants, mkdir, mkdirSync, readFileSync, readdirSync, rmdir, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Usage } from './driver.js';

export interface GroupSettings {
  limits: { memoryBytes?: number; cpuMilli?: number };
  requests: { cpuMilli?: number };
}

/** The group of one attempt. */
export interface AttemptGroup {
  /** A process joins by writing its pid to each of these. */
  readonly procsFiles: readonly string[];
  /** Writing "1" kills every process of the group at once, where the kernel can. */
  readonly killFile: string | undefined;
  pids(): number[];
  kill(): void;
  usage(): Usage;
  /** What it has used in all, when nothing runs any more: without `memoryBytes`, as each figure is a file to read. */
  usageInAll(): Usage;
  /** Whether a process of the group was killed for want of memory. */
  oomKilled(): boolean;
  /** False while something in it still lives (or is a zombie): try again. */
  remove(): boolean;
  /** The same, on another thread. */
  removeAside(): Promise<boolean>;
  /**
   * A group inside this one, for processes that must end before the others; the limits of this one hold for them too. Made by
   * `makeChild`. Undefined where the kernel has none that count as part of this one for all purposes.
   */
  child(name: string): AttemptGroup | undefined;
  /** @throws Error when the kernel refuses: this group is gone */
  makeChild(name: string): AttemptGroup | undefined;
}

export interface Cgroups {
  readonly kind: 'cgroup-v2' | 'cgroup-v1';
  /** What is not enforced here, in a sentence; undefined when nothing is missing. */
  readonly problem: string | undefined;
  /** Makes the group, or takes the one that is there. @throws Error when the kernel refuses */
  create(key: string, settings: GroupSettings): Promise<AttemptGroup>;
  /** The group of an earlier agent's attempt; it may be gone, then it is empty. */
  adopt(key: string): AttemptGroup;
  /** Keys of all groups there are. */
  keys(): string[];
  /** A group for the agent's own helper, made if need be: files to write its pid to. */
  helperProcsFiles(): string[];
  /** Directories to remove when nothing runs any more, deepest first. */
  ownDirectories(): string[];
}

/** Name of the helper's group; no attempt key looks like it. */
export const helperGroup = 'agent-helper';

// Small things that both versions need.

export function makeGroup(path: string): boolean {
  try {
    mkdirSync(path, { recursive: true });
    accessSync(join(path, 'cgroup.procs'), constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * A group in one that `makeGroup` made, without its costly questions, on another thread.
 * @param makeParent makes that again, if it takes more than a directory
 * @throws Error when the kernel refuses
 */
export function makeAttemptGroup(path: string, makeParent: () => void = () => undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    mkdir(path, (error) => {
      // The watchdog of an earlier agent, which had nothing left to guard, has removed what we found when we started.
      if (error?.code === 'ENOENT') makeParent();
      if (!error || error.code === 'EEXIST' || (error.code === 'ENOENT' && makeGroup(path))) resolve();
      else reject(new Error(`cannot make the cgroup ${path}`, { cause: error }));
    });
  });
}

/** @returns whether the kernel took it */
export function tryWrite(path: string, value: string): boolean {
  try {
    writeFileSync(path, value);
    return true;
  } catch {
    return false;
  }
}

export function tryRead(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

export function readNumber(path: string): number | undefined {
  const text = tryRead(path)?.trim();
  return text && /^\d+$/.test(text) ? Number(text) : undefined;
}

/** The value of `key` in a file of `key value` lines. */
export function readKeyed(path: string, key: string): number | undefined {
  const line = tryRead(path)?.split('\n').find((candidate) => candidate.startsWith(`${key} `));
  return line === undefined ? undefined : Number(line.slice(key.length + 1));
}

export function readPids(procsFile: string): number[] {
  return (tryRead(procsFile) ?? '').split('\n').filter(Boolean).map(Number);
}

/** Groups inside `path`, by name. */
export function childGroups(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  } catch {
    return [];
  }
}

/** @returns whether the group is gone, with the groups that tasks made inside it */
export function removeGroup(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') return true;
    const children = childGroups(path);
    if (children.length === 0) return false;
    return children.map((child) => removeGroup(join(path, child))).every(Boolean) && removeGroup(path);
  }
}

/** removeGroup, on another thread where there are no groups inside. */
export function removeGroupAside(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    rmdir(path, (error) => resolve(!error || removeGroup(path)));
  });
}

export function killPid(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended meanwhile.
  }
}
