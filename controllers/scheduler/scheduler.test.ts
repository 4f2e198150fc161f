import { afterEach, describe, expect, it } from '@jest/globals';
import { ApiError, notFound } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import { objectKey, type KubeObject } from '../../api/meta.js';
import type { Node } from '../../api/node.js';
import { bulkPaths, type BindingBulk, type BulkOutcome, type NodeLoadDigest, type NodeLoadList, type SchedulingBulk } from '../../api/protocol.js';
import { boundTo, unschedulable } from '../../api/task-status.js';
import { taskKind, type Task } from '../../api/task.js';
import { TransportError } from '../../api/transport.js';
import type { InformerChange } from '../../client/informer.js';
import { SystemClock } from '../../lib/clock.js';
import { Deferred } from '../../lib/deferred.js';
import { silentLogger } from '../../lib/log.js';
import { SeededRandom } from '../../lib/random.js';
import { Scheduler, type SchedulerLimits } from './scheduler.js';
import { asking, boundTask, finishedTask, lostTask, makeNode, makeTask } from './test-world.js';

/** An informer whose view the test moves. */
class View<T extends KubeObject> {
  readonly objects = new Map<string, T>();
  readonly synced = Promise.resolve();
  readonly #handlers: ((changes: readonly InformerChange<T>[]) => void)[] = [];

  get(key: string): T | undefined {
    return this.objects.get(key);
  }
  values(): IterableIterator<T> {
    return this.objects.values();
  }
  onChanges(handler: (changes: readonly InformerChange<T>[]) => void): void {
    this.#handlers.push(handler);
  }
  set(...objects: T[]): void {
    const changes = objects.map((object): InformerChange<T> => ({ type: this.objects.has(objectKey(object)) ? 'modified' : 'added', object }));
    for (const object of objects) this.objects.set(objectKey(object), object);
    for (const handler of this.#handlers) handler(changes);
  }
  delete(key: string): void {
    const object = this.objects.get(key)!;
    this.objects.delete(key);
    for (const handler of this.#handlers) handler([{ type: 'deleted', object }]);
  }
}

type BindFault = 'none' | 'fails' | 'fails after writing' | 'refuses' | 'hangs';

/** The server's side: the stored tasks, the rules of binding, and faults on demand. */
class Server {
  readonly stored = new Map<string, Task>();
  readonly tasks = new View<Task>();
  readonly nodes = new View<Node>();
  readonly binds: BindingBulk[] = [];
  readonly told: { name: string; message: string }[] = [];
  readonly events: { name: string; reason: string; message: string }[] = [];
  /** What befalls the next requests to bind, one each. */
  readonly faults: BindFault[] = [];
  readonly hanging: Deferred<void>[] = [];
  /** Whether the informer learns of writes. */
  isWatched = true;
  reads = 0;
  loads: NodeLoadList['items'] = [];
  #changed = new Deferred<void>();

  create(...tasks: Task[]): void {
    for (const task of tasks) this.stored.set(objectKey(task), task);
    this.tasks.set(...tasks);
    this.#tick();
  }

  write(task: Task): void {
    this.stored.set(objectKey(task), task);
    if (this.isWatched) this.tasks.set(task);
    this.#tick();
  }

  nodeOf(name: string): string | undefined {
    return this.stored.get(`default/${name}`)?.status?.nodeName;
  }

  get boundCount(): number {
    return [...this.stored.values()].filter((task) => task.status?.nodeName).length;
  }

  /** Resolves when it is true; looks after every request. */
  async until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) await this.#changed.promise;
  }

  record(object: KubeObject, _type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.events.push({ name: object.metadata.name ?? '', reason, message });
  }

  async nodeLoadDigest(): Promise<NodeLoadDigest> {
    const { loads } = this;
    return { kind: 'NodeLoadDigest', names: loads.map(({ name }) => name), ageMs: loads.map(({ ageMs }) => ageMs), cpuMilli: loads.map(({ load }) => load.cpuMilli), memoryBytes: loads.map(({ load }) => load.memoryBytes) };
  }

