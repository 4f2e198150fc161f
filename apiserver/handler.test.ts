import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { kinds } from '../api/kinds.js';
import { bulkPaths } from '../api/protocol.js';
import type { ApiRequest, Transport } from '../api/transport.js';
import { SystemClock } from '../lib/clock.js';
import type { Logger } from '../lib/log.js';
import { SystemRandom } from '../lib/random.js';
import { createInProcessApiServer, type InProcessApiServer } from './in-process.js';

const tasks = '/apis/taskplane.dev/v1/namespaces/default/tasks';
const json = { 'content-type': 'application/json' };

/** Collects what the server itself calls a defect. */
const defects: unknown[] = [];
const logger: Logger = { debug() {}, info() {}, warn() {}, error: (message, fields) => defects.push([message, fields]), child: () => logger };

describe('the handler', () => {
  let server: InProcessApiServer;
  let transport: Transport;
  let running: Promise<void>;
  const stop = new AbortController();

  beforeAll(async () => {
    server = await createInProcessApiServer({ clock: new SystemClock(), random: new SystemRandom(), logger });
    running = server.run(stop.signal);
    await server.ready;
    transport = server.transport();
    await send({ method: 'POST', path: tasks, body: JSON.stringify({ metadata: { name: 'there' }, spec: { command: ['true'] } }) });
  });
  afterAll(async () => {
    stop.abort();
    await running;
    await server.close();
  });

  async function send(request: ApiRequest): Promise<{ status: number; headers: Readonly<Record<string, string>>; json: Record<string, unknown> & { message?: string } }> {
    const { status, headers, body } = await transport.request(request);
    return { status, headers, json: JSON.parse(body) };
  }

  describe('refuses with the Status that clients know', () => {
    const cases: [string, ApiRequest, number, string, string][] = [
      ['an unknown path', { method: 'GET', path: '/nothing' }, 404, 'NotFound', 'the server could not find the requested resource'],
      ['an unknown resource', { method: 'GET', path: '/apis/taskplane.dev/v1/widgets' }, 404, 'NotFound', 'the server could not find the requested resource'],
      ['an unknown group', { method: 'GET', path: '/apis/other/v1' }, 404, 'NotFound', 'the server could not find the requested resource'],
      ['an unknown subresource', { method: 'GET', path: `${tasks}/there/scale` }, 404, 'NotFound', 'the server could not find the requested resource'],
      ['an absent object', { method: 'GET', path: `${tasks}/gone` }, 404, 'NotFound', 'tasks.taskplane.dev "gone" not found'],
      ['a method without meaning', { method: 'POST', path: `${tasks}/there` }, 405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource'],
      ['a write to a view', { method: 'POST', path: '/api/v1/namespaces/default/pods', body: '{}' }, 405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource: pods are views of tasks.taskplane.dev; create, change and delete those'],
      ['a write to discovery', { method: 'POST', path: '/apis', body: '{}' }, 405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource'],
      ['an empty body', { method: 'POST', path: tasks }, 400, 'BadRequest', 'the body of the request is empty'],
      ['broken JSON', { method: 'POST', path: tasks, body: '{' }, 400, 'BadRequest', expect.stringContaining('the body of the request is not JSON: ') as unknown as string],
      ['broken YAML', { method: 'POST', path: tasks, body: 'a: [', headers: { 'content-type': 'application/yaml' } }, 400, 'BadRequest', expect.stringContaining('the body of the request is not YAML: ') as unknown as string],
      ['YAML that would take long to read', { method: 'POST', path: tasks, body: `a: ${'x'.repeat(300_000)}`, headers: { 'content-type': 'application/yaml' } }, 413, 'RequestEntityTooLarge', 'the body of the request is too large: at most 262144 bytes of YAML are allowed; send JSON'],
      ['YAML that says something twice', { method: 'POST', path: tasks, body: 'metadata: {name: a, name: b}', headers: { 'content-type': 'application/yaml' }, query: { fieldValidation: 'Strict' } }, 400, 'BadRequest', 'Task in version "v1" cannot be handled as a Task: strict decoding error: duplicate field "metadata.name"'],
      ['JSON that says something twice', { method: 'POST', path: tasks, body: '{"metadata":{"name":"a","name":"b"},"spce":{}}', query: { fieldValidation: 'Strict' } }, 400, 'BadRequest', 'Task in version "v1" cannot be handled as a Task: strict decoding error: duplicate field "metadata.name", unknown field "spce"'],
      ['a patch that says something twice', { method: 'PATCH', path: `${tasks}/there`, body: '{"spec":{"priority":1,"priority":2}}', headers: { 'content-type': 'application/merge-patch+json' }, query: { fieldValidation: 'Strict' } }, 422, 'Invalid', ' "" is invalid: patch: Invalid value: {"spec":{"priority":2}}: strict decoding error: duplicate field "spec.priority"'],
      ['a wrong type in a kind of Kubernetes', { method: 'POST', path: '/api/v1/namespaces/default/configmaps', body: '{"metadata":{"name":"a"},"data":{"a":1,"b":true}}' }, 400, 'BadRequest', 'ConfigMap in version "v1" cannot be handled as a ConfigMap: data.a: Invalid value: 1: must be a string, data.b: Invalid value: true: must be a string'],
      ['a list for an object', { method: 'POST', path: tasks, body: '[]' }, 400, 'BadRequest', 'the body of the request must be a mapping with apiVersion, kind and metadata'],
      ['a depth bomb', { method: 'POST', path: tasks, body: '['.repeat(100_000) }, 400, 'BadRequest', 'the body of the request is nested more than 200 levels deep'],
      ['a large body', { method: 'POST', path: tasks, body: JSON.stringify('x'.repeat(4_000_000)) }, 413, 'RequestEntityTooLarge', 'the body of the request is too large: at most 3145728 bytes are allowed'],
      ['reports that would take long to read', { method: 'POST', path: bulkPaths.status, body: `[${'[],'.repeat(4_000_000)}[]]` }, 413, 'RequestEntityTooLarge', 'the body of the request is too large: at most 10485760 bytes are allowed'],
      ['protobuf of no kind that is read', { method: 'POST', path: tasks, body: 'k8s\0', headers: { 'content-type': 'application/vnd.kubernetes.protobuf' } }, 415, 'UnsupportedMediaType', 'the body of the request was in an unknown format - "", Kind="" is not read as protobuf; accepted media types include: application/json, application/yaml'],
      ['a patch without a type', { method: 'PATCH', path: `${tasks}/there`, body: '{}' }, 415, 'UnsupportedMediaType', 'the body of the request was in an unknown format ("") - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml'],
      ['another kind', { method: 'POST', path: tasks, body: '{"kind":"Node","apiVersion":"v1"}' }, 400, 'BadRequest', expect.stringContaining('cannot be handled as a Task') as unknown as string],
      ['another namespace', { method: 'POST', path: tasks, body: '{"metadata":{"namespace":"other","name":"x"}}' }, 400, 'BadRequest', 'the namespace of the provided object does not match the namespace sent on the request'],
      ['another name', { method: 'PUT', path: `${tasks}/there`, body: '{"metadata":{"name":"x"}}' }, 400, 'BadRequest', 'the name of the object (x) does not match the name on the URL (there)'],
      ['a create outside a namespace', { method: 'POST', path: '/apis/taskplane.dev/v1/tasks', body: '{}' }, 405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource: tasks belong to a namespace: create them at …/namespaces/NAMESPACE/tasks'],
      ['a selector that cannot be read', { method: 'GET', path: tasks, query: { labelSelector: 'a b' } }, 400, 'BadRequest', expect.stringContaining('unable to parse the label selector') as unknown as string],
      ['a limit that is no number', { method: 'GET', path: tasks, query: { limit: 'many' } }, 400, 'BadRequest', 'the query parameter limit must be a whole number of at least 0, not "many"'],
      ['an unknown fieldValidation', { method: 'POST', path: tasks, body: '{}', query: { fieldValidation: 'Maybe' } }, 422, 'Invalid', 'CreateOptions.meta.k8s.io "" is invalid: fieldValidation: Unsupported value: "Maybe": supported values: "", "Ignore", "Strict", "Warn"'],
      ['an unknown dryRun', { method: 'DELETE', path: `${tasks}/there`, query: { dryRun: 'Some' } }, 422, 'Invalid', 'DeleteOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: "Some": supported values: "All"'],
      ['DeleteOptions of another kind', { method: 'DELETE', path: `${tasks}/there`, body: '{"kind":"Task"}' }, 400, 'BadRequest', 'the kind in the data (Task) does not match the expected kind (DeleteOptions)'],
      ['preconditions that guard nothing', { method: 'DELETE', path: `${tasks}/there`, body: '{"preconditions":"uid"}' }, 400, 'BadRequest', 'preconditions must be a mapping'],
      ['an unknown field, where asked to', { method: 'POST', path: tasks, body: '{"metadata":{"name":"x"},"spec":{"comand":["x"]}}', query: { fieldValidation: 'Strict' } }, 400, 'BadRequest', expect.stringContaining('strict decoding error: unknown field "spec.comand"') as unknown as string],
      ['a tunnel without an upgrade', { method: 'GET', path: '/api/v1/nodes/n/tunnel' }, 400, 'BadRequest', 'a tunnel is a WebSocket: the request must ask to upgrade the connection'],
      ['an unknown bulk', { method: 'POST', path: '/apis/taskplane.dev/v1/bulk/things', body: '{}' }, 404, 'NotFound', 'the server could not find the requested resource'],
      ['a bulk of another shape', { method: 'POST', path: bulkPaths.bind, body: '{"items":[{}]}' }, 400, 'BadRequest', expect.stringContaining('items[0].namespace: Required value') as unknown as string],
      ['impersonation of a part', { method: 'GET', path: tasks, headers: { 'impersonate-extra-scopes': 'all' } }, 403, 'Forbidden', expect.stringContaining('cannot impersonate') as unknown as string],
      ['impersonation', { method: 'GET', path: tasks, headers: { 'impersonate-user': 'root' } }, 403, 'Forbidden', expect.stringContaining('cannot impersonate') as unknown as string],
    ];
    it.each(cases)('%s', async (_what, request, code, reason, message) => {
      const answer = await send(request);
      expect(answer.status).toBe(code);
      expect(answer.headers['content-type']).toBe('application/json');
      expect(answer.json).toMatchObject({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', code, reason, message });
    });
  });

  it('reads no body before it knows that its sender may send one', async () => {
    const someone = server.transport({ name: 'someone', groups: [] });
    for (const path of [bulkPaths.status, '/api/v1/nodes']) expect((await someone.request({ method: 'POST', path, body: '{' })).status).toBe(403);
    const agent = server.transport({ name: 'system:node:n1', groups: ['system:nodes'] });
    expect((await agent.request({ method: 'POST', path: bulkPaths.status, body: '{' })).status).toBe(400);
  });

  it('names details as Kubernetes does', async () => {
    const { json: status } = await send({ method: 'GET', path: `${tasks}/gone` });
    expect(status).toEqual({
      kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message: 'tasks.taskplane.dev "gone" not found', reason: 'NotFound',
      details: { name: 'gone', group: 'taskplane.dev', kind: 'tasks' }, code: 404,
    });
  });

  it('warns of unknown fields in headers and drops them, unless told otherwise', async () => {
    const body = JSON.stringify({ metadata: { name: 'warned' }, spec: { command: ['true'], 'a "quoted" fïeld': 1 } });
    const warned = await send({ method: 'POST', path: tasks, body, headers: json });
    expect(warned.status).toBe(201);
    expect(Buffer.from(warned.headers['warning']!, 'latin1').toString('utf8')).toBe('299 - "unknown field \\"spec[a \\\\\\"quoted\\\\\\" fïeld]\\""');
    const silent = await send({ method: 'POST', path: tasks, body: body.replace('warned', 'silent'), headers: json, query: { fieldValidation: 'Ignore' } });
    expect([silent.status, silent.headers['warning']]).toEqual([201, undefined]);
  });

  it('does nothing for good in a dry run, whether asked in the query or in the body', async () => {
    const created = await send({ method: 'POST', path: tasks, query: { dryRun: 'All' }, body: '{"metadata":{"name":"dry"},"spec":{"command":["true"]}}' });
    expect(created.status).toBe(201);
    expect((await send({ method: 'GET', path: `${tasks}/dry` })).status).toBe(404);
    await send({ method: 'DELETE', path: `${tasks}/there`, body: '{"dryRun":["All"]}' });
    await send({ method: 'DELETE', path: `${tasks}/there`, query: { dryRun: 'All' }, headers: json });
    expect((await send({ method: 'GET', path: `${tasks}/there` })).status).toBe(200);
  });

  it('reads YAML where it is named', async () => {
    const body = 'apiVersion: taskplane.dev/v1\nkind: Task\nmetadata: {name: yaml}\nspec:\n  command: [echo, "yes"]\n';
    const { status, json: task } = await send({ method: 'POST', path: tasks, body, headers: { 'content-type': 'application/yaml' } });
    expect([status, task['spec']]).toMatchObject([201, { command: ['echo', 'yes'] }]);
  });

  it('serves discovery in the form that is asked for, once per client', async () => {
    const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json';
    const aggregated = await send({ method: 'GET', path: '/apis', headers: { accept } });
    expect(aggregated.headers).toMatchObject({ 'content-type': 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList', vary: 'Accept' });
    expect(aggregated.json).toMatchObject({ kind: 'APIGroupDiscoveryList', apiVersion: 'apidiscovery.k8s.io/v2' });
    const again = await transport.request({ method: 'GET', path: '/apis', headers: { accept, 'if-none-match': aggregated.headers['etag']! } });
    expect([again.status, again.body]).toEqual([304, '']);
    expect((await send({ method: 'GET', path: '/apis' })).json).toMatchObject({
      kind: 'APIGroupList',
      groups: expect.arrayContaining(['coordination.k8s.io', 'taskplane.dev', 'metrics.k8s.io'].map((name) => expect.objectContaining({ name }))) as unknown as unknown[],
    });
    expect((await send({ method: 'GET', path: '/apis/taskplane.dev/v1' })).json).toMatchObject({
      kind: 'APIResourceList',
      groupVersion: 'taskplane.dev/v1',
      resources: expect.arrayContaining([
        expect.objectContaining({ name: 'tasks', shortNames: ['tk'], categories: ['all'] }),
        expect.objectContaining({ name: 'tasks/status' }),
        expect.objectContaining({ name: 'tasks/binding', group: '', version: 'v1', kind: 'Binding' }),
        expect.objectContaining({ name: 'tasks/log' }),
      ]) as unknown as unknown[],
    });
  });

  it('documents every kind in OpenAPI v3 so that kubectl leaves validation to the server', async () => {
    const { json: index } = await send({ method: 'GET', path: '/openapi/v3' });
    const paths = index['paths'] as Record<string, { serverRelativeURL: string }>;
    for (const kind of kinds) {
      const [path, query] = paths[kind.group ? `apis/${kind.group}/${kind.version}` : `api/${kind.version}`]!.serverRelativeURL.split('?');
      const answer = await send({ method: 'GET', path: path!, query: Object.fromEntries(new URLSearchParams(query)) });
      expect(answer.headers['cache-control']).toContain('immutable');
      const operations = Object.values((answer.json as { paths: Record<string, Record<string, { parameters: { name: string }[]; [key: string]: unknown }>> }).paths).flatMap((item) => Object.values(item));
      const gvk = { group: kind.group, version: kind.version, kind: kind.kind };
      const patch = operations.find((operation) => operation['x-kubernetes-action'] === 'patch' && JSON.stringify(operation['x-kubernetes-group-version-kind']) === JSON.stringify(gvk));
      if (!kind.verbs || kind.verbs.includes('patch')) expect(patch!.parameters.map(({ name }) => name)).toContain('fieldValidation');
    }
  });

  it('tells its version and health without asking who it is', async () => {
    const nobody = server.transport(null);
    expect(JSON.parse((await nobody.request({ method: 'GET', path: '/version' })).body)).toMatchObject({ major: '1', minor: '33', gitVersion: expect.stringMatching(/^v1\.33\.0\+taskplane\.\d+\.\d+\.\d+/) });
    expect((await nobody.request({ method: 'GET', path: '/readyz', query: { verbose: '' } })).body).toBe('[+]ping ok\n[+]cache ok\n[+]store ok\nreadyz check passed\n');
    expect((await nobody.request({ method: 'GET', path: '/readyz/store' })).body).toBe('ok');
    expect((await nobody.request({ method: 'GET', path: '/metrics' })).status).toBe(401);
    expect((await transport.request({ method: 'GET', path: '/metrics' })).body).toContain('apiserver_request_total{verb="create",resource="tasks",code="201"}');
  });

  it('answers anything at all with something other than a 500', async () => {
    const word = fc.constantFrom('api', 'apis', 'v1', 'taskplane.dev', 'namespaces', 'default', 'tasks', 'pods', 'nodes', 'secrets', 'there', 'status', 'log', 'binding', 'bulk', 'statuses', 'bindings', 'events', 'openapi', 'v3', 'v2', 'nodeloads', 'presence', 'metrics.k8s.io', 'v1beta1', '%2F', '%zz', '__proto__', 'constructor', '');
    const path = fc.array(fc.oneof({ weight: 9, arbitrary: word }, { weight: 1, arbitrary: fc.string().map(encodeURIComponent) }), { maxLength: 8 }).map((words) => `/${words.join('/')}`);
    const known = fc.constantFrom(tasks, `${tasks}/there`, `${tasks}/there/status`, '/api/v1/nodes', '/api/v1/namespaces/default/events', '/api/v1/namespaces/default/secrets', ...Object.values(bulkPaths));
    const query = fc.dictionary(fc.constantFrom('limit', 'continue', 'labelSelector', 'fieldSelector', 'resourceVersion', 'resourceVersionMatch', 'dryRun', 'fieldValidation', 'fieldManager', 'force', 'gracePeriodSeconds', 'propagationPolicy', 'includeObject', 'tailLines', 'timeoutSeconds'), fc.oneof(fc.string(), fc.constantFrom('1', '0', 'All', 'a=b', 'metadata.name=there', 'eyJ9')));
    const value = fc.oneof(fc.jsonValue(), fc.record({ metadata: fc.jsonValue(), spec: fc.jsonValue(), status: fc.jsonValue(), items: fc.jsonValue() }, { requiredKeys: [] }), fc.record({ items: fc.array(fc.record({ namespace: fc.jsonValue(), name: fc.jsonValue(), metadata: fc.jsonValue(), spec: fc.jsonValue() }, { requiredKeys: [] })), nodeName: fc.jsonValue() }, { requiredKeys: ['items'] }));
    const patchOperation = fc.record({ op: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test', 'x'), path: fc.oneof(fc.string(), fc.constantFrom('', '/', '/metadata', '/spec/command/-', '/__proto__/x', '/metadata/labels')), from: fc.constantFrom('', '/spec', '/spec/command'), value: fc.jsonValue() }, { requiredKeys: ['op'] });
    const request = fc.record({
      method: fc.constantFrom<ApiRequest['method']>('GET', 'POST', 'PUT', 'PATCH', 'DELETE'),
      path: fc.oneof(path, known),
      query,
      body: fc.oneof(value.map((each) => JSON.stringify(each)), fc.array(patchOperation).map((each) => JSON.stringify(each)), fc.string(), fc.constantFrom('{"__proto__":{"a":1},"metadata":{"name":"p"}}', '{"metadata":{"labels":{"constructor":{}}}}', '{"spec":null}')),
      headers: fc.record({ 'content-type': fc.constantFrom('application/json', 'application/yaml', 'application/merge-patch+json', 'application/json-patch+json', 'application/strategic-merge-patch+json', 'application/apply-patch+yaml', 'text/html', ''), accept: fc.constantFrom('application/json;as=Table;v=v1;g=meta.k8s.io', '*/*', ';;,') }, { requiredKeys: [] }),
    });
    await fc.assert(
      fc.asyncProperty(request, async (each) => {
        // What would delete the namespace or the object that the others need is not the question here.
        if (each.method === 'DELETE') each.query['dryRun'] = 'All';
        const answer = await transport.request(each);
        expect(answer.status).not.toBe(500);
        expect(answer.status).toBeLessThan(504);
      }),
      { numRuns: 1500 },
    );
    expect(defects).toEqual([]);
  });
});
