import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { collectionPath, objectPath } from '../api/kinds.js';
import { nodeKind } from '../api/node.js';
import { bulkPaths } from '../api/protocol.js';
import { taskKind } from '../api/task.js';
import { TransportError, type Transport } from '../api/transport.js';
import { SystemClock } from '../lib/clock.js';
import { Mux } from '../lib/mux.js';
import { SystemRandom } from '../lib/random.js';
import { agentUser, createInProcessApiServer, type InProcessApiServer } from './in-process.js';
import { pairedChannels } from '../lib/testing/paired-channels.js';

const tasks = collectionPath(taskKind, 'default');

async function* lines(chunks: AsyncIterable<Buffer>): AsyncGenerator<{ type: string; object: { metadata: { name?: string; resourceVersion: string }; [field: string]: unknown } }> {
  let rest = '';
  for await (const chunk of chunks) {
    const parts = (rest + chunk.toString()).split('\n');
    rest = parts.pop()!;
    for (const part of parts) yield JSON.parse(part);
  }
}

describe('the API server in process', () => {
  let server: InProcessApiServer;
  let transport: Transport;
  let running: Promise<void>;
  const stop = { controller: new AbortController() };

  beforeEach(async () => {
    stop.controller = new AbortController();
    server = await createInProcessApiServer({ clock: new SystemClock(), random: new SystemRandom() });
    running = server.run(stop.controller.signal);
    await server.ready;
    transport = server.transport();
  });
  afterEach(async () => {
    stop.controller.abort();
    await running;
    await server.close();
  });

  const send = async (method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: unknown, headers?: Record<string, string>, as: Transport = transport) => {
    const [bare, query = ''] = path.split('?');
    const response = await as.request({
      method,
      path: bare!,
      query: Object.fromEntries(new URLSearchParams(query)),
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      headers: headers ?? {},
    });
    return { ...response, json: response.headers['content-type']?.startsWith('application/json') ? JSON.parse(response.body || 'null') : undefined };
  };
  const createTask = (name: string) => send('POST', tasks, { apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name }, spec: { command: ['true'] } });

  it('creates, reads, changes and deletes an object, and tells watchers each step once', async () => {
    const gone = new AbortController();
    const watch = await transport.stream({ method: 'GET', path: tasks, query: { watch: true }, signal: gone.signal });
    expect(watch.status).toBe(200);
    const events = lines(watch.chunks);
    const created = await createTask('a');
    expect([created.status, created.json.status.phase]).toEqual([201, 'Pending']);
    const patched = await send('PATCH', objectPath(taskKind, 'a', 'default'), { metadata: { labels: { x: 'y' } } }, { 'content-type': 'application/merge-patch+json' });
    expect(patched.status).toBe(200);
    const deleted = await send('DELETE', objectPath(taskKind, 'a', 'default'));
    expect(deleted.json).toMatchObject({ kind: 'Status', status: 'Success', details: { uid: created.json.metadata.uid } });
    const seen: string[] = [];
    for await (const event of events) {
      seen.push(`${event.type} ${event.object.metadata.name}`);
      if (seen.length === 3) break;
    }
    expect(seen).toEqual(['ADDED a', 'MODIFIED a', 'DELETED a']);
  });

  it('ends open watches cleanly when it stops, and refuses what comes later', async () => {
    const watch = await transport.stream({ method: 'GET', path: tasks, query: { watch: 'true' } });
    stop.controller.abort();
    for await (const _ of watch.chunks) throw new Error('nothing has happened');
    await running;
    await expect(transport.request({ method: 'GET', path: tasks })).rejects.toThrow(TransportError);
  });

  it('asks who it is before anything else, except for health and version', async () => {
    const nobody = server.transport(null);
    expect((await send('GET', tasks, undefined, {}, nobody)).json).toMatchObject({ code: 401, reason: 'Unauthorized' });
    expect((await send('GET', '/nothing/there', undefined, {}, nobody)).status).toBe(401);
    for (const path of ['/livez', '/readyz', '/healthz', '/version']) expect((await send('GET', path, undefined, {}, nobody)).status).toBe(200);
  });

  it('lets an agent act for its own node only, also where the body names it', async () => {
    const agent = server.transport(agentUser('n1'));
    const nodes = collectionPath(nodeKind);
    expect((await send('POST', nodes, { metadata: { name: 'n1' } }, {}, agent)).status).toBe(201);
    expect((await send('POST', nodes, { metadata: { name: 'n2' } }, {}, agent)).json).toMatchObject({ code: 403, reason: 'Forbidden' });
    expect((await send('POST', bulkPaths.status, { nodeName: 'n2', items: [] }, {}, agent)).status).toBe(403);
    expect((await send('POST', bulkPaths.status, { nodeName: 'n1', items: [] }, {}, agent)).json).toEqual({ kind: 'BulkResult', apiVersion: 'taskplane.dev/v1', items: [] });
    const presence = await send('POST', `${nodes}/n1/presence`, { session: 's', announce: true, load: { cpuMilli: 250, memoryBytes: 1024 * 1024, loadAverage: 0.1 } }, {}, agent);
    expect(presence.json).toEqual({ present: true, ttlMs: 8_000 });
    expect((await send('GET', '/apis/taskplane.dev/v1/nodeloads')).json.items).toMatchObject([{ name: 'n1', load: { cpuMilli: 250 } }]);
    expect((await send('GET', '/apis/taskplane.dev/v1/nodeloads?form=digest')).json).toMatchObject({ names: ['n1'], cpuMilli: [250] });
    expect((await send('GET', '/apis/metrics.k8s.io/v1beta1/nodes/n1')).json).toMatchObject({ kind: 'NodeMetrics', usage: { cpu: '250m', memory: '1024Ki' } });
  });

  it('binds through the subresource as through the bulk path', async () => {
    await send('POST', collectionPath(nodeKind), { metadata: { name: 'n1' } });
    const { json: task } = await createTask('a');
    const bound = await send('POST', objectPath(taskKind, 'a', 'default', 'binding'), { apiVersion: 'v1', kind: 'Binding', metadata: { name: 'a' }, target: { kind: 'Node', name: 'n1' } });
    expect([bound.status, bound.json.status]).toEqual([201, 'Success']);
    const again = await send('POST', bulkPaths.bind, { items: [{ namespace: 'default', name: 'a', uid: task.metadata.uid, nodeName: 'n1' }] });
    expect(again.json.items).toMatchObject([{ code: 409, status: { reason: 'Conflict' } }]);
  });

  it('fetches logs over the tunnel of the agent, and says why when it cannot', async () => {
    const log = `${tasks}/a/log`;
    expect((await send('GET', log)).json).toMatchObject({ code: 404, message: 'tasks.taskplane.dev "a" not found' });
    await send('POST', collectionPath(nodeKind), { metadata: { name: 'n1' } });
    const { json: task } = await createTask('a');
    const { uid } = task.metadata;
    expect((await send('GET', log)).json).toMatchObject({ code: 400, message: expect.stringContaining('has not started') });
    await send('POST', bulkPaths.bind, { items: [{ namespace: 'default', name: 'a', uid, nodeName: 'n1' }] });
    await send('POST', bulkPaths.status, { nodeName: 'n1', items: [{ namespace: 'default', name: 'a', uid, bindings: 1, attempt: 1, phase: 'Running', startTime: '2026-01-01T00:00:00Z' }] });
    expect((await send('GET', log)).json).toMatchObject({ code: 503, message: expect.stringContaining('agent of node "n1" is not connected') });

    const [ours, agents] = pairedChannels();
    const asked: unknown[] = [];
    const agent = new Mux({
      channel: agents,
      initiator: false,
      onStream: (stream, request) => {
        const { attempt, ...rest } = JSON.parse(request.toString());
        asked.push(rest);
        if (attempt === 1) return stream.reset('{"kind":"Status","code":404,"reason":"NotFound","message":"the log has been removed"}');
        void stream.write(Buffer.from('line 1\nline 2\n')).then(() => stream.end());
      },
    });
    server.connectTunnel('n1', ours);
    const answer = await send('GET', `/api/v1/namespaces/default/pods/a/log?container=task&tailLines=2&follow=true`);
    expect([answer.status, answer.headers['content-type'], answer.body]).toEqual([200, 'text/plain; charset=utf-8', 'line 1\nline 2\n']);
    expect(asked).toEqual([{ type: 'log', namespace: 'default', name: 'a', uid, previous: false, follow: true, tailLines: 2 }]);
    expect((await send('GET', `${log}?attempt=1`)).json).toMatchObject({ code: 404, message: 'the log has been removed' });
    expect((await send('GET', `${log}?attempt=7`)).status).toBe(400);
    expect((await send('GET', `${log}?previous=true`)).json).toMatchObject({ code: 400, message: expect.stringContaining('previous terminated container "task" in pod "a" not found') });
    expect((await send('GET', '/api/v1/namespaces/default/pods/nobody/log')).json).toMatchObject({ code: 404, message: 'pods "nobody" not found' });
    const head = await send('HEAD' as 'GET', `${log}?follow=true&timestamps=true&sinceSeconds=5`);
    expect([head.status, head.body]).toEqual([200, '']);
    expect(asked.at(-1)).toMatchObject({ follow: true, timestamps: true, sinceSeconds: 5 });
    expect(agent.openStreams).toBe(0);
    agent.close();
  });

  it('answers a table to whom asks for one', async () => {
    await createTask('a');
    const { json } = await send('GET', tasks, undefined, { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json' });
    expect(json).toMatchObject({ kind: 'Table', apiVersion: 'meta.k8s.io/v1', rows: [{ cells: expect.arrayContaining(['a', 'Pending']), object: { kind: 'PartialObjectMetadata', metadata: { name: 'a' } } }] });
    expect(json.columnDefinitions[0]).toMatchObject({ name: 'Name', format: 'name', priority: 0 });
  });
});
