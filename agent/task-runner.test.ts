import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TaskReport } from '../api/task-status.js';
import type { Task } from '../api/task.js';
import type { InformerChange } from '../client/informer.js';
import { Deferred } from '../lib/deferred.js';
import { FakeClock } from '../lib/fake-clock.js';
import { silentLogger as logger } from '../lib/log.js';
import { Agent } from './agent.js';
import { MachineBusyError, type Execution, type Exit } from './driver.js';
import { Fence } from './fence.js';
import { Journal } from './journal.js';
import type { LogStore } from './log-store.js';
import { MockDriver } from './mock-driver.js';
import { Semaphore } from './semaphore.js';
import { TaskRunner, type RunnerContext } from './task-runner.js';

const ttlMs = 8_000;

describe('TaskRunner', () => {
  let dataDir: string;
  let clock: FakeClock;
  let journal: Journal;
  let driver: MockDriver;
  let context: RunnerContext;
  let reports: TaskReport[];
  let stop: AbortController;
  let presence: Promise<void>;
  let present: boolean;
  /** What the server says when it is asked. */
  let stillBound: boolean | Error;

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'taskplane-runner-'));
    clock = new FakeClock();
    journal = Journal.open(join(dataDir, 'journal'));
    driver = new MockDriver({ clock });
    reports = [];
    present = stillBound = true;
    stop = new AbortController();
    const fence = new Fence({
      presence: ({ announce }) => (present ? Promise.resolve({ present: true, ttlMs }) : announce ? Promise.reject(new Error('away')) : Promise.resolve({ present: false, ttlMs })),
      load: () => ({}) as never,
      register: () => Promise.resolve(),
      session: 's',
      keeper: undefined,
      clock,
      logger,
    });
    presence = fence.run(stop.signal);
    context = {
      nodeName: 'n',
      driver,
      journal,
      fence,
      starts: new Semaphore(1),
      clock,
      logger,
      environment: () => Promise.resolve({}),
      isStillBound: () => (stillBound instanceof Error ? Promise.reject(stillBound) : Promise.resolve(stillBound)),
      submit: (report) => {
        reports.push(report);
        return Promise.resolve('accepted');
      },
      event: () => undefined,
      attemptStarted: () => undefined,
      attemptEnded: () => undefined,
    };
  });
  afterEach(async () => {
    stop.abort();
    await clock.advance(60_000);
    await presence;
    journal.close();
    await rm(dataDir, { recursive: true, force: true });
  });

  const task = (): Task => ({ apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name: 't', namespace: 'default', uid: 'u' }, spec: { command: ['true'] }, status: { phase: 'Scheduled', nodeName: 'n', bindings: 1, attempt: 1 } }) as Task;
  /** Lets what the journal syncs come true. */
  async function until(wished: () => boolean): Promise<void> {
    while (!wished()) {
      await clock.advance(1);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  /** @returns waits for its end */
  function run(runner: TaskRunner): () => Promise<void> {
    let over = false;
    void runner.run().then(() => (over = true));
    return () => until(() => over);
  }
  const absence = async (): Promise<void> => {
    present = false;
    await until(() => !context.fence.open);
    present = true;
    await until(() => context.fence.open);
  };

  it('does not ask whether a task is still bound while its node was never absent', async () => {
    stillBound = new Error('asked');
    await run(new TaskRunner(context, task()))();
    expect(driver.machine.started).toEqual(['u-1-1']);
  });

  it('does not start what was given away while its node was absent', async () => {
    let environment: () => void = () => undefined;
    const asked = new Promise<void>((resolve) => (environment = resolve));
    context = { ...context, environment: () => asked.then(() => ({})) };
    await until(() => context.fence.open);
    const runner = new TaskRunner(context, task());
    const ended = run(runner);
    await absence();
    stillBound = false;
    environment();
    await clock.advance(5_000);
    stillBound = new Error('no answer');
    await clock.advance(5_000);
    expect(driver.machine.started).toEqual([]);
    runner.forget();
    await ended();
    expect([driver.machine.started, journal.attempts.size]).toEqual([[], 0]);
  });

  it('starts what is still bound after an absence', async () => {
    await until(() => context.fence.open);
    await absence();
    stillBound = new Error('no answer');
    const ended = run(new TaskRunner(context, task()));
    await clock.advance(2_000);
    expect(driver.machine.started).toEqual([]);
    stillBound = true;
    await ended();
    expect(reports.at(-1)).toMatchObject({ phase: 'Succeeded' });
  });

  it.each([true, false])('tells how an attempt ended that was being put away when the agent went, unless that takes long (%s)', async (soon) => {
    const ended = new Deferred<Exit>();
    const execution = { startedAt: 0, ended: ended.promise, detach: () => false } as unknown as Execution;
    driver.start = () => Promise.resolve(execution);
    const runner = new TaskRunner(context, task());
    const over = run(runner);
    await until(() => reports.at(-1)?.phase === 'Running');
    runner.detach();
    await clock.advance(1);
    if (soon) ended.resolve({ exitCode: 137, signal: 'SIGKILL', oomKilled: true, finishedAt: 5, usage: { memoryPeakBytes: 6 } });
    await over();
    expect(reports.at(-1)).toMatchObject(soon ? { phase: 'Failed', message: expect.stringContaining('memory'), usage: { memoryPeakBytes: 6 } } : { phase: 'Running' });
  });

  it('is not run again once the server has taken its end, whatever a watch that need not tell of that still tells', async () => {
    const removed: string[] = [];
    const logs = { recover: () => undefined, removeTask: (uid: string) => removed.push(uid) } as unknown as LogStore;
    const agent = new Agent({ context, driver, journal, fence: context.fence, logs, clock, logger });
    let tell: (changes: readonly InformerChange<Task>[]) => void = () => undefined;
    agent.follow({ synced: Promise.resolve(), onChanges: (handler) => void (tell = handler) });
    const change = (type: InformerChange<Task>['type'], more: Partial<Task['metadata']> = {}): void => {
      const { metadata, ...rest } = task();
      tell([{ type, object: { ...rest, metadata: { ...metadata, ...more } } }]);
    };
    const ended = (uid: string): Promise<void> => until(() => reports.some((report) => report.uid === uid && report.phase === 'Succeeded') && agent.taskOf(uid) === undefined);
    change('added');
    await ended('u');
    change('modified', { labels: { late: 'yes' } });
    await clock.advance(1_000);
    expect([driver.machine.started, agent.taskOf('u'), removed]).toEqual([['u-1-1'], undefined, []]);
    change('deleted');
    expect(removed).toEqual(['u']);
    // Given away: its log stays, and it may come back.
    driver.start = () => Promise.reject(new MachineBusyError('busy'));
    change('added', { uid: 'other' });
    await until(() => agent.taskOf('other') !== undefined);
    change('deleted', { uid: 'other' });
    expect(removed).toEqual(['u']);
    await until(() => agent.taskOf('other') === undefined);
  });

  it('leaves nothing in the journal of an attempt that was never started, however it ends', async () => {
    const start = { uid: 'u', bindings: 1, attempt: 1, tries: 0, namespace: 'default', name: 't', fenced: true, delays: 0 };
    void journal.start(start);
    await run(new TaskRunner(context, task(), { record: { start }, neverStarted: true }))();
    expect([driver.machine.started, journal.attempts.size]).toEqual([['u-1-1.1'], 0]);

    driver.start = () => Promise.reject(new MachineBusyError('busy'));
    const busy = new TaskRunner(context, { ...task(), metadata: { name: 't', namespace: 'default', uid: 'other' } });
    const ended = run(busy);
    await until(() => reports.at(-1)?.reason === 'MachineBusy');
    busy.forget();
    await ended();
    expect(journal.attempts.size).toBe(0);
  });
});
