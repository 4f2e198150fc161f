import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ApiRequest } from '../../api/transport.js';
import { SystemClock } from '../../lib/clock.js';
import { SystemRandom } from '../../lib/random.js';
import { agentUser, adminUser, createInProcessApiServer, type InProcessApiServer } from '../in-process.js';
import { authorize, type Lookups } from '../resources/authorization.js';
import type { User } from '../resources/service.js';
import { rulesOf } from './rules.js';

const eve: User = { name: 'eve', groups: [] };
const authorization = '/apis/authorization.k8s.io/v1';

describe('reviews', () => {
  let server: InProcessApiServer;
  let running: Promise<void>;
  const stop = new AbortController();

  beforeAll(async () => {
    server = await createInProcessApiServer({ clock: new SystemClock(), random: new SystemRandom() });
    running = server.run(stop.signal);
    await server.ready;
  });
  afterAll(async () => {
    stop.abort();
    await running;
    await server.close();
  });

  async function send(request: ApiRequest, user: User = adminUser): Promise<{ code: number; status: unknown; message?: string }> {
    const { status: code, body } = await server.transport(user).request(request);
    return { code, ...JSON.parse(body) };
  }
  const ask = (path: string, spec: unknown, user?: User) => send({ method: 'POST', path, body: JSON.stringify({ spec }) }, user);
  const canI = (resourceAttributes: unknown, user?: User) => ask(`${authorization}/selfsubjectaccessreviews`, { resourceAttributes }, user);

  it('say whether the caller may do something', async () => {
    const create = { verb: 'create', group: 'taskplane.dev', resource: 'tasks', namespace: 'default' };
    expect(await canI(create)).toMatchObject({ code: 201, status: { allowed: true } });
    expect(await canI(create, eve)).toMatchObject({ code: 201, status: { allowed: false, reason: expect.stringContaining('User "eve" cannot create resource "tasks" in API group "taskplane.dev" in the namespace "default"') } });
    expect(await canI({ verb: '*', group: '*', resource: '*' })).toMatchObject({ status: { allowed: true } });
    expect(await canI({ verb: 'patch', resource: 'nodes', name: 'n1' }, agentUser('n1'))).toMatchObject({ status: { allowed: true } });
    expect(await canI({ verb: 'patch', resource: 'nodes', name: 'n2' }, agentUser('n1'))).toMatchObject({ status: { allowed: false } });
    const path = { nonResourceAttributes: { path: '/version', verb: 'get' } };
    expect(await ask(`${authorization}/selfsubjectaccessreviews`, path, eve)).toMatchObject({ status: { allowed: true } });
  });

  it('say what somebody else may do, to who may ask', async () => {
    const spec = { user: 'eve', groups: ['system:masters'], resourceAttributes: { verb: 'delete', resource: 'secrets' } };
    expect(await ask(`${authorization}/subjectaccessreviews`, spec)).toMatchObject({ code: 201, status: { allowed: true } });
    expect(await ask(`${authorization}/subjectaccessreviews`, { ...spec, groups: [] })).toMatchObject({ status: { allowed: false } });
    expect(await ask(`${authorization}/subjectaccessreviews`, spec, eve)).toMatchObject({ code: 403 });
    expect(await ask(`${authorization}/namespaces/team/localsubjectaccessreviews`, { ...spec, groups: [] })).toMatchObject({
      status: { allowed: false, reason: expect.stringContaining('in the namespace "team"') },
    });
  });

  it('say who the caller is', async () => {
    for (const version of ['v1', 'v1beta1']) {
      const path = `/apis/authentication.k8s.io/${version}/selfsubjectreviews`;
      expect(await send({ method: 'POST', path, body: '{}' }, eve)).toMatchObject({
        code: 201, kind: 'SelfSubjectReview', apiVersion: `authentication.k8s.io/${version}`, status: { userInfo: { username: 'eve', groups: ['system:authenticated'] } },
      });
    }
  });

  it('list what the caller may do', async () => {
    const rules = await ask(`${authorization}/selfsubjectrulesreviews`, { namespace: 'default' });
    expect(rules.status).toEqual({ resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }], nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }], incomplete: false });
    expect(await ask(`${authorization}/selfsubjectrulesreviews`, { namespace: 'default' }, agentUser('n1'))).toMatchObject({ status: { incomplete: true } });
  });

  it('pass over the empty answer that typed clients send', async () => {
    const body = JSON.stringify({ kind: 'SelfSubjectRulesReview', metadata: { creationTimestamp: null }, spec: { namespace: 'a' }, status: { resourceRules: null, nonResourceRules: null, incomplete: false } });
    expect(await send({ method: 'POST', path: `${authorization}/selfsubjectrulesreviews`, body })).toMatchObject({ code: 201, status: { resourceRules: [{ verbs: ['*'] }] } });
  });

  it.each<[string, string, string, unknown, number, string]>([
    ['without a question', 'POST', `${authorization}/selfsubjectaccessreviews`, {}, 422, 'exactly one of nonResourceAttributes or resourceAttributes must be specified'],
    ['without a user', 'POST', `${authorization}/subjectaccessreviews`, { resourceAttributes: { verb: 'get', resource: 'pods' } }, 422, 'at least one of user or group must be specified'],
    ['for another namespace', 'POST', `${authorization}/namespaces/a/localsubjectaccessreviews`, { user: 'x', resourceAttributes: { namespace: 'b' } }, 400, 'must match namespace'],
    ['without a namespace for rules', 'POST', `${authorization}/selfsubjectrulesreviews`, {}, 422, 'spec.namespace: Required value'],
    ['of the wrong shape', 'POST', `${authorization}/selfsubjectaccessreviews`, { resourceAttributes: 'all' }, 422, 'must be a mapping'],
    ['that are read', 'GET', `${authorization}/selfsubjectaccessreviews`, undefined, 405, 'does not allow this method'],
  ])('are refused %s', async (_, method, path, spec, code, message) => {
    expect(await send({ method, path, body: JSON.stringify({ spec }) } as ApiRequest)).toMatchObject({ code, message: expect.stringContaining(message) });
  });

  it('show in discovery as what can be created', async () => {
    const { body } = await server.transport().request({ method: 'GET', path: authorization });
    expect(JSON.parse(body)).toMatchObject({ resources: expect.arrayContaining([expect.objectContaining({ name: 'selfsubjectaccessreviews', verbs: ['create'] })]) });
  });
});

