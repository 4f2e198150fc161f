// Reviews, and what is sent as protobuf: the questions and the small objects that typed clients send.

import { expect, it } from '@jest/globals';
import { configMapsIn, type ConformanceCluster } from './cluster.js';
import type { Wire } from './wire.js';

const protobuf = 'application/vnd.kubernetes.protobuf';

/** A field of protobuf that holds bytes. */
function field(number: number, value: string | Buffer): Buffer {
  const bytes = Buffer.from(value);
  const length: number[] = [];
  for (let rest = bytes.length; ; rest >>= 7) {
    length.push(rest > 127 ? (rest & 127) | 128 : rest);
    if (rest <= 127) break;
  }
  return Buffer.concat([Buffer.from([number * 8 + 2, ...length]), bytes]);
}

function framed(apiVersion: string, kind: string, ...fields: Buffer[]): Buffer {
  const type = Buffer.concat([field(1, apiVersion), field(2, kind)]);
  return Buffer.concat([Buffer.from('k8s\0', 'latin1'), field(1, type), field(2, Buffer.concat(fields))]);
}

export function reviews(cluster: () => ConformanceCluster): void {
  const authorization = '/apis/authorization.k8s.io/v1';
  const canI = async (wire: Wire, resourceAttributes: object): Promise<unknown> => (await wire.post(`${authorization}/selfsubjectaccessreviews`, { spec: { resourceAttributes } })).json.status;

  it('says whether one may do something', async () => {
    const { wire, agent } = cluster();
    const create = { verb: 'create', group: 'taskplane.dev', resource: 'tasks', namespace: 'default' };
    expect(await canI(wire, create)).toEqual({ allowed: true });
    expect(await canI(agent, create)).toMatchObject({ allowed: false, reason: expect.stringContaining('system:node:n1') });
    expect(await canI(agent, { verb: 'patch', resource: 'nodes', name: 'n1' })).toEqual({ allowed: true });
  });

  it('says who one is and what one may do', async () => {
    const { wire, agent } = cluster();
    const who = await agent.post('/apis/authentication.k8s.io/v1/selfsubjectreviews', {});
    expect([who.status, who.json.status]).toEqual([201, { userInfo: { username: 'system:node:n1', groups: ['system:nodes', 'system:authenticated'] } }]);
    const rules = (await wire.post(`${authorization}/selfsubjectrulesreviews`, { spec: { namespace: 'default' }, status: { resourceRules: null, nonResourceRules: null } })).json.status;
    expect(rules).toMatchObject({ resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }], incomplete: false });
    const others = await wire.post(`${authorization}/subjectaccessreviews`, { spec: { user: 'somebody', resourceAttributes: { verb: 'get', resource: 'secrets' } } });
    expect(others.json.status).toMatchObject({ allowed: false });
    expect((await agent.post(`${authorization}/subjectaccessreviews`, {})).status).toBe(403);
  });

  it('may come as protobuf, as may small objects', async () => {
    const { wire } = cluster();
    const attributes = Buffer.concat([field(2, 'create'), field(3, 'taskplane.dev'), field(5, 'tasks')]);
    const review = await wire.request('POST', `${authorization}/selfsubjectaccessreviews`, { body: framed('authorization.k8s.io/v1', 'SelfSubjectAccessReview', field(2, field(1, attributes))), type: protobuf });
    expect([review.status, review.headers['content-type'], review.json.status]).toEqual([201, 'application/json', { allowed: true }]);
    const path = configMapsIn(await cluster().namespace());
    const entry = Buffer.concat([field(1, 'level'), field(2, 'high')]);
    const made = await wire.request('POST', path, { body: framed('v1', 'ConfigMap', field(1, field(1, 'settings')), field(2, entry)), type: protobuf });
    expect([made.status, made.json.data]).toEqual([201, { level: 'high' }]);
    const removed = await wire.request('DELETE', `${path}/settings`, { body: framed('v1', 'DeleteOptions', field(4, 'Background')), type: protobuf });
    expect([removed.status, removed.json.kind]).toEqual([200, 'Status']);
    expect((await wire.request('POST', path, { body: framed('v1', 'Pod'), type: protobuf })).status).toBe(415);
    expect((await wire.request('POST', path, { body: Buffer.from('k8s\0\x0a\x7f'), type: protobuf })).status).toBe(400);
  });

  it('is not needed to find that there are no services', async () => {
    const { wire } = cluster();
    const { status, json } = await wire.get('/api/v1/namespaces/kube-system/services', { labelSelector: 'kubernetes.io/cluster-service=true' });
    expect([status, json.kind, json.items]).toEqual([200, 'ServiceList', []]);
  });
}
