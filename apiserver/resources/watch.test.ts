import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { KindDefinition } from '../../api/kind.js';
import { podKind as pod } from '../../api/pod.js';
import type { Status } from '../../api/errors.js';
import type { Rendered, WatchQuery, WatchSink } from './service.js';
import { taskKind, TestCluster, type SeenWatch } from './testing/cluster.js';

const podKind = pod as unknown as KindDefinition;
const merge = 'application/merge-patch+json';

describe('watch', () => {
  let cluster: TestCluster;
  beforeEach(async () => void (cluster = await TestCluster.start()));
  afterEach(async () => {
    await cluster.stop();
    expect(cluster.clock.pendingTimers).toBe(0);
  });

  const watch = (query: WatchQuery = {}, kind = taskKind, namespace: string | undefined = 'default'): Promise<SeenWatch> => cluster.watch({ kind, namespace }, query);
  const next = async (seen: SeenWatch): Promise<string> => {
    const { type, object } = await seen.next();
    return `${type} ${object.metadata.name}`;
  };
  const label = (name: string, labels: object): Promise<unknown> => cluster.resources.patch(cluster.caller, cluster.target(taskKind, name), merge, { metadata: { labels } }, {});
  const remove = (name: string): Promise<unknown> => cluster.resources.delete(cluster.caller, cluster.target(taskKind, name), {});

  it('sends what there is, then every change, in order', async () => {
    await cluster.createTask('a');
    for (const query of [{}, { resourceVersion: '0' }]) {
      await cluster.cache.fresh();
      const seen = await watch(query);
      expect(await next(seen)).toBe('ADDED a');
      const b = await cluster.createTask('b');
      expect((await seen.next()).object).toEqual(b);
      await label('b', { x: '1' });
      expect(await next(seen)).toBe('MODIFIED b');
      await remove('b');
      const gone = await seen.next();
      expect(gone.type).toBe('DELETED');
      expect(Number(gone.object.metadata.resourceVersion)).toBeGreaterThan(Number(b.metadata.resourceVersion));
      expect(gone.object.metadata.labels).toEqual({ x: '1' });
      seen.stop();
    }
  });

  it('goes on after a version, and sends nothing that came before', async () => {
    const a = await cluster.createTask('a');
    await cluster.createTask('b');
    await cluster.cache.fresh();
    const seen = await watch({ resourceVersion: a.metadata.resourceVersion! });
    expect(await next(seen)).toBe('ADDED b');
    await cluster.createTask('c', {}, {});
    expect(await next(seen)).toBe('ADDED c');
    expect(seen.events).toHaveLength(2);
    seen.stop();
  });

  it('sends nothing more once stopped', async () => {
    const seen = await watch();
    seen.stop();
    await cluster.createTask('a');
    await cluster.cache.fresh();
    expect(seen.events).toEqual([]);
    expect(seen.ended).toEqual([]);
  });

  it('says Expired when the changes are no longer kept', async () => {
    for (let i = 0; i < 26; i++) await Promise.all(Array.from({ length: 40 }, (_, j) => cluster.createTask(`x${i}-${j}`)));
    await cluster.cache.fresh();
    const seen = await watch({ resourceVersion: '1' });
    expect(await seen.end()).toMatchObject({ code: 410, reason: 'Expired', message: expect.stringContaining('too old resource version: 1') });
    expect(seen.events).toEqual([]);
  });

  describe('of a reader that is to be waited for', () => {
    /** Is full after each event, until it is let go. */
    class SlowSink implements WatchSink {
      readonly seen: string[] = [];
      readonly ended: (Status | undefined)[] = [];
      full = false;
      #let: (() => void) | undefined;

      event(type: string, { object }: Rendered): void {
        this.seen.push(`${type} ${object.metadata.name ?? object.metadata.resourceVersion}`);
        this.full = true;
      }

      end(status: Status | undefined): void {
        this.ended.push(status);
        void this.take();
      }

      drained(): Promise<void> {
        return new Promise((resolve) => (this.#let = resolve));
      }

      async take(): Promise<void> {
        this.full = false;
        this.#let?.();
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    const slow = async (query: WatchQuery): Promise<[SlowSink, () => void]> => {
      const sink = new SlowSink();
      return [sink, await cluster.resources.watch(cluster.caller, { kind: taskKind, namespace: 'default' }, query, sink)];
    };

    it('tells the state in parts as of one moment, then what has changed meanwhile, in order', async () => {
      for (const name of ['a', 'b', 'c']) await cluster.createTask(name);
      await cluster.cache.fresh();
      const { revision } = cluster.cache;
      const [sink, stop] = await slow({ sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan', allowWatchBookmarks: true });
      expect(sink.seen).toEqual(['ADDED a']);
      await label('c', { x: '1' });
      await remove('b');
      await cluster.cache.fresh();
      expect(sink.seen).toEqual(['ADDED a']);
      for (let i = 0; i < 8; i++) await sink.take();
      const told = ['ADDED a', 'ADDED b', 'ADDED c', `BOOKMARK ${revision}`, 'MODIFIED c', 'DELETED b'];
      expect(sink.seen).toEqual(told);
      await cluster.createTask('d');
      await cluster.cache.fresh();
      expect(sink.seen).toEqual([...told, 'ADDED d']);
      stop();
    });

    it('tells what a resumed watch has missed in parts', async () => {
      const { metadata } = await cluster.createTask('a');
      for (const name of ['b', 'c']) await cluster.createTask(name);
      await cluster.cache.fresh();
      const [sink, stop] = await slow({ resourceVersion: metadata.resourceVersion! });
      expect(sink.seen).toEqual(['ADDED b']);
      for (let i = 0; i < 3; i++) await sink.take();
      expect(sink.seen).toEqual(['ADDED b', 'ADDED c']);
      stop();
    });

    it('sends no bookmark ahead of what it has still to tell', async () => {
      for (const name of ['a', 'b']) await cluster.createTask(name);
      const [sink] = await slow({ allowWatchBookmarks: true, timeoutSeconds: 30 });
      await cluster.clock.advance(30_000);
      expect([sink.seen, sink.ended]).toEqual([['ADDED a'], [undefined]]);
    });

    it('ends when the reader takes nothing for a minute', async () => {
      for (const name of ['a', 'b']) await cluster.createTask(name);
      const [sink] = await slow({});
      await cluster.clock.advance(60_000);
      expect(sink.ended).toEqual([expect.objectContaining({ code: 410, reason: 'Expired' })]);
      await sink.take();
      expect(sink.seen).toEqual(['ADDED a']);
    });

    it('tells nothing more once stopped', async () => {
      for (const name of ['a', 'b']) await cluster.createTask(name);
      const [sink, stop] = await slow({});
      stop();
      for (let i = 0; i < 3; i++) await sink.take();
      expect([sink.seen, sink.ended]).toEqual([['ADDED a'], []]);
    });
  });

  it('turns entering and leaving a selection into ADDED and DELETED', async () => {
    const seen = await watch({ labelSelector: 'x=1' });
    await cluster.createTask('a');
    await label('a', { x: '1' });
    expect(await next(seen)).toBe('ADDED a');
    await label('a', { y: '2' });
    expect(await next(seen)).toBe('MODIFIED a');
    const left = cluster.read((await label('a', { x: '2' })) as never);
    const event = await seen.next();
    expect(event.type).toBe('DELETED');
    expect(event.object.metadata).toMatchObject({ labels: { x: '1', y: '2' }, resourceVersion: left.metadata.resourceVersion });
    await remove('a');
    await cluster.createTask('b', {}, { labels: { x: '1' } });
    expect(await next(seen)).toBe('ADDED b');
    await remove('b');
    expect(await next(seen)).toBe('DELETED b');
    seen.stop();
  });

  it('follows the tasks of a node', async () => {
    await cluster.createNode('n');
    await cluster.createNode('m');
    for (const name of ['a', 'b']) await cluster.createTask(name);
    await cluster.cache.fresh();
    const seen = await watch({ fieldSelector: 'status.nodeName=n', resourceVersion: '0' }, taskKind, undefined);
    await cluster.bindTask('b', 'm');
    const { metadata } = await cluster.bindTask('a', 'n');
    expect(await next(seen)).toBe('ADDED a');
    await cluster.bulk.status({ nodeName: 'n', items: [{ namespace: 'default', name: 'a', uid: metadata.uid, bindings: 1, attempt: 1, phase: 'Lost' }] });
    expect(await next(seen)).toBe('DELETED a');
    expect(seen.events).toHaveLength(2);
    seen.stop();
  });

  it('follows one name', async () => {
    await cluster.createTask('a');
    await cluster.createTask('b');
    await cluster.cache.fresh();
    const seen = await watch({ fieldSelector: 'metadata.name=b', resourceVersion: '0' });
    expect(await next(seen)).toBe('ADDED b');
    await label('a', { x: '1' });
    await label('b', { x: '1' });
    expect(await next(seen)).toBe('MODIFIED b');
    seen.stop();
  });

  it('shows tasks as pods, with selectors evaluated on the pod', async () => {
    await cluster.createNode('n');
    const seen = await watch({ fieldSelector: 'spec.nodeName=n' }, podKind);
    await cluster.createTask('a');
    await cluster.bindTask('a', 'n');
    const { type, object } = await seen.next();
    expect([type, object.kind, object.metadata.name]).toEqual(['ADDED', 'Pod', 'a']);
    seen.stop();
  });

  describe('of who reports', () => {
    const report = (phase: string, reporter?: string, more: object = {}) => async (): Promise<void> => {
      const { uid } = (await cluster.getTask('a')).metadata;
      const [outcome] = await cluster.bulk.status({ nodeName: 'n', ...(reporter ? { reporter } : {}), items: [{ namespace: 'default', name: 'a', uid, bindings: 1, attempt: 1, phase, ...more }] });
      expect(outcome).toMatchObject({ code: 200 });
    };
    const told = ({ events }: SeenWatch): string[] => events.map(({ type, object }) => `${type} ${(object.status as { phase?: string } | undefined)?.phase ?? ''} ${Object.keys(object.metadata.labels ?? {}).join('')}`.trim());
    const mine = { fieldSelector: 'status.nodeName=n', exceptReportsOf: 'me' };
    beforeEach(async () => {
      await cluster.createNode('n');
      await cluster.createTask('a');
    });

    it('leaves out its own reports alone, tells all that others have done, and everybody else everything', async () => {
      const [own, others] = [await watch(mine), await watch({ fieldSelector: 'status.nodeName=n' })];
      const bound = await cluster.bindTask('a', 'n');
      for (const next of [report('Running', 'me'), () => label('a', { x: '1' }), report('Scheduled', 'me'), report('Running', 'you'), report('Running', undefined, { startTime: '2026-01-01T00:00:00Z' }), report('Succeeded', 'me'), () => label('a', { y: '1' })]) await next();
      await cluster.cache.fresh();
      expect(told(others)).toEqual(['ADDED Scheduled', 'MODIFIED Running', 'MODIFIED Running x', 'MODIFIED Scheduled x', 'MODIFIED Running x', 'MODIFIED Running x', 'MODIFIED Succeeded x', 'MODIFIED Succeeded xy']);
      expect(told(own)).toEqual(['ADDED Scheduled', 'MODIFIED Running x', 'MODIFIED Running x', 'MODIFIED Running x', 'MODIFIED Succeeded xy']);
      const again = await watch({ ...mine, resourceVersion: bound.metadata.resourceVersion! });
      expect(told(again)).toEqual(told(others).slice(1));
      for (const each of [own, others, again]) each.stop();
    });

    it('answers an end that is reported again, because the answer was lost, as it did before: the watch has not told it', async () => {
      await cluster.bindTask('a', 'n');
      const { resourceVersion, uid } = (await cluster.getTask('a')).metadata;
      const end = { namespace: 'default', name: 'a', uid: uid!, bindings: 1, attempt: 1, phase: 'Succeeded' };
      const say = async (reporter: string, more: object = {}): Promise<{ code: number; resourceVersion?: string }> => (await cluster.bulk.status({ nodeName: 'n', reporter, items: [{ ...end, ...more }] }))[0]!;
      const said = await say('me');
      expect(said.code).toBe(200);
      expect(Number(said.resourceVersion)).toBeGreaterThan(Number(resourceVersion));
      expect(await say('me')).toEqual(said);
      expect((await Promise.all([say('you'), say('me', { phase: 'Failed' }), say('me', { attempt: 2 }), say('me', { phase: 'Running' })])).map(({ code }) => code)).toEqual([409, 409, 409, 409]);
    });

    it('tells what becomes of a task that its report gives away', async () => {
      const own = await watch(mine);
      await cluster.bindTask('a', 'n');
      await report('Lost', 'me')();
      await cluster.cache.fresh();
      expect(told(own)).toEqual(['ADDED Scheduled', 'DELETED Scheduled']);
      own.stop();
    });
  });

  it('sends bookmarks every minute and at the end of its time, where asked to', async () => {
    const seen = await watch({ allowWatchBookmarks: true, timeoutSeconds: 90 });
    await cluster.clock.advance(60_000);
    expect((await seen.next()).object).toEqual({ kind: 'Task', apiVersion: 'taskplane.dev/v1', metadata: { resourceVersion: String(cluster.cache.revision) } });
    await cluster.clock.advance(30_000);
    expect((await seen.next()).type).toBe('BOOKMARK');
    expect(await seen.end()).toBeUndefined();
    const plain = await watch({ timeoutSeconds: 1 });
    await cluster.clock.advance(1_000);
    expect(await plain.end()).toBeUndefined();
    expect(plain.events).toEqual([]);
  });

  it('marks the end of the initial events', async () => {
    await cluster.createTask('a');
    const seen = await watch({ sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan', allowWatchBookmarks: true });
    expect(await next(seen)).toBe('ADDED a');
    expect((await seen.next()).object.metadata).toMatchObject({ annotations: { 'k8s.io/initial-events-end': 'true' } });
    await cluster.createTask('b');
    expect(await next(seen)).toBe('ADDED b');
    seen.stop();
    const without = await watch({ sendInitialEvents: false, resourceVersionMatch: 'NotOlderThan' });
    expect(without.events).toEqual([]);
    without.stop();
  });

  it.each([
    [{ sendInitialEvents: true }, 422, 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan'],
    [{ sendInitialEvents: true, resourceVersionMatch: 'Exact' }, 422, 'Unsupported value: "Exact"'],
    [{ resourceVersionMatch: 'NotOlderThan' }, 422, 'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided'],
    [{ resourceVersion: 'x' }, 400, 'Invalid value: "x"'],
    [{ fieldSelector: 'a.b=c' }, 400, 'field label not supported: a.b'],
  ])('refuses %j', async (query, code, message) => {
    await expect(watch(query)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });
});
