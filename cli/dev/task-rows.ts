// task-rows.ts: what `dev` shows of tasks: the state of each in short, and what has changed since it was last told.

import { parseTimestamp } from '../../api/meta.js';
import { displayStatus, isFinished, type Task } from '../../api/task.js';

export interface TaskRow {
  key: string;
  status: string;
  node: string;
  attempt: number;
  exitCode: number | undefined;
  finished: boolean;
  /** Milliseconds since the epoch. */
  createdAt: number;
  startedAt: number | undefined;
  finishedAt: number | undefined;
  message: string;
}

export function rowOf(task: Task): TaskRow {
  const { metadata, status = {} } = task;
  return {
    key: metadata.namespace === 'default' ? metadata.name! : `${metadata.namespace}/${metadata.name}`,
    status: displayStatus(task),
    node: status.nodeName ?? '',
    attempt: status.attempt ?? 0,
    exitCode: status.exitCode,
    finished: isFinished(task),
    createdAt: parseTimestamp(metadata.creationTimestamp) ?? 0,
    startedAt: parseTimestamp(status.startTime),
    finishedAt: parseTimestamp(status.finishTime),
    message: isFinished(task) && status.phase === 'Succeeded' ? '' : (status.message ?? ''),
  };
}

/** A line for people without a live table, or undefined when nothing that they care for has changed. */
export function changeLine(row: TaskRow | undefined, old: TaskRow | undefined, key: string): string | undefined {
  if (!row) return `task ${key}: deleted`;
  if (old && old.status === row.status && old.node === row.node && old.attempt === row.attempt) return undefined;
  const attempt = row.attempt > 1 ? `, attempt ${row.attempt}` : '';
  const where = row.node && !row.finished ? ` on ${row.node}` : '';
  const exit = row.exitCode === undefined || row.status === 'Running' ? '' : ` (exit code ${row.exitCode})`;
  return `task ${key}: ${row.status}${where}${exit}${attempt}`;
}

const finishedMax = 200;

/**
 * The tasks that a screen may have room for: all that are not finished, and the newest of those that are. Drawing must
 * not cost more as history grows.
 */
export class TaskRows {
  readonly #active = new Map<string, TaskRow>();
  readonly #finished = new Map<string, TaskRow>();
  #finishedBeyond = 0;

  /** @returns what was known of it before */
  set(row: TaskRow): TaskRow | undefined {
    const old = this.get(row.key);
    this.#active.delete(row.key);
    this.#finished.delete(row.key);
    (row.finished ? this.#finished : this.#active).set(row.key, row);
    if (this.#finished.size > finishedMax) {
      this.#finished.delete(this.#finished.keys().next().value!);
      this.#finishedBeyond++;
    }
    return old;
  }

  get(key: string): TaskRow | undefined {
    return this.#active.get(key) ?? this.#finished.get(key);
  }

  delete(key: string): TaskRow | undefined {
    const old = this.get(key);
    this.#active.delete(key);
    if (!this.#finished.delete(key) && !old && this.#finishedBeyond > 0) this.#finishedBeyond--;
    return old;
  }

  get counts(): { active: number; finished: number } {
    return { active: this.#active.size, finished: this.#finished.size + this.#finishedBeyond };
  }

  /** At most `max` rows, oldest first: what is under way before what is over, the newest of that. */
  shown(max: number): { rows: TaskRow[]; hidden: number } {
    const { active, finished } = this.counts;
    const chosen: TaskRow[] = [];
    for (const row of this.#active.values()) {
      if (chosen.length >= max) break;
      chosen.push(row);
    }
    const room = max - chosen.length;
    if (room > 0) chosen.push(...[...this.#finished.values()].slice(-room));
    chosen.sort((a, b) => a.createdAt - b.createdAt || (a.key < b.key ? -1 : 1));
    return { rows: chosen, hidden: active + finished - chosen.length };
  }
}
