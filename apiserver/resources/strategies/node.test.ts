import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Node } from '../../../api/node.js';
import type { Caller } from '../service.js';
import { nodeKind, TestCluster } from '../testing/cluster.js';

describe('the agent of a node', () => {
  let cluster: TestCluster;
  beforeEach(async () => void (cluster = await TestCluster.start()));
  afterEach(() => cluster.stop());

  const agent: Caller = { user: { name: 'system:node:m1', groups: ['system:nodes'] }, warn() {} };
  const target = { kind: nodeKind, namespace: undefined };
  const node = (more: Partial<Node['metadata']> = {}, spec: Node['spec'] = {}): Node => ({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'm1', ...more }, spec });
  const create = (caller: Caller, object: Node) => cluster.resources.create(caller, target, object, {});
  const change = (caller: Caller, patch: object) => cluster.resources.patch(caller, { ...target, name: 'm1' }, 'application/merge-patch+json', patch, {});
  const taint = { key: 'gpu', effect: 'NoSchedule' } as const;

  it('registers it with the labels of its machine, and says later what else it is', async () => {
    await create(agent, node({ labels: { 'kubernetes.io/hostname': 'm1', 'node.kubernetes.io/instance-type': 'big', zone: 'a' } }, { taints: [taint] }));
    await change(agent, { metadata: { labels: { zone: 'b', 'topology.kubernetes.io/zone': 'b' } }, spec: { unschedulable: true } });
  });

  it.each<[string, object, string]>([
    ['take off a taint', { spec: { taints: null } }, 'modify taints'],
    ['put on a taint', { spec: { taints: [taint, { key: 'x', effect: 'NoSchedule' }] } }, 'modify taints'],
    ['change a label that keeps others away', { metadata: { labels: { 'node-restriction.kubernetes.io/team': 'b' } } }, 'modify the labels node-restriction.kubernetes.io/team'],
    ['take off such a label', { metadata: { labels: { 'example.com.node-restriction.kubernetes.io/x': null } } }, 'modify the labels example.com.node-restriction.kubernetes.io/x'],
    ['give itself a role', { metadata: { labels: { 'node-role.kubernetes.io/control-plane': '' } } }, 'modify the labels node-role.kubernetes.io/control-plane'],
    ['name an owner', { metadata: { ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'm2', uid: 'u' }] } }, 'modify ownerReferences'],
  ])('may not %s', async (_what, patch, problem) => {
    const labels = { 'node-restriction.kubernetes.io/team': 'a', 'example.com.node-restriction.kubernetes.io/x': 'y' };
    await create(cluster.caller, node({ labels }, { taints: [taint] }));
    await expect(change(agent, patch)).rejects.toMatchObject({ code: 403, message: `nodes "m1" is forbidden: node "m1" is not allowed to ${problem}` });
    await change(cluster.caller, patch);
  });

  it('may not bring a protected label with it', async () => {
    const labelled = node({ labels: { 'node-restriction.kubernetes.io/team': 'a' } });
    await expect(create(agent, labelled)).rejects.toMatchObject({ code: 403, message: 'nodes "m1" is forbidden: node "m1" is not allowed to set the labels node-restriction.kubernetes.io/team' });
    await create(cluster.caller, labelled);
  });
});
