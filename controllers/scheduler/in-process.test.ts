import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createInProcessApiServer, type InProcessApiServer } from '../../apiserver/in-process.js';
import { bulkPaths } from '../../api/protocol.js';
import { nodeKind, type Node } from '../../api/node.js';
import { isFinished, taskKind, type Task } from '../../api/task.js';
import { ApiClient } from '../../client/api-client.js';
import { EventRecorder } from '../../client/event-recorder.js';
import { Informer } from '../../client/informer.js';
import { eventKind, type Event } from '../../api/event.js';
import { SystemClock } from '../../lib/clock.js';
import { silentLogger } from '../../lib/log.js';
import { SeededRandom } from '../../lib/random.js';
import { runAll } from '../../lib/service.js';
import { Scheduler } from './scheduler.js';
import { asking, makeNode, makeTask, type NodeOptions } from './test-world.js';

// The scheduler against the real API server: real watches, real rules of binding.

describe('the scheduler and the API server', () => {
  const clock = new SystemClock();
  const random = new SeededRandom(1);
  const logger = silentLogger;
  let stop: AbortController;
  let server: InProcessApiServer;
  let client: ApiClient;
  let running: Promise<unknown>;
  let tasks: Informer<Task>;
  let changed: () => void = () => {};

  beforeEach(async () => {
    stop = new AbortController();
    server = await createInProcessApiServer({ clock, random });
    const serving = server.run(stop.signal);
    await server.ready;
    client = new ApiClient({ transport: server.transport() });
    tasks = new Informer({ client, kind: taskKind, clock, random, logger });
    const nodes = new Informer<Node>({ client, kind: nodeKind, clock, random, logger });
    const recorder = new EventRecorder({ client, component: 'scheduler', clock, logger });
    tasks.onChanges(() => changed());
    const scheduler = new Scheduler({ client, tasks, nodes, recorder, clock, random, logger, options: { loadsMs: 50, teller: { settleMs: 0 } } });
    running = Promise.all([serving, runAll([tasks, nodes, recorder, scheduler], stop.signal)]);
  });
  afterEach(async () => {
    stop.abort();
    await running;
    await server.close();
  });

  /** Resolves when it is true of the informer's tasks. */
  async function until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) await new Promise<void>((resolve) => (changed = resolve));
  }

  async function register(name: string, options: NodeOptions = {}): Promise<void> {
    const { status, ...node } = makeNode(name, options);
    const created = await client.create(nodeKind, { ...node, metadata: { name, labels: options.labels ?? {} } } as Node);
    await client.update(nodeKind, { ...created, status } as Node, { subresource: 'status' });
  }

  async function submit(count: number, prefix: string, spec: Parameters<typeof makeTask>[1]): Promise<void> {
    const items = Array.from({ length: count }, (_, i) => {
      const { apiVersion, kind, spec: whole } = makeTask('x', spec);
      return { apiVersion, kind, metadata: { name: `${prefix}-${i}`, namespace: 'default' }, spec: whole };
    });
    const outcomes = await client.bulk(bulkPaths.create, { items });
    expect(outcomes.map((outcome) => outcome.code)).toEqual(items.map(() => 201));
  }

  const task = (name: string): Task | undefined => tasks.get(`default/${name}`);
  const bound = (): Task[] => [...tasks.values()].filter((one) => one.status?.nodeName);

  it('binds tasks once each, within what nodes offer, spread by load', async () => {
    for (let i = 0; i < 4; i++) await register(`n${i}`);
    await submit(60, 't', asking('250m', '64Mi'));
    await until(() => bound().length === 60);
    const perNode = [0, 1, 2, 3].map((i) => bound().filter((one) => one.status?.nodeName === `n${i}`).length);
    expect(perNode).toEqual([15, 15, 15, 15]);
    expect(bound().every((one) => one.status?.bindings === 1 && one.status.phase === 'Scheduled' && !isFinished(one))).toBe(true);
  });

  it('writes why a task waits, and binds it when a node that fits is added', async () => {
    await register('small');
    await submit(1, 'big', asking('8'));
    const message = '0/1 nodes fit: 1 lack cpu (largest free 4, needs 8); no node that it may run on is large enough';
    const condition = () => task('big-0')?.status?.conditions?.find((one) => one.type === 'Scheduled');
    await until(() => condition()?.reason === 'Unschedulable');
    expect(condition()).toMatchObject({ status: 'False', message });
    await register('large', { allocatable: { cpu: '16' } });
    await until(() => task('big-0')?.status?.nodeName !== undefined);
    expect(task('big-0')?.status?.nodeName).toBe('large');
    expect(condition()).toMatchObject({ status: 'True', reason: 'Bound' });
    await until(() => task('big-0')?.status?.phase === 'Scheduled');
    let events: Event[] = [];
    while (events.length < 2) {
      events = (await client.list<Event>(eventKind)).items.filter((event) => event.involvedObject.name === 'big-0');
      if (events.length < 2) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(events.map((event) => [event.type, event.reason]).toSorted()).toEqual([['Normal', 'Scheduled'], ['Warning', 'FailedScheduling']]);
  });

  it('tells a task without any node how to add one, and uses room that deleted tasks leave', async () => {
    await submit(1, 'first', asking('3'));
    await until(() => task('first-0')?.status?.conditions?.some((one) => one.message?.startsWith('no nodes are registered')) ?? false);
    await register('n');
    await until(() => task('first-0')?.status?.nodeName === 'n');
    await submit(1, 'second', asking('3'));
    await until(() => task('second-0')?.status?.conditions?.some((one) => one.message?.endsWith('would fit if node n freed 2 cpu')) ?? false);
    await client.delete(taskKind, 'first-0', 'default', { gracePeriodSeconds: 0 });
    await until(() => task('second-0')?.status?.nodeName === 'n');
  });
});
