// agent.ts
//
// Keeps one runner per task that is bound to this node: makes runners, tells them what changed, and gives those of an
// earlier agent back what it left running. It decides nothing about a task; task-runner.ts does.
//
// What the agent itself has reported need not come back over its watch (Informer, exceptReportsOf): a task is over for it once the server
// has taken the report of its end. What was on its way then, or comes from a server that tells all, changes nothing any more.

import { isFinished, type Task } from '../api/task.js';
import type { InformerChange } from '../client/informer.js';
import { sleep, type Clock } from '../lib/clock.js';
import type { Logger } from '../lib/log.js';
import { attemptKey, isExecution, type Driver, type Execution } from './driver.js';
import type { Fence } from './fence.js';
import type { AttemptRecord, Journal } from './journal.js';
import type { RunningUsage } from './load.js';
import type { LogStore } from './log-store.js';
import { TaskRunner, type Recovered, type RunnerContext } from './task-runner.js';

/** What the agent needs of the informer on the tasks of its node. */
export interface TaskSource {
  readonly synced: Promise<void>;
  onChanges(handler: (changes: readonly InformerChange<Task>[]) => void): void;
}

export interface AgentOptions {
  context: RunnerContext;
  driver: Driver;
  journal: Journal;
  fence: Fence;
  logs: LogStore;
  clock: Clock;
  logger: Logger;
}

interface Entry {
  runner: TaskRunner;
  /** Resolves when the runner has nothing left to do. */
  done: Promise<void>;
  finished: boolean;
  /** The cluster has told that the task is over, or is not here any more. */
  dropped?: true;
  /** The newest version of the task, if it belongs to a later binding: its runner is made when this one has ended. */
  next?: Task;
}

/** Beyond a task's own grace, on `stop`. */
const stopGraceMsMax = 5_000;
const stopExtraMs = 2_000;

export class Agent {
  readonly #options: AgentOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #recovered = new Map<string, Recovered>();
  /** Uids of tasks that have finished, of which the informer may not know: as long as it has them. */
  readonly #finished = new Set<string>();
  #stopping = false;

  constructor(options: AgentOptions) {
    this.#options = options;
  }

