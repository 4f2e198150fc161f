// watchers.ts
//
// A process of many watchers of one collection: `node dist/bench/main.js watchers JSON`. It says `watching N`, then
// `seen N` when every watcher has seen N changes, and after SIGTERM `result JSON`.

import { SystemClock } from '../lib/clock.js';
import { ApiClient } from '../client/api-client.js';
import { HttpsTransport } from '../client/https-transport.js';
import { loadKubeConfig } from '../client/kubeconfig.js';
import { spreadOf } from './percentiles.js';
import { WallTime } from './wall-time.js';

export interface WatchersOptions {
  kubeconfig: string;
  watchers: number;
  changes: number;
  resourceVersion: string;
}

export interface WatchersResult {
  seen: number;
  p50: number;
  p99: number;
  lastAtMs: number;
  /** Watchers that did not see every change once and in order. */
  wrong: number;
}

/** The annotation that says which change it is, and when it was sent. */
export const sentAnnotation = 'bench.taskplane.dev/sent';
const sentPattern = new RegExp(`"${sentAnnotation}":"(\\d+) ([\\d.]+)"`);

export async function runWatchers(options: WatchersOptions): Promise<void> {
  const clock = new SystemClock();
  const wall = new WallTime(clock);
  const client = new ApiClient({ transport: new HttpsTransport({ access: await loadKubeConfig({ path: options.kubeconfig }) }) });
  const stop = new AbortController();
  const delays: number[] = [];
  const counts = Array.from({ length: options.watchers }, () => 0);
  let wrong = 0;
  let complete = 0;
  let lastAtMs = 0;
  const say = (line: string): void => void process.stdout.write(`${line}\n`);

  const take = (index: number, line: string): void => {
    const match = sentPattern.exec(line);
    if (!match) return;
    lastAtMs = wall.now();
    delays.push(lastAtMs - Number(match[2]));
    if (Number(match[1]) !== counts[index]) wrong++;
    counts[index]!++;
    if (counts[index] === options.changes && ++complete === options.watchers) say(`seen ${options.changes}`);
  };
  const watch = async (index: number): Promise<() => Promise<void>> => {
    const query = { watch: true, resourceVersion: options.resourceVersion };
    const { chunks, status } = await client.transport.stream({ method: 'GET', path: '/apis/taskplane.dev/v1/tasks', query, headers: { accept: 'application/json' }, signal: stop.signal });
    if (status !== 200) throw new Error(`a watch was answered ${status}`);
    const read = async (): Promise<void> => {
      let rest = '';
      for await (const chunk of chunks) {
        const lines = (rest + chunk.toString('utf8')).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) take(index, line);
      }
    };
    const reading = read().catch(() => undefined);
    return () => reading;
  };
  const ends: (() => Promise<void>)[] = [];
  for (let index = 0; index < options.watchers; index += 50) {
    const group = Array.from({ length: Math.min(50, options.watchers - index) }, (_, offset) => watch(index + offset));
    ends.push(...(await Promise.all(group)));
  }
  const told = new Promise<void>((resolve) => process.once('SIGTERM', () => resolve()));
  say(`watching ${options.watchers}`);
  await told;
  const result: WatchersResult = { seen: delays.length, ...spreadOf(delays), lastAtMs, wrong };
  say(`result ${JSON.stringify(result)}`);
  stop.abort();
  await Promise.all(ends.map((end) => end()));
  await client.transport.close();
}
