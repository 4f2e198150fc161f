// throughput.ts: the measured part of a scheduling case: many tasks created at once, until each is in the hands of its agent.

import { nodeKind } from '../../../api/node.js';
import { taskKind, unsettledSelector, type Task, type TaskSpec } from '../../../api/task.js';
import { check, type CaseContext, type Measurement } from '../../bench-case.js';
import { countCpu } from '../../cpu.js';
import type { BoundTask } from '../../hollow-agents.js';
import { measuredPrefix } from '../../hollow-agents.js';
import { rounded, spreadOf } from '../../percentiles.js';
import { seriesOf } from '../../series.js';
import { benchTask, prepareCreates, sendCreates, within } from '../../tasks.js';
import { WallTime } from '../../wall-time.js';
import { requestsInTurn } from './capacity.js';
import type { SchedulingCluster } from './cluster.js';
import { problemsOf } from './judge.js';

/** Said in the description of every case that is measured here. */
export const counted = 'Bound tasks per second, from the first bulk create being sent (bodies are made before) to the last binding, which is on disk, being seen by its agent; p50 and p99 from the create of a task being sent to its agent seeing it bound. Nodes are hollow agents over real TLS connections.';

/** Beside what the slowest scheduler that is worth a figure needs. */
const bindMsMax = 60_000;
const perSecondMin = 200;

/** The tasks to be measured, of mixed sizes. @param specOf what else each asks for */
export function measuredTasks(count: number, specOf: (index: number) => Partial<TaskSpec> = () => ({})): Task[] {
  return Array.from({ length: count }, (_, index) => benchTask(`${measuredPrefix}${index}`, { command: ['/bin/true'], resources: { requests: requestsInTurn[index % requestsInTurn.length]! }, ...specOf(index) }));
}

/**
 * Creates the tasks, waits until all are bound, and judges.
 * @param also judged with the rest, of all tasks that have not finished in the end
 * @throws Error when a task is not where it may be
 */
export async function measureBinding(context: CaseContext, cluster: SchedulingCluster, tasks: readonly Task[], also: (all: readonly Task[]) => void = () => undefined): Promise<Measurement> {
  const { clock } = context;
  const { processes, client, hollow } = cluster;
  const creates = prepareCreates(tasks);
  const allBound = hollow.reached('bound', tasks.length);
  const wall = new WallTime(clock);
  const cpu = await countCpu(processes);
  const start = wall.now();
  const sentAt = await sendCreates(client, creates, () => wall.now());
  const created = wall.now();
  context.progress(`created ${tasks.length} tasks`);
  await within(clock, bindMsMax + (tasks.length / perSecondMin) * 1_000, 'binding the tasks', allBound);
  const used = await cpu();
  const { bound } = await hollow.results();
  // Finished tasks take no room; a million of them are more than one answer can hold.
  const { items: all } = await client.list(taskKind, { fieldSelector: unsettledSelector });
  judge(new Set(sentAt.keys()), all, (await client.list(nodeKind)).items, bound);
  also(all);
  const end = bound.reduce((latest, [, , at]) => Math.max(latest, at), 0);
  const latenciesMs = bound.map(([name, , at]) => at - sentAt.get(name)!);
  return {
    value: rounded((tasks.length * 1_000) / (end - start), 0),
    unit: 'tasks/s',
    ...spreadOf(latenciesMs),
    series: seriesOf(bound.map(([, , at]) => at - start)),
    latenciesMs: latenciesMs.map((latency) => rounded(latency, 1)),
    details: { seconds: rounded((end - start) / 1_000), createSeconds: rounded((created - start) / 1_000), ...cluster.details, ...used },
  };
}

function judge(expected: ReadonlySet<string>, tasks: readonly Task[], nodes: Parameters<typeof problemsOf>[0]['nodes'], deliveries: readonly BoundTask[]): void {
  const [problem] = problemsOf({ expected, tasks, nodes, deliveries });
  check(problem === undefined, problem ?? '');
}
