// The controllers against the real handler: what becomes of objects, not which calls were made.

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { setMaxListeners } from 'node:events';
import { adminUser, agentUser, controllersUser, createInProcessApiServer, type InProcessApiServer } from '../apiserver/in-process.js';
import { configMapKind, secretKind, type ConfigMap } from '../api/config.js';
import { findCondition, withCondition } from '../api/conditions.js';
import { eventKind, eventTtlSeconds, type Event } from '../api/event.js';
import type { KindDefinition } from '../api/kind.js';
import { leaseKind } from '../api/lease.js';
import { objectKey, timestamp, type KubeObject } from '../api/meta.js';
import { namespaceKind, type Namespace } from '../api/namespace.js';
import { isReady, nodeKind, unreachableTaintKey, type Node } from '../api/node.js';
import { bulkPaths } from '../api/protocol.js';
import { taskKind, type Task, type TaskSpec } from '../api/task.js';
import type { Transport } from '../api/transport.js';
import { ApiClient } from '../client/api-client.js';
import { EventRecorder } from '../client/event-recorder.js';
import { Informer } from '../client/informer.js';
import { SystemClock } from '../lib/clock.js';
import { FakeClock } from '../lib/fake-clock.js';
import { silentLogger } from '../lib/log.js';
import { SystemRandom } from '../lib/random.js';
import type { Service } from '../lib/service.js';
import { EventTtl } from './event-ttl/controller.js';
import { GarbageCollector } from './garbage-collector/controller.js';
import { tableKinds } from './kind-source.js';
import { MetadataInformers } from './metadata-informers.js';
import { NamespaceCleaner } from './namespace/controller.js';
import { NodeLifecycle } from './node-lifecycle/controller.js';
import { TaskDeadline } from './task-deadline/controller.js';
import { TaskTtl } from './task-ttl/controller.js';
import { tasksByNode } from './tasks-by-node.js';

const clock = new SystemClock();
const random = new SystemRandom();
const logger = silentLogger;
const presenceTtlMs = 400;

let server: InProcessApiServer;
let stop: AbortController;
let running: Promise<void>[];
let admin: ApiClient;
let client: ApiClient;

function start<S extends Service>(service: S): S {
  running.push(service.run(stop.signal));
  return service;
}

const inform = <T extends KubeObject>(kind: KindDefinition<T>): Informer<T> => start(new Informer({ client, kind, clock, random, logger }));

/** Resolves when the informer's copy is as wished. */
function until<T extends KubeObject>(informer: Informer<T>, wished: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (wished()) resolve();
    };
    informer.onChanges(look);
    look();
  });
}

const createTask = (name: string, spec: Partial<TaskSpec> = {}, metadata: object = {}): Promise<Task> =>
  admin.create(taskKind, { apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name, namespace: 'default', ...metadata }, spec: { command: ['true'], ...spec } } as Task);

async function bind(task: Task, nodeName: string): Promise<void> {
  const { namespace = '', name = '', uid = '' } = task.metadata;
  const [outcome] = await client.bulk(bulkPaths.bind, { items: [{ namespace, name, uid, nodeName }] });
  expect(outcome!.code).toBeLessThan(300);
}

/** A node as its agent makes it. */
async function register(name: string): Promise<ApiClient> {
  const agent = new ApiClient({ transport: server.transport(agentUser(name)) });
  await agent.create(nodeKind, { apiVersion: 'v1', kind: 'Node', metadata: { name } } as Node).catch(() => {});
  await sayReady(agent, name);
  await agent.presence(name, { session: 's1', announce: true });
  return agent;
}

async function sayReady(agent: ApiClient, name: string): Promise<void> {
  const node = await agent.get(nodeKind, name);
  const conditions = withCondition(node.status?.conditions, { type: 'Ready', status: 'True', reason: 'AgentReady' }, clock.now());
  await agent.update(nodeKind, { ...node, status: { ...node.status, allocatable: { cpu: '4', memory: '4Gi' }, conditions } }, { subresource: 'status' });
}

beforeEach(async () => {
  stop = new AbortController();
  setMaxListeners(0, stop.signal);
  running = [];
  server = await createInProcessApiServer({ clock, random, presenceTtlMs });
  running.push(server.run(stop.signal));
  await server.ready;
  admin = new ApiClient({ transport: server.transport(adminUser) });
  client = new ApiClient({ transport: server.transport(controllersUser) });
});

afterEach(async () => {
  stop.abort();
  await Promise.all(running);
  await server.close();
});

