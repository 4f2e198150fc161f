// stored-tasks.ts
//
// Tasks that are there before a server starts: the history of a cluster that has worked for weeks. They are put into the
// store directly, because a hundred thousand tasks cannot be run in the time that a case has; each is what the server would
// have stored, made by the functions that it uses (defaults, the life of a task, the text that is stored). stored-tasks.test.ts
// compares them with what the server stores.

import { join } from 'node:path';
import type { KindDefinition } from '../api/kind.js';
import { timestamp } from '../api/meta.js';
import { boundTo, initialStatus, reported, type TaskReport } from '../api/task-status.js';
import { taskKind, type Task, type TaskStatus } from '../api/task.js';
import { applyDefaults } from '../api/validation.js';
import { collectionPrefix, objectStoreKey } from '../apiserver/resources/registry-keys.js';
import { EmbeddedStore } from '../apiserver/storage/embedded/embedded-store.js';
import { encodeObject } from '../apiserver/storage/entry.js';
import type { Store } from '../apiserver/storage/store.js';
import { leaseKind, presenceNamespace } from '../api/lease.js';
import type { Clock } from '../lib/clock.js';
import type { Random } from '../lib/random.js';
import type { TaskplaneProcesses } from '../lib/testing/taskplane-processes.js';
import { check } from './bench-case.js';
import { benchTask } from './tasks.js';

export type StoredPhase = 'Pending' | 'Scheduled' | 'Running' | 'Succeeded' | 'Failed';

export interface StoredTasksOptions {
  readonly count: number;
  readonly phase: StoredPhase;
  /** Names are `<prefix><index>`; `stored-` when absent. */
  readonly prefix?: string;
  /** The node of the task with this index; one of a hundred, `history-<n>`, when absent. */
  readonly nodeOf?: (index: number) => string;
  /** What the task asks for; a small command with an environment and labels when absent. */
  readonly spec?: Task['spec'];
  readonly clock: Clock;
  readonly random: Random;
}

const specDefault: Task['spec'] = {
  command: ['/bin/sh', '-c', 'convert --quality 80 "$INPUT" "$OUTPUT"'],
  env: [
    { name: 'INPUT', value: '/data/pictures/2026/11/holiday.png' },
    { name: 'OUTPUT', value: '/data/thumbnails/2026/11/holiday.webp' },
  ],
  resources: { requests: { cpu: '100m', memory: '128Mi' } },
};
const labelsDefault = { app: 'thumbnails', team: 'media' };
const nodesDefault = 100;

/** One task as the server would have stored it after a create, a binding and the reports of its agent. */
export function storedTask(index: number, options: Omit<StoredTasksOptions, 'count'>): Task {
  const { phase, prefix = 'stored-', spec = specDefault, clock, random } = options;
  const now = clock.now();
  const nodeName = options.nodeOf?.(index) ?? `history-${index % nodesDefault}`;
  const uid = random.uuid();
  const created = benchTask(`${prefix}${index}`, structuredClone(spec), { labels: labelsDefault, uid, creationTimestamp: timestamp(now), generation: 1 });
  applyDefaults(taskKind as unknown as KindDefinition, created);
  let task: Task = { ...created, status: initialStatus(now) };
  const moved = (status: TaskStatus | { refused: string }): Task => {
    if ('refused' in status) throw new Error(`a stored task cannot be made: ${status.refused}`);
    return { ...task, status };
  };
  if (phase === 'Pending') return task;
  task = moved(boundTo(task, nodeName, now, '127.0.0.1'));
  if (phase === 'Scheduled') return task;
  const times = { firstStartTime: timestamp(now), startTime: timestamp(now) };
  const report: TaskReport = { namespace: 'default', name: task.metadata.name!, uid, bindings: 1, attempt: 1, phase: 'Running', ...times };
  task = moved(reported(task, nodeName, report, now));
  if (phase === 'Running') return task;
  const end = phase === 'Succeeded' ? { exitCode: 0, reason: 'Completed', message: 'exit code 0' } : { exitCode: 1, reason: 'Error', message: 'exit code 1' };
  return moved(reported(task, nodeName, { ...report, phase, finishTime: timestamp(now), ...end, usage: { cpuSeconds: 0.012, memoryPeakBytes: 3_145_728 } }, now));
}

/** As many as are made before they are written: what waits in a store is bounded, too. */
const batchSize = 4_000;

/** Writes the tasks, each as a create of its own. @throws Error when one is there already */
export async function storeTasks(store: Store, options: StoredTasksOptions): Promise<void> {
  for (let from = 0; from < options.count; from += batchSize) {
    const indexes = Array.from({ length: Math.min(batchSize, options.count - from) }, (_, offset) => from + offset);
    const outcomes = await Promise.all(
      indexes.map((index) => {
        const task = storedTask(index, options);
        return store.write({ op: 'create', key: objectStoreKey(taskKind, task.metadata.name!, 'default'), value: encodeObject(task) });
      }),
    );
    check(outcomes.every(({ ok }) => ok), 'a stored task was there already');
  }
}

/**
 * Opens the store of a cluster whose API server does not run, with the library that the server itself uses, and closes it
 * when `work` has ended. The server has run before: its namespaces are there.
 */
export async function withStoreOf<T>(processes: TaskplaneProcesses, { clock, random }: { clock: Clock; random: Random }, work: (store: Store) => Promise<T>): Promise<T> {
  const store = await openStore(processes, clock, random);
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

async function openStore({ etcd, dataDirectory }: TaskplaneProcesses, clock: Clock, random: Random): Promise<Store> {
  if (!etcd) return EmbeddedStore.open({ file: join(dataDirectory, 'store.db'), clock });
  const { EtcdStore } = await import('../apiserver/storage/etcd/etcd-store.js');
  return EtcdStore.open({ endpoints: [etcd.endpoint], presencePrefix: collectionPrefix(leaseKind, presenceNamespace), clock, random });
}

/** The usual way: the API server ends, the tasks are stored, the server starts again. @returns milliseconds of that start, from its process to requests being answered */
export async function fillAndRestart(processes: TaskplaneProcesses, options: StoredTasksOptions): Promise<number> {
  const { clock } = options;
  await processes.apiserver.stop();
  await withStoreOf(processes, options, (store) => storeTasks(store, options));
  const start = clock.monotonic();
  await processes.startApiserver();
  return clock.monotonic() - start;
}
