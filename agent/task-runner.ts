// task-runner.ts
//
// One runner per binding of a task to this node. It owns what runs for it and what is reported of it.
//
//              fence open, environment there, journaled           exits, is stopped, or vanishes
//   waiting ───────────────────────────────────────► running ───────────────────────────────────► ended
//      ▲  │ cannot be started                                                                       │
//      │  └───────────────────────────────────────────────────────────────────────────────► ended   │ restart-policy.ts
//      └─────────────────────────────── backoff ◄──── restart ──────────────────────────────────────┤
//                                                                                      finish, lost ▼
//                                                          done ◄── server took or refused it ── reporting
//
// From outside come newer versions of the task (a deletion, an eviction, a new deadline) and the agent's orders: wanted.ts. Every wait below
// ends when either arrives, and looks at the world anew. An eviction stops what runs, or keeps it from starting, and is answered with a report.

import type { TaskReport } from '../api/task-status.js';
import { parseTimestamp } from '../api/meta.js';
import type { Task, TaskSpec } from '../api/task.js';
import { backoffMs } from '../lib/backoff.js';
import type { Clock } from '../lib/clock.js';
import type { Logger } from '../lib/log.js';
import { judge, type AttemptOutcome } from './attempt-outcome.js';
import { attemptKey, MachineBusyError, StartError, type Driver, type Execution, type Usage } from './driver.js';
import type { Fence } from './fence.js';
import type { AttemptRecord, Journal, RecordedEnd, StopReason } from './journal.js';
import { asLastAttempt, baseReport, endFields, type Attempt } from './reports.js';
import { deadlineMessage, decide, reasonOf, type AttemptEnd } from './restart-policy.js';
import type { Semaphore } from './semaphore.js';
import { startSpecOf } from './start-spec.js';
import { StillBound } from './still-bound.js';
import type { Settlement } from './status-writer.js';
import { supervise } from './supervise.js';
import { Wanted } from './wanted.js';

export interface RunnerContext {
  nodeName: string;
  driver: Driver;
  journal: Journal;
  fence: Fence;
  starts: Semaphore;
  clock: Clock;
  logger: Logger;
  /** @throws anything, when the environment cannot be had now; the attempt then waits */
  environment(task: Task, attempt: number): Promise<Record<string, string>>;
  /** Whether the server, asked now, has the task still bound here as this version says. @throws anything, when it does not answer */
  isStillBound(task: Task): Promise<boolean>;
  submit(report: TaskReport): Promise<Settlement>;
  event(task: Task, type: 'Normal' | 'Warning', reason: string, message: string): void;
  attemptStarted(key: string): void;
  /** The output of an attempt is complete. */
  attemptEnded(key: string): void;
}

/** What an agent on boot knows of the newest attempt of a binding. */
export interface Recovered {
  record: AttemptRecord;
  /** Set while it still runs. */
  execution?: Execution;
  /** The wrapper never ran and never will. */
  neverStarted?: boolean;
}

interface Round {
  attempt: Attempt;
  tries: number;
  delays: number;
}

export class TaskRunner {
  readonly uid: string;
  readonly bindings: number;
  readonly #context: RunnerContext;
  readonly #logger: Logger;
  readonly #recovered: Recovered | undefined;
  readonly #wanted: Wanted;
  #execution: Execution | undefined;
  #hasFinished = false;
  /** What a report last said about waiting, so that the same is not said twice. */
  #told = '';
  readonly #stillBound: StillBound;
  /** Keys in the journal that a later try of the same attempt replaces. */
  readonly #replaced: string[] = [];

  constructor(context: RunnerContext, task: Task, recovered?: Recovered) {
    this.#context = context;
    this.#recovered = recovered;
    this.uid = task.metadata.uid!;
    this.bindings = task.status?.bindings ?? 0;
    const firstStartedAt = parseTimestamp(task.status?.firstStartTime) ?? recovered?.execution?.startedAt ?? recovered?.record.end?.startedAt;
    this.#wanted = new Wanted({ clock: context.clock, task, firstStartedAt });
    this.#stillBound = new StillBound(context);
    this.#logger = context.logger.child({ task: `${task.metadata.namespace}/${task.metadata.name}` });
  }

  get task(): Task {
    return this.#wanted.task;
  }

