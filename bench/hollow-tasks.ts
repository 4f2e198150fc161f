// hollow-tasks.ts
//
// The tasks of a hollow agent: no process, only what there is to report, in the words of a real agent (agent/reports.ts) and
// brought to the server by a real agent's own writer (agent/status-writer.ts): the newest report of a task wins, one request
// carries those of many. The event of each start is recorded as a real agent's is, too (agent/task-runner.ts).

import type { TaskReport } from '../api/task-status.js';
import type { Task } from '../api/task.js';
import { baseReport, endFields } from '../agent/reports.js';
import { StatusWriter } from '../agent/status-writer.js';
import type { ApiClient } from '../client/api-client.js';
import { EventRecorder } from '../client/event-recorder.js';
import { sleep, type Clock } from '../lib/clock.js';
import { silentLogger } from '../lib/log.js';
import type { Random } from '../lib/random.js';

export interface HollowTasksOptions {
  readonly nodeName: string;
  /** As a real agent's: what it reports is not told back to it. */
  readonly reporter: string;
  readonly client: ApiClient;
  /** How long tasks last. Of one that lasts no time both reports are made at once, so that only its end is ever sent. */
  readonly lastMs: number;
  readonly clock: Clock;
  readonly random: Random;
  /** The server has taken that the task has succeeded: it is on disk. */
  readonly onSucceeded: (name: string) => void;
}

/** What is told of a process that does next to nothing. */
const usage = { cpuSeconds: 0.002, memoryPeakBytes: 3_145_728 };

export class HollowTasks {
  readonly #options: HollowTasksOptions;
  readonly #writer: StatusWriter;
  readonly #events: EventRecorder;

  constructor(options: HollowTasksOptions) {
    const { nodeName, reporter, client, clock, random } = options;
    this.#options = options;
    this.#events = new EventRecorder({ client, component: 'agent', host: nodeName, clock, logger: silentLogger });
    this.#writer = new StatusWriter({ nodeName, reporter, bulk: (path, body) => client.bulk(path, body), events: this.#events, clock, random, logger: silentLogger });
  }

  /** Brings reports and events to the server until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#writer.run(signal), this.#events.run(signal)]);
  }

  /** From its binding to its end. A task that lasts is not reported as ended before the server has it running. */
  async perform(task: Task, signal: AbortSignal): Promise<void> {
    const { nodeName, clock, lastMs, onSucceeded } = this.#options;
    const startedAt = clock.now();
    this.#events.record(task, 'Normal', 'Started', `started attempt ${task.status?.attempt ?? 1} on node ${nodeName}`);
    const report = (phase: TaskReport['phase']): TaskReport => baseReport(task, { number: task.status?.attempt ?? 1, startedAt, firstStartedAt: startedAt }, phase);
    const running = this.#writer.submit(report('Running'));
    if (lastMs > 0) {
      const [settlement] = await Promise.all([running, sleep(clock, lastMs, signal)]);
      if (signal.aborted || settlement === 'refused') return;
    }
    const end = endFields({ exitCode: 0, finishedAt: clock.now() }, usage);
    const settlement = await this.#writer.submit({ ...report('Succeeded'), ...end, reason: 'Completed', message: 'exit code 0' });
    if (settlement === 'accepted') onSucceeded(task.metadata.name!);
  }
}
