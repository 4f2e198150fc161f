// mock-driver.ts
//
// A driver without processes, scripted by the task itself. Tests and hollow agents use it: everything above the driver is
// the real thing.
//
//   mock.taskplane.dev/run-for: 250ms | 3s | 2m | forever     how long the command runs; 0 when absent
//   mock.taskplane.dev/exit-code: "3"                         how it ends; 0 when absent
//   mock.taskplane.dev/fail-attempts: "2"                     the first attempts end with exit code 1 instead
//   mock.taskplane.dev/oom: "true"                            it is killed for want of memory
//   mock.taskplane.dev/start-error: TEXT                      it cannot be started
//   mock.taskplane.dev/on-terminate: exit | ignore            whether SIGTERM ends it; it does when absent

import type { Clock, Timer } from '../lib/clock.js';
import { Deferred } from '../lib/deferred.js';
import { parseAttemptKey, StartError, type Driver, type Execution, type Exit, type StartSpec, type Usage, type Vanished } from './driver.js';

export const mockAnnotationPrefix = 'mock.taskplane.dev/';

/** What goes on running when an agent dies: give the same one to the agent that follows. */
export class MockMachine {
  readonly running = new Map<string, MockProcess>();
  readonly ended = new Map<string, Exit | Vanished>();
  /** Every key that ever ran, in order: no key may be in it twice. */
  readonly started: string[] = [];

  constructor(readonly clock: Clock) {}
}

export class MockDriver implements Driver {
  readonly isolation = 'mock';
  readonly isolationProblem = undefined;
  readonly machine: MockMachine;

  constructor(options: { clock: Clock; machine?: MockMachine }) {
    this.machine = options.machine ?? new MockMachine(options.clock);
  }

  start(spec: StartSpec): Promise<Execution> {
    const script = (name: string): string | undefined => spec.annotations[mockAnnotationPrefix + name];
    if (this.machine.started.includes(spec.key)) return Promise.reject(new Error(`attempt ${spec.key} was started before`));
    const startError = script('start-error');
    if (startError !== undefined) return Promise.reject(new StartError(startError, 127));
    this.machine.started.push(spec.key);
    const attempt = parseAttemptKey(spec.key)?.attempt ?? 1;
    const failing = attempt <= Number(script('fail-attempts') ?? 0);
    const oomKilled = script('oom') === 'true';
    const exitCode = oomKilled ? 137 : failing ? 1 : Number(script('exit-code') ?? 0);
    const process = new MockProcess(this.machine, spec.key, {
      runForMs: parseDuration(script('run-for') ?? '0'),
      exit: { exitCode, oomKilled, ...(oomKilled ? { signal: 'SIGKILL' } : {}) },
      ignoresTerminate: script('on-terminate') === 'ignore',
    });
    return Promise.resolve(process.attach());
  }

  recover(key: string): Promise<Execution | Exit | Vanished | 'never-started'> {
    const running = this.machine.running.get(key);
    return Promise.resolve(running?.attach() ?? this.machine.ended.get(key) ?? 'never-started');
  }

  sweep(keep: ReadonlySet<string>): Promise<void> {
    for (const [key, process] of this.machine.running) if (!keep.has(key)) process.end({ exitCode: 137, signal: 'SIGKILL', oomKilled: false });
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

class MockProcess {
  readonly startedAt: number;
  readonly ended = new Deferred<Exit | Vanished>();
  readonly #timer: Timer | undefined;

  constructor(
    readonly machine: MockMachine,
    readonly key: string,
    readonly script: { runForMs: number; exit: Omit<Exit, 'finishedAt'>; ignoresTerminate: boolean },
  ) {
    this.startedAt = machine.clock.now();
    machine.running.set(key, this);
    if (Number.isFinite(script.runForMs)) this.#timer = machine.clock.timer(script.runForMs, () => this.end(script.exit));
  }

  end(exit: Omit<Exit, 'finishedAt'>): void {
    if (!this.machine.running.delete(this.key)) return;
    this.#timer?.cancel();
    const end: Exit = { ...exit, finishedAt: this.machine.clock.now(), usage: this.usage() };
    this.machine.ended.set(this.key, end);
    this.ended.resolve(end);
  }

  usage(): Usage {
    return { cpuSeconds: (this.machine.clock.now() - this.startedAt) / 1000, memoryPeakBytes: 1_048_576, memoryBytes: 1_048_576 };
  }

  attach(): Execution {
    let detached = false;
    const ended = new Deferred<Exit | Vanished>();
    void this.ended.promise.then((end) => {
      if (!detached) ended.resolve(end);
    });
    return {
      key: this.key,
      pid: undefined,
      startedAt: this.startedAt,
      ended: ended.promise,
      terminate: () => {
        if (!this.script.ignoresTerminate) this.end({ exitCode: 143, signal: 'SIGTERM', oomKilled: false });
      },
      kill: () => this.end({ exitCode: 137, signal: 'SIGKILL', oomKilled: false, killed: true }),
      usage: () => (this.machine.running.has(this.key) ? this.usage() : undefined),
      exec: () => Promise.reject(new StartError('a mock task has no process, so no command can run beside it', 126)),
      pids: () => [],
      detach: () => (detached = true),
    };
  }
}

const unitsMs: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, '': 1_000 };

/** `250ms`, `3s`, `2m`, `1h`, a bare number of seconds, or `forever`. @throws StartError on anything else */
function parseDuration(text: string): number {
  if (text === 'forever') return Infinity;
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|)$/.exec(text);
  if (!match) throw new StartError(`${mockAnnotationPrefix}run-for: ${text} is no duration such as 250ms or 3s`, 128);
  return Number(match[1]) * unitsMs[match[2]!]!;
}
