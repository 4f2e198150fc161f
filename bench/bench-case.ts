// bench-case.ts: what a case is, and what it hands back.

import type { ApiClient } from '../client/api-client.js';
import type { Clock } from '../lib/clock.js';
import type { StoreName, TaskplaneOptions, TaskplaneProcesses } from '../lib/testing/taskplane-processes.js';

export interface Measurement {
  value: number;
  unit: string;
  /** Of single operations, milliseconds; undefined where the case has none. */
  p50?: number;
  p99?: number;
  /** Throughput over the run, for its picture: events per second in the second (or shorter slice) that ends at `atSeconds`. */
  series?: readonly { readonly atSeconds: number; readonly perSecond: number }[];
  /** Latencies of single operations, milliseconds, in any order, for the picture of their distribution. */
  latenciesMs?: readonly number[];
  /** Whatever else was seen: parts of the time, sizes, counts. */
  details?: Readonly<Record<string, number | string>>;
}

export interface CaseContext {
  readonly store: StoreName;
  readonly nodes: number;
  readonly tasks: number;
  readonly clock: Clock;
  /** Aborts when the case has ended, however it ended: whatever still waits or asks again must stop. */
  readonly signal: AbortSignal;
  /** Shown to people while they wait; never part of the result. */
  progress(text: string): void;
  /** Store and API server, as in production; ended by the one who runs the case. */
  start(options?: Omit<TaskplaneOptions, 'store'>): Promise<TaskplaneProcesses>;
  /** As the admin; closed by the one who runs the case. */
  connect(kubeconfig: string, options?: { maxSockets?: number }): Promise<ApiClient>;
  /** Runs when the case has ended, however it ended, the newest first. */
  afterwards(cleanup: () => Promise<void>): void;
}

/** What a figure is to reach on the reference machine (two cores, the store on it, too). */
export interface Target {
  /** `details.NAME`: a detail of the measurement. */
  readonly figure: 'value' | 'p50' | 'p99' | `details.${string}`;
  readonly at: 'least' | 'most';
  /** In the unit of the figure; with `of` a share. */
  readonly bound: number;
  /** The case, of its own size and on the same store, whose figure is the measure. */
  readonly of?: string;
}

export type Better = 'higher' | 'lower';

/** What happens in a time (`tasks/s`) is to be more; what something takes (`ms`, `MiB`, `cores`) is to be less. */
export function betterOf({ better }: Pick<BenchCase, 'better'>, unit: string): Better {
  return better ?? (unit.endsWith('/s') ? 'higher' : 'lower');
}

export interface BenchCase {
  /** Families share the part before the slash: `SchedulingBasic/5000Nodes_10000Tasks`. */
  readonly name: string;
  /** What is measured, from when to when. */
  readonly description: string;
  readonly stores: readonly StoreName[];
  readonly nodes: number;
  readonly tasks: number;
  readonly targets?: readonly Target[];
  /** Which way a value improves; by its unit when absent (see `betterOf`). */
  readonly better?: Better;
  /** Names the curve of which this case is a point, and where: cost against nodes, against history, against watchers. */
  readonly curve?: { readonly name: string; readonly x: number };
  /** Run only when it is named itself, not with all or with its family: why. */
  readonly onRequest?: string;
  /** @throws Error when the result is wrong: a figure of something broken is no figure */
  run(context: CaseContext): Promise<Measurement>;
}

/** @throws Error */
export function check(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(`the result is wrong: ${otherwise}`);
}
