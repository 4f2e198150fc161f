import { describe, expect, it } from '@jest/globals';
import { ApiError } from '../api/errors.js';
import { configMapKind, type ConfigMap } from '../api/config.js';
import { nodeKind } from '../api/node.js';
import { taskKind, type Task } from '../api/task.js';
import { TransportError, type ApiRequest, type ApiResponse, type Transport } from '../api/transport.js';
import { FakeClock } from '../lib/fake-clock.js';
import { ApiClient } from './api-client.js';

/** Answers from a script, the last answer for ever. */
function scripted(...answers: Partial<ApiResponse>[]) {
  const requests: ApiRequest[] = [];
  const next = (): ApiResponse => ({ status: 200, headers: {}, body: '{}', ...(answers.length > 1 ? answers.shift() : answers[0]) });
  const transport: Transport = {
    async request(request) {
      requests.push(request);
      return next();
    },
    async stream(request) {
      requests.push(request);
      const { body, ...rest } = next();
      return { ...rest, chunks: (async function* () { yield Buffer.from(body); })() };
    },
    async close() {},
  };
  const clock = new FakeClock();
  return { requests, clock, client: new ApiClient({ transport, userAgent: 'test/1', clock }) };
}

const status = (code: number, reason: string, message: string): Partial<ApiResponse> => ({
  status: code,
  body: JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', reason, message, code }),
});
const failure = (work: Promise<unknown>): Promise<unknown> => work.then(() => undefined, (error: unknown) => error);

describe('api client', () => {
  it('asks by the paths, queries and types of Kubernetes', async () => {
    const { client, requests } = scripted({});
    const task = { apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name: 't', namespace: 'ns' }, spec: { command: ['true'] } } as Task;
    await client.get(nodeKind, 'n1');
    await client.list(taskKind, { namespace: 'ns', labelSelector: 'a=b', limit: 5 });
    await client.create(taskKind, task, { dryRun: true });
    await client.update(taskKind, task, { subresource: 'status' });
    await client.mergePatch(taskKind, 't', 'ns', { x: 1 });
    await client.delete(taskKind, 't', 'ns', { gracePeriodSeconds: 0, dryRun: true });
    await client.presence('n1', { session: 's', announce: true });
    const told = requests.map(({ method, path, query, headers, body }) => ({ method, path, query, type: headers?.['content-type'], body }));
    expect(told).toMatchObject([
      { method: 'GET', path: '/api/v1/nodes/n1', type: undefined },
      { method: 'GET', path: '/apis/taskplane.dev/v1/namespaces/ns/tasks', query: { labelSelector: 'a=b', limit: 5 } },
      { method: 'POST', path: '/apis/taskplane.dev/v1/namespaces/ns/tasks', query: { dryRun: 'All' }, type: 'application/json' },
      { method: 'PUT', path: '/apis/taskplane.dev/v1/namespaces/ns/tasks/t/status' },
      { method: 'PATCH', path: '/apis/taskplane.dev/v1/namespaces/ns/tasks/t', type: 'application/merge-patch+json', body: '{"x":1}' },
      { method: 'DELETE', path: '/apis/taskplane.dev/v1/namespaces/ns/tasks/t' },
      { method: 'POST', path: '/api/v1/nodes/n1/presence' },
    ]);
    expect(JSON.parse(requests[5]!.body!)).toMatchObject({ kind: 'DeleteOptions', gracePeriodSeconds: 0, dryRun: ['All'] });
    expect(requests[0]!.headers?.['user-agent']).toBe('test/1');
  });

  it('throws the Status that the server sent', async () => {
    const { client } = scripted(status(404, 'NotFound', 'nodes "n1" not found'));
    const error = await failure(client.get(nodeKind, 'n1'));
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ reason: 'NotFound', code: 404, message: 'nodes "n1" not found' });
  });

  it('says what to do about credentials that are not accepted', async () => {
    const { client } = scripted(status(401, 'Unauthorized', 'Unauthorized'));
    expect(await failure(client.get(nodeKind, 'n1'))).toMatchObject({ reason: 'Unauthorized', message: expect.stringContaining('check the certificate or token') });
  });

  it('passes on the words of something that is no API server', async () => {
    const { client } = scripted({ status: 502, body: '<h1>bad gateway</h1>' });
    expect(await failure(client.get(nodeKind, 'n1'))).toMatchObject({ code: 502, message: '<h1>bad gateway</h1>' });
    const other = scripted({ body: '<html>' });
    expect(await failure(other.client.get(nodeKind, 'n1'))).toBeInstanceOf(TransportError);
  });

  it('waits as long as a busy server asks, then asks again', async () => {
    const busy = { ...status(429, 'TooManyRequests', 'slow down'), headers: { 'retry-after': '2' } };
    const { client, requests, clock } = scripted(busy, busy, { body: '{"kind":"Node"}' });
    const got = client.get(nodeKind, 'n1');
    await clock.advance(1_999);
    expect(requests).toHaveLength(1);
    await clock.advance(2_001);
    expect(await got).toEqual({ kind: 'Node' });
    expect(requests).toHaveLength(3);
  });

  it('gives up on a server that stays busy, that asks for too much, or that may have done half of it', async () => {
    const busy = (seconds: string): Partial<ApiResponse> => ({ ...status(429, 'TooManyRequests', 'slow down'), headers: { 'retry-after': seconds } });
    const always = scripted(busy('1'));
    const failed = failure(always.client.get(nodeKind, 'n1'));
    await always.clock.advance(60_000);
    expect(await failed).toMatchObject({ reason: 'TooManyRequests', details: { retryAfterSeconds: 1 } });
    expect(always.requests).toHaveLength(5);
    const long = scripted(busy('3600'));
    expect(await failure(long.client.get(nodeKind, 'n1'))).toMatchObject({ code: 429 });
    const post = scripted(busy('1'));
    expect(await failure(post.client.create(configMapKind, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c' } } as ConfigMap))).toMatchObject({ code: 429 });
    expect(post.requests).toHaveLength(1);
  });

  it('throws the Status of a watch or a log that is refused', async () => {
    const { client } = scripted(status(410, 'Expired', 'too old'));
    const { signal } = new AbortController();
    const watching = (async () => {
      for await (const event of client.watch(nodeKind, { signal, resourceVersion: '1' })) expect(event).toBeUndefined();
    })();
    expect(await failure(watching)).toMatchObject({ reason: 'Expired' });
    expect(await failure(client.log('ns', 't', { follow: true }, signal))).toMatchObject({ reason: 'Expired' });
  });
});
