// log-times.ts
//
// Sees the output of running attempts grow, and writes down when (log-time-index.ts).
//
//             grew (inotify says so)
//   quiet ─────────────────────────────► busy: looked at ten times a second, all with one timer
//     ▲                                   │
//     └──────── no growth for a second ◄──┘
//
// An attempt begins busy. One that writes within a tenth of a second all that it ever writes costs two entries in a map and
// no file: its lines get the time at which its output was last modified. A quiet one costs an inotify watch; a chatty one
// is looked at, not watched, because a watch would wake us for each of its writes. Where there are no watches left, quiet
// ones are looked at once a second.
//
// A look takes the file's own time of modification, if it is not ahead of the clock: so what was written while no agent
// ran is told by its last write.

import { appendFileSync, statSync, watch, type FSWatcher } from 'node:fs';
import { join } from 'node:path';
import type { Clock, Timer } from '../lib/clock.js';
import type { Logger } from '../lib/log.js';
import { encodeTimes, mendTimes, readTimes, readTimesAfter, thinnedTimes, timeEntriesMax, writeTimes, type LogTimeEntry } from './log-time-index.js';

/** Looks at a busy attempt are so far apart, and entries no closer together. */
const lookMs = 100;
const quietLooksMax = 10;
/** Entries go to the file after so many looks: what an agent that is killed has not written is told less finely. */
const flushEveryLooks = 10;
/** Newest entries kept in memory, for those who follow. */
const recentMax = 128;

interface Followed {
  dir: string;
  last: LogTimeEntry;
  /** The newest entries; the last `unwritten` of them are not in the file yet. */
  recent: LogTimeEntry[];
  unwritten: number;
  /** In the file. */
  written: number;
  quietLooks: number;
  watcher: FSWatcher | undefined;
}

export class LogTimes {
  readonly #attemptsDir: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #followed = new Map<string, Followed>();
  readonly #busy = new Map<string, Followed>();
  /** Quiet, and without a watch. */
  readonly #unwatched = new Map<string, Followed>();
  #timer: Timer | undefined;
  #looks = 0;
  #runs = false;
  #complained = false;

  constructor(options: { attemptsDir: string; clock: Clock; logger: Logger }) {
    this.#attemptsDir = options.attemptsDir;
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  /** An attempt has started. */
  started(key: string): void {
    this.#follow(key, { end: 0, at: 0 }, 0);
  }

  /** An attempt goes on that an earlier agent has started. */
  recovered(key: string): void {
    const path = this.#timesPath(key);
    const written = mendTimes(path);
    const last = written > 0 ? readTimes(path).at(-1) : undefined;
    this.#follow(key, last ?? { end: 0, at: 0 }, written);
    this.look(key);
  }

  /** The output of an attempt is complete. @returns whether there is a file that tells its times */
  ended(key: string): boolean {
    const followed = this.#followed.get(key);
    if (!followed) return false;
    if (this.#tellsMore(followed)) this.#write(followed);
    followed.watcher?.close();
    this.#followed.delete(key);
    this.#busy.delete(key);
    this.#unwatched.delete(key);
    return followed.written > 0;
  }

  /** Size of an attempt's output when it was last looked at; undefined for an unknown one. */
  sizeOf(key: string): number | undefined {
    return this.#followed.get(key)?.last.end;
  }

  /** Entries that end after `end`, up to what is there now; none for an attempt that does not run. */
  entriesAfter(key: string, end: number): readonly LogTimeEntry[] {
    const followed = this.#followed.get(key);
    if (!followed) return [];
    this.#look(followed);
    const { recent } = followed;
    const whole = recent.length === followed.written + followed.unwritten || (recent[0]?.end ?? Infinity) <= end;
    const known = recent.filter((entry) => entry.end > end);
    if (whole) return known;
    const first = recent[0]?.end ?? Infinity;
    return [...readTimesAfter(join(followed.dir, 'times'), end).filter((entry) => entry.end < first), ...known];
  }

  /** @returns whether the output has grown */
  look(key: string): boolean {
    const followed = this.#followed.get(key);
    return followed !== undefined && this.#look(followed);
  }

  /** The output before this offset is gone. */
  cut(key: string, before: number): void {
    const followed = this.#followed.get(key);
    if (!followed) return;
    this.#write(followed);
    const path = this.#timesPath(key);
    this.#unlessFull(() => this.#rewrite(followed, readTimes(path).filter(({ end }) => end > before)));
  }

  /** The output was emptied; what was there from this offset on is output.1 now. */
  emptied(key: string, from: number): void {
    const followed = this.#followed.get(key);
    if (!followed) return;
    this.#write(followed);
    const path = this.#timesPath(key);
    const known = readTimes(path);
    this.#beginAnew(followed);
    this.#unlessFull(() => writeTimes(`${path}.1`, known.flatMap(({ end, at }) => (end > from ? [{ end: end - from, at }] : []))));
  }

  /** Looks until the signal aborts; by then everything is in the files. */
  async run(signal: AbortSignal): Promise<void> {
    this.#runs = !signal.aborted;
    this.#arm();
    if (!signal.aborted) await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    this.#runs = false;
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const followed of this.#followed.values()) {
      followed.watcher?.close();
      followed.watcher = undefined;
      this.#write(followed);
    }
  }

  /** Whether what was noted of an attempt that is over says more than the time of its last write, which needs no file. */
  #tellsMore(followed: Followed): boolean {
    const { written, recent } = followed;
    if (written > 0 || recent.length === 0) return written > 0;
    this.#look(followed);
    return followed.last.at - recent[0]!.at >= lookMs || followed.recent.length > 1;
  }