describe('node lifecycle', () => {
  let tasks: Informer<Task>;
  let nodes: Informer<Node>;

  const lifecycle = async (): Promise<void> => {
    tasks = inform(taskKind);
    nodes = inform(nodeKind);
    const leases = inform(leaseKind);
    const recorder = start(new EventRecorder({ client, component: 'node-lifecycle', clock, logger }));
    start(new NodeLifecycle({ client, tasks, tasksByNode: tasksByNode(tasks), nodes, leases, recorder, clock, random, logger }));
    await Promise.all([tasks.synced, nodes.synced, leases.synced]);
  };
  const ready = (name: string): string | undefined => findCondition(nodes.get(name)?.status?.conditions, 'Ready')?.status;
  const tainted = (name: string): boolean => nodes.get(name)?.spec?.taints?.some((taint) => taint.key === unreachableTaintKey) ?? false;
  const phase = (name: string): string | undefined => tasks.get(`default/${name}`)?.status?.phase;

  it('marks a node whose agent is gone and gives its tasks up as onNodeLost says; takes the mark off when it is back', async () => {
    await lifecycle();
    const agent = await register('n1');
    const moved = await createTask('moved');
    const waits = await createTask('waits', { onNodeLost: 'Wait' });
    const fails = await createTask('fails', { onNodeLost: 'Fail' });
    const deleted = await createTask('deleted');
    for (const task of [moved, waits, fails, deleted]) await bind(task, 'n1');
    await admin.delete(taskKind, 'deleted', 'default');
    await until(tasks, () => phase('moved') === 'Pending' && phase('waits') === 'Unknown' && phase('fails') === 'Failed' && !tasks.get('default/deleted'));
    await until(nodes, () => ready('n1') === 'Unknown' && tainted('n1'));
    expect(tasks.get('default/moved')?.status).toMatchObject({ reason: 'NodeLost', lastAttempt: { attempt: 1, nodeName: 'n1' } });
    expect(tasks.get('default/moved')?.status?.nodeName).toBeUndefined();

    await sayReady(agent, 'n1');
    await agent.presence('n1', { session: 's2', announce: true });
    await until(nodes, () => ready('n1') === 'True' && !tainted('n1'));
  });

  it('loses what is absent when it starts, also tasks whose node object is gone', async () => {
    await register('n1');
    await bind(await createTask('a'), 'n1');
    await admin.delete(nodeKind, 'n1');
    const leases = inform(leaseKind);
    await leases.synced;
    await until(leases, () => !leases.get('kube-node-lease/n1'));
    await lifecycle();
    await until(tasks, () => phase('a') === 'Pending');
  });

  it('leaves a node alone that registers and announces itself a little later', async () => {
    await lifecycle();
    const seen: string[] = [];
    nodes.onChanges((changes) => seen.push(...changes.map(({ object }) => `${isReady(object)} ${object.spec?.taints?.length ?? 0}`)));
    const agent = new ApiClient({ transport: server.transport(agentUser('n1')) });
    await agent.create(nodeKind, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } } as Node);
    await sayReady(agent, 'n1');
    await until(nodes, () => ready('n1') === 'True');
    // Time for the controller to do the wrong thing: a few answers of the server, each later than the ones it would ask for.
    for (let i = 0; i < 20; i++) await admin.get(nodeKind, 'n1');
    await agent.presence('n1', { session: 's1', announce: true });
    await admin.mergePatch(nodeKind, 'n1', undefined, { metadata: { labels: { zone: 'a' } } });
    await until(nodes, () => nodes.get('n1')?.metadata.labels?.['zone'] === 'a');
    expect(new Set(seen)).toEqual(new Set(['false 0', 'true 0']));
  });

  /** Announces the agent of n1 and keeps it present; answers what ends that. */
  const keepPresent = async (agent: ApiClient): Promise<() => Promise<void>> => {
    await agent.presence('n1', { session: 's2', announce: true });
    const keep = new AbortController();
    const renewing = (async () => {
      while (!keep.signal.aborted) {
        await agent.presence('n1', { session: 's2', announce: false });
        await new Promise<void>((resolve) => clock.timer(100, resolve));
      }
    })();
    return () => {
      keep.abort();
      return renewing;
    };
  };

  it('takes its word back when the agent is there and does not say so itself', async () => {
    await lifecycle();
    const agent = await register('n1');
    await until(nodes, () => ready('n1') === 'Unknown' && tainted('n1'));
    const leave = await keepPresent(agent);
    await until(nodes, () => ready('n1') === 'True' && !tainted('n1'));
    await leave();
  });

  it('leaves the tasks of an agent that comes back while its node is being marked', async () => {
    const agent = await register('n1');
    await bind(await createTask('a'), 'n1');
    const leases = inform(leaseKind);
    const transport = server.transport(controllersUser);
    let leave: (() => Promise<void>) | undefined;
    const request: Transport['request'] = async (sent) => {
      if (sent.method === 'PUT' && sent.path === '/api/v1/nodes/n1/status' && !leave) {
        leave = await keepPresent(agent);
        await until(leases, () => leases.get('kube-node-lease/n1') !== undefined);
        // The other informer on leases has the change a few answers later.
        for (let i = 0; i < 5; i++) await admin.get(nodeKind, 'n1');
      }
      return transport.request(sent);
    };
    client = new ApiClient({ transport: { request, stream: (sent) => transport.stream(sent), close: () => transport.close() } });
    await lifecycle();
    await until(nodes, () => tainted('n1'));
    await until(nodes, () => ready('n1') === 'True' && !tainted('n1'));
    expect((await admin.get(taskKind, 'a', 'default')).status).toMatchObject({ phase: 'Scheduled', nodeName: 'n1', bindings: 1 });
    await leave!();
  });

  it('has the thousand tasks of a lost node pending within a second of the loss', async () => {
    await lifecycle();
    const items = Array.from({ length: 1_000 }, (_, index) => ({
      apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name: `t${index}`, namespace: 'default' }, spec: { command: ['true'] },
    }));
    await client.bulk(bulkPaths.create, { items });
    await until(tasks, () => tasks.size === 1_000);
    const leases = inform(leaseKind);
    let lostAt: number | undefined;
    leases.onChanges((changes) => {
      if (changes.some(({ type, object }) => type === 'deleted' && object.metadata.name === 'n1')) lostAt = clock.monotonic();
    });
    await register('n1');
    const bindings = [...tasks.values()].map(({ metadata: { namespace, name, uid } }) => ({ namespace, name, uid, nodeName: 'n1' }));
    const outcomes = await client.bulk(bulkPaths.bind, { items: bindings });
    expect(outcomes.every((outcome) => outcome.code < 300)).toBe(true);
    let pending = 0;
    tasks.onChanges((changes) => {
      for (const { object } of changes) if (object.status?.phase === 'Pending' && object.status.reason === 'NodeLost') pending++;
    });
    await until(tasks, () => pending === 1_000);
    const tookMs = clock.monotonic() - lostAt!;
    process.stderr.write(`1,000 tasks of a lost node pending again after ${Math.round(tookMs)} ms\n`);
    expect(tookMs).toBeLessThan(5_000);
  });
});

