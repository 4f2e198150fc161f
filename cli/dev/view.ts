// view.ts: tasks as they come and go: a table redrawn in place on a terminal, a line per change elsewhere.

import { taskKind, type Task } from '../../api/task.js';
import type { ApiClient, WatchEvent } from '../../client/api-client.js';
import { jitteredBackoffMs, reconnectBackoff } from '../../lib/backoff.js';
import { sleep, type Clock, type Timer } from '../../lib/clock.js';
import type { Random } from '../../lib/random.js';
import type { Service } from '../../lib/service.js';
import type { Io } from '../io.js';
import { colorsFor, type Colors } from '../print/colors.js';
import { FramePainter, frameLines } from './live-table.js';
import { changeLine, rowOf, TaskRows, type TaskRow } from './task-rows.js';

export interface ViewOptions {
  client: ApiClient;
  io: Io;
  clock: Clock;
  random: Random;
  title: string;
  /** What had finished before this second is history: it is in the table, and no news. Milliseconds since the epoch. */
  since: number;
  /** What to try next. */
  hints: readonly string[];
  /** Tells when the terminal has another size. */
  onResize(handler: () => void): () => void;
}

/** A burst of changes is one frame. */
const frameMs = 80;
/** Ages and durations move on. */
const tickMs = 1_000;

export class TaskView implements Service {
  readonly name = 'task view';
  readonly #rows = new TaskRows();
  readonly #painter = new FramePainter();
  readonly #colors: Colors;
  #timer: Timer | undefined;
  /** A change waits to be drawn; further ones join it. */
  #frameDue = false;
  #listed = false;
  #hintsGiven = false;
  #notice = '';

  constructor(private readonly options: ViewOptions) {
    this.#colors = colorsFor(options.io.out, options.io.env);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { client, clock, random, io } = this.options;
    const stopListening = this.options.onResize(() => this.#draw());
    let failures = 0;
    try {
      while (!signal.aborted) {
        try {
          const list = await client.list<Task>(taskKind);
          this.#replace(list.items);
          for await (const batch of client.watchBatches<Task>(taskKind, { resourceVersion: list.metadata.resourceVersion, signal })) {
            failures = 0;
            for (const event of batch) this.#take(event);
            this.#changed();
          }
        } catch (error) {
          if (!signal.aborted) this.notice(`the table cannot be read: ${(error as Error).message}`);
        }
        await sleep(clock, jitteredBackoffMs(reconnectBackoff, ++failures, random), signal);
      }
    } finally {
      stopListening();
      this.#timer?.cancel();
      if (io.out.isTerminal) {
        this.#draw();
        this.#timer?.cancel();
        io.out.write(this.#painter.end());
      }
    }
  }

  /** Something that people should know of. */
  notice(text: string): void {
    this.#notice = text;
    if (!this.options.io.out.isTerminal) this.options.io.err.write(`${text}\n`);
    else this.#changed();
  }

  #replace(tasks: readonly Task[]): void {
    // Timestamps are of whole seconds.
    const since = Math.floor(this.options.since / 1_000) * 1_000;
    let finishedBefore = 0;
    for (const task of tasks) {
      const row = rowOf(task);
      if (!this.#listed && row.finished && (row.finishedAt ?? 0) < since) {
        finishedBefore++;
        this.#rows.set(row);
      } else this.#set(row);
    }
    if (finishedBefore > 0 && !this.options.io.out.isTerminal) this.options.io.out.write(`${finishedBefore} ${finishedBefore === 1 ? 'task has' : 'tasks have'} finished already\n`);
    this.#listed = true;
    this.#changed();
  }

  #take(event: WatchEvent<Task>): void {
    if (event.type === 'BOOKMARK') return;
    const row = rowOf(event.object);
    if (event.type !== 'DELETED') return this.#set(row);
    this.#tell(undefined, this.#rows.delete(row.key), row.key);
  }

  #set(row: TaskRow): void {
    this.#tell(row, this.#rows.set(row), row.key);
  }

  #tell(row: TaskRow | undefined, old: TaskRow | undefined, key: string): void {
    const { io } = this.options;
    if (io.out.isTerminal) return;
    const line = changeLine(row, old, key);
    if (line) io.out.write(`${line}\n`);
  }

  #changed(): void {
    const { io, clock } = this.options;
    if (!io.out.isTerminal) return this.#giveHints();
    if (this.#frameDue) return;
    this.#frameDue = true;
    this.#timer?.cancel();
    this.#timer = clock.timer(frameMs, () => this.#draw());
  }

  /** Without a table they are said once, when nothing is waiting any more. */
  #giveHints(): void {
    const { io, hints } = this.options;
    const waiting = this.#rows.shown(Number.MAX_SAFE_INTEGER).rows.some((row) => !row.finished && row.status !== 'Running');
    if (this.#hintsGiven || !this.#listed || waiting) return;
    this.#hintsGiven = true;
    io.out.write(hints.map((hint) => `${hint}\n`).join(''));
  }

  #draw(): void {
    const { io, clock, title, hints } = this.options;
    this.#timer?.cancel();
    this.#frameDue = false;
    const size = io.out.size();
    if (!size) return;
    const footer = [...hints, ...(this.#notice ? ['', this.#notice] : [])];
    // Title, headers, the line of what is hidden, blank lines, and the line that the cursor ends on.
    const room = Math.max(1, size.rows - footer.length - 6);
    const frame = { title: this.#colors.bold(title), ...this.#rows.shown(room), footer };
    io.out.write(this.#painter.paint(frameLines(frame, clock.now(), size.columns, this.#colors), size.columns));
    this.#timer = clock.timer(tickMs, () => this.#draw());
  }
}
