// idle-agents.ts: what thousands of agents cost that only say that they are there, and how soon it is seen that some have died.

import { isReady, nodeKind } from '../../api/node.js';
import type { ApiClient } from '../../client/api-client.js';
import { sleep } from '../../lib/clock.js';
import { Deferred } from '../../lib/deferred.js';
import { nodesReady } from '../agents.js';
import { check, type BenchCase, type CaseContext } from '../bench-case.js';
import { countCpu } from '../cpu.js';
import { startHollowCluster } from '../hollow-cluster.js';
import { rounded, spreadOf } from '../percentiles.js';
import { residentMiB } from '../resident.js';
import { within } from '../tasks.js';

const capacity = { cpu: '8', memory: '32Gi', tasks: '100' };
const settleMs = 3_000;
const idleMs = 20_000;
/** Of all components together, whatever the number of agents: the leader's lease is what is left. */
const storeWritesPerSecondMax = 5;
const doomedMax = 100;
const doomedPrefix = 'doomed-';
const detectMsMax = 60_000;

interface Losses {
  /** When each node was first seen not to be ready, by the clock. */
  readonly lostAt: ReadonlyMap<string, number>;
  /** Resolves when so many are lost. */
  lost(count: number): Promise<void>;
}

/** Follows the nodes by a watch from now on. */
async function followLosses({ clock, signal }: CaseContext, client: ApiClient): Promise<Losses> {
  const lostAt = new Map<string, number>();
  const waits: { count: number; reached: Deferred<void> }[] = [];
  const { metadata } = await client.list(nodeKind);
  const follow = async (): Promise<void> => {
    for await (const { type, object } of client.watch(nodeKind, { resourceVersion: metadata.resourceVersion, signal })) {
      if (type !== 'MODIFIED' || isReady(object) || lostAt.has(object.metadata.name!)) continue;
      lostAt.set(object.metadata.name!, clock.monotonic());
      for (const { count, reached } of waits) if (lostAt.size >= count) reached.resolve();
    }
  };
  void follow().catch((error: unknown) => waits.forEach(({ reached }) => reached.reject(error)));
  return {
    lostAt,
    lost: (count) => {
      const reached = new Deferred<void>();
      waits.push({ count, reached });
      return reached.promise;
    },
  };
}

function idleAgents(agents: number): BenchCase {
  return {
    name: `agents/${agents}`,
    description: `${agents} hollow agents that are present and have nothing to do: processor cores that the API server takes, over ${idleMs / 1_000} s, its memory, and how often the stores are written (checked: at most ${storeWritesPerSecondMax} per second, whatever the number of agents). Then the process of a hundredth of them, at most ${doomedMax}, is killed: p50 and p99 from its being gone until a watcher sees a node not to be Ready.`,
    stores: ['etcd', 'embedded'],
    nodes: agents,
    tasks: 0,
    targets: [{ figure: 'p99', at: 'most', bound: 10_000 }],
    better: 'lower',
    curve: { name: 'agents', x: agents },
    async run(context) {
      const { clock, nodes } = context;
      const processes = await context.start();
      processes.startControllers();
      const client = await context.connect(processes.adminKubeconfig);
      const doomed = Math.min(doomedMax, Math.max(1, Math.floor(nodes / 100)));
      const start = clock.monotonic();
      await startHollowCluster(context, processes, { count: nodes - doomed, capacity });
      const dying = await startHollowCluster(context, processes, { count: doomed, capacity, prefix: doomedPrefix });
      await within(clock, 300_000, 'making the nodes ready', nodesReady(client, nodes, context));
      const registered = clock.monotonic();
      const losses = await followLosses(context, client);
      await sleep(clock, settleMs, context.signal);

      context.progress('counting while nothing happens');
      const counted = await countCpu(processes);
      const from = clock.monotonic();
      await sleep(clock, idleMs, context.signal);
      const used = await counted();
      const seconds = (clock.monotonic() - from) / 1_000;
      const writesPerSecond = (used['storeWrites'] ?? Number.NaN) / seconds;
      check(writesPerSecond <= storeWritesPerSecondMax, `${rounded(writesPerSecond, 1)} writes per second while nothing happens`);
      check(losses.lostAt.size === 0, `${losses.lostAt.size} nodes were lost while nothing happened`);
      const rss = await residentMiB(processes.apiserver.pid);

      context.progress(`killing ${doomed} agents`);
      const lost = losses.lost(doomed);
      await dying.kill();
      const killed = clock.monotonic();
      await within(clock, detectMsMax, 'detecting the loss', lost);
      check([...losses.lostAt.keys()].every((name) => name.startsWith(doomedPrefix)), 'a node was declared lost whose agent lives');
      const latenciesMs = [...losses.lostAt.values()].map((at) => at - killed);
      return {
        value: rounded((used['cpuApiserver'] ?? Number.NaN) / seconds, 3),
        unit: 'cores',
        ...spreadOf(latenciesMs),
        latenciesMs,
        details: {
          killed: doomed,
          lossMaxMs: rounded(Math.max(...latenciesMs), 0),
          rssApiserverMiB: rss,
          storeWritesPerSecond: rounded(writesPerSecond),
          requestsPerSecond: rounded((used['requests'] ?? 0) / seconds, 0),
          registerSeconds: rounded((registered - start) / 1_000, 1),
          ...used,
        },
      };
    },
  };
}

export const agents1000 = idleAgents(1_000);
export const agents10000 = idleAgents(10_000);