describe('time limits', () => {
  it('deletes a finished task when its time has passed, and an event an hour after it last happened', async () => {
    const fake = new FakeClock(clock.now());
    const tasks = inform(taskKind);
    const events = inform(eventKind);
    start(new TaskTtl({ client, tasks, clock: fake, random, logger }));
    start(new EventTtl({ client, events, clock: fake, random, logger }));
    const task = await createTask('a', { ttlSecondsAfterFinished: 600 });
    await createTask('kept');
    for (const name of ['a', 'kept']) {
      const stored = await admin.get(taskKind, name, 'default');
      await client.update(taskKind, { ...stored, status: { ...stored.status, phase: 'Failed', finishTime: timestamp(fake.now()) } }, { subresource: 'status' });
    }
    const recorder = start(new EventRecorder({ client, component: 'test', clock, logger }));
    recorder.record(task, 'Normal', 'Tested', 'words');
    await until(events, () => events.size === 1);
    await until(tasks, () => tasks.get('default/a')?.status?.phase === 'Failed' && tasks.get('default/kept')?.status?.phase === 'Failed');
    await fake.advance(590_000);
    expect(tasks.size).toBe(2);
    await fake.advance(20_000);
    await until(tasks, () => tasks.size === 1 && tasks.get('default/kept') !== undefined);
    expect(events.size).toBe(1);
    await fake.advance((eventTtlSeconds + 1) * 1_000);
    await until(events, () => events.size === 0);
  });

  it('fails a task whose deadline passes while it waits for another node', async () => {
    const fake = new FakeClock(clock.now());
    const tasks = inform(taskKind);
    const recorder = new EventRecorder({ client, component: 'test', clock, logger });
    start(new TaskDeadline({ client, tasks, recorder, clock: fake, random, logger }));
    await createTask('a', { activeDeadlineSeconds: 60 });
    const stored = await admin.get(taskKind, 'a', 'default');
    await client.update(taskKind, { ...stored, status: { ...stored.status, firstStartTime: timestamp(fake.now()) } }, { subresource: 'status' });
    await until(tasks, () => Boolean(tasks.get('default/a')?.status?.firstStartTime));
    await fake.advance(50_000);
    expect(tasks.get('default/a')?.status?.phase).toBe('Pending');
    await fake.advance(20_000);
    await until(tasks, () => tasks.get('default/a')?.status?.phase === 'Failed');
    expect(tasks.get('default/a')?.status?.reason).toBe('DeadlineExceeded');
  });
});

