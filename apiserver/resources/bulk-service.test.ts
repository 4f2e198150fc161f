import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { KindDefinition } from '../../api/kind.js';
import { eventKind } from '../../api/event.js';
import type { EventItem } from '../../api/protocol.js';
import type { TaskReport } from '../../api/task-status.js';
import { BulkService } from './bulk-service.js';
import { taskKind, TestCluster } from './testing/cluster.js';

describe('BulkService', () => {
  let cluster: TestCluster;
  beforeEach(async () => void (cluster = await TestCluster.start()));
  afterEach(() => cluster.stop());

  const item = async (name: string, nodeName = 'n'): Promise<object> => ({ namespace: 'default', name, uid: (await cluster.getTask(name)).metadata.uid, nodeName });
  const codes = (outcomes: { code: number }[]): number[] => outcomes.map(({ code }) => code);

  describe('create', () => {
    it('gives each item its own outcome, in order', async () => {
      await cluster.createTask('taken');
      const spec = { command: ['true'] };
      const outcomes = await cluster.bulk.create(
        cluster.caller,
        { items: [{ metadata: { name: 'a' }, spec }, { metadata: { name: 'taken' }, spec }, { metadata: { name: 'B' }, spec }, 5, { metadata: { generateName: 'g-' }, spec }, { metadata: { name: 'x', namespace: 'no' }, spec }] },
        {},
      );
      expect(codes(outcomes)).toEqual([201, 409, 422, 400, 201, 404]);
      expect(outcomes[0]).toEqual({ code: 201, name: 'a', resourceVersion: (await cluster.getTask('a')).metadata.resourceVersion });
      expect(outcomes[4]!.name).toMatch(/^g-/);
      expect(outcomes[1]!.status).toMatchObject({ reason: 'AlreadyExists' });
    });

    it('lets everything else go first every few milliseconds, and keeps the order', async () => {
      let now = 0;
      const clock = { now: () => cluster.clock.now(), monotonic: () => now++, timer: () => ({ cancel() {} }) };
      const { mutator, creator } = cluster.resources;
      const bulk = new BulkService({ cache: cluster.cache, mutator, creator, clock });
      const names = Array.from({ length: 40 }, (_, index) => `t-${index}`);
      let turns = 0;
      let over = false;
      const count = (): void => void (turns++, over || setImmediate(count));
      setImmediate(count);
      const outcomes = await bulk.create(cluster.caller, { items: [...names, 't-0'].map((name) => ({ metadata: { name }, spec: { command: ['true'] } })) }, {});
      over = true;
      expect(outcomes.slice(0, 40).map(({ name }) => name)).toEqual(names);
      expect(outcomes[40]).toMatchObject({ code: 409 });
      expect(turns).toBeGreaterThan(5);
      const uids = await Promise.all(names.map(async (name) => (await cluster.getTask(name)).metadata.uid));
      const items = names.map((name, index) => ({ namespace: 'default', name, uid: uids[index], nodeName: index % 2 ? 'n' : 'gone' }));
      await cluster.createNode('n');
      expect(codes(await bulk.bind({ items }))).toEqual(names.map((_, index) => (index % 2 ? 200 : 404)));
      expect(codes(await bulk.bind({ items: [] }))).toEqual([]);
    });

    it('stores nothing in a dry run', async () => {
      const outcomes = await cluster.bulk.create(cluster.caller, { items: [{ metadata: { name: 'a' }, spec: { command: ['true'] } }] }, { dryRun: true });
      expect(outcomes).toEqual([{ code: 201, name: 'a' }]);
      await expect(cluster.getTask('a')).rejects.toMatchObject({ code: 404 });
    });

    it.each([[{}], [[]], [null], [{ items: 5 }]])('refuses the body %j', async (body) => {
      await expect(cluster.bulk.create(cluster.caller, body, {})).rejects.toMatchObject({ code: 400 });
    });

    it('refuses too many items', async () => {
      await expect(cluster.bulk.create(cluster.caller, { items: Array.from({ length: 5_001 }, () => ({})) }, {})).rejects.toMatchObject({ code: 413 });
    });
  });

  describe('bind', () => {
    it('binds pending tasks, each once', async () => {
      await cluster.createNode('n');
      await cluster.createNode('m');
      for (const name of ['a', 'b']) await cluster.createTask(name);
      const items = [await item('a'), await item('a', 'm'), await item('b'), await item('b', 'nowhere')];
      const outcomes = await cluster.bulk.bind({ items: [...items, { namespace: 'default', name: 'c', uid: 'u', nodeName: 'n' }, { namespace: 'default', name: 'b', uid: 'other', nodeName: 'n' }] });
      expect(codes(outcomes)).toEqual([200, 409, 200, 404, 404, 409]);
      expect(outcomes[1]!.status?.message).toBe('Operation cannot be fulfilled on tasks.taskplane.dev "a": the task is already bound to node n');
      expect(outcomes[3]!.status?.message).toBe('nodes "nowhere" not found');
      const a = await cluster.getTask('a');
      expect(a.status).toMatchObject({ phase: 'Scheduled', nodeName: 'n', bindings: 1, attempt: 1 });
      expect(a.metadata).toMatchObject({ generation: 1, resourceVersion: outcomes[0]!.resourceVersion });
    });

    it('refuses a node that was chosen for what the task asked for before', async () => {
      await cluster.createNode('n');
      await cluster.createTask('a');
      const one = await item('a');
      await cluster.resources.patch(cluster.caller, cluster.target(taskKind, 'a'), 'application/merge-patch+json', { spec: { resources: { requests: { cpu: '64' } } } }, {});
      const [refused] = await cluster.bulk.bind({ items: [{ ...one, generation: 1 }] });
      expect(refused).toMatchObject({ code: 409, status: { message: expect.stringContaining('the binding is for generation 1, the task is at 2') } });
      expect(codes(await cluster.bulk.bind({ items: [{ ...one, generation: 2 }] }))).toEqual([200]);
    });

    it('binds once when two schedulers bind at the same time, whatever the cache knows', async () => {
      await cluster.createNode('n');
      await cluster.createTask('a');
      const one = await item('a');
      cluster.holdCache();
      const outcomes = await Promise.all([cluster.bulk.bind({ items: [one] }), cluster.bulk.bind({ items: [one] })]);
      expect(codes(outcomes.flat()).sort()).toEqual([200, 409]);
      expect(codes(await cluster.bulk.bind({ items: [one] }))).toEqual([409]);
    });

    it('refuses a task that is being deleted', async () => {
      await cluster.createNode('n');
      await cluster.createTask('a', {}, { finalizers: ['x.example/y'] });
      await cluster.resources.delete(cluster.caller, cluster.target(taskKind, 'a'), {});
      expect((await cluster.bulk.bind({ items: [await item('a')] }))[0]!.status?.message).toContain('the task is being deleted');
    });

    it('names every problem of a request of another shape', async () => {
      await expect(cluster.bulk.bind({ items: [{ namespace: 'default', name: 5, uid: '' }] })).rejects.toMatchObject({
        code: 400,
        message: 'items[0].nodeName: Required value, items[0].name: Invalid value: 5: must be a string, items[0].uid: Invalid value: "": must not be empty',
      });
    });
  });

  describe('status', () => {
    const report = async (more: Partial<TaskReport> = {}): Promise<TaskReport> => ({
      namespace: 'default', name: 'a', uid: (await cluster.getTask('a')).metadata.uid!, bindings: 1, attempt: 1, phase: 'Running', ...more,
    });
    const send = (items: TaskReport[], nodeName = 'n') => cluster.bulk.status({ nodeName, items });
    beforeEach(async () => {
      await cluster.createNode('n');
      await cluster.createTask('a', { restartPolicy: 'OnFailure' });
      await cluster.bindTask('a', 'n');
    });

    it('applies what the agent tells', async () => {
      const [outcome] = await send([await report({ startTime: '2026-01-01T00:00:00Z' })]);
      const task = await cluster.getTask('a');
      expect(outcome).toEqual({ code: 200, resourceVersion: task.metadata.resourceVersion });
      expect(task.status).toMatchObject({ phase: 'Running', startTime: '2026-01-01T00:00:00Z' });
    });

    it('does not write what it knows already', async () => {
      const running = await report();
      const [first] = await send([running]);
      expect(await send([running])).toEqual([first]);
    });

    it('applies several reports on one task in order', async () => {
      const outcomes = await send([await report(), await report({ phase: 'Succeeded', exitCode: 0 })]);
      expect(codes(outcomes)).toEqual([200, 200]);
      expect((await cluster.getTask('a')).status).toMatchObject({ phase: 'Succeeded', exitCode: 0 });
    });

    it.each<[string, Partial<TaskReport>, string]>([
      ['an old attempt', { attempt: 0 }, 'attempt 0 is over; the current one is 1'],
      ['an old binding', { bindings: 0 }, 'binding 0 is over; the current one is 1'],
      ['another task of this name', { uid: 'other' }, 'the task was deleted; another one has its name'],
    ])('refuses a report on %s', async (_, more, why) => {
      const [outcome] = await send([await report(more)]);
      expect(outcome).toMatchObject({ code: 409, status: { reason: 'Conflict', message: `Operation cannot be fulfilled on tasks.taskplane.dev "a": ${why}` } });
    });

    it('refuses another node, a finished task, and one that is gone', async () => {
      expect((await send([await report()], 'm'))[0]!.status?.message).toContain('the task is bound to node n');
      const running = await report();
      await send([await report({ phase: 'Failed' })]);
      expect((await send([running]))[0]!.status?.message).toContain('the task has finished: Failed');
      await cluster.resources.delete(cluster.caller, cluster.target(taskKind, 'a'), {});
      expect(codes(await send([running]))).toEqual([404]);
    });

    it('does not refuse a report because the cache is behind', async () => {
      await cluster.createTask('b');
      const b = { ...(await item('b')) } as { uid: string };
      cluster.holdCache();
      expect(codes(await cluster.bulk.bind({ items: [b] }))).toEqual([200]);
      expect(codes(await send([{ namespace: 'default', name: 'b', uid: b.uid, bindings: 1, attempt: 1, phase: 'Running' }]))).toEqual([200]);
    });

    it('sends a lost attempt back to be scheduled', async () => {
      await send([await report({ phase: 'Lost' })]);
      expect((await cluster.getTask('a')).status).toMatchObject({ phase: 'Pending', lastAttempt: { attempt: 1, nodeName: 'n' } });
    });

    it('keeps a deleted task with finalizers after its end', async () => {
      await cluster.resources.patch(cluster.caller, cluster.target(taskKind, 'a'), 'application/merge-patch+json', { metadata: { finalizers: ['x.example/y'] } }, {});
      await cluster.resources.delete(cluster.caller, cluster.target(taskKind, 'a'), {});
      await send([await report({ phase: 'Succeeded' })]);
      expect((await cluster.getTask('a')).status?.phase).toBe('Succeeded');
    });

    it('refuses reports of another shape', async () => {
      await expect(cluster.bulk.status({ items: [] })).rejects.toMatchObject({ code: 400, message: 'nodeName: Required value' });
      await expect(send([await report({ phase: 'Dancing' as 'Running', exitCode: 1.5, startTime: 'noon' })])).rejects.toMatchObject({
        code: 400,
        message: expect.stringMatching(/items\[0\]\.phase: Unsupported value: "Dancing".*items\[0\]\.startTime: .*items\[0\]\.exitCode: /),
      });
    });
  });

  it('says why tasks stay pending, once', async () => {
    await cluster.createTask('a');
    const { uid } = (await cluster.getTask('a')).metadata;
    const request = { items: [{ namespace: 'default', name: 'a', uid, reason: 'Unschedulable', message: '0/0 nodes fit' }] };
    const [first] = await cluster.bulk.unschedulable(request);
    expect((await cluster.getTask('a')).status?.conditions).toMatchObject([{ type: 'Scheduled', status: 'False', reason: 'Unschedulable', message: '0/0 nodes fit' }]);
    expect(await cluster.bulk.unschedulable(request)).toEqual([first]);
  });

  describe('events', () => {
    const happened = (more: Partial<EventItem> = {}): EventItem => ({
      namespace: 'default', involvedObject: { apiVersion: 'taskplane.dev/v1', kind: 'Task', namespace: 'default', name: 'a', uid: 'u' }, type: 'Normal', reason: 'Started', message: 'started',
      component: 'agent', host: 'n', count: 1, firstTimestamp: '2026-01-01T00:00:00Z', lastTimestamp: '2026-01-01T00:00:01Z', ...more,
    });
    const events = async () => (await cluster.resources.list(cluster.caller, { kind: eventKind as unknown as KindDefinition, namespace: 'default' }, {})).items.map(({ object }) => object);

    it('counts up what happens again', async () => {
      const outcomes = await cluster.bulk.recordEvents({ items: [happened(), happened({ count: 4, lastTimestamp: '2026-01-01T00:00:09Z' }), happened({ reason: 'Stopped', message: 'x'.repeat(5_000) })] });
      expect(codes(outcomes)).toEqual([201, 200, 201]);
      await cluster.bulk.recordEvents({ items: [happened()] });
      const [started] = (await events()).filter(({ reason }) => reason === 'Started');
      expect(started).toMatchObject({ count: 6, firstTimestamp: '2026-01-01T00:00:00Z', lastTimestamp: '2026-01-01T00:00:09Z', source: { component: 'agent', host: 'n' }, metadata: { name: expect.stringMatching(/^a\.[0-9a-f]{16}$/) } });
      const [stopped] = (await events()).filter(({ reason }) => reason === 'Stopped');
      expect(stopped!['message']).toHaveLength(1_024);
    });

    it('comes along with what an agent reports, its outcomes after those of the reports', async () => {
      await cluster.createNode('n');
      await cluster.createTask('a');
      await cluster.bindTask('a', 'n');
      const { uid = '' } = (await cluster.getTask('a')).metadata;
      const report = { namespace: 'default', name: 'a', uid, bindings: 1, attempt: 1, phase: 'Running' };
      const outcomes = await cluster.bulk.status({ nodeName: 'n', items: [report, { ...report, uid: 'another' }], events: [happened(), happened({ namespace: 'no' }), happened()] });
      expect(codes(outcomes)).toEqual([200, 409, 201, 404, 200]);
      expect((await events()).map(({ count }) => count)).toEqual([2]);
      expect((await cluster.getTask('a')).status?.phase).toBe('Running');
      await expect(cluster.bulk.status({ nodeName: 'n', items: [], events: [{ ...happened(), count: 0 }] })).rejects.toMatchObject({ code: 400 });
    });

    it('is refused for a namespace that does not exist', async () => {
      expect(codes(await cluster.bulk.recordEvents({ items: [happened({ namespace: 'no' })] }))).toEqual([404]);
    });
  });
});
