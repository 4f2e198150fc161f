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
// From outside come: newer versions of the task (a deletion, a new deadline), and orders: forget (the cluster does not
// want this attempt any more: kill, say nothing), detach (the agent goes, the process stays), stop (agent and process go).
// Every wait below ends when either arrives, and looks at the world anew.

import type { TaskReport } from '../api/task-status.js';
import { parseTimestamp } from '../api/meta.js';
import type { Task, TaskSpec } from '../api/task.js';
import { unitsOf, milliOf } from '../api/quantity.js';
import { backoffMs } from '../lib/backoff.js';
import type { Clock } from '../lib/clock.js';
import { Deferred } from '../lib/deferred.js';
import type { Logger } from '../lib/log.js';
import { attemptKey, isVanished, MachineBusyError, StartError, type Driver, type Execution, type StartSpec, type Usage } from './driver.js';
import type { Fence } from './fence.js';
import type { AttemptRecord, Journal, RecordedEnd, StopReason } from './journal.js';
import { asLastAttempt, baseReport, endFields, type Attempt } from './reports.js';
import { deadlineMessage, decide, reasonOf, type AttemptEnd } from './restart-policy.js';
import type { Semaphore } from './semaphore.js';
import type { Settlement } from './status-writer.js';

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

type AttemptOutcome = { kind: 'ended'; end: AttemptEnd; usage: Usage | undefined } | { kind: 'lost'; reason: string; message: string } | { kind: 'unstarted' } | { kind: 'dropped' };

export class TaskRunner {
  readonly uid: string;
  readonly bindings: number;
  readonly #context: RunnerContext;
  readonly #logger: Logger;
  readonly #recovered: Recovered | undefined;
  #task: Task;
  #changed = new Deferred<void>();
  #order: 'forget' | 'detach' | 'stop' | undefined;
  #stopGraceMs = 0;
  #execution: Execution | undefined;
  #fenced = false;
  /** Of any attempt of the task, wherever it ran; milliseconds since the epoch. */
  #firstStartedAt: number | undefined;
  /** What a report last said about waiting, so that the same is not said twice. */
  #told = '';

  constructor(context: RunnerContext, task: Task, recovered?: Recovered) {
    this.#context = context;
    this.#task = task;
    this.#recovered = recovered;
    this.uid = task.metadata.uid!;
    this.bindings = task.status?.bindings ?? 0;
    this.#firstStartedAt = parseTimestamp(task.status?.firstStartTime) ?? recovered?.execution?.startedAt ?? recovered?.record.end?.startedAt;
    this.#logger = context.logger.child({ task: `${task.metadata.namespace}/${task.metadata.name}` });
  }

  get task(): Task {
    return this.#task;
  }

  /** What runs now, for measuring. */
  get execution(): Execution | undefined {
    return this.#execution;
  }

  update(task: Task): void {
    this.#task = task;
    this.#wake();
  }

  forget(): void {
    this.#order = 'forget';
    this.#wake();
  }

  detach(): void {
    if (this.#order !== 'forget') this.#order = 'detach';
    this.#wake();
  }

  /** SIGTERM now, SIGKILL after the task's grace or `graceMsMax`, whichever is less; then reported as lost. */
  stop(graceMsMax: number): void {
    this.#order ??= 'stop';
    this.#stopGraceMs = graceMsMax;
    this.#wake();
  }

  /** Resolves when nothing is left to do for this binding. */
  async run(): Promise<void> {
    let round = this.#firstRound();
    let outcome = this.#recovered ? await this.#resume(round, this.#recovered) : await this.#begin(round);
    for (;;) {
      if (outcome.kind === 'dropped') return;
      if (outcome.kind === 'lost') return this.#final(round, { ...this.#report(round, 'Lost'), reason: outcome.reason, message: outcome.message });
      if (outcome.kind === 'unstarted') return this.#finishUnstarted(round);
      const next = await this.#afterEnd(round, outcome.end, outcome.usage);
      if (!next) return;
      round = next;
      outcome = await this.#start(round);
    }
  }

  #firstRound(): Round {
    const status = this.#task.status ?? {};
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
    const { phase, startTime } = this.#task.status ?? {};
    if (!startTime || phase === 'Scheduled') return this.#start(round);
    return Promise.resolve({ kind: 'lost', reason: 'Lost', message: `the agent of node ${this.#context.nodeName} has no memory of it: its data directory was lost` });
  }

