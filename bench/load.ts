// load.ts
//
// A process that asks the API server for one thing many times: `node dist/bench/main.js load JSON`. It makes every request
// before it begins, says `prepared N`, begins on SIGUSR2, and ends with `result PATH`, a file with a LoadResult.

import { writeFileSync } from 'node:fs';
import { loadKubeConfig } from '../client/kubeconfig.js';
import { SystemClock } from '../lib/clock.js';
import { encodeRequest, RawAccess, RawConnection } from './raw-client.js';
import { benchTask } from './tasks.js';

const tasksPath = '/apis/taskplane.dev/v1/namespaces/default/tasks';

export type LoadPlan =
  /** Creates of single tasks of about 1 KB. */
  | { readonly do: 'create'; readonly prefix: string; readonly count: number }
  /** `count` tasks of about 0.4 KB, many in a request. */
  | { readonly do: 'bulk-create'; readonly prefix: string; readonly count: number; readonly perRequest: number }
  /** Reads of one task after the other, of `of` tasks that are there. */
  | { readonly do: 'get'; readonly prefix: string; readonly count: number; readonly of: number }
  /** Merge patches that set an annotation of one task after the other, of `of` tasks that are there. */
  | { readonly do: 'patch'; readonly prefix: string; readonly count: number; readonly of: number }
  /** Lists of all tasks. */
  | { readonly do: 'list'; readonly count: number; readonly query?: string };

export interface LoadOptions {
  readonly kubeconfig: string;
  /** Each has one request in flight. */
  readonly connections: number;
  readonly plan: LoadPlan;
  readonly resultPath: string;
}

export interface LoadResult {
  /** From the first request being sent to the last answer. */
  readonly seconds: number;
  /** Of each request, in the order of the answers. */
  readonly latenciesMs: number[];
  /** When each answer was there, since the start. */
  readonly atMs: number[];
  /** Answers with another status than the right one, and one of them. */
  readonly wrong: number;
  readonly wrongAnswer?: string;
  /** Of all bodies together. */
  readonly bytes: number;
  /** Processor time of this process while it measured. */
  readonly cpuSeconds: number;
}

/** @returns every request, and the status that answers it */
export function requestsOf(plan: LoadPlan): { requests: Buffer[]; status: number } {
  const each = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, index) => make(index));
  switch (plan.do) {
    case 'create': {
      const env = [{ name: 'PADDING', value: 'x'.repeat(600) }];
      return { status: 201, requests: each(plan.count, (index) => encodeRequest({ method: 'POST', path: tasksPath, body: JSON.stringify(benchTask(`${plan.prefix}${index}`, { command: ['/bin/true'], env })) })) };
    }
    case 'bulk-create': {
      const resources = { requests: { cpu: '100m', memory: '128Mi' } };
      const bulks = Math.ceil(plan.count / plan.perRequest);
      return {
        status: 200,
        requests: each(bulks, (bulk) => {
          const items = each(Math.min(plan.perRequest, plan.count - bulk * plan.perRequest), (index) => benchTask(`${plan.prefix}${bulk * plan.perRequest + index}`, { command: ['/bin/true'], resources }));
          return encodeRequest({ method: 'POST', path: '/apis/taskplane.dev/v1/bulk/tasks', body: JSON.stringify({ items }) });
        }),
      };
    }
    case 'get':
      return { status: 200, requests: each(plan.count, (index) => encodeRequest({ method: 'GET', path: `${tasksPath}/${plan.prefix}${index % plan.of}` })) };
    case 'patch': {
      const body = (index: number): string => JSON.stringify({ metadata: { annotations: { 'bench.taskplane.dev/turn': String(index) } } });
      return { status: 200, requests: each(plan.count, (index) => encodeRequest({ method: 'PATCH', path: `${tasksPath}/${plan.prefix}${index % plan.of}`, contentType: 'application/merge-patch+json', body: body(index) })) };
    }
    case 'list':
      return { status: 200, requests: each(plan.count, () => encodeRequest({ method: 'GET', path: `/apis/taskplane.dev/v1/tasks${plan.query ?? ''}` })) };
  }
}

export async function runLoad({ kubeconfig, connections: count, plan, resultPath }: LoadOptions): Promise<void> {
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  const access = new RawAccess(await loadKubeConfig({ path: kubeconfig }));
  const { requests, status: right } = requestsOf(plan);
  const sockets = await Promise.all(Array.from({ length: count }, () => access.connect()));
  const begin = new Promise<void>((resolve) => process.once('SIGUSR2', () => resolve()));
  say(`prepared ${requests.length}`);
  await begin;

  const clock = new SystemClock();
  const latenciesMs: number[] = [];
  const atMs: number[] = [];
  let next = 0;
  let bytes = 0;
  let wrong = 0;
  let wrongAnswer: string | undefined;
  const cpuBefore = process.cpuUsage();
  const start = clock.monotonic();
  await new Promise<void>((resolve, reject) => {
    for (const socket of sockets) {
      const connection = new RawConnection(socket, reject);
      const more = (): void => {
        const request = requests[next++];
        if (!request) return latenciesMs.length === requests.length ? resolve() : undefined;
        const sentAt = clock.monotonic();
        connection.send(
          request,
          (status, length, body) => {
            const now = clock.monotonic();
            latenciesMs.push(now - sentAt);
            atMs.push(now - start);
            bytes += length;
            if (status !== right && wrong++ === 0) wrongAnswer = `${status} ${Buffer.concat(body).toString('utf8').slice(0, 500)}`;
            more();
          },
          // What went wrong is to be told; a list is not to be kept for that.
          plan.do !== 'list',
        );
      };
      more();
    }
  });
  const seconds = (clock.monotonic() - start) / 1_000;
  const { user, system } = process.cpuUsage(cpuBefore);
  const result: LoadResult = { seconds, latenciesMs, atMs, wrong, ...(wrongAnswer === undefined ? {} : { wrongAnswer }), bytes, cpuSeconds: (user + system) / 1e6 };
  writeFileSync(resultPath, JSON.stringify(result));
  say(`result ${resultPath}`);
  for (const socket of sockets) socket.destroy();
}
