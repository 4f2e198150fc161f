// mixed-churn.ts: nodes and tasks come and go while the measured ones are bound, as MixedChurn of Kubernetes' scheduler_perf
// has it, ten times as often.

import { nodeKind, type Node } from '../../../api/node.js';
import { taskKind } from '../../../api/task.js';
import type { ApiClient } from '../../../client/api-client.js';
import { sleep, type Clock } from '../../../lib/clock.js';
import { check, type BenchCase } from '../../bench-case.js';
import { benchTask } from '../../tasks.js';
import { startSchedulingCluster } from './cluster.js';
import { halfOfBasic } from './constrained.js';
import { counted, measureBinding, measuredTasks } from './throughput.js';

const everyMs = 100;

export const mixedChurn: BenchCase = {
  name: 'MixedChurn',
  description: `${counted} Meanwhile, every ${everyMs} ms, a node without an agent, a small task, and a task of high priority that fits nowhere are created, and those of the time before are deleted.`,
  stores: ['etcd', 'embedded'],
  nodes: 5_000,
  tasks: 10_000,
  targets: halfOfBasic,
  async run(context) {
    const { clock, tasks } = context;
    const cluster = await startSchedulingCluster(context, { holds: tasks * 2 });
    const stop = new AbortController();
    const client = await context.connect(cluster.processes.adminKubeconfig, { maxSockets: 4 });
    const churning = churn(client, clock, AbortSignal.any([stop.signal, context.signal]));
    try {
      const measured = await measureBinding(context, cluster, measuredTasks(tasks));
      stop.abort();
      const turns = await churning;
      check(turns > 0, 'nothing came and went');
      return { ...measured, details: { ...measured.details, churnTurns: turns } };
    } finally {
      stop.abort();
      await churning;
    }
  },
};

/** @returns how often something came and went. @throws Error when the server refuses any of it */
async function churn(client: ApiClient, clock: Clock, signal: AbortSignal): Promise<number> {
  for (let turn = 0; ; turn++) {
    const start = clock.monotonic();
    await Promise.all([...come(client, turn), ...(turn > 0 ? go(client, turn - 1) : [])]);
    if (signal.aborted) return turn;
    await sleep(clock, everyMs - (clock.monotonic() - start), signal);
  }
}

function come(client: ApiClient, turn: number): Promise<unknown>[] {
  const node: Node = { apiVersion: 'v1', kind: 'Node', metadata: { name: `churn-${turn}` }, spec: { taints: [{ key: 'churn', effect: 'NoSchedule' }] } };
  return [
    client.create(nodeKind, node),
    client.create(taskKind, benchTask(`churn-small-${turn}`, { command: ['/bin/true'], resources: { requests: { cpu: '100m' } } })),
    client.create(taskKind, benchTask(`churn-large-${turn}`, { command: ['/bin/true'], priority: 1_000, resources: { requests: { cpu: '100000' } } })),
  ];
}

function go(client: ApiClient, turn: number): Promise<unknown>[] {
  const now = { gracePeriodSeconds: 0 };
  return [client.delete(nodeKind, `churn-${turn}`), client.delete(taskKind, `churn-small-${turn}`, 'default', now), client.delete(taskKind, `churn-large-${turn}`, 'default', now)];
}
