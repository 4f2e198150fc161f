// Many tasks on a few machines: never more on a node than it has, and none idle while another is full.

import { describe, expect } from '@jest/globals';
import { bulkPaths } from '../../api/protocol.js';
import { parseMilli } from '../../api/quantity.js';
import { holdsRoom, type Task } from '../../api/task.js';
import { scriptTask, stores } from '../cluster.js';
import { withCluster } from '../with-cluster.js';

const nodes = ['n1', 'n2', 'n3'];
const taskCount = 300;
const cpuPerNodeMilli = 4_000;

/** Adds up, at every revision that the watch shows, what is promised on each node. */
class Ledger {
  readonly peaks = new Map<string, number>();
  readonly ran = new Map<string, number>();
  readonly #held = new Map<string, { node: string; milli: number }>();

  enter(task: Task, type: 'ADDED' | 'MODIFIED' | 'DELETED'): void {
    const name = task.metadata.name!;
    const before = this.#held.get(name);
    this.#held.delete(name);
    if (type === 'DELETED' || !holdsRoom(task)) return;
    const node = task.status!.nodeName!;
    const milli = parseMilli(task.spec.resources?.requests?.['cpu'] ?? 0) ?? 0;
    this.#held.set(name, { node, milli });
    if (before?.node !== node) this.ran.set(node, (this.ran.get(node) ?? 0) + 1);
    const used = [...this.#held.values()].filter((held) => held.node === node).reduce((sum, held) => sum + held.milli, 0);
    this.peaks.set(node, Math.max(this.peaks.get(node) ?? 0, used));
  }
}

describe.each(stores)('300 tasks on three nodes, store %s', (store) => {
  const ledger = new Ledger();
  const { story } = withCluster({ store, nodes, agentFlags: ['--capacity', 'cpu=4,memory=8Gi'], onTask: (task, type) => ledger.enter(task, type) });

  story('never exceed what a node has, and are spread by load', async (cluster) => {
    const items = Array.from({ length: taskCount }, (_, index) =>
      scriptTask(`part-${index}`, 'sleep 0.2', { resources: { requests: { cpu: ['250m', '500m', '1'][index % 3]!, memory: '64Mi' } } }),
    );
    const outcomes = await cluster.client.bulk(bulkPaths.create, { items });
    expect(outcomes.map(({ code }) => code)).toEqual(items.map(() => 201));

    const all = (): boolean => [...cluster.tasks.objects.values()].filter((task) => task.status?.phase === 'Succeeded').length === taskCount;
    await cluster.tasks.until('all tasks to succeed', all, 120_000);

    for (const node of nodes.map((short) => cluster.node(short))) {
      expect(ledger.peaks.get(node)).toBeLessThanOrEqual(cpuPerNodeMilli);
      // Full at its peak, or room was wasted while tasks waited.
      expect(ledger.peaks.get(node)).toBeGreaterThanOrEqual(cpuPerNodeMilli - 1_000);
      expect(ledger.ran.get(node)).toBeGreaterThan(taskCount / nodes.length / 2);
    }
    expect([...cluster.tasks.objects.values()].every((task) => task.status?.attempt === 1 && task.status.bindings === 1)).toBe(true);
  }, 150_000);
});
