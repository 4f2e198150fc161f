// Every component is killed at a random instant under a stream of short tasks. Whatever was acknowledged ends exactly as
// its command says, and each attempt ran once: every attempt appends a line to a file, and the lines are counted.

import { describe, expect } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { isReason } from '../../api/errors.js';
import { isFinished, taskKind } from '../../api/task.js';
import { sleep, SystemClock } from '../../lib/clock.js';
import { SeededRandom } from '../../lib/random.js';
import { scriptTask, stores, type Cluster } from '../cluster.js';
import { withCluster } from '../with-cluster.js';

const taskCount = 500;
const inFlight = 8;
/** Named, so that a failure can be replayed: TASKPLANE_E2E_SEED=N. */
const seed = Number(process.env['TASKPLANE_E2E_SEED'] ?? new SystemClock().now() % 1_000_000);

function exitCodeOf(index: number): number {
  return index % 5 === 0 ? (index % 100) + 1 : 0;
}

/** Asks until the server has answered: a request whose answer was lost may have been carried out, which AlreadyExists tells. */
async function createSurely(cluster: Cluster, index: number): Promise<void> {
  const file = cluster.path('lines');
  const script = `echo "$TASKPLANE_TASK_NAME $TASKPLANE_TASK_ATTEMPT" >> ${file}\nexit ${exitCodeOf(index)}`;
  for (;;) {
    try {
      await cluster.client.create(taskKind, scriptTask(`short-${index}`, script));
      return;
    } catch (error) {
      if (isReason(error, 'AlreadyExists')) return;
      if (isReason(error, 'Invalid', 'BadRequest', 'Forbidden', 'Unauthorized')) throw error;
      await sleep(cluster.clock, 20);
    }
  }
}

async function stream(cluster: Cluster): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < taskCount) await createSurely(cluster, next++);
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
}

function finishedCount(cluster: Cluster): number {
  return [...cluster.tasks.objects.values()].filter(isFinished).length;
}

describe.each(stores)('kill -9 under a stream of 500 tasks, store %s', (store) => {
  const { story } = withCluster({ store, nodes: ['n1', 'n2'] });

  story('loses no acknowledged task and runs no attempt twice', async (cluster) => {
    console.log(`crashes on ${store}: TASKPLANE_E2E_SEED=${seed}`);
    const random = new SeededRandom(seed);
    const kills: Record<string, () => Promise<void>> = {
      apiserver: async () => {
        await cluster.processes.apiserver.kill();
        await cluster.processes.startApiserver();
      },
      controllers: async () => {
        await cluster.processes.controllers.kill();
        cluster.processes.startControllers();
      },
      agent: async () => {
        await cluster.agent('n1').kill();
        await cluster.agentBack('n1');
      },
      ...(store === 'etcd' ? { etcd: async () => {
        await cluster.processes.etcd!.kill();
        await cluster.processes.etcd!.restart();
      } } : {}),
    };
    const victims = Object.keys(kills);
    // Each component dies once, in any order, when so many tasks have finished and a moment later.
    const plan = victims
      .map((victim) => ({ victim, after: 20 + random.integer(taskCount - 150), delayMs: random.integer(30) }))
      .sort((a, b) => a.after - b.after);

    const streaming = stream(cluster);
    for (const { victim, after, delayMs } of plan) {
      await cluster.tasks.until(`${after} tasks to finish before ${victim} is killed`, () => finishedCount(cluster) >= after, 120_000);
      await sleep(cluster.clock, delayMs);
      await kills[victim]!();
    }
    await streaming;
    await cluster.tasks.until(`all tasks to finish (seed ${seed}, plan ${JSON.stringify(plan)})`, () => finishedCount(cluster) === taskCount, 120_000);

    const lines = (await readFile(cluster.path('lines'), 'utf8')).split('\n').filter(Boolean);
    expect(lines.length - new Set(lines).size).toBe(0);
    const ran = new Set(lines);
    const wrong = [...cluster.tasks.objects.values()].filter((task) => {
      const index = Number(task.metadata.name!.slice('short-'.length));
      const code = exitCodeOf(index);
      const { phase, exitCode, attempt } = task.status!;
      return phase !== (code === 0 ? 'Succeeded' : 'Failed') || exitCode !== code || !ran.has(`${task.metadata.name} ${attempt}`);
    });
    expect(wrong.map((task) => ({ name: task.metadata.name, status: task.status }))).toEqual([]);
    expect(cluster.tasks.objects.size).toBe(taskCount);
  }, 240_000);
});
