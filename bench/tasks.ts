// tasks.ts: tasks to measure with, made and followed many at a time.

import { bulkPaths, type BulkResult } from '../api/protocol.js';
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

/** A request that creates many tasks, ready to be sent. */
export interface PreparedCreate {
  readonly names: readonly string[];
  readonly body: string;
}

/** The bodies of the requests, a thousand tasks in each: making them is the client's work, which need not be done while a clock runs. */
export function prepareCreates(tasks: readonly Task[]): PreparedCreate[] {
  return Array.from({ length: Math.ceil(tasks.length / bulkSize) }, (_, index) => {
    const items = tasks.slice(index * bulkSize, (index + 1) * bulkSize);
    return { names: items.map(({ metadata }) => metadata.name!), body: JSON.stringify({ items }) };
  });
}

/** Creates all. @returns when the request of each was sent, by name, by `now` */
export async function sendCreates(client: ApiClient, creates: readonly PreparedCreate[], now: () => number): Promise<Map<string, number>> {
  const sentAt = new Map<string, number>();
  const left = [...creates];
  const headers = { accept: 'application/json', 'content-type': 'application/json' };
  const worker = async (): Promise<void> => {
    for (let create = left.shift(); create; create = left.shift()) {
      const at = now();
      for (const name of create.names) sentAt.set(name, at);
      const { status, body } = await client.transport.request({ method: 'POST', path: bulkPaths.create, headers, body: create.body });
      check(status === 200, `a bulk create was answered with ${status}: ${body.slice(0, 500)}`);
      const { items: outcomes } = JSON.parse(body) as BulkResult;
      const refused = outcomes.find((outcome) => outcome.code !== 201);
      check(outcomes.length === create.names.length && !refused, `a create was refused: ${JSON.stringify(refused)}`);
    }
  };
  await Promise.all(Array.from({ length: bulksInFlight }, worker));
  return sentAt;
}

/** Creates all, a thousand in a request. @returns when the request of each was sent, by name, by `now` */
export function createAll(client: ApiClient, tasks: readonly Task[], now: () => number): Promise<Map<string, number>> {
  return sendCreates(client, prepareCreates(tasks), now);
}

/** Follows all tasks, or those that are selected, by a watch; `seen` is told of each state. Resolves with what stops it, once it has begun. */
export async function followTasks(client: ApiClient, clock: Clock, seen: (task: Task) => void, fieldSelector?: string): Promise<() => Promise<void>> {
  const stop = new AbortController();
  const begun = new Deferred<void>();
  const selected = fieldSelector === undefined ? {} : { fieldSelector };
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      try {
        const list = await client.list(taskKind, selected);
        for (const task of list.items) seen(task);
        begun.resolve();
        for await (const batch of client.watchBatches(taskKind, { ...selected, resourceVersion: list.metadata.resourceVersion, signal: stop.signal })) {
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
