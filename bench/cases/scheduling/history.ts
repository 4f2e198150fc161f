// history.ts: what a long past costs those who come now.

import { taskKind } from '../../../api/task.js';
import { SystemRandom } from '../../../lib/random.js';
import { check, type BenchCase } from '../../bench-case.js';
import { fillAndRestart } from '../../stored-tasks.js';
import { startSchedulingCluster } from './cluster.js';
import { counted, measureBinding, measuredTasks } from './throughput.js';

const perSecond = 5_000;
const decayMax = 0.1;

function historyCase(label: string, finished: number, { onRequest, stores = ['etcd', 'embedded'] }: Pick<BenchCase, 'onRequest'> & Partial<Pick<BenchCase, 'stores'>> = {}): BenchCase {
  return {
    name: `history/${label}`,
    description: `${counted} Before them ${finished} tasks have succeeded and are kept. Those are put into the store while no API server runs, by the store's own library, each as the server would have stored it after its create, its binding and the reports of its agent; then the server starts.`,
    stores,
    nodes: 500,
    tasks: 10_000,
    targets: [finished === 0 ? { figure: 'value', at: 'least', bound: perSecond } : { figure: 'value', at: 'least', bound: 1 - decayMax, of: 'history/0' }],
    curve: { name: 'history', x: finished },
    ...(onRequest === undefined ? {} : { onRequest }),
    async run(context) {
      const { clock, tasks } = context;
      const random = new SystemRandom();
      let startMs = 0;
      let fillMs = 0;
      const cluster = await startSchedulingCluster(context, {
        holds: tasks,
        ...(finished === 0
          ? {}
          : {
              fill: async (processes) => {
                context.progress(`storing ${finished} finished tasks`);
                const start = clock.monotonic();
                startMs = await fillAndRestart(processes, { count: finished, phase: 'Succeeded', prefix: 'past-', clock, random });
                fillMs = clock.monotonic() - start - startMs;
              },
            }),
      });
      const page = await cluster.client.list(taskKind, { limit: 1 });
      check((page.metadata.remainingItemCount ?? 0) + page.items.length === finished, 'the history is not what was stored');
      const measured = await measureBinding(context, cluster, measuredTasks(tasks));
      return { ...measured, details: { ...measured.details, fillSeconds: Math.round(fillMs / 1_000), restartMs: Math.round(startMs) } };
    },
  };
}

/** 1.7 GB of data: etcd stops taking writes at 2 GiB of file by default, which its history of their writes fills. */
const million = { onRequest: 'storing them takes minutes and 1.7 GB of disk, the API server over them some 2.5 GB of memory', stores: ['embedded'] } as const;

export const historyCases: readonly BenchCase[] = [historyCase('0', 0), historyCase('100k', 100_000), historyCase('1M', 1_000_000, million)];
