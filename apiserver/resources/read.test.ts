import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { ApiError } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import { podKind as pod } from '../../api/pod.js';
import { decodeContinue, encodeContinue } from './continue-token.js';
import type { ListQuery, ListReply } from './service.js';
import { taskKind, TestCluster } from './testing/cluster.js';

const podKind = pod as unknown as KindDefinition;

describe('get and list', () => {
  let cluster: TestCluster;
  beforeEach(async () => void (cluster = await TestCluster.start()));
  afterEach(() => cluster.stop());

  const list = (query: ListQuery = {}, kind = taskKind, namespace: string | undefined = 'default'): Promise<ListReply> => cluster.resources.list(cluster.caller, { kind, namespace }, query);
  const names = ({ items }: ListReply): (string | undefined)[] => items.map(({ object }) => object.metadata.name);
  const refusal = async (...request: Parameters<typeof list>): Promise<[number, string]> =>
    list(...request).then(
      () => Promise.reject(new Error('it was answered')),
      (error: ApiError) => [error.code, error.message],
    );
  const get = (name: string, resourceVersion?: string) => cluster.resources.get(cluster.caller, cluster.target(taskKind, name), resourceVersion === undefined ? {} : { resourceVersion });

  it('reads what was acknowledged before, and with version 0 what the cache has', async () => {
    cluster.holdCache();
    await cluster.createTask('a');
    await expect(get('a', '0')).rejects.toMatchObject({ code: 404 });
    const strong = get('a');
    await cluster.letCacheGo();
    expect((await strong).object.metadata.name).toBe('a');
  });

  it('waits for a version that the cache has not reached, and refuses one that the store has not reached', async () => {
    cluster.holdCache();
    const { metadata } = await cluster.createTask('a');
    const read = get('a', metadata.resourceVersion!);
    await cluster.letCacheGo();
    expect((await read).object.metadata).toEqual(metadata);
    await expect(get('a', '1000000')).rejects.toMatchObject({ code: 504, reason: 'Timeout', message: expect.stringMatching(/^Timeout: Too large resource version: 1000000, current: \d+$/) });
  });

  it('selects by labels, fields, names and nodes', async () => {
    await cluster.createNode('n');
    for (const name of ['a', 'b', 'c']) await cluster.createTask(name, {}, { labels: { app: name, all: '' } });
    await cluster.bindTask('b', 'n');
    expect(names(await list())).toEqual(['a', 'b', 'c']);
    expect(names(await list({ labelSelector: 'app in (a,c)' }))).toEqual(['a', 'c']);
    expect(names(await list({ labelSelector: 'all,app!=a' }))).toEqual(['b', 'c']);
    expect(names(await list({ fieldSelector: 'metadata.name=c' }))).toEqual(['c']);
    expect(names(await list({ fieldSelector: 'metadata.name=c,status.phase=Scheduled' }))).toEqual([]);
    expect(names(await list({ fieldSelector: 'status.nodeName=n' }))).toEqual(['b']);
    expect(names(await list({ fieldSelector: 'status.nodeName=n' }, taskKind, undefined))).toEqual(['b']);
    expect(names(await list({ fieldSelector: 'status.nodeName=n' }, taskKind, 'kube-system'))).toEqual([]);
    expect(names(await list({ fieldSelector: 'status.nodeName=' }))).toEqual(['a', 'c']);
    expect(names(await list({ fieldSelector: 'status.settled=false' }))).toEqual(['a', 'b', 'c']);
    expect(names(await list({ fieldSelector: 'status.settled=true' }))).toEqual([]);
    expect(names(await list({ fieldSelector: 'status.settled!=true' }))).toEqual(['a', 'b', 'c']);
    expect(names(await list({ fieldSelector: 'metadata.namespace=default' }, taskKind, undefined))).toEqual(['a', 'b', 'c']);
    expect(names(await list({ fieldSelector: 'metadata.namespace=kube-system' }, taskKind, undefined))).toEqual([]);
    expect(names(await list({}, taskKind, 'unknown'))).toEqual([]);
  });

  it('pages through the tasks of a node', async () => {
    await cluster.createNode('n');
    for (const name of ['c', 'a', 'b', 'd']) await cluster.createTask(name);
    for (const name of ['c', 'a', 'b']) await cluster.bindTask(name, 'n');
    const first = await list({ fieldSelector: 'status.nodeName=n', limit: 2 });
    expect(names(first)).toEqual(['a', 'b']);
    expect(names(await list({ fieldSelector: 'status.nodeName=n', limit: 2, continue: first.continue! }))).toEqual(['c']);
    await cluster.bindTask('d', 'n');
    expect(names(await list({ fieldSelector: 'status.nodeName=n', limit: 2, continue: first.continue! }))).toEqual(['c']);
    expect(names(await list({ fieldSelector: 'spec.nodeName=n', limit: 500 }, podKind))).toEqual(['a', 'b', 'c', 'd']);
  });

  it('refuses selectors that it cannot evaluate', async () => {
    expect(await refusal({ fieldSelector: 'spec.command=x' })).toEqual([
      400, 'Unable to find "taskplane.dev/v1, Resource=tasks" that match label selector "", field selector "spec.command=x": field label not supported: spec.command',
    ]);
    expect(await refusal({ fieldSelector: 'toString=x' })).toEqual([400, expect.stringContaining('field label not supported: toString')]);
    expect(await refusal({ labelSelector: '=' })).toEqual([400, expect.stringContaining('unable to parse the label selector')]);
  });

  it('never fails on a selector, whatever it says', async () => {
    await cluster.createTask('a', {}, { labels: { a: 'b' } });
    const piece = fc.constantFrom('a', 'b', '=', '!=', '==', ',', '!', ' in ', ' notin ', '(', ')', 'metadata.name', 'status.phase', '\\', '__proto__', ' ');
    const text = fc.oneof(fc.string({ maxLength: 12 }), fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join('')));
    await fc.assert(
      fc.asyncProperty(text, text, async (labelSelector, fieldSelector) => {
        for (const query of [{ labelSelector, resourceVersion: '0' }, { fieldSelector, resourceVersion: '0' }]) {
          await list(query).catch((error: ApiError) => expect(error.code).toBe(400));
        }
      }),
      { numRuns: 300 },
    );
  });

  it('pages through a list that changes meanwhile as it was at the first page', async () => {
    for (let i = 0; i < 7; i++) await cluster.createTask(`t${i}`);
    const first = await list({ limit: 3 });
    expect([names(first), first.remainingItemCount]).toEqual([['t0', 't1', 't2'], 4]);
    await cluster.createTask('t3a');
    await cluster.resources.delete(cluster.caller, cluster.target(taskKind, 't4'), {});
    const second = await list({ limit: 3, continue: first.continue! });
    expect([names(second), second.remainingItemCount, second.resourceVersion]).toEqual([['t3', 't4', 't5'], 1, first.resourceVersion]);
    const third = await list({ limit: 3, continue: second.continue! });
    expect([names(third), third.remainingItemCount, third.continue]).toEqual([['t6'], undefined, undefined]);
  });

  it('pages through a selection, from the cache and from the store', async () => {
    for (let i = 0; i < 9; i++) await cluster.createTask(`t${i}`, {}, { labels: { third: String(i % 3) } });
    for (const change of [false, true]) {
      const seen: (string | undefined)[] = [];
      for (let token: string | undefined = ''; token !== undefined; ) {
        const page: ListReply = await list({ limit: 2, labelSelector: 'third=1', ...(token ? { continue: token } : {}) });
        seen.push(...names(page));
        expect(page.remainingItemCount).toBeUndefined();
        token = page.continue;
        if (change) await cluster.createTask(`u${seen.length}`, {}, { labels: { third: '1' } });
      }
      expect(seen).toEqual(['t1', 't4', 't7']);
    }
  });

  it('says when a continue token is too old, or is none', async () => {
    for (let i = 0; i < 3; i++) await cluster.createTask(`t${i}`);
    const { continue: token } = await list({ limit: 1 });
    for (let i = 0; i < 60; i++) await Promise.all(Array.from({ length: 40 }, (_, j) => cluster.createTask(`x${i}-${j}`)));
    expect(await refusal({ limit: 1, continue: token! })).toEqual([410, expect.stringContaining('The provided continue parameter is too old')]);
    expect(await refusal({ continue: 'x' })).toEqual([400, expect.stringContaining('continue key is not valid')]);
    expect(await refusal({ continue: token! }, taskKind, 'kube-system')).toEqual([400, 'invalid continue token: continue key is not valid: it belongs to another list']);
  });

  it('reads back the continue tokens that it made, and refuses all other text', () => {
    fc.assert(
      fc.property(fc.nat(), fc.string(), fc.option(fc.nat(), { nil: undefined }), (revision, rest, remaining) => {
        const point = { revision, after: `/p/${rest}`, ...(remaining === undefined ? {} : { remaining }) };
        expect(decodeContinue(encodeContinue(point), '/p/')).toEqual(point);
      }),
    );
    fc.assert(fc.property(fc.string(), (text) => void expect(() => decodeContinue(text, '/p/')).toThrow(/continue key is not valid/)));
  });

  it('checks resourceVersionMatch as Kubernetes does', async () => {
    const { metadata } = await cluster.createTask('a');
    await cluster.createTask('b');
    expect(names(await list({ resourceVersion: metadata.resourceVersion!, resourceVersionMatch: 'Exact' }))).toEqual(['a']);
    expect(names(await list({ resourceVersion: metadata.resourceVersion!, resourceVersionMatch: 'NotOlderThan' }))).toEqual(['a', 'b']);
    expect(await refusal({ resourceVersionMatch: 'Exact' })).toEqual([422, expect.stringContaining('resourceVersionMatch is forbidden unless resourceVersion is provided')]);
    expect(await refusal({ resourceVersion: '0', resourceVersionMatch: 'Exact' })).toEqual([422, expect.stringContaining('resourceVersionMatch "exact" is forbidden for resourceVersion "0"')]);
    expect(await refusal({ resourceVersion: '1', resourceVersionMatch: 'Newer' })).toEqual([422, expect.stringContaining('Unsupported value: "Newer": supported values: "Exact", "NotOlderThan", ""')]);
    expect(await refusal({ resourceVersion: 'x' })).toEqual([400, expect.stringContaining('Invalid value: "x"')]);
  });

  it('shows tasks as pods', async () => {
    await cluster.createNode('n');
    await cluster.createTask('a', {}, { labels: { app: 'x' } });
    await cluster.createTask('b');
    await cluster.bindTask('a', 'n');
    const one = cluster.read(await cluster.resources.get(cluster.caller, cluster.target(podKind, 'a')));
    expect(one).toMatchObject({ apiVersion: 'v1', kind: 'Pod', spec: { nodeName: 'n' }, metadata: { ownerReferences: [{ kind: 'Task', name: 'a' }] } });
    expect(names(await list({ fieldSelector: 'spec.nodeName=n,status.phase!=Succeeded' }, podKind, undefined))).toEqual(['a']);
    expect(names(await list({ fieldSelector: 'status.phase=Pending' }, podKind))).toEqual(['a', 'b']);
    expect(names(await list({ labelSelector: 'app=x' }, podKind))).toEqual(['a']);
    await expect(cluster.resources.get(cluster.caller, cluster.target(podKind, 'zz'))).rejects.toMatchObject({ message: 'pods "zz" not found' });
  });
});