  /** What runs now, for measuring. */
  get execution(): Execution | undefined {
    return this.#execution;
  }

  /** The server has taken that the task has finished: no version of it that is to come says anything else. */
  get hasFinished(): boolean {
    return this.#hasFinished;
  }

  update(task: Task): void {
    this.#wanted.update(task);
  }

  forget(): void {
    this.#wanted.forget();
  }

  detach(): void {
    this.#wanted.detach();
  }

  /** SIGTERM now, SIGKILL after the task's grace or `graceMsMax`, whichever is less; then reported as lost. */
  stop(graceMsMax: number): void {
    this.#wanted.stop(graceMsMax);
  }

  /** Resolves when nothing is left to do for this binding. */
  async run(): Promise<void> {
    let round = this.#firstRound();
    let outcome = this.#recovered ? await this.#resume(round, this.#recovered) : await this.#begin(round);
    for (;;) {
      if (outcome.kind === 'dropped') {
        if (this.#wanted.order === 'forget') this.#done(round);
        return;
      }
      if (outcome.kind === 'lost') return this.#final(round, { ...this.#report(round, 'Lost'), reason: outcome.reason, message: outcome.message });
      if (outcome.kind === 'unstarted') return this.#finishUnstarted(round);
      if (outcome.kind === 'evicted') return this.#finishEvicted(round, outcome.end, outcome.usage);
      const next = await this.#afterEnd(round, outcome.end, outcome.usage);
      if (!next) return;
      round = next;
      outcome = await this.#start(round);
    }
  }

  #firstRound(): Round {
    const status = this.task.status ?? {};
    const last = status.lastAttempt ? { last: status.lastAttempt } : {};
    const record = this.#recovered?.record;
    if (record) {
      const startedAt = this.#recovered?.execution?.startedAt ?? record.end?.startedAt;
      const attempt: Attempt = { number: record.start.attempt, ...last, ...(startedAt === undefined ? {} : { startedAt }) };
      return { attempt, tries: record.start.tries + (this.#recovered?.neverStarted ? 1 : 0), delays: record.start.delays };
    }
    // The journal that knew of the attempt before is lost; its number is used up.
    const used = status.phase === 'Scheduled' && status.reason === 'BackOff' ? 1 : 0;
    return { attempt: { number: (status.attempt ?? 1) + used, ...last }, tries: 0, delays: used };
  }

  /** Without a journal entry, an attempt that the server saw running cannot be found again, nor run again. */
  #begin(round: Round): Promise<AttemptOutcome> {
    const { phase, startTime } = this.task.status ?? {};
    if (!startTime || phase === 'Scheduled') return this.#start(round);
    return Promise.resolve({ kind: 'lost', reason: 'Lost', message: `the agent of node ${this.#context.nodeName} has no memory of it: its data directory was lost` });
  }

  #resume(round: Round, recovered: Recovered): Promise<AttemptOutcome> {
    const key = this.#key(round);
    if (recovered.neverStarted) {
      const { start } = recovered.record;
      this.#replaced.push(attemptKey(start, start.tries));
      return this.#start(round);
    }
    const { phase, attempt } = this.task.status ?? {};
    if (recovered.execution && (phase !== 'Running' || attempt !== round.attempt.number)) this.#send(this.#report(round, 'Running'));
    if (recovered.execution) return this.#supervise(round, key, recovered.execution, recovered.record.stop);
    return Promise.resolve(judge(recovered.record.end!, recovered.record.stop, this.#context.nodeName));
  }

  // waiting → running

  async #start(round: Round): Promise<AttemptOutcome> {
    const { journal, starts, driver, fence, clock } = this.#context;
    const { fenced } = this.#wanted;
    for (let failures = 0; ; ) {
      const obstacle = this.#obstacle();
      if (obstacle) return obstacle;
      if (fenced && !fence.open) {
        await Promise.race([fence.opened, this.#wanted.changed]);
        this.#wanted.rearm();
        continue;
      }
      if (fenced && !(await this.#stillBound.confirm(this.task, this.#logger))) {
        await this.#wanted.until(clock.now() + backoffMs({ firstMs: 1_000, maxMs: 30_000, factor: 2 }, ++failures));
        continue;
      }
      const env = await this.#environment(round);
      if (!env) {
        await this.#wanted.until(clock.now() + backoffMs({ firstMs: 1_000, maxMs: 30_000, factor: 2 }, ++failures));
        continue;
      }
      const release = await starts.acquire();
      try {
        if (this.#obstacle() || (fenced && !(fence.open && this.#stillBound.isCertain))) continue;
        const key = this.#key(round);
        const { namespace, name } = baseReport(this.task, round.attempt, 'Scheduled');
        await journal.start({ uid: this.uid, bindings: this.bindings, attempt: round.attempt.number, tries: round.tries, namespace, name, fenced, delays: round.delays });
        if (this.#obstacle()) {
          journal.done(key);
          continue;
        }
        const execution = await driver.start(startSpecOf(this.task, key, env, fenced));
        release();
        // Only now: until then they tell that this is a later try.
        this.#replaced.splice(0).forEach((replaced) => journal.done(replaced));
        this.#context.attemptStarted(key);
        round.attempt.startedAt = execution.startedAt;
        this.#wanted.firstStartedAt ??= execution.startedAt;
        this.#context.event(this.task, 'Normal', 'Started', `started attempt ${round.attempt.number} on node ${this.#context.nodeName}`);
        this.#send(this.#report(round, 'Running'));
        return await this.#supervise(round, key, execution, undefined);
      } catch (error) {
        if (error instanceof MachineBusyError) {
          this.#sendWaiting(round, 'MachineBusy', error.message);
          release();
          await this.#wanted.until(clock.now() + backoffMs({ firstMs: 250, maxMs: 10_000, factor: 2 }, ++failures));
          continue;
        }
        return this.#unstartable(round, error);
      } finally {
        release();
      }
    }
  }

  /** A reason not to start (any more). */
  #obstacle(): AttemptOutcome | undefined {
    const { order, deleted, isLate, evicted } = this.#wanted;
    if (order) return { kind: 'dropped' };
    if (deleted || isLate) return { kind: 'unstarted' };
    return evicted ? { kind: 'evicted' } : undefined;
  }

  async #environment(round: Round): Promise<Record<string, string> | undefined> {
    try {
      return await this.#context.environment(this.task, round.attempt.number);
    } catch (error) {
      if (error instanceof StartError) {
        // An unknown user is found out about again, and reported, by the driver.
        return {};
      }
      const message = (error as Error).message;
      this.#sendWaiting(round, 'CreateConfigError', message);
      return undefined;
    }
  }

  #unstartable(round: Round, error: unknown): AttemptOutcome {
    if (!(error instanceof StartError)) this.#logger.error('a task cannot be started because of a defect or a broken data directory', { error });
    const { journal, clock } = this.#context;
    const message = (error as Error).message;
    const end: RecordedEnd = { exitCode: error instanceof StartError ? error.exitCode : 128, oomKilled: false, finishedAt: clock.now(), startError: message };
    const key = this.#key(round);
    if (journal.attempts.has(key)) journal.end(key, end);
    this.#context.attemptEnded(key);
    this.#context.event(this.task, 'Warning', 'StartError', message);
    return judge(end, undefined, this.#context.nodeName);
  }

  // running → ended

  async #supervise(round: Round, key: string, execution: Execution, stoppedBefore: StopReason | undefined): Promise<AttemptOutcome> {
    const { clock, fence, journal, nodeName } = this.#context;
    this.#execution = execution;
    const over = await supervise({
      key,
      execution,
      wanted: this.#wanted,
      stoppedBefore,
      fence,
      journal,
      clock,
      logger: this.#logger,
      onStop: (reason) => this.#context.event(this.task, 'Normal', 'Killing', `stopping attempt ${round.attempt.number}: ${reason}`),
      sayRunning: () => this.#send(this.#report(round, 'Running')),
      onEnd: () => {
        this.#execution = undefined;
        this.#context.attemptEnded(key);
      },
    });
    return over === 'dropped' ? { kind: 'dropped' } : judge(over.end, over.stop, nodeName);
  }

  // ended → backoff | reporting

  /** @returns the next round, or undefined when there is none */
  async #afterEnd(round: Round, end: AttemptEnd, usage: Usage | undefined): Promise<Round | undefined> {
    let told = false;
    for (;;) {
      const { deadlineAt, deleted, evicted, task } = this.#wanted;
      const deletedMeanwhile = deleted && !end.stoppedFor ? ({ stoppedFor: 'Deleted' } as const) : {};
      const decision = decide({
        end: { ...end, ...deletedMeanwhile },
        spec: task.spec as TaskSpec,
        attempt: round.attempt.number,
        evictions: task.status?.evictions ?? 0,
        delays: round.delays,
        ...(deadlineAt === undefined ? {} : { deadlineAt }),
      });
      if (decision.action === 'finish') {
        if (decision.phase === 'Failed') this.#context.event(this.task, 'Warning', decision.reason, decision.message);
        await this.#final(round, { ...this.#report(round, decision.phase), ...endFields(end, usage), reason: decision.reason, message: decision.message });
        return undefined;
      }
      if (evicted) {
        await this.#final(round, { ...this.#report(round, 'Evicted'), ...endFields(end, usage), reason: reasonOf(end), message: `evicted from node ${this.#context.nodeName} between two attempts` });
        return undefined;
      }
      if (!told) {
        told = true;
        this.#context.event(this.task, 'Warning', 'BackOff', decision.message);
        this.#send({ ...this.#report(round, 'Scheduled'), ...endFields(end, usage), reason: decision.reason, message: decision.message });
      }
      const { order } = this.#wanted;
      if (order === 'forget') this.#done(round);
      if (order) return undefined;
      if (this.#context.clock.now() >= decision.atMs) {
        this.#done(round);
        const last = asLastAttempt(round.attempt, end, reasonOf(end), this.#context.nodeName);
        return { attempt: { number: round.attempt.number + 1, last }, tries: 0, delays: decision.delays };
      }
      await this.#wanted.until(decision.atMs);
    }
  }

  #finishUnstarted(round: Round): Promise<void> {
    const { deleted } = this.#wanted;
    return this.#final(round, {
      ...this.#report(round, 'Failed'),
      reason: deleted ? 'Deleted' : 'DeadlineExceeded',
      message: deleted ? 'deleted before it was started' : deadlineMessage(this.task.spec),
    });
  }

  #finishEvicted(round: Round, end: AttemptEnd | undefined, usage: Usage | undefined): Promise<void> {
    return this.#final(round, { ...this.#report(round, 'Evicted'), ...(end ? endFields(end, usage) : {}), reason: 'Evicted', message: `evicted from node ${this.#context.nodeName}` });
  }

  /** The last report: resolves when the server knows it, or when the agent goes (the journal then brings it back). */
  async #final(round: Round, report: TaskReport): Promise<void> {
    const settled = this.#context.submit(report).then((settlement) => {
      this.#hasFinished = settlement === 'accepted' && (report.phase === 'Succeeded' || report.phase === 'Failed');
      return true;
    });
    for (;;) {
      if (this.#wanted.order === 'forget' || (await Promise.race([settled, this.#wanted.changed]))) break;
      if (this.#wanted.order === 'detach') return;
      this.#wanted.rearm();
    }
    this.#done(round);
  }

  // common

  #done(round: Round): void {
    const { journal } = this.#context;
    for (const key of [...this.#replaced.splice(0), this.#key(round)]) if (journal.attempts.has(key)) journal.done(key);
  }

  #report(round: Round, phase: TaskReport['phase']): TaskReport {
    const { task, firstStartedAt } = this.#wanted;
    return baseReport(task, { ...round.attempt, ...(firstStartedAt === undefined ? {} : { firstStartedAt }) }, phase);
  }

  /** Why the attempt does not start; said once. */
  #sendWaiting(round: Round, reason: string, message: string): void {
    if (this.#told === message) return;
    this.#told = message;
    this.#logger.warn('a task cannot be started now; trying again', { reason, error: message });
    this.#context.event(this.task, 'Warning', reason, message);
    this.#send({ ...this.#report(round, 'Scheduled'), reason, message });
  }

  #send(report: TaskReport): void {
    void this.#context.submit(report).then((settlement) => {
      if (settlement === 'refused') this.forget();
    });
  }

  #key(round: Round): string {
    return attemptKey({ uid: this.uid, bindings: this.bindings, attempt: round.attempt.number }, round.tries);
  }
}