  /** Finds out what has become of all that an earlier agent meant to start. Call it once, before `follow`. */
  async recover(): Promise<void> {
    const { driver, journal, fence, logs, logger } = this.#options;
    const running = new Set<string>();
    for (const [key, record] of [...journal.attempts]) {
      const recovered = await this.#recoverOne(key, record);
      const binding = bindingOf(record.start.uid, record.start.bindings);
      const other = this.#recovered.get(binding)?.record.start;
      // A restart was intended: the attempt before it is told of as the last one.
      if (other) journal.done(attemptKey(other, other.tries));
      this.#recovered.set(binding, recovered);
      const { execution } = recovered;
      if (!execution) continue;
      running.add(key);
      if (record.start.fenced) {
        const release = fence.guard(key, () => execution.kill());
        void execution.ended.then(release);
      }
    }
    await driver.sweep(running);
    logs.recover(running);
    if (this.#recovered.size > 0) logger.info('taking over what an earlier agent left', { attempts: this.#recovered.size, running: running.size });
  }

  /** Makes runners for the tasks that the informer knows, as they come. */
  follow(source: TaskSource): void {
    source.onChanges((changes) => {
      for (const { type, object } of changes) {
        if (type === 'deleted') this.#gone(object);
        else this.#reconcile(object);
      }
    });
    void source.synced.then(() => this.#dropUnknown());
  }

  /** What runs now. */
  *running(): Generator<RunningUsage> {
    for (const { runner } of this.#entries.values()) {
      const { execution, task } = runner;
      if (execution) yield { task: `${task.metadata.namespace}/${task.metadata.name}`, usage: execution.usage() };
    }
  }

  /** What runs now of the task with this uid. */
  executionOf(uid: string): Execution | undefined {
    return this.#entries.get(uid)?.runner.execution;
  }

  taskOf(uid: string): Task | undefined {
    return this.#entries.get(uid)?.runner.task;
  }

  /** Leaves every process running, for the agent that follows. */
  async detach(): Promise<void> {
    this.#stopping = true;
    for (const { execution } of this.#recovered.values()) execution?.detach();
    for (const { runner } of this.#entries.values()) runner.detach();
    await this.#allDone();
  }

  /** Ends every process: SIGTERM, at most 5 s, SIGKILL. Resolves when they have ended and the server was told, or 2 s later. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const { runner } of this.#entries.values()) runner.stop(stopGraceMsMax);
    const waited = new AbortController();
    await Promise.race([this.#allDone(), sleep(this.#options.clock, stopGraceMsMax + stopExtraMs, waited.signal)]);
    waited.abort();
    await this.detach();
  }

  async #allDone(): Promise<void> {
    await Promise.all([...this.#entries.values()].map(({ done }) => done));
  }

  async #recoverOne(key: string, record: AttemptRecord): Promise<Recovered> {
    if (record.end) return { record };
    const found = await this.#options.driver.recover(key);
    const { journal, clock } = this.#options;
    if (found === 'never-started' && !journal.isOfEarlierBoot(record)) return { record, neverStarted: true };
    // It must not run again, if it has: a machine that loses power forgets the directories that it made last.
    const end = found === 'never-started' ? { vanished: true as const, finishedAt: clock.now() } : found;
    if (isExecution(end)) return { record, execution: end };
    journal.end(key, end);
    return { record: { ...record, end } };
  }

  #reconcile(task: Task): void {
    const uid = task.metadata.uid!;
    const entry = this.#entries.get(uid);
    if (isFinished(task)) {
      this.#finished.delete(uid);
      this.#drop(uid);
      return;
    }
    // Seen before the end that has been reported since: a finished task stays finished.
    if (this.#finished.has(uid)) return;
    if (!entry) {
      if (!this.#stopping) this.#add(task);
      return;
    }
    if (entry.runner.bindings === (task.status?.bindings ?? 0)) {
      if (!entry.finished) entry.runner.update(task);
      return;
    }
    entry.next = task;
    entry.runner.forget();
    if (entry.finished) this.#ended(uid, entry);
  }

  #gone(task: Task): void {
    const uid = task.metadata.uid!;
    this.#drop(uid);
    const hasFinished = this.#finished.delete(uid) || isFinished(task);
    // Moved to another node, it may still be asked for its log here.
    if (task.metadata.deletionTimestamp || hasFinished) this.#options.logs.removeTask(uid);
  }

  #add(task: Task): void {
    const uid = task.metadata.uid!;
    const binding = bindingOf(uid, task.status?.bindings ?? 0);
    const recovered = this.#recovered.get(binding);
    this.#recovered.delete(binding);
    const runner = new TaskRunner(this.#options.context, task, recovered);
    const entry: Entry = { runner, done: Promise.resolve(), finished: false };
    this.#entries.set(uid, entry);
    entry.done = runner
      .run()
      .catch((error: unknown) => this.#options.logger.error('a task cannot be looked after any more; restart the agent', { task: task.metadata.name, error }))
      .then(() => {
        entry.finished = true;
        if (entry.next) this.#ended(uid, entry);
        else if (runner.hasFinished && !entry.dropped && this.#entries.get(uid) === entry) {
          this.#entries.delete(uid);
          this.#finished.add(uid);
        }
      });
  }

  /** The runner's end was waited for, by a later binding. */
  #ended(uid: string, entry: Entry): void {
    if (this.#entries.get(uid) !== entry) return;
    this.#entries.delete(uid);
    if (entry.next && !this.#stopping) this.#add(entry.next);
  }

  #drop(uid: string): void {
    const entry = this.#entries.get(uid);
    if (!entry) return;
    entry.dropped = true;
    delete entry.next;
    if (!entry.finished) entry.runner.forget();
    void entry.done.then(() => {
      if (this.#entries.get(uid) === entry && !entry.next) this.#entries.delete(uid);
    });
  }

  /** What an earlier agent left and the cluster does not know here any more. */
  #dropUnknown(): void {
    const { journal, logs, logger } = this.#options;
    if (this.#stopping) return;
    for (const [binding, { record, execution }] of this.#recovered) {
      this.#recovered.delete(binding);
      const { start } = record;
      const key = attemptKey(start, start.tries);
      if (execution) {
        logger.info('killing what an earlier agent started: the task is gone or bound elsewhere', { task: `${start.namespace}/${start.name}`, attempt: start.attempt });
        execution.kill();
        void execution.ended.then(() => {
          logs.ended(key);
          journal.done(key);
        });
      } else {
        journal.done(key);
      }
    }
  }
}

function bindingOf(uid: string, bindings: number): string {
  return `${uid}/${bindings}`;
}