  async get<T extends KubeObject>(kind: KindDefinition<T>, name: string, namespace?: string): Promise<T> {
    this.reads++;
    const task = this.stored.get(`${namespace}/${name}`);
    setImmediate(() => this.#tick());
    if (!task) throw notFound(taskKind, name);
    expect(kind.plural).toBe('tasks');
    return task as unknown as T;
  }

  async bulk(path: string, body: object): Promise<BulkOutcome[]> {
    await new Promise((resolve) => setImmediate(resolve));
    try {
      if (path === bulkPaths.bind) return await this.#bind(body as BindingBulk);
      expect(path).toBe(bulkPaths.unschedulable);
      return this.#tell(body as SchedulingBulk);
    } finally {
      setImmediate(() => this.#tick());
    }
  }

  async #bind(body: BindingBulk): Promise<BulkOutcome[]> {
    this.binds.push(body);
    const fault = this.faults.shift() ?? 'none';
    if (fault === 'hangs') {
      const hang = new Deferred<void>();
      this.hanging.push(hang);
      this.#tick();
      await hang.promise;
    }
    if (fault === 'fails') throw new TransportError('connection refused');
    const outcomes = body.items.map(({ namespace, name, uid, nodeName }): BulkOutcome => {
      const task = this.stored.get(`${namespace}/${name}`);
      if (!task || task.metadata.uid !== uid) return { code: 404 };
      const status = boundTo(task, nodeName, 0);
      if (fault === 'refuses' || 'refused' in status) return { code: 409 };
      this.write({ ...task, status });
      return { code: 200, resourceVersion: '2' };
    });
    if (fault === 'fails after writing') throw new TransportError('the answer was lost');
    return outcomes;
  }

  #tell(body: SchedulingBulk): BulkOutcome[] {
    return body.items.map(({ namespace, name, reason, message }) => {
      const task = this.stored.get(`${namespace}/${name}`)!;
      const status = unschedulable(task, reason, message, 0);
      this.told.push({ name, message });
      if (status) this.write({ ...task, status });
      return { code: 200 };
    });
  }

  #tick(): void {
    this.#changed.resolve();
    this.#changed = new Deferred<void>();
  }
}

let stop = new AbortController();
let running: Promise<void> = Promise.resolve();
let current: Server | undefined;

afterEach(async () => {
  stop.abort();
  for (const hang of current?.hanging ?? []) hang.resolve();
  await running;
});

function start(server: Server, options: Partial<SchedulerLimits> = {}): Scheduler {
  stop = new AbortController();
  current = server;
  const scheduler = new Scheduler({
    client: server,
    tasks: server.tasks,
    nodes: server.nodes,
    recorder: server,
    clock: new SystemClock(),
    random: new SeededRandom(1),
    logger: silentLogger,
    options: { ...options, teller: { settleMs: 0, intervalMs: 5, intervalMaxMs: 5, ...options.teller } },
  });
  running = scheduler.run(stop.signal);
  return scheduler;
}

function tasksNamed(prefix: string, count: number, spec: Parameters<typeof makeTask>[1] = {}): Task[] {
  return Array.from({ length: count }, (_, i) => makeTask(`${prefix}${String(i).padStart(4, '0')}`, spec));
}