describe('garbage collector and namespaces', () => {
  let configMaps: Informer<ConfigMap>;
  let tasks: Informer<Task>;

  const metadata = (): MetadataInformers => start(new MetadataInformers({ client, kinds: tableKinds, shared: [], ignored: [], clock, random, logger }));
  const collect = async (): Promise<void> => {
    configMaps = inform(configMapKind);
    tasks = inform(taskKind);
    const recorder = start(new EventRecorder({ client, component: 'garbage-collector', clock, logger }));
    start(new GarbageCollector({ client, objects: metadata(), recorder, clock, random, logger }));
    await Promise.all([configMaps.synced, tasks.synced]);
  };
  const owned = (owners: KubeObject[], blockOwnerDeletion = false): object => ({
    ownerReferences: owners.map(({ apiVersion, kind, metadata }) => ({ apiVersion, kind, name: metadata.name, uid: metadata.uid, ...(blockOwnerDeletion ? { blockOwnerDeletion } : {}) })),
  });
  const createMap = (name: string, metadata: object = {}, namespace = 'default'): Promise<ConfigMap> =>
    admin.create(configMapKind, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace, ...metadata } } as ConfigMap);

  it('deletes what has lost its last owner, over generations, and only forgets the lost one of two', async () => {
    await collect();
    const [first, second] = [await createMap('first'), await createMap('second')];
    const child = await createTask('child', {}, owned([first]));
    await createMap('grandchild', owned([child]));
    await createMap('shared', owned([first, second]));
    await until(configMaps, () => configMaps.size === 4);
    await admin.delete(configMapKind, 'first', 'default');
    await until(configMaps, () => !configMaps.get('default/grandchild') && configMaps.get('default/shared')?.metadata.ownerReferences?.length === 1);
    await until(tasks, () => tasks.size === 0);
    expect(configMaps.get('default/shared')?.metadata.ownerReferences?.[0]?.name).toBe('second');
  });

  it('deletes an object whose owner had gone, or was another of the same name, before it came', async () => {
    await collect();
    const owner = await createMap('owner');
    await admin.delete(configMapKind, 'owner', 'default');
    await createMap('owner');
    const gone: string[] = [];
    configMaps.onChanges((changes) => gone.push(...changes.filter(({ type }) => type === 'deleted').map(({ object }) => objectKey(object))));
    await createMap('late', owned([owner]));
    await until(configMaps, () => gone.includes('default/late'));
    expect([...configMaps.keys()]).toEqual(['default/owner']);
  });

  it('keeps an owner deleted in the foreground until the dependents that block it are gone', async () => {
    await collect();
    const order: string[] = [];
    configMaps.onChanges((changes) => order.push(...changes.filter(({ type }) => type === 'deleted').map(({ object }) => objectKey(object))));
    const owner = await createMap('owner');
    await createMap('blocks', owned([owner], true));
    await until(configMaps, () => configMaps.size === 2);
    await admin.delete(configMapKind, 'owner', 'default', { propagationPolicy: 'Foreground' });
    await until(configMaps, () => configMaps.size === 0);
    expect(order).toEqual(['default/blocks', 'default/owner']);
  });

  it('leaves dependents as they are, without the reference, when their owner is orphaned', async () => {
    await collect();
    const owner = await createMap('owner');
    await createMap('a', owned([owner]));
    await createMap('b', owned([owner], true));
    await until(configMaps, () => configMaps.size === 3);
    await admin.delete(configMapKind, 'owner', 'default', { propagationPolicy: 'Orphan' });
    await until(configMaps, () => configMaps.size === 2);
    for (const name of ['a', 'b']) expect(configMaps.get(`default/${name}`)?.metadata.ownerReferences ?? []).toEqual([]);
  });

  it('empties a deleted namespace of every kind, then lets it go', async () => {
    const namespaces = inform(namespaceKind);
    start(new NamespaceCleaner({ client, namespaces, objects: metadata(), clock, random, logger }));
    await admin.create(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team' } } as Namespace);
    for (let i = 0; i < 10; i++) await createMap(`c${i}`, {}, 'team');
    await createTask('t', {}, { namespace: 'team' });
    await admin.create(eventKind, { apiVersion: 'v1', kind: 'Event', metadata: { name: 'e', namespace: 'team' }, involvedObject: { namespace: 'team' } } as Event);
    await until(namespaces, () => namespaces.get('team') !== undefined);
    await admin.delete(namespaceKind, 'team');
    await until(namespaces, () => namespaces.get('team') === undefined);
    for (const kind of [configMapKind, taskKind, eventKind, secretKind] as unknown as KindDefinition[]) {
      expect((await admin.list(kind, { namespace: 'team' })).items).toEqual([]);
    }
  });
});