  #resume(round: Round, recovered: Recovered): Promise<AttemptOutcome> {
    const key = this.#key(round);
    if (recovered.neverStarted) return this.#start(round);
    const { phase, attempt } = this.#task.status ?? {};
    if (recovered.execution && (phase !== 'Running' || attempt !== round.attempt.number)) this.#send(this.#report(round, 'Running'));
    if (recovered.execution) return this.#supervise(round, key, recovered.execution, recovered.record.stop);
    return Promise.resolve(this.#judge(recovered.record.end!, recovered.record.stop));
  }

  // waiting → running

  async #start(round: Round): Promise<AttemptOutcome> {
    const { journal, starts, driver, fence, clock } = this.#context;
    const fenced = this.#task.spec.onNodeLost !== 'Wait';
    for (let failures = 0; ; ) {
      const obstacle = this.#obstacle();
      if (obstacle) return obstacle;
      if (fenced && !fence.open) {
        await Promise.race([fence.opened, this.#changed.promise]);
        this.#rearm();
        continue;
      }
      const env = await this.#environment(round);
      if (!env) {
        await this.#until(clock.now() + backoffMs({ firstMs: 1_000, maxMs: 30_000, factor: 2 }, ++failures));
        continue;
      }
      const release = await starts.acquire();
      try {
        if (this.#obstacle() || (fenced && !fence.open)) continue;
        const key = this.#key(round);
        const { namespace, name } = baseReport(this.#task, round.attempt, 'Scheduled');
        await journal.start({ uid: this.uid, bindings: this.bindings, attempt: round.attempt.number, tries: round.tries, namespace, name, fenced, delays: round.delays });
        if (this.#obstacle()) {
          journal.done(key);
          continue;
        }
        const execution = await driver.start(this.#startSpec(key, env, fenced));
        release();
        this.#context.attemptStarted(key);
        round.attempt.startedAt = execution.startedAt;
        this.#firstStartedAt ??= execution.startedAt;
        this.#context.event(this.#task, 'Normal', 'Started', `started attempt ${round.attempt.number} on node ${this.#context.nodeName}`);
        this.#send(this.#report(round, 'Running'));
        return await this.#supervise(round, key, execution, undefined);
      } catch (error) {
        if (error instanceof MachineBusyError) {
          this.#sendWaiting(round, 'MachineBusy', error.message);
          release();
          await this.#until(clock.now() + backoffMs({ firstMs: 250, maxMs: 10_000, factor: 2 }, ++failures));
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
    if (this.#order === 'forget' || this.#order === 'detach') return { kind: 'dropped' };
    if (this.#order === 'stop') return { kind: 'dropped' };
    const deadlineAt = this.#deadlineAt();
    const late = deadlineAt !== undefined && this.#context.clock.now() >= deadlineAt;
    return this.#task.metadata.deletionTimestamp || late ? { kind: 'unstarted' } : undefined;
  }

  async #environment(round: Round): Promise<Record<string, string> | undefined> {
    try {
      return await this.#context.environment(this.#task, round.attempt.number);
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
    this.#context.event(this.#task, 'Warning', 'StartError', message);
    return this.#judge(end, undefined);
  }

  #startSpec(key: string, env: Record<string, string>, fenced: boolean): StartSpec {
    const { spec, metadata } = this.#task;
    const { limits, requests } = spec.resources ?? {};
    return {
      key,
      argv: spec.script === undefined ? [...(spec.command ?? []), ...(spec.args ?? [])] : [metadata.name ?? 'script', ...(spec.args ?? [])],
      ...(spec.script === undefined ? {} : { script: spec.script }),
      env,
      ...(spec.workingDir === undefined ? {} : { workingDir: spec.workingDir }),
      ...(spec.runAsUser === undefined ? {} : { runAsUser: spec.runAsUser }),
      limits: {
        ...(limits?.['memory'] === undefined ? {} : { memoryBytes: unitsOf(limits['memory']) }),
        ...(limits?.['cpu'] === undefined ? {} : { cpuMilli: milliOf(limits['cpu']) }),
      },
      requests: requests?.['cpu'] === undefined ? {} : { cpuMilli: milliOf(requests['cpu']) },
      fenced,
      annotations: metadata.annotations ?? {},
    };
  }

  // running → ended

  async #supervise(round: Round, key: string, execution: Execution, stoppedBefore: StopReason | undefined): Promise<AttemptOutcome> {
    const { clock, fence, journal } = this.#context;
    this.#execution = execution;
    let end: RecordedEnd | undefined;
    void execution.ended.then((ended) => {
      end = { ...ended, startedAt: execution.startedAt };
      this.#wake();
    });
    const fenced = this.#task.spec.onNodeLost !== 'Wait';
    const release = fenced
      ? fence.guard(key, () => {
          this.#fenced = true;
          execution.kill();
        })
      : () => undefined;
    let stop = stoppedBefore === undefined ? undefined : { reason: stoppedBefore, at: clock.now() };
    let killed = false;
    let answered: Task | undefined;
    while (!end) {
      if (this.#order === 'detach') {
        execution.detach();
        release();
        return { kind: 'dropped' };
      }
      const now = clock.now();
      const reason = this.#stopReason(now);
      if (!stop && reason) {
        stop = { reason, at: now };
        journal.stop(key, reason);
        this.#logger.info('stopping a task', { why: reason });
        this.#context.event(this.#task, 'Normal', 'Killing', `stopping attempt ${round.attempt.number}: ${reason}`);
        execution.terminate();
      }
      // Taken for lost with its node, and kept for it. While we are not present, it would only be taken for lost again.
      if (!stop && this.#task.status?.phase === 'Unknown' && answered !== this.#task) {
        if (fence.open) {
          answered = this.#task;
          this.#send(this.#report(round, 'Running'));
        } else void fence.opened.then(() => this.#wake());
      }
      const killAt = stop && stop.at + this.#graceMs();
      if (!killed && (this.#order === 'forget' || (killAt !== undefined && now >= killAt))) {
        killed = true;
        execution.kill();
      }
      await this.#until(killed ? undefined : (killAt ?? this.#deadlineAt()));
    }
    this.#execution = undefined;
    release();
    this.#context.attemptEnded(key);
    if (this.#order === 'forget') {
      journal.done(key);
      return { kind: 'dropped' };
    }
    // Killed by the watchdog while this process was held up.
    const killedFromOutside = fenced && !fence.open && (isVanished(end) || end.killed === true);
    if ((this.#fenced || killedFromOutside) && !stop) {
      stop = { reason: 'Fenced', at: clock.now() };
      journal.stop(key, 'Fenced');
    }
    journal.end(key, end);
    return this.#judge(end, stop?.reason);
  }

  #stopReason(now: number): StopReason | undefined {
    if (this.#task.metadata.deletionTimestamp) return 'Deleted';
    const deadlineAt = this.#deadlineAt();
    if (deadlineAt !== undefined && now >= deadlineAt) return 'DeadlineExceeded';
    return this.#order === 'stop' ? 'AgentStopped' : undefined;
  }

  #graceMs(): number {
    const { spec, metadata } = this.#task;
    const ownMs = ((metadata.deletionTimestamp ? metadata.deletionGracePeriodSeconds : undefined) ?? spec.terminationGracePeriodSeconds ?? 30) * 1000;
    return this.#order === 'stop' ? Math.min(ownMs, this.#stopGraceMs) : ownMs;
  }

  /** What an end means, given why the agent stopped it, if it did. */
  #judge(end: RecordedEnd, stop: StopReason | undefined): AttemptOutcome {
    const wasKilled = isVanished(end) || end.killed === true;
    if (stop === 'AgentStopped') return { kind: 'lost', reason: 'AgentStopped', message: 'stopped together with the agent of its node' };
    if (stop === 'Fenced' && wasKilled) return { kind: 'lost', reason: 'NodeLost', message: `node ${this.#context.nodeName} lost touch with the API server and stopped it` };
    if (isVanished(end) && !stop) return { kind: 'lost', reason: 'Lost', message: 'its process is gone without an exit code: the machine was restarted, or everything was killed from outside' };
    const ended = isVanished(end) ? { exitCode: 137, signal: 'SIGKILL', oomKilled: false, finishedAt: end.finishedAt } : end;
    return {
      kind: 'ended',
      end: {
        exitCode: ended.exitCode,
        ...(ended.signal ? { signal: ended.signal } : {}),
        ...(end.startError === undefined ? {} : { startError: end.startError }),
        oomKilled: ended.oomKilled,
        ...(stop === 'Deleted' || stop === 'DeadlineExceeded' ? { stoppedFor: stop } : {}),
        ...(end.startedAt === undefined ? {} : { startedAt: end.startedAt }),
        finishedAt: Math.round(ended.finishedAt),
      },
      usage: end.usage,
    };
  }

  // ended → backoff | reporting

  /** @returns the next round, or undefined when there is none */
  async #afterEnd(round: Round, end: AttemptEnd, usage: Usage | undefined): Promise<Round | undefined> {
    let told = false;
    for (;;) {
      const deadlineAt = this.#deadlineAt();
      const deletedMeanwhile = this.#task.metadata.deletionTimestamp && !end.stoppedFor ? ({ stoppedFor: 'Deleted' } as const) : {};
      const decision = decide({ end: { ...end, ...deletedMeanwhile }, spec: this.#task.spec as TaskSpec, attempt: round.attempt.number, delays: round.delays, ...(deadlineAt === undefined ? {} : { deadlineAt }) });
      if (decision.action === 'finish') {
        if (decision.phase === 'Failed') this.#context.event(this.#task, 'Warning', decision.reason, decision.message);
        await this.#final(round, { ...this.#report(round, decision.phase), ...endFields(end, usage), reason: decision.reason, message: decision.message });
        return undefined;
      }
      if (!told) {
        told = true;
        this.#context.event(this.#task, 'Warning', 'BackOff', decision.message);
        this.#send({ ...this.#report(round, 'Scheduled'), ...endFields(end, usage), reason: decision.reason, message: decision.message });
      }
      if (this.#order === 'forget') this.#context.journal.done(this.#key(round));
      if (this.#order) return undefined;
      if (this.#context.clock.now() >= decision.atMs) {
        this.#context.journal.done(this.#key(round));
        const last = asLastAttempt(round.attempt, end, reasonOf(end), this.#context.nodeName);
        return { attempt: { number: round.attempt.number + 1, last }, tries: 0, delays: decision.delays };
      }
      await this.#until(decision.atMs);
    }
  }

  #finishUnstarted(round: Round): Promise<void> {
    const deleted = Boolean(this.#task.metadata.deletionTimestamp);
    return this.#final(round, {
      ...this.#report(round, 'Failed'),
      reason: deleted ? 'Deleted' : 'DeadlineExceeded',
      message: deleted ? 'deleted before it was started' : deadlineMessage(this.#task.spec),
    });
  }

  /** The last report: resolves when the server knows it, or when the agent goes (the journal then brings it back). */
  async #final(round: Round, report: TaskReport): Promise<void> {
    const settled = this.#context.submit(report).then(() => true);
    for (;;) {
      if (this.#order === 'forget' || (await Promise.race([settled, this.#changed.promise]))) break;
      if (this.#order === 'detach') return;
      this.#rearm();
    }
    const key = this.#key(round);
    if (this.#context.journal.attempts.has(key)) this.#context.journal.done(key);
  }

  // common

  #report(round: Round, phase: TaskReport['phase']): TaskReport {
    return baseReport(this.#task, { ...round.attempt, ...(this.#firstStartedAt === undefined ? {} : { firstStartedAt: this.#firstStartedAt }) }, phase);
  }

  /** Why the attempt does not start; said once. */
  #sendWaiting(round: Round, reason: string, message: string): void {
    if (this.#told === message) return;
    this.#told = message;
    this.#logger.warn('a task cannot be started now; trying again', { reason, error: message });
    this.#context.event(this.#task, 'Warning', reason, message);
    this.#send({ ...this.#report(round, 'Scheduled'), reason, message });
  }

  #send(report: TaskReport): void {
    void this.#context.submit(report).then((settlement) => {
      if (settlement === 'refused') this.forget();
    });
  }

  #deadlineAt(): number | undefined {
    const { activeDeadlineSeconds } = this.#task.spec;
    return activeDeadlineSeconds === undefined || this.#firstStartedAt === undefined ? undefined : this.#firstStartedAt + activeDeadlineSeconds * 1000;
  }

  #key(round: Round): string {
    return attemptKey({ uid: this.uid, bindings: this.bindings, attempt: round.attempt.number }, round.tries);
  }

  #wake(): void {
    this.#changed.resolve();
  }

  #rearm(): void {
    this.#changed = new Deferred();
  }

  /** Waits for the time (milliseconds since the epoch; absent: for ever) or for anything to change. */
  async #until(at: number | undefined): Promise<void> {
    const timer = at === undefined ? undefined : this.#context.clock.timer(at - this.#context.clock.now(), () => this.#wake());
    await this.#changed.promise;
    timer?.cancel();
    this.#rearm();
  }
}