describe('the scheduler', () => {
  it('binds what was there before it started and what comes after', async () => {
    const server = new Server();
    server.nodes.set(makeNode('a'), makeNode('b'));
    server.create(...tasksNamed('early', 3));
    const scheduler = start(server);
    await server.until(() => server.boundCount === 3);
    server.create(...tasksNamed('late', 3));
    await server.until(() => server.boundCount === 6);
    expect(new Set([...server.stored.values()].map((task) => task.status?.nodeName))).toEqual(new Set(['a', 'b']));
    expect(server.events.filter((event) => event.reason === 'Scheduled')).toContainEqual({ name: 'early0000', reason: 'Scheduled', message: `bound to node ${server.nodeOf('early0000')}` });
    await server.until(() => scheduler.stats.bound === 6);
    expect(scheduler.stats).toEqual({ waiting: 0, known: 6, bound: 6, refused: 0 });
  });

  it('counts the room of tasks that were bound before it started', async () => {
    const server = new Server();
    server.nodes.set(makeNode('a'), makeNode('b'));
    server.create(boundTask(makeTask('old', asking('3')), 'a'), finishedTask(boundTask(makeTask('done', asking('3')), 'b')), makeTask('new', asking('3')));
    start(server);
    await server.until(() => server.nodeOf('new') !== undefined);
    expect(server.nodeOf('new')).toBe('b');
  });

  it('sends many bindings in one request, several requests at once, and decides no further than one batch ahead', async () => {
    const server = new Server();
    server.nodes.set(...Array.from({ length: 20 }, (_, i) => makeNode(`n${i}`)));
    server.faults.push('hangs', 'hangs');
    const tasks = tasksNamed('t', 100);
    server.create(...tasks);
    const scheduler = start(server, { batchMax: 10, requestsMax: 2 });
    await server.until(() => server.hanging.length === 2);
    // A turn that ran out of time sends what it has.
    expect(Math.max(...server.binds.map((bind) => bind.items.length))).toBeLessThanOrEqual(10);
    expect(scheduler.stats.waiting).toBeGreaterThanOrEqual(70);
    server.create(makeTask('urgent', { priority: 9 }));
    for (const hang of server.hanging) hang.resolve();
    await server.until(() => server.boundCount === 101);
    const order = server.binds.flatMap((bind) => bind.items.map((item) => item.name));
    expect(order.indexOf('urgent')).toBeLessThan(40);
    expect(new Set(order).size).toBe(101);
    expect(server.binds.length).toBeLessThan(30);
  });

  it('drops the assumption when a binding is refused, and tries again what is still pending', async () => {
    const server = new Server();
    server.nodes.set(makeNode('a'));
    server.faults.push('refuses');
    server.create(makeTask('t', asking('3')));
    const scheduler = start(server);
    await server.until(() => server.nodeOf('t') === 'a');
    expect(server.reads).toBe(1);
    expect(scheduler.stats.refused).toBe(1);
  });

  it('takes the word of another scheduler that was faster', async () => {
    const server = new Server();
    server.nodes.set(makeNode('a'), makeNode('b'));
    server.isWatched = false;
    const task = makeTask('t', asking('3'));
    server.create(task);
    server.stored.set('default/t', boundTask(task, 'a'));
    const scheduler = start(server);
    await server.until(() => server.reads === 1);
    server.create(makeTask('u', asking('3')));
    await server.until(() => server.nodeOf('u') !== undefined);
    expect([server.nodeOf('t'), server.nodeOf('u')]).toEqual(['a', 'b']);
    expect(scheduler.stats.waiting).toBe(0);
  });

  it('forgets a task that is gone when its binding arrives', async () => {
    const server = new Server();
    server.nodes.set(makeNode('a'));
    server.tasks.set(makeTask('ghost', asking('3')));
    start(server);
    await server.until(() => server.reads === 1);
    server.tasks.delete('default/ghost');
    server.create(makeTask('t', asking('3')));
    await server.until(() => server.nodeOf('t') === 'a');
  });

  it('sends a binding again to the same node when it does not know what became of it', async () => {
    const server = new Server();
    server.nodes.set(...Array.from({ length: 5 }, (_, i) => makeNode(`n${i}`)));
    server.faults.push('fails', 'fails after writing', 'fails');
    server.create(...tasksNamed('t', 5));
    start(server, { requestsMax: 1 });
    await server.until(() => server.boundCount === 5);
    await server.until(() => server.binds.length >= 2);
    expect([...server.stored.values()].map((task) => task.status?.bindings)).toEqual([1, 1, 1, 1, 1]);
    const nodesOf = new Map<string, Set<string>>();
    for (const { name, nodeName } of server.binds.flatMap((bind) => bind.items)) nodesOf.set(name, (nodesOf.get(name) ?? new Set()).add(nodeName));
    expect([...nodesOf.values()].map((names) => names.size)).toEqual([1, 1, 1, 1, 1]);
  });

  it('keeps the room of a binding that arrived although its answer was lost, until the task has been read', async () => {
    const server = new Server();
    server.isWatched = false;
    server.nodes.set(makeNode('a'));
    server.faults.push('fails after writing');
    server.create(makeTask('t', asking('3')), makeTask('u', asking('3')));
    start(server);
    await server.until(() => server.reads === 1);
    expect(server.binds.map(({ items }) => items.map(({ name }) => name))).toEqual([['t'], ['t']]);
    expect([server.nodeOf('t'), server.nodeOf('u')]).toEqual(['a', undefined]);
  });

  it('keeps that room also when the node no longer suits the task', async () => {
    const server = new Server();
    server.isWatched = false;
    const taint = { key: 'kept', effect: 'NoSchedule' as const };
    server.nodes.set(makeNode('a'));
    server.faults.push('fails after writing');
    server.create(makeTask('t', asking('3')), makeTask('u', { ...asking('3'), tolerations: [{ key: 'kept', operator: 'Exists' }] }));
    start(server);
    await server.until(() => server.binds.length === 1);
    server.nodes.set(makeNode('a', { taints: [taint] }));
    await server.until(() => server.reads === 1);
    expect([server.nodeOf('t'), server.nodeOf('u')]).toEqual(['a', undefined]);
  });

  it('binds the task that it decided on, not what has become of it', async () => {
    const server = new Server();
    server.nodes.set(makeNode('a'));
    server.create(makeTask('t'));
    start(server);
    await server.until(() => server.boundCount === 1);
    expect(server.binds[0]!.items).toMatchObject([{ name: 't', generation: 1 }]);
  });

  it('does not bind to a node that was lost while the binding waited to be sent', async () => {
    const server = new Server();
    server.nodes.set(makeNode('a'));
    server.faults.push('fails');
    server.create(makeTask('t'));
    start(server);
    await server.until(() => server.binds.length === 1);
    server.nodes.set(makeNode('a', { ready: false }), makeNode('b'));
    await server.until(() => server.nodeOf('t') !== undefined);
    expect(server.nodeOf('t')).toBe('b');
  });

  it('binds a task again when its node is lost', async () => {
    const server = new Server();
    server.nodes.set(makeNode('a'));
    server.create(makeTask('t'));
    start(server);
    await server.until(() => server.nodeOf('t') === 'a');
    server.nodes.set(makeNode('a', { ready: false }), makeNode('b'));
    server.write(lostTask(server.stored.get('default/t')!));
    await server.until(() => server.nodeOf('t') === 'b');
  });

  it('says why a task waits, and binds it when a node that it fits on is added', async () => {
    const server = new Server();
    server.nodes.set(makeNode('small'));
    server.create(makeTask('big', asking('8')));
    start(server);
    const message = '0/1 nodes fit: 1 lack cpu (largest free 4, needs 8); no node that it may run on is large enough';
    await server.until(() => server.told.length === 1);
    expect(server.told).toEqual([{ name: 'big', message }]);
    expect(server.stored.get('default/big')?.status?.conditions).toMatchObject([{ type: 'Scheduled', status: 'False', reason: 'Unschedulable', message }]);
    expect(server.events).toEqual([{ name: 'big', reason: 'FailedScheduling', message }]);
    server.nodes.set(makeNode('large', { allocatable: { cpu: '16' } }));
    await server.until(() => server.nodeOf('big') === 'large');
  });

  it('tells a task that joins others in waiting, each once, and all of them when the reason changes', async () => {
    const server = new Server();
    server.create(...tasksNamed('t', 2));
    start(server);
    await server.until(() => server.told.length === 2);
    server.create(makeTask('later'));
    await server.until(() => server.told.length === 3);
    expect(server.told.map((told) => told.name)).toEqual(['t0000', 't0001', 'later']);
    server.nodes.set(makeNode('a', { unschedulable: true }));
    await server.until(() => server.told.length === 6);
    expect(new Set(server.told.slice(3).map((told) => told.message))).toEqual(new Set(['0/1 nodes fit: 1 are cordoned']));
  });

  it('is not held up by thousands of tasks that never fit', async () => {
    const server = new Server();
    server.nodes.set(...Array.from({ length: 20 }, (_, i) => makeNode(`n${i}`)));
    server.create(...tasksNamed('never', 3000, { ...asking('100'), priority: 10 }), ...tasksNamed('t', 300));
    start(server, { teller: { settleMs: 10_000 } });
    await server.until(() => server.boundCount === 300);
    expect(server.told).toEqual([]);
  });

  it('keeps off a machine that is busy with something else', async () => {
    const server = new Server();
    server.loads = [{ name: 'a', ageMs: 100, load: { cpuMilli: 3900, memoryBytes: 0, loadAverage: 4 } }];
    server.nodes.set(makeNode('a'), makeNode('b'));
    start(server, { loadsMs: 1 });
    server.create(makeTask('warm-up', { nodeName: 'b' }));
    await server.until(() => server.boundCount === 1);
    server.create(...tasksNamed('t', 5, asking('100m', '64Mi')));
    await server.until(() => server.boundCount === 6);
    expect(new Set([...server.stored.values()].map((task) => task.status?.nodeName))).toEqual(new Set(['b']));
  });

  it('goes on when the loads cannot be had', async () => {
    const server = new Server();
    server.nodeLoadDigest = () => Promise.reject(new ApiError('ServiceUnavailable', 'not now'));
    server.nodes.set(makeNode('a'));
    start(server, { loadsMs: 1 });
    server.create(makeTask('t'));
    await server.until(() => server.boundCount === 1);
  });

  it('waits for the requests under way when it is stopped, and ends', async () => {
    const server = new Server();
    server.nodes.set(makeNode('a'));
    server.faults.push('hangs');
    server.create(makeTask('t'));
    start(server);
    await server.until(() => server.hanging.length === 1);
    stop.abort();
    let ended = false;
    void running.then(() => (ended = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect(ended).toBe(false);
    server.hanging[0]!.resolve();
    await running;
    expect(server.nodeOf('t')).toBe('a');
  });
});
