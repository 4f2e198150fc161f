// load.ts: how busy the machine is, measured between one call and the next.

import { readFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import type { NodeLoad } from '../api/protocol.js';
import type { Clock } from '../lib/clock.js';
import type { Usage } from './driver.js';
import { memoryAvailableBytes } from './machine.js';

interface CpuTicks {
  busy: number;
  total: number;
}

export interface RunningUsage {
  /** `namespace/name`. */
  task: string;
  usage: Usage | undefined;
}

/** Shares of processor time closer together than this are mostly noise; the last result stands meanwhile. */
const intervalMsMin = 500;

export class LoadMeter {
  readonly #clock: Clock;
  readonly #running: () => Iterable<RunningUsage>;
  readonly #cores = cpus().length;
  #ticks: CpuTicks = readCpuTicks();
  #atMs: number;
  #taskSeconds = new Map<string, number>();
  #last: NodeLoad | undefined;

  constructor(options: { clock: Clock; running(): Iterable<RunningUsage> }) {
    this.#clock = options.clock;
    this.#running = options.running;
    this.#atMs = options.clock.monotonic();
  }

  measure(): NodeLoad {
    const now = this.#clock.monotonic();
    const elapsedMs = now - this.#atMs;
    if (this.#last && elapsedMs < intervalMsMin) return this.#last;
    const ticks = readCpuTicks();
    const total = ticks.total - this.#ticks.total;
    const cpuMilli = total > 0 ? Math.round(((ticks.busy - this.#ticks.busy) / total) * this.#cores * 1000) : 0;
    const tasks: NonNullable<NodeLoad['tasks']> = {};
    const seconds = new Map<string, number>();
    for (const { task, usage } of this.#running()) {
      if (!usage) continue;
      const used = usage.cpuSeconds ?? 0;
      seconds.set(task, used);
      const before = this.#taskSeconds.get(task) ?? used;
      const milli = elapsedMs > 0 ? ((used - before) * 1e6) / elapsedMs : 0;
      tasks[task] = { cpuMilli: Math.max(0, Math.round(milli)), memoryBytes: usage.memoryBytes ?? 0 };
    }
    this.#ticks = ticks;
    this.#atMs = now;
    this.#taskSeconds = seconds;
    const totalBytes = totalmem();
    this.#last = {
      cpuMilli: Math.max(0, cpuMilli),
      memoryBytes: totalBytes - (memoryAvailableBytes() ?? totalBytes),
      loadAverage: Math.round(loadavg()[0]! * 100) / 100,
      ...(seconds.size > 0 ? { tasks } : {}),
    };
    return this.#last;
  }
}

function readCpuTicks(): CpuTicks {
  const line = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]!;
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = line.split(/\s+/).slice(1).map(Number);
  const busy = user + nice + system + irq + softirq + steal;
  return { busy, total: busy + idle + iowait };
}
