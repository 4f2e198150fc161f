import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { bulkPaths } from '../../api/protocol.js';
import type { Transport } from '../../api/transport.js';
import { SystemClock } from '../../lib/clock.js';
import { SystemRandom } from '../../lib/random.js';
import { adminUser, agentUser, createInProcessApiServer, type InProcessApiServer } from '../in-process.js';

interface Answer {
  code: number;
  body: Record<string, unknown> & { metadata: Record<string, unknown>; details?: { uid?: string }; message?: string };
}

describe('evictions over HTTP', () => {
  let server: InProcessApiServer;
  let admin: Transport;
  const stop = { now: new AbortController() };
  let running: Promise<void>;

  beforeEach(async () => {
    stop.now = new AbortController();
    server = await createInProcessApiServer({ clock: new SystemClock(), random: new SystemRandom() });
    running = server.run(stop.now.signal);
    await server.ready;
    admin = server.transport(adminUser);
    await send('POST', '/api/v1/nodes', { metadata: { name: 'n' } });
  });
  afterEach(async () => {
    stop.now.abort();
    await running;
    await server.close();
  });

  async function send(method: 'GET' | 'POST' | 'DELETE', path: string, body?: object, transport = admin): Promise<Answer> {
    const [pathname, query] = path.split('?') as [string, string?];
    const reply = await transport.request({ method, path: pathname, ...(query ? { query: Object.fromEntries(new URLSearchParams(query)) } : {}), headers: { accept: 'application/json', 'content-type': 'application/json' }, ...(body ? { body: JSON.stringify(body) } : {}) });
    return { code: reply.status, body: JSON.parse(reply.body.toString()) as Answer['body'] };
  }

  const tasks = '/apis/taskplane.dev/v1/namespaces/default/tasks';
  const pods = '/api/v1/namespaces/default/pods';
  async function bound(name: string, spec: object = {}): Promise<void> {
    const { body } = await send('POST', tasks, { metadata: { name }, spec: { command: ['true'], ...spec } });
    await send('POST', bulkPaths.bind, { items: [{ namespace: 'default', name, uid: body.metadata['uid'], nodeName: 'n' }] });
  }
  const evictionOf = async (name: string) => ((await send('GET', `${tasks}/${name}`)).body['status'] as { eviction?: object }).eviction;

  it.each(['policy/v1', 'policy/v1beta1'])('takes an Eviction of %s, for a Pod and for a task', async (apiVersion) => {
    for (const path of [pods, tasks]) {
      const name = path === pods ? 'pod' : 'task';
      await bound(name);
      const answer = await send('POST', `${path}/${name}/eviction`, { apiVersion, kind: 'Eviction', metadata: { name, namespace: 'default' }, deleteOptions: { gracePeriodSeconds: 3 } });
      expect(answer).toMatchObject({ code: 201, body: { kind: 'Status', status: 'Success' } });
      expect(await evictionOf(name)).toMatchObject({ gracePeriodSeconds: 3 });
    }
  });

  it('checks only, for a dry run in the query or in the options', async () => {
    await bound('dry');
    for (const [query, deleteOptions] of [['?dryRun=All', {}], ['', { dryRun: ['All'] }]] as const) {
      expect((await send('POST', `${pods}/dry/eviction${query}`, { kind: 'Eviction', deleteOptions })).code).toBe(201);
    }
    expect(await evictionOf('dry')).toBeUndefined();
  });

  it.each<[string, object | string, number, RegExp]>([
    ['another kind', { kind: 'Pod' }, 400, /expected API version \(policy\/v1, Kind=Eviction\)/],
    ['another version', { apiVersion: 'policy/v2', kind: 'Eviction' }, 400, /policy\/v2/],
    ['another name', { metadata: { name: 'other' } }, 400, /name in URL does not match name in Eviction object/],
    ['another namespace', { metadata: { namespace: 'other' } }, 400, /namespace/],
    ['no mapping', [1], 400, /must be a mapping/],
    ['options of no kind', { deleteOptions: 7 }, 400, /deleteOptions must be a mapping/],
    ['a grace that is no number', { deleteOptions: { gracePeriodSeconds: 'x' } }, 400, /gracePeriodSeconds/],
    ['an unknown dry run', { deleteOptions: { dryRun: ['Some'] } }, 422, /dryRun/],
    ['a wrong uid', { deleteOptions: { preconditions: { uid: 'x' } } }, 409, /Precondition failed: UID/],
  ])('refuses an eviction with %s', async (_what, body, code, message) => {
    await bound('bad');
    expect(await send('POST', `${pods}/bad/eviction`, body as object)).toMatchObject({ code, body: { kind: 'Status', message: expect.stringMatching(message) } });
  });

  it('says what is not there, what may not be done, and to whom', async () => {
    expect(await send('POST', `${pods}/none/eviction`, {})).toMatchObject({ code: 404, body: { message: 'pods "none" not found' } });
    expect(await send('POST', `${tasks}/none/eviction`, {})).toMatchObject({ code: 404, body: { message: 'tasks.taskplane.dev "none" not found' } });
    expect((await send('GET', `${pods}/none/eviction`)).code).toBe(405);
    expect((await send('POST', '/api/v1/pods/none/eviction', {})).code).toBeGreaterThanOrEqual(400);
    await bound('mine');
    for (const path of [pods, tasks]) expect((await send('POST', `${path}/mine/eviction`, {}, server.transport(agentUser('n')))).code).toBe(403);
    expect((await send('DELETE', `${pods}/mine`, undefined, server.transport(agentUser('n')))).code).toBe(403);
  });

  it('deletes a Pod by evicting its task: the Pod while it stops, a Status with its uid when it is gone at once', async () => {
    await bound('going');
    const { uid } = (await send('GET', `${pods}/going`)).body.metadata;
    const going = await send('DELETE', `${pods}/going`, { gracePeriodSeconds: 5 });
    expect(going).toMatchObject({ code: 200, body: { kind: 'Pod', metadata: { uid, deletionGracePeriodSeconds: 5, deletionTimestamp: expect.any(String) } } });

    await bound('done');
    const task = (await send('GET', `${tasks}/done`)).body;
    await send('POST', bulkPaths.status, { nodeName: 'n', items: [{ namespace: 'default', name: 'done', uid: task.metadata['uid'], bindings: 1, attempt: 1, phase: 'Succeeded' }] });
    const before = (await send('GET', `${pods}/done`)).body.metadata['uid'];
    const gone = await send('DELETE', `${pods}/done`);
    expect(gone).toMatchObject({ code: 200, body: { kind: 'Status', status: 'Success', details: { name: 'done', kind: 'pods', uid: before } } });
    const after = await send('GET', `${pods}/done`);
    expect(after.body.metadata['uid']).not.toBe(before);
    expect((await send('GET', `${tasks}/done`)).body['status']).toMatchObject({ phase: 'Succeeded' });
  });

  it('lets nobody wait for the Pod of a task that waits for a node', async () => {
    await send('POST', tasks, { metadata: { name: 'waits' }, spec: { command: ['true'] } });
    const { uid } = (await send('GET', `${pods}/waits`)).body.metadata;
    const answer = await send('DELETE', `${pods}/waits`);
    expect(answer).toMatchObject({ code: 200, body: { kind: 'Status', status: 'Success' } });
    expect(answer.body.details?.uid).not.toBe(uid);
    expect(await evictionOf('waits')).toBeUndefined();
  });

  it('is what discovery says of Pods', async () => {
    const { body } = await send('GET', '/api/v1');
    const found = (body['resources'] as { name: string }[]).filter(({ name }) => name === 'pods' || name === 'pods/eviction');
    expect(found).toEqual([
      expect.objectContaining({ name: 'pods', verbs: expect.arrayContaining(['delete', 'get', 'list', 'watch']) }),
      expect.objectContaining({ name: 'pods/eviction', kind: 'Eviction', group: 'policy', version: 'v1', verbs: ['create'] }),
    ]);
  });
});
