// proc.ts: what /proc tells of processes. A pid alone names nothing for long; with its start time it does.

import { readFileSync, readdirSync } from 'node:fs';
import { basename } from 'node:path';

export interface ProcessStat {
  pid: number;
  state: string;
  session: number;
  /** Clock ticks after boot; with the pid and the boot id it names one process for ever. */
  startTicks: string;
  /** User and system time, seconds, without children. */
  cpuSeconds: number;
  residentBytes: number;
}

const ticksPerSecond = 100;
const pageBytes = 4096;

/** Undefined when the line is no line of /proc/PID/stat. The name in it may hold spaces and parentheses. */
export function parseStat(line: string): ProcessStat | undefined {
  const open = line.indexOf(' (');
  const close = line.lastIndexOf(') ');
  if (open < 0 || close < 0) return undefined;
  const fields = line.slice(close + 2).split(' ');
  if (fields.length < 22) return undefined;
  return {
    pid: Number(line.slice(0, open)),
    state: fields[0]!,
    session: Number(fields[3]),
    startTicks: fields[19]!,
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond,
    residentBytes: Number(fields[21]) * pageBytes,
  };
}

export function readStat(pid: number): ProcessStat | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return undefined;
  }
}

/** Whether this very process still runs (a zombie does not). */
export function isAlive(pid: number, startTicks: string): boolean {
  const stat = readStat(pid);
  return stat !== undefined && stat.startTicks === startTicks && stat.state !== 'Z';
}

export function readBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

/** Hundredths of a second since boot, suspended time included: the clock that the fence shares with its watchdog. */
export function uptimeCentiseconds(): number {
  return Math.round(Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 100);
}

export function allPids(): number[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number);
}

/** What a wrapper wrote first into its `run` file. */
export interface RunRecord {
  pid: number;
  /** Absent where the process is told by its arguments. */
  startTicks?: string;
  bootId: string;
  /** Milliseconds since the epoch; absent where only the file's own time tells. */
  startedAt?: number;
}

/**
 * Its first line: a pid, the boot id and when it was started; a pid and the boot id; or a line of /proc/PID/stat and the boot id.
 * Undefined while it is being written.
 */
export function parseRun(text: string): RunRecord | undefined {
  const end = text.indexOf('\n');
  if (end < 0) return undefined;
  const words = text.slice(0, end).split(' ');
  if (words.length === 2) return { pid: Number(words[0]), bootId: words[1]! };
  if (words.length === 3) return { pid: Number(words[0]), bootId: words[1]!, startedAt: Number(words[2]) };
  const stat = parseStat(text.slice(0, end));
  return stat && { pid: stat.pid, startTicks: stat.startTicks, bootId: words.at(-1)! };
}

/** The start of the process with this pid if its second argument ends with this name in a directory, else ''. */
export function startTicksOf(pid: number, attempt: string): string {
  const startTicks = readStat(pid)?.startTicks ?? '';
  try {
    const [, , dir = ''] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return basename(dir) === attempt ? startTicks : '';
  } catch {
    return '';
  }
}
