// Refusals: code, reason and shape are those of Kubernetes, whatever is sent.

import { expect, it } from '@jest/globals';
import { configMapsIn, type ConformanceCluster } from './cluster.js';
import { shown } from './lists.js';
import type { Sent } from './wire.js';

const unknown = 'the server could not find the requested resource';
const notAllowed = 'the server does not allow this method on the requested resource';
const configMaps = configMapsIn('default');
const yaml = 'application/yaml';

const cases: [string, string, string, Sent, number, string, unknown][] = [
  ['an unknown path', 'GET', '/nowhere', {}, 404, 'NotFound', unknown],
  ['an unknown group', 'GET', '/apis/nobody.example.com/v1/things', {}, 404, 'NotFound', unknown],
  ['an unknown version', 'GET', '/apis/taskplane.dev/v9/tasks', {}, 404, 'NotFound', unknown],
  ['an unknown kind', 'GET', '/api/v1/namespaces/default/things', {}, 404, 'NotFound', unknown],
  ['an unknown subresource', 'GET', `${configMaps}/a/status`, {}, 404, 'NotFound', unknown],
  ['an unknown object', 'GET', `${configMaps}/nothing`, {}, 404, 'NotFound', 'configmaps "nothing" not found'],
  ['a path with broken escapes', 'GET', '/api/v1/%zz', {}, 404, 'NotFound', unknown],
  ['a namespace for a kind that has none', 'GET', '/api/v1/namespaces/default/nodes', {}, 404, 'NotFound', unknown],
  ['a create outside a namespace', 'POST', '/api/v1/configmaps', { body: {} }, 405, 'MethodNotAllowed', expect.stringContaining(notAllowed)],
  ['a POST to an object', 'POST', `${configMaps}/a`, { body: {} }, 405, 'MethodNotAllowed', notAllowed],
  ['a PUT to a collection', 'PUT', configMaps, { body: {} }, 405, 'MethodNotAllowed', notAllowed],
  ['OPTIONS', 'OPTIONS', configMaps, {}, 405, 'MethodNotAllowed', notAllowed],
  ['a write to a view', 'POST', '/api/v1/namespaces/default/services', { body: {} }, 405, 'MethodNotAllowed', expect.stringContaining('Taskplane has no services')],
  ['no body', 'POST', configMaps, {}, 400, 'BadRequest', expect.any(String)],
  ['broken JSON', 'POST', configMaps, { body: '{"a":' }, 400, 'BadRequest', expect.any(String)],
  ['broken YAML', 'POST', configMaps, { body: 'a: [', type: yaml }, 400, 'BadRequest', expect.any(String)],
  ['a list', 'POST', configMaps, { body: [] }, 400, 'BadRequest', expect.any(String)],
  ['another kind', 'POST', configMaps, { body: { kind: 'Secret', apiVersion: 'v1' } }, 400, 'BadRequest', expect.stringContaining('cannot be handled as a ConfigMap')],
  ['another version', 'POST', configMaps, { body: { kind: 'ConfigMap', apiVersion: 'v2' } }, 400, 'BadRequest', 'the API version in the data (v2) does not match the expected API version (v1)'],
  ['a wrong type', 'POST', configMaps, { body: { metadata: { name: 'a' }, data: { a: 1 } } }, 400, 'BadRequest', expect.stringContaining('ConfigMap in version "v1" cannot be handled as a ConfigMap: data.a')],
  ['a content type that nobody reads', 'POST', configMaps, { body: 'x', type: 'text/plain' }, 415, 'UnsupportedMediaType', expect.stringContaining('accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf')],
  ['a body without end', 'POST', configMaps, { body: JSON.stringify({ data: { a: 'x'.repeat(3_200_000) } }) }, 413, 'RequestEntityTooLarge', expect.stringContaining('too large')],
  ['no name', 'POST', configMaps, { body: {} }, 422, 'Invalid', 'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required'],
  ['a name that is none', 'POST', configMaps, { body: { metadata: { name: 'A b' } } }, 422, 'Invalid', expect.stringContaining('metadata.name: Invalid value: "A b": a lowercase RFC 1123 subdomain must consist of')],
  ['a label that is none', 'POST', configMaps, { body: { metadata: { name: 'a', labels: { 'a b': 'c d' } } } }, 422, 'Invalid', expect.stringMatching(/metadata\.labels.*name part must consist of.*a valid label must be/)],
  ['a fieldValidation that is none', 'POST', configMaps, { body: {}, query: { fieldValidation: 'Loose' } }, 422, 'Invalid', expect.stringContaining('CreateOptions.meta.k8s.io "" is invalid: fieldValidation: Unsupported value: "Loose"')],
  ['a field manager that is too long', 'POST', configMaps, { body: {}, query: { fieldManager: 'x'.repeat(129) } }, 422, 'Invalid', expect.stringContaining('fieldManager: Too long: may not be more than 128 bytes')],
  ['a field manager that cannot be printed', 'PATCH', `${configMaps}/a`, { body: {}, type: 'application/merge-patch+json', query: { fieldManager: 'a\nb' } }, 422, 'Invalid', expect.stringContaining('PatchOptions.meta.k8s.io "" is invalid: fieldManager: Invalid value')],
  ['a timeout that is none', 'GET', configMaps, { query: { watch: '1', timeoutSeconds: 'soon' } }, 400, 'BadRequest', expect.any(String)],
];

export function refusals(cluster: () => ConformanceCluster): void {
  it.each(cases)('of %s is a Status', async (_, method, path, sent, code, reason, message) => {
    const reply = await cluster().wire.request(method, path, sent);
    expect(reply.json).toMatchObject({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', code });
    expect([reply.headers['content-type'], ...shown(reply)]).toEqual(['application/json', code, reason, message]);
  });

  it('of one who has no right says who cannot do what where', async () => {
    const { agent } = cluster();
    expect(shown(await agent.get('/api/v1/namespaces/default/secrets'))).toEqual([403, 'Forbidden', expect.stringMatching(/^secrets is forbidden: User "system:node:n1" cannot list resource "secrets" in API group "" in the namespace "default"/)]);
    expect((await agent.get('/apis')).status).toBe(200);
  });

  it('names every problem of an object at once', async () => {
    const { json } = await cluster().wire.post('/apis/taskplane.dev/v1/namespaces/default/tasks', { metadata: { name: 'A' }, spec: { priority: 'high', restartPolicy: 'Sometimes' } });
    expect([json.code, json.reason]).toEqual([422, 'Invalid']);
    const { causes = [] } = json['details'] as { causes?: { field: string }[] };
    expect(causes.map(({ field }) => field)).toEqual(expect.arrayContaining(['metadata.name', 'spec.priority', 'spec.restartPolicy']));
  });
}
