// cluster.ts: the cluster of a scheduling case: store, API server, controllers as in production, and hollow agents as nodes.

import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ApiClient } from '../../../client/api-client.js';
import { freePort } from '../../../lib/testing/free-port.js';
import { Program } from '../../../lib/testing/program.js';
import { taskplanePath, type TaskplaneProcesses } from '../../../lib/testing/taskplane-processes.js';
import { nodesReady } from '../../agents.js';
import type { CaseContext } from '../../bench-case.js';
import { countCpu } from '../../cpu.js';
import type { NodeShape } from '../../hollow-agents.js';
import { connectionsPerAgent } from '../../hollow-channel.js';
import { startHollowCluster, type HollowCluster } from '../../hollow-cluster.js';
import { rounded } from '../../percentiles.js';
import { within } from '../../tasks.js';
import { capacityFor, descriptorsMaxIn, serversFor } from './capacity.js';

export interface SchedulingCluster {
  readonly processes: TaskplaneProcesses;
  readonly client: ApiClient;
  readonly hollow: HollowCluster;
  /** Parts of the set-up, for the details of the measurement. */
  readonly details: Readonly<Record<string, number>>;
}

export interface SchedulingClusterOptions {
  /** Tasks that the nodes are to hold at once. */
  readonly holds: number;
  /** Nodes that may take each of them, when that is not all. */
  readonly eligibleNodes?: number;
  readonly shapes?: readonly NodeShape[];
  readonly taskMs?: number;
  /** Fills the store while no API server runs; it starts the server again. */
  readonly fill?: (processes: TaskplaneProcesses) => Promise<unknown>;
}

const readyMsMax = 240_000;

/** Resolves when all nodes take tasks. */
export async function startSchedulingCluster(context: CaseContext, options: SchedulingClusterOptions): Promise<SchedulingCluster> {
  const { clock, nodes, store } = context;
  const { holds, eligibleNodes = nodes, shapes, taskMs, fill } = options;
  // Before anything is started, so that what cannot be measured is said at once.
  const capacity = capacityFor(eligibleNodes, holds);
  const count = serversFor(nodes, connectionsPerAgent, descriptorsMaxIn(await readFile('/proc/self/limits', 'utf8')), store === 'embedded');
  const processes = await context.start();
  await fill?.(processes);
  const servers = [processes.server, ...(await Promise.all(Array.from({ length: count - 1 }, (_, index) => startAnotherServer(context, processes, index + 1))))];
  processes.startControllers();
  const client = await context.connect(processes.adminKubeconfig);
  const cpu = await countCpu(processes);
  const start = clock.monotonic();
  const hollow = await startHollowCluster(context, processes, { count: nodes, servers, capacity, ...(shapes ? { shapes } : {}), ...(taskMs === undefined ? {} : { taskMs }) });
  const registered = clock.monotonic() - start;
  await within(clock, readyMsMax, 'making the nodes ready', nodesReady(client, nodes, context, Boolean(shapes?.some(({ taints }) => taints))));
  const readySeconds = rounded((clock.monotonic() - start) / 1_000);
  const { cpuApiserver = 0, cpuHollowAgents = 0 } = await cpu();
  return { processes, client, hollow, details: { servers: count, registerSeconds: rounded(registered / 1_000), readySeconds, setUpCpuApiserver: cpuApiserver, setUpCpuHollowAgents: cpuHollowAgents } };
}

/** One more API server of the same cluster, on the same etcd and with the same authority, as in production. @returns its URL */
async function startAnotherServer(context: CaseContext, processes: TaskplaneProcesses, index: number): Promise<string> {
  const dataDirectory = join(processes.directory, `data-${index}`);
  await cp(join(processes.dataDirectory, 'pki'), join(dataDirectory, 'pki'), { recursive: true });
  const port = await freePort();
  const command = [process.execPath, taskplanePath, 'apiserver', '--listen', `127.0.0.1:${port}`, '--data-dir', dataDirectory, '--etcd-servers', processes.etcd!.endpoint] as const;
  const program = new Program({ name: `apiserver ${index}`, command: [...command], env: { KUBECONFIG: undefined }, logPath: join(processes.logDirectory, `apiserver-${index}.log`) });
  context.afterwards(async () => void (await program.stop()));
  await program.line(/serving|ready/);
  return `https://127.0.0.1:${port}`;
}
