import { describe, expect, it } from '@jest/globals';
import { configMapKind, secretKind } from '../../api/config.js';
import { eventKind } from '../../api/event.js';
import { leaseKind } from '../../api/lease.js';
import { nodeKind } from '../../api/node.js';
import { bulkPaths } from '../../api/protocol.js';
import { taskKind, type Task } from '../../api/task.js';
import { authorize, nodeOf, refusalError, type Attributes, type Lookups } from './authorization.js';

const admin = { name: 'admin', groups: ['system:masters', 'system:authenticated'] };
const controllers = { name: 'system:kube-controller-manager', groups: ['system:authenticated'] };
const agent = { name: 'system:node:m1', groups: ['system:nodes'] };
const pretender = { name: 'system:node:m1', groups: ['system:authenticated'] };
const nobody = { name: 'eve', groups: ['system:authenticated'] };

const mine: Task = {
  apiVersion: 'taskplane.dev/v1',
  kind: 'Task',
  metadata: { name: 'mine', namespace: 'default' },
  spec: { env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }, { name: 'B', valueFrom: { configMapKeyRef: { name: 'c', key: 'k' } } }] },
  status: { nodeName: 'm1' },
};
const theirs: Task = { ...mine, metadata: { name: 'theirs', namespace: 'default' }, status: { nodeName: 'm2' } };
const lookups: Lookups = {
  task: (namespace, name) => [mine, theirs].find(({ metadata }) => metadata.namespace === namespace && metadata.name === name),
  tasksBoundTo: (nodeName) => [mine, theirs].filter(({ status }) => status?.nodeName === nodeName),
};
const inDefault = { namespace: 'default' };

