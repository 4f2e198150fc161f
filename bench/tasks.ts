// tasks.ts: tasks to measure with, made and followed many at a time.

import { bulkPaths } from '../api/protocol.js';
import { taskKind, type Task } from '../api/task.js';
import { sleep, type Clock } from '../lib/clock.js';
import { Deferred } from '../lib/deferred.js';
import type { ApiClient } from '../client/api-client.js';
import { check } from './bench-case.js';

export function benchTask(name: string, spec: Task['spec'], metadata: Partial<Task['metadata']> = {}): Task {
  return { apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name, namespace: 'default', ...metadata }, spec } as Task;
}

const bulkSize = 1_000;
const bulksInFlight = 4;

/** Creates all, a thousand in a request. @returns when the request of each was sent, by name, by `now` */
export async function createAll(client: ApiClient, tasks: readonly Task[], now: () => number): Promise<Map<string, number>> {
  const sentAt = new Map<string, number>();
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < tasks.length) {
      const items = tasks.slice(next, (next += bulkSize));
      const at = now();
      for (const item of items) sentAt.set(item.metadata.name!, at);
      const outcomes = await client.bulk(bulkPaths.create, { items });
      const refused = outcomes.find((outcome) => outcome.code !== 201);
      check(outcomes.length === items.length && !refused, `a create was refused: ${JSON.stringify(refused)}`);
    }
  };
  await Promise.all(Array.from({ length: bulksInFlight }, worker));
  return sentAt;
}

/** Follows all tasks by a watch; `seen` is told of each state. Resolves with what stops it, once it has begun. */
export async function followTasks(client: ApiClient, clock: Clock, seen: (task: Task) => void): Promise<() => Promise<void>> {
  const stop = new AbortController();
  const begun = new Deferred<void>();
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      try {
        const list = await client.list(taskKind);
        for (const task of list.items) seen(task);
        begun.resolve();
        for await (const batch of client.watchBatches(taskKind, { resourceVersion: list.metadata.resourceVersion, signal: stop.signal })) {
          for (const { type, object } of batch) if (type === 'ADDED' || type === 'MODIFIED') seen(object);
        }
      } catch (error) {
        begun.reject(error);
        await sleep(clock, 50, stop.signal);
      }
    }
  };
  const running = run();
  await begun.promise;
  return async () => {
    stop.abort();
    await running;
  };
}

/** Every page of the collection. */
export async function allTasks(client: ApiClient): Promise<Task[]> {
  const { items } = await client.list(taskKind);
  return items;
}

/** @throws Error when `promise` takes longer */
export async function within<T>(clock: Clock, timeoutMs: number, what: string, promise: Promise<T>): Promise<T> {
  const late = new Deferred<never>();
  const timer = clock.timer(timeoutMs, () => late.reject(new Error(`${what} took longer than ${timeoutMs / 1_000} s`)));
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    timer.cancel();
  }
}
