// process-metrics.ts
//
// The metrics of the process that prom-client collects by itself, but for those that stop the server for as long as it has connections to count: lists of
// all sockets as JavaScript objects (nodejs_active_handles, _requests, _resources), and of all open files. With 5,000 agents each scrape took 40 ms.
// How many connections there are is in taskplane_agent_tunnels, apiserver_longrunning_requests and process_open_fds.

import { opendir, stat } from 'node:fs/promises';
import { collectDefaultMetrics, Gauge, type Registry } from 'prom-client';

const openFilesDirectory = '/proc/self/fd';
const openFiles = 'process_open_fds';
const left = ['nodejs_active_handles', 'nodejs_active_requests', 'nodejs_active_resources'].flatMap((name) => [name, `${name}_total`]);

export function collectProcessMetrics(registry: Registry): void {
  collectDefaultMetrics({ register: registry });
  for (const name of [...left, openFiles]) registry.removeSingleMetric(name);
  new Gauge({
    name: openFiles,
    help: 'Number of open file descriptors.',
    registers: [registry],
    async collect() {
      const count = await openFilesNow();
      if (count !== undefined) this.set(count);
    },
  });
}

/** Undefined where the system does not say. */
async function openFilesNow(): Promise<number | undefined> {
  try {
    // Linux says it at once since 6.2; before, the size is 0.
    return (await stat(openFilesDirectory)).size || (await entriesIn(openFilesDirectory));
  } catch {
    return undefined;
  }
}

/** Read in parts, beside the event loop. */
async function entriesIn(directory: string): Promise<number> {
  let count = 0;
  for await (const _ of await opendir(directory, { bufferSize: 1_024 })) count++;
  // One is the directory's own.
  return count - 1;
}