describe('authorize', () => {
  it.each<[string, Attributes]>([
    ['reads its node', { verb: 'get', kind: nodeKind, name: 'm1' }],
    ['reads other nodes', { verb: 'watch', kind: nodeKind }],
    ['registers its node', { verb: 'create', kind: nodeKind, name: 'm1' }],
    ['changes its node', { verb: 'patch', kind: nodeKind, name: 'm1' }],
    ['reports on its node', { verb: 'update', kind: nodeKind, name: 'm1', subresource: 'status' }],
    ['is present', { verb: 'create', kind: nodeKind, name: 'm1', subresource: 'presence' }],
    ['opens its tunnel', { verb: 'get', kind: nodeKind, name: 'm1', subresource: 'tunnel' }],
    ['watches its tasks', { verb: 'watch', kind: taskKind, fieldSelector: 'status.nodeName=m1' }],
    ['lists its running tasks', { verb: 'list', kind: taskKind, fieldSelector: 'status.phase=Running,status.nodeName=m1' }],
    ['gets a task of its own', { verb: 'get', kind: taskKind, ...inDefault, name: 'mine' }],
    ['reports on its tasks', { verb: 'post', path: bulkPaths.status, bulkNodeName: 'm1' }],
    ['records events', { verb: 'create', kind: eventKind, ...inDefault }],
    ['records events in bulk', { verb: 'post', path: bulkPaths.events }],
    ['gets a secret that its task refers to', { verb: 'get', kind: secretKind, ...inDefault, name: 's' }],
    ['gets a config map that its task refers to', { verb: 'get', kind: configMapKind, ...inDefault, name: 'c' }],
    ['reads the version', { verb: 'get', path: '/version' }],
    ['discovers kinds', { verb: 'get', path: '/apis/taskplane.dev/v1' }],
  ])('an agent %s', (_, attributes) => {
    expect(authorize(agent, attributes, lookups)).toEqual({ allowed: true });
    expect(authorize(admin, attributes, lookups)).toEqual({ allowed: true });
    expect(authorize(controllers, attributes, lookups)).toEqual({ allowed: true });
  });

  const user = 'User "system:node:m1" cannot';
  const ownTasks = 'an agent may read the tasks of its own node only; select them by status.nodeName=m1';
  const ownNode = 'an agent may act for its own node only';
  it.each<[string, Attributes, string]>([
    ['another node', { verb: 'update', kind: nodeKind, name: 'm2' }, `${user} update resource "nodes" in API group "" at the cluster scope: ${ownNode}`],
    ['the status of another node', { verb: 'update', kind: nodeKind, name: 'm2', subresource: 'status' }, `${user} update resource "nodes/status" in API group "" at the cluster scope: ${ownNode}`],
    ['a new node of another name', { verb: 'create', kind: nodeKind, name: 'm2' }, `${user} create resource "nodes" in API group "" at the cluster scope: ${ownNode}`],
    ['the presence of another node', { verb: 'create', kind: nodeKind, name: 'm2', subresource: 'presence' }, `${user} create resource "nodes/presence" in API group "" at the cluster scope: ${ownNode}`],
    ['deleting its node', { verb: 'delete', kind: nodeKind, name: 'm1' }, `${user} delete resource "nodes" in API group "" at the cluster scope`],
    ['all tasks', { verb: 'list', kind: taskKind }, `${user} list resource "tasks" in API group "taskplane.dev" at the cluster scope: ${ownTasks}`],
    ['tasks of another node', { verb: 'watch', kind: taskKind, fieldSelector: 'status.nodeName=m2' }, `${user} watch resource "tasks" in API group "taskplane.dev" at the cluster scope: ${ownTasks}`],
    ['tasks that are not on its node', { verb: 'list', kind: taskKind, fieldSelector: 'status.nodeName!=m1' }, `${user} list resource "tasks" in API group "taskplane.dev" at the cluster scope: ${ownTasks}`],
    ['a task of another node', { verb: 'get', kind: taskKind, ...inDefault, name: 'theirs' }, `${user} get resource "tasks" in API group "taskplane.dev" in the namespace "default": ${ownTasks}`],
    ['a task of another node, whatever else the request selects', { verb: 'get', kind: taskKind, ...inDefault, name: 'theirs', fieldSelector: 'status.nodeName=m1' }, `${user} get resource "tasks" in API group "taskplane.dev" in the namespace "default": ${ownTasks}`],
    ['a task that is not there', { verb: 'get', kind: taskKind, ...inDefault, name: 'no' }, `${user} get resource "tasks" in API group "taskplane.dev" in the namespace "default": ${ownTasks}`],
    ['changing its task', { verb: 'patch', kind: taskKind, ...inDefault, name: 'mine' }, `${user} patch resource "tasks" in API group "taskplane.dev" in the namespace "default"`],
    ['the status of its task, but in bulk', { verb: 'update', kind: taskKind, ...inDefault, name: 'mine', subresource: 'status' }, `${user} update resource "tasks/status" in API group "taskplane.dev" in the namespace "default"`],
    ['another secret', { verb: 'get', kind: secretKind, ...inDefault, name: 'c' }, `${user} get resource "secrets" in API group "" in the namespace "default": no task of node m1 refers to it`],
    ['the secret of that name elsewhere', { verb: 'get', kind: secretKind, namespace: 'kube-system', name: 's' }, `${user} get resource "secrets" in API group "" in the namespace "kube-system": no task of node m1 refers to it`],
    ['all secrets', { verb: 'list', kind: secretKind, ...inDefault }, `${user} list resource "secrets" in API group "" in the namespace "default": an agent may only get the secrets that tasks of its node refer to, one by one`],
    ['leases', { verb: 'update', kind: leaseKind, namespace: 'kube-node-lease', name: 'm1' }, `${user} update resource "leases" in API group "coordination.k8s.io" in the namespace "kube-node-lease"`],
    ['binding', { verb: 'post', path: bulkPaths.bind }, `${user} post path "/apis/taskplane.dev/v1/bulk/bindings"`],
    ['creating in bulk', { verb: 'post', path: bulkPaths.create }, `${user} post path "/apis/taskplane.dev/v1/bulk/tasks"`],
    ['reports for another node', { verb: 'post', path: bulkPaths.status, bulkNodeName: 'm2' }, `${user} post path "/apis/taskplane.dev/v1/bulk/statuses": an agent may report on the tasks of its own node only`],
    ['metrics', { verb: 'get', path: '/metrics' }, `${user} get path "/metrics"`],
    ['the loads of nodes', { verb: 'get', path: '/apis/taskplane.dev/v1/nodeloads' }, `${user} get path "/apis/taskplane.dev/v1/nodeloads"`],
    ['paths that only begin like an open one', { verb: 'get', path: '/versions' }, `${user} get path "/versions"`],
  ])('refuses an agent %s', (_, attributes, message) => {
    expect(authorize(agent, attributes, lookups)).toEqual({ allowed: false, message });
    expect(authorize(admin, attributes, lookups)).toEqual({ allowed: true });
  });

  it('takes nobody for an agent by name alone, and gives others discovery only', () => {
    expect(nodeOf(agent)).toBe('m1');
    for (const user of [pretender, nobody]) {
      expect(authorize(user, { verb: 'get', kind: nodeKind, name: 'm1' }, lookups).allowed).toBe(false);
      expect(authorize(user, { verb: 'post', path: bulkPaths.events }, lookups).allowed).toBe(false);
      expect(authorize(user, { verb: 'get', path: '/openapi/v3' }, lookups)).toEqual({ allowed: true });
      expect(authorize(user, { verb: 'post', path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews' }, lookups)).toEqual({ allowed: true });
      const review = (plural: string, verb = 'create'): boolean => authorize(user, { verb, kind: { group: 'authorization.k8s.io', plural, kind: 'Review' } }, lookups).allowed;
      expect([review('selfsubjectrulesreviews'), review('subjectaccessreviews'), review('selfsubjectaccessreviews', 'list')]).toEqual([true, false, false]);
    }
  });

  it('words the refusal as Kubernetes does', () => {
    const attributes = { verb: 'get', kind: taskKind, ...inDefault, name: 'a' };
    const decision = authorize(nobody, attributes, lookups);
    expect(decision.allowed ? undefined : refusalError(attributes, decision.message).toStatus()).toMatchObject({
      code: 403,
      reason: 'Forbidden',
      message: 'tasks.taskplane.dev "a" is forbidden: User "eve" cannot get resource "tasks" in API group "taskplane.dev" in the namespace "default"',
      details: { name: 'a', group: 'taskplane.dev', kind: 'tasks' },
    });
  });
});
