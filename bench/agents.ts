// agents.ts: real agents of a measured cluster, and the wait until their nodes take tasks.

import { isReady, nodeKind, type Node } from '../api/node.js';
import type { ApiClient } from '../client/api-client.js';
import { sleep, type Clock } from '../lib/clock.js';
import { SystemRandom } from '../lib/random.js';
import type { TaskplaneProcesses } from '../lib/testing/taskplane-processes.js';
import { taskKind } from '../api/task.js';
import type { CaseContext } from './bench-case.js';
import { within } from './tasks.js';

/** Control groups bear the names of nodes, and other clusters may run on this machine. */
const suffix = new SystemRandom().suffix(5);

/** Starts controllers and one agent per node; resolves when all nodes are Ready. Tasks are deleted before agents end. */
export async function startAgents(context: CaseContext, processes: TaskplaneProcesses, client: ApiClient): Promise<void> {
  processes.startControllers();
  for (const name of startAgents.names(context.nodes)) processes.startAgent(name);
  await within(context.clock, 60_000, 'making the nodes ready', nodesReady(client, context.nodes, context));
  context.afterwards(() => deleteTasks(client, context.clock));
}

startAgents.names = (count: number): string[] => Array.from({ length: count }, (_, index) => `bench-${index}-${suffix}`);

/**
 * Resolves when `count` nodes are Ready and untainted, or the case has ended.
 * @param tainted nodes may have taints of the case's own; those of the cluster (`node.kubernetes.io/…`) still count
 */
export async function nodesReady(client: ApiClient, count: number, { clock, signal, progress }: CaseContext, tainted = false): Promise<void> {
  const ready = new Set<string>();
  const enter = (node: Node): boolean => {
    if (isReady(node) && !node.spec?.taints?.some(({ key }) => !tainted || key.startsWith('node.kubernetes.io/'))) ready.add(node.metadata.name!);
    else ready.delete(node.metadata.name!);
    return ready.size >= count;
  };
  while (!signal.aborted) {
    try {
      const list = await client.list(nodeKind);
      ready.clear();
      if (list.items.map(enter).some(Boolean) || count === 0) return;
      progress(`${ready.size} of ${count} nodes are ready`);
      for await (const { type, object } of client.watch(nodeKind, { resourceVersion: list.metadata.resourceVersion, signal })) {
        if ((type === 'ADDED' || type === 'MODIFIED') && enter(object)) return;
      }
    } catch {
      await sleep(clock, 100, signal);
    }
  }
}

const deleteMsMax = 30_000;

/** Removes every task, and waits for the processes of those that still ran. */
async function deleteTasks(client: ApiClient, clock: Clock): Promise<void> {
  const path = `/apis/taskplane.dev/v1/namespaces/default/${taskKind.plural}`;
  const body = JSON.stringify({ kind: 'DeleteOptions', apiVersion: 'v1', gracePeriodSeconds: 0 });
  await client.transport.request({ method: 'DELETE', path, headers: { accept: 'application/json', 'content-type': 'application/json' }, body });
  const deadline = clock.monotonic() + deleteMsMax;
  while ((await client.list(taskKind, { limit: 1 })).items.length > 0) {
    if (clock.monotonic() > deadline) throw new Error(`the tasks were not gone within ${deleteMsMax} ms of their deletion`);
    await sleep(clock, 50);
  }
}
