import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { setMaxListeners } from 'node:events';
import { adminUser, controllersUser, createInProcessApiServer, type InProcessApiServer } from '../apiserver/in-process.js';
import { configMapKind, type ConfigMap } from '../api/config.js';
import type { KindDefinition } from '../api/kind.js';
import { timestamp, type KubeObject, type ObjectMeta } from '../api/meta.js';
import { taskKind, unsettledSelector, type Task, type TaskSpec } from '../api/task.js';
import { ApiClient } from '../client/api-client.js';
import { Informer } from '../client/informer.js';
import { SystemClock, type Clock } from '../lib/clock.js';
import { Deferred } from '../lib/deferred.js';
import { FakeClock } from '../lib/fake-clock.js';
import { silentLogger } from '../lib/log.js';
import { SystemRandom } from '../lib/random.js';
import type { Service } from '../lib/service.js';
import { GarbageCollector } from './garbage-collector/controller.js';
import { tableKinds } from './kind-source.js';
import { MetadataInformers } from './metadata-informers.js';
import { TaskTtl } from './task-ttl/controller.js';
import { withoutFinishedWork } from './task-ttl/plan.js';

// What controllers see of tasks: those of which something may still become.

const clock = new SystemClock();
const random = new SystemRandom();
const logger = silentLogger;

let server: InProcessApiServer;
let stop: AbortController;
let running: Promise<void>[];
let admin: ApiClient;
let client: ApiClient;
let tasks: Informer<Task>;

function start<S extends Service>(service: S): S {
  running.push(service.run(stop.signal));
  return service;
}

function until(informer: Informer<Task>, wished: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (wished()) resolve();
    };
    informer.onChanges(look);
    look();
  });
}

beforeEach(async () => {
  stop = new AbortController();
  setMaxListeners(0, stop.signal);
  running = [];
  server = await createInProcessApiServer({ clock, random });
  running.push(server.run(stop.signal));
  await server.ready;
  admin = new ApiClient({ transport: server.transport(adminUser) });
  client = new ApiClient({ transport: server.transport(controllersUser) });
  tasks = new Informer({ client, kind: taskKind, fieldSelector: unsettledSelector, omitManagedFields: true, streamList: true, keep: withoutFinishedWork, clock, random, logger });
});

afterEach(async () => {
  stop.abort();
  await Promise.all(running);
  await server.close();
});

const create = (name: string, spec: Partial<TaskSpec> = {}, metadata: Partial<ObjectMeta> = {}): Promise<Task> =>
  admin.create(taskKind, { apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name, namespace: 'default', ...metadata }, spec: { command: ['true'], ...spec } } as Task);

async function finish(name: string): Promise<void> {
  const task = await admin.get(taskKind, name, 'default');
  await client.update(taskKind, { ...task, status: { ...task.status, phase: 'Failed', finishTime: timestamp(clock.now()) } }, { subresource: 'status' });
}

const ownedBy = ({ apiVersion, kind, metadata }: KubeObject): Partial<ObjectMeta> => ({ ownerReferences: [{ apiVersion, kind, name: metadata.name!, uid: metadata.uid! }] });

describe('tasks that are settled', () => {
  it('are neither listed nor kept; those that still have to go are, without what they did', async () => {
    await create('settled');
    await finish('settled');
    await create('waits');
    const owner = await create('owner');
    start(tasks);
    await tasks.synced;
    expect([...tasks.keys()].toSorted()).toEqual(['default/owner', 'default/waits']);
    const settled = await client.list(taskKind, { fieldSelector: 'status.settled=true' });
    expect(settled.items.map(({ metadata }) => metadata.name)).toEqual(['settled']);

    await create('timed', { ttlSecondsAfterFinished: 600 });
    await create('owned', {}, ownedBy(owner));
    for (const name of ['timed', 'owned', 'waits']) await finish(name);
    await until(tasks, () => tasks.get('default/waits') === undefined && tasks.get('default/timed')?.status?.phase === 'Failed' && tasks.get('default/owned')?.status?.phase === 'Failed');
    expect(tasks.get('default/timed')).toMatchObject({ spec: { ttlSecondsAfterFinished: 600 }, metadata: { uid: expect.any(String), resourceVersion: expect.any(String) } });
    expect(tasks.get('default/timed')!.spec.command).toBeUndefined();
    expect(tasks.get('default/owned')!.metadata.ownerReferences).toHaveLength(1);
    expect(tasks.get('default/owner')!.metadata.managedFields).toBeUndefined();
  });

  it('are deleted when their time is given to them afterwards', async () => {
    const fake = new FakeClock(clock.now());
    start(tasks);
    start(new TaskTtl({ client, tasks, clock: fake, random, logger }));
    const all = start(new Informer({ client, kind: taskKind, clock, random, logger }));
    await Promise.all([tasks.synced, all.synced]);
    await create('late');
    await finish('late');
    await until(all, () => all.get('default/late')?.status?.phase === 'Failed');
    await until(tasks, () => tasks.size === 0);
    await admin.mergePatch(taskKind, 'late', 'default', { spec: { ttlSecondsAfterFinished: 60 } });
    await until(tasks, () => tasks.size === 1);
    await fake.advance(61_000);
    await until(all, () => all.size === 0);
  });

  it('keep what they own as long as they are there, and no longer', async () => {
    const fake = new FakeClock(clock.now());
    start(tasks);
    const shared = [{ kind: taskKind, informer: tasks, partial: true }] as unknown as { kind: KindDefinition; informer: Informer<KubeObject> }[];
    const objects = start(new MetadataInformers({ client, kinds: tableKinds, shared, ignored: [], clock, random, logger }));
    // The collector sets a timer when it has found the owner at the server only.
    const looksAgain = new Deferred<void>();
    const signalling: Clock = { now: () => fake.now(), monotonic: () => fake.monotonic(), timer: (ms, fn) => (looksAgain.resolve(), fake.timer(ms, fn)) };
    start(new GarbageCollector({ client, objects, recorder: { record: () => {} }, clock: signalling, random, logger }));
    const maps = start(new Informer<ConfigMap>({ client, kind: configMapKind, clock, random, logger }));
    await Promise.all([objects.synced, maps.synced, tasks.synced]);
    const owner = await create('owner');
    await admin.create(configMapKind, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'kept', namespace: 'default', ...ownedBy(owner) } } as ConfigMap);
    await finish('owner');
    await looksAgain.promise;
    await admin.delete(taskKind, 'owner', 'default');
    expect(maps.get('default/kept')).toBeDefined();
    const gone = new Promise<void>((resolve) => maps.onChanges((changes) => changes.some(({ type }) => type === 'deleted') && resolve()));
    await fake.advance(5_000);
    await gone;
  });
});