  #follow(key: string, last: LogTimeEntry, written: number): void {
    const followed: Followed = { dir: join(this.#attemptsDir, key), last, recent: [], unwritten: 0, written, quietLooks: 0, watcher: undefined };
    this.#followed.set(key, followed);
    this.#busy.set(key, followed);
    this.#arm();
  }

  #arm(): void {
    if (!this.#runs || this.#timer || (this.#busy.size === 0 && this.#unwatched.size === 0)) return;
    this.#timer = this.#clock.timer(lookMs, () => this.#lookAtAll(), { unref: true });
  }

  #lookAtAll(): void {
    this.#timer = undefined;
    this.#looks++;
    const writing = this.#looks % flushEveryLooks === 0;
    for (const [key, followed] of this.#busy) {
      followed.quietLooks = this.#look(followed) ? 0 : followed.quietLooks + 1;
      if (followed.quietLooks >= quietLooksMax) this.#rest(key, followed);
      else if (writing) this.#write(followed);
    }
    if (writing) {
      for (const [key, followed] of this.#unwatched) if (this.#look(followed)) this.#rouse(key, followed);
    }
    this.#arm();
  }

  /** From busy to quiet. */
  #rest(key: string, followed: Followed): void {
    this.#write(followed);
    this.#busy.delete(key);
    followed.recent = followed.recent.slice(-1);
    try {
      followed.watcher = watch(join(followed.dir, 'output.log'), { persistent: false }, () => this.#rouse(key, followed));
      followed.watcher.on('error', () => this.#rouse(key, followed));
    } catch {
      this.#unwatched.set(key, followed);
    }
    // What came before the watch was there woke nobody.
    if (this.#look(followed)) this.#rouse(key, followed);
  }

  #rouse(key: string, followed: Followed): void {
    followed.watcher?.close();
    followed.watcher = undefined;
    followed.quietLooks = 0;
    this.#unwatched.delete(key);
    if (this.#followed.get(key) !== followed) return;
    this.#look(followed);
    this.#busy.set(key, followed);
    this.#arm();
  }

  #look(followed: Followed): boolean {
    const stat = statSync(join(followed.dir, 'output.log'), { throwIfNoEntry: false });
    // The task itself may empty it, by a name such as /dev/stdout.
    if (stat && stat.size < followed.last.end) this.#beginAnew(followed);
    if (!stat || stat.size <= followed.last.end) return false;
    const at = Math.max(followed.last.at, Math.min(Math.round(stat.mtimeMs), Math.floor(this.#clock.now())));
    const newest = followed.recent.at(-1);
    if (newest && followed.unwritten > 0 && at - newest.at < lookMs) {
      newest.end = stat.size;
      followed.last = newest;
      return true;
    }
    followed.last = { end: stat.size, at };
    followed.recent.push(followed.last);
    followed.unwritten++;
    return true;
  }

  #write(followed: Followed): void {
    const { recent, unwritten } = followed;
    if (unwritten === 0) return;
    const path = join(followed.dir, 'times');
    try {
      appendFileSync(path, encodeTimes(recent.slice(-unwritten)), { mode: 0o600 });
      followed.written += unwritten;
      followed.unwritten = 0;
      if (recent.length > recentMax) followed.recent = recent.slice(-recentMax);
      if (followed.written > timeEntriesMax) {
        const thinned = thinnedTimes(readTimes(path));
        writeTimes(path, thinned);
        followed.written = thinned.length;
      }
    } catch (error) {
      followed.recent = recent.slice(0, recent.length - unwritten);
      followed.unwritten = 0;
      this.#complain(error);
    }
  }

  /** Nothing that was noted holds for what is in the file now. */
  #beginAnew(followed: Followed): void {
    followed.last = { end: 0, at: followed.last.at };
    followed.recent = [];
    followed.unwritten = 0;
    this.#unlessFull(() => this.#rewrite(followed, []));
  }

  #unlessFull(write: () => void): void {
    try {
      write();
    } catch (error) {
      this.#complain(error);
    }
  }

  /** The lines are what matters; they are in another file. */
  #complain(error: unknown): void {
    if (this.#complained) return;
    this.#complained = true;
    this.#logger.warn('the times of log lines cannot be written down; lines are told with the time of a later one, look for room on the disk of the data directory', { error });
  }

  #rewrite(followed: Followed, entries: readonly LogTimeEntry[]): void {
    writeTimes(join(followed.dir, 'times'), entries);
    followed.written = entries.length;
    followed.recent = entries.slice(-1);
  }

  #timesPath(key: string): string {
    return join(this.#attemptsDir, key, 'times');
  }
}