describe('rules', () => {
  const lookups: Lookups = { task: () => undefined, tasksBoundTo: () => [] };

  it.each<[string, User]>([['nobody in particular', eve], ['an agent', agentUser('n1')]])('promise %s nothing that the authorizer refuses', (_, user) => {
    for (const { verbs, apiGroups, resources, resourceNames = ['any'] } of rulesOf(user).resourceRules) {
      for (const verb of verbs) {
        for (const resource of resources) {
          const [plural = '', subresource] = resource.split('/');
          const group = apiGroups[0] ?? '';
          // A review of oneself is known by its path.
          const attributes = plural.startsWith('selfsubject')
            ? { verb: 'post', path: `/apis/${group}/v1/${plural}` }
            : { verb, kind: { group, plural, kind: plural }, name: resourceNames[0]!, ...(subresource ? { subresource } : {}) };
          expect([attributes, authorize(user, attributes, lookups)]).toEqual([attributes, { allowed: true }]);
        }
      }
    }
    for (const { verbs, nonResourceURLs } of rulesOf(user).nonResourceRules) {
      for (const path of nonResourceURLs) expect([path, authorize(user, { verb: verbs[0]!, path: path.replace('*', 'v1') }, lookups)]).toEqual([path, { allowed: true }]);
    }
  });
});
