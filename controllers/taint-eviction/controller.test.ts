import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { setMaxListeners } from 'node:events';
import { adminUser, controllersUser, createInProcessApiServer, type InProcessApiServer } from '../../apiserver/in-process.js';
import { eventKind } from '../../api/event.js';
import type { KindDefinition } from '../../api/kind.js';
import type { KubeObject } from '../../api/meta.js';
import { nodeKind, type Node, type Taint } from '../../api/node.js';
import { bulkPaths } from '../../api/protocol.js';
import { taskKind, type Task, type Toleration } from '../../api/task.js';
import { ApiClient } from '../../client/api-client.js';
import { EventRecorder } from '../../client/event-recorder.js';
import { Informer, type InformerChange } from '../../client/informer.js';
import { SystemClock } from '../../lib/clock.js';
import { FakeClock } from '../../lib/fake-clock.js';
import { silentLogger as logger } from '../../lib/log.js';
import { SystemRandom } from '../../lib/random.js';
import type { Service } from '../../lib/service.js';
import { tasksByNode } from '../tasks-by-node.js';
import { TaintEviction } from './controller.js';

const clock = new SystemClock();
const random = new SystemRandom();

describe('TaintEviction', () => {
  let server: InProcessApiServer;
  let stop: AbortController;
  let running: Promise<void>[];
  let admin: ApiClient;
  let client: ApiClient;
  let fake: FakeClock;

  beforeEach(async () => {
    stop = new AbortController();
    setMaxListeners(0, stop.signal);
    running = [];
    server = await createInProcessApiServer({ clock, random });
    running.push(server.run(stop.signal));
    await server.ready;
    admin = new ApiClient({ transport: server.transport(adminUser) });
    client = new ApiClient({ transport: server.transport(controllersUser) });
    fake = new FakeClock(clock.now());
    await admin.create(nodeKind, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' } } as Node);
  });
  afterEach(async () => {
    stop.abort();
    await Promise.all(running);
    await server.close();
  });

  function start<S extends Service>(service: S, signal = stop.signal): S {
    running.push(service.run(signal));
    return service;
  }

  function inform<T extends KubeObject>(kind: KindDefinition<T>): Informer<T> {
    return start(new Informer({ client, kind, clock, random, logger }));
  }

  function until<T extends KubeObject>(informer: Informer<T>, wished: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (wished()) resolve();
      };
      informer.onChanges(look);
      look();
    });
  }

  async function bound(name: string, tolerations: Toleration[] = []): Promise<void> {
    const { metadata } = await admin.create(taskKind, { apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name, namespace: 'default' }, spec: { command: ['true'], tolerations } } as Task);
    await client.bulk(bulkPaths.bind, { items: [{ namespace: 'default', name, uid: metadata.uid, nodeName: 'n' }] });
  }

  const taint = (taints: Taint[] | null) => admin.mergePatch(nodeKind, 'n', undefined, { spec: { taints } });
  const watching = () => {
    const [tasks, nodes] = [inform(taskKind), inform(nodeKind)];
    const recorder = start(new EventRecorder({ client, component: 'taint-eviction-controller', clock, logger }));
    const evicted = (name: string): boolean => tasks.get(`default/${name}`)?.status?.eviction !== undefined;
    const begin = (signal?: AbortSignal) => start(new TaintEviction({ client, tasks, tasksByNode: tasksByNode(tasks), nodes, recorder, clock: fake, random, logger }), signal);
    return { tasks, nodes, evicted, begin };
  };

  it('evicts what does not tolerate the taint, tells why, and leaves the rest', async () => {
    const { tasks, evicted, begin } = watching();
    const events = inform(eventKind);
    await bound('plain');
    await bound('tolerant', [{ key: 'gpu', operator: 'Exists' }]);
    begin();
    await taint([{ key: 'gpu', value: 'broken', effect: 'NoExecute' }]);
    await until(tasks, () => evicted('plain'));
    expect(tasks.get('default/plain')?.status).toMatchObject({
      phase: 'Scheduled',
      nodeName: 'n',
      eviction: { reason: 'DeletionByTaintManager' },
      conditions: expect.arrayContaining([expect.objectContaining({ type: 'DisruptionTarget', status: 'True', reason: 'DeletionByTaintManager', message: 'node n has taint gpu=broken:NoExecute, which the task does not tolerate' })]),
    });
    expect(evicted('tolerant')).toBe(false);
    await until(events, () => events.size === 1);
    const [event] = (await admin.list(eventKind)).items;
    expect(event).toMatchObject({ reason: 'TaintManagerEviction', involvedObject: { kind: 'Task', name: 'plain' } });
    await bound('late');
    await until(tasks, () => evicted('late'));
  });

  it('lets tolerationSeconds pass, also over a restart, and not when the taint goes first', async () => {
    const { tasks, nodes, evicted, begin } = watching();
    await bound('patient', [{ key: 'slow', operator: 'Exists', tolerationSeconds: 300 }]);
    const first = new AbortController();
    begin(first.signal);
    await taint([{ key: 'slow', effect: 'NoExecute' }]);
    await until(nodes, () => nodes.get('n')?.spec?.taints?.[0]?.timeAdded !== undefined);
    await until(tasks, () => tasks.get('default/patient')?.status?.nodeName === 'n');
    await fake.advance(200_000);
    expect(evicted('patient')).toBe(false);
    first.abort();
    begin();
    await fake.advance(90_000);
    expect(evicted('patient')).toBe(false);

    await taint(null);
    await until(nodes, () => !nodes.get('n')?.spec?.taints);
    await fake.advance(1_000_000);
    expect(evicted('patient')).toBe(false);

    await taint([{ key: 'slow', effect: 'NoExecute', timeAdded: new Date(fake.now()).toISOString() }]);
    await until(nodes, () => nodes.get('n')?.spec?.taints?.length === 1);
    await fake.advance(302_000);
    await until(tasks, () => evicted('patient'));
  });

  it('evicts a task that has left and come back unseen', async () => {
    const nodes = inform(nodeKind);
    await taint([{ key: 'gpu', effect: 'NoExecute' }]);
    await until(nodes, () => nodes.get('n')?.spec?.taints?.length === 1);
    await bound('back');
    const first = await client.get(taskKind, 'back', 'default');
    const left: Task = { ...first, status: { ...first.status, eviction: { requestedTime: '2026-01-01T00:00:00Z', gracePeriodSeconds: 30, reason: 'r' } } };
    const back: Task = { ...first, status: { ...first.status, bindings: 2, attempt: 2 } };
    const copies = new Map([['default/back', left]]);
    let tell = (_changes: readonly InformerChange<Task>[]): void => undefined;
    const handlers: typeof tell[] = [];
    const tasks = {
      synced: Promise.resolve(),
      get: (key: string) => copies.get(key),
      onChanges: (handler: typeof tell) => {
        handlers.push(handler);
        handler([{ type: 'added', object: left }]);
      },
    } as unknown as Informer<Task>;
    tell = (changes) => handlers.forEach((handler) => handler(changes));
    const recorder = start(new EventRecorder({ client, component: 'taint-eviction-controller', clock, logger }));
    start(new TaintEviction({ client, tasks, tasksByNode: tasksByNode(tasks), nodes, recorder, clock: fake, random, logger }));
    await fake.advance(1_000);
    copies.set('default/back', back);
    tell([{ type: 'modified', object: back, previous: left }]);
    const written = inform(taskKind);
    await until(written, () => written.get('default/back')?.status?.eviction !== undefined);
  });

  it('has nothing to do with taints of other effects', async () => {
    const { tasks, nodes, evicted, begin } = watching();
    await bound('plain');
    begin();
    await taint([{ key: 'node.kubernetes.io/unreachable', effect: 'NoSchedule' }, { key: 'x', effect: 'PreferNoSchedule' }]);
    await until(nodes, () => nodes.get('n')?.spec?.taints?.length === 2);
    await until(tasks, () => tasks.size === 1);
    await fake.advance(60_000);
    expect(evicted('plain')).toBe(false);
  });

  it('keeps the time of a taint that is written again without it', async () => {
    const { spec } = await taint([{ key: 'a', effect: 'NoExecute' }]);
    const { timeAdded } = spec!.taints![0]!;
    expect(timeAdded).toMatch(/^\d{4}-/);
    const { metadata } = await admin.get(nodeKind, 'n');
    await taint([{ key: 'a', effect: 'NoExecute' }]);
    const again = await admin.get(nodeKind, 'n');
    expect([again.spec!.taints![0]!.timeAdded, again.metadata.resourceVersion]).toEqual([timeAdded, metadata.resourceVersion]);
  });
});
