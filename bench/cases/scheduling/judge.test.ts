import { describe, expect, it } from '@jest/globals';
import type { Node } from '../../../api/node.js';
import type { Task } from '../../../api/task.js';
import { problemsOf, type Outcome } from './judge.js';

function node(name: string, rest: { labels?: Record<string, string>; taints?: NonNullable<Node['spec']>['taints']; cpu?: string; tasks?: string } = {}): Node {
  const { labels, taints, cpu = '1', tasks = '10' } = rest;
  return { apiVersion: 'v1', kind: 'Node', metadata: { name, ...(labels ? { labels } : {}) }, spec: { ...(taints ? { taints } : {}) }, status: { allocatable: { cpu, memory: '1Gi', tasks } } };
}

function task(name: string, nodeName: string | undefined, spec: Partial<Task['spec']> = {}, status: Partial<Task['status']> = {}): Task {
  return { apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name }, spec: { command: ['true'], resources: { requests: { cpu: '500m' } }, ...spec }, status: { phase: 'Scheduled', ...(nodeName ? { nodeName, bindings: 1 } : {}), ...status } };
}

describe('the judge of scheduling', () => {
  const good: Outcome = {
    expected: new Set(['a', 'b']),
    tasks: [task('a', 'n'), task('b', 'm', { nodeSelector: { zone: 'x' }, tolerations: [{ key: 'team', value: 'red' }] })],
    nodes: [node('n'), node('m', { labels: { zone: 'x' }, taints: [{ key: 'team', value: 'red', effect: 'NoSchedule' }] })],
    deliveries: [['a', 'n', 1], ['b', 'm', 2]],
  };

  it('finds nothing wrong with tasks that are where they may be', () => {
    expect(problemsOf(good)).toEqual([]);
  });

  it.each<[string, Partial<Outcome>, string]>([
    ['a task is missing', { expected: new Set(['a', 'b', 'c']) }, '2 of 3 tasks are there'],
    ['a task is not bound', { tasks: [task('a', undefined), good.tasks[1]!] }, 'task a was bound 0 times'],
    ['a task was bound again', { tasks: [task('a', 'n', {}, { bindings: 2 }), good.tasks[1]!] }, 'task a was bound 2 times'],
    ['a node is not there', { nodes: [good.nodes[1]!] }, 'task a is on node n, which is not there'],
    ['a selector was passed over', { nodes: [good.nodes[0]!, node('m', { labels: { zone: 'y' } })] }, 'task b selects zone=x, but its node has y'],
    ['a taint was passed over', { nodes: [node('n', { taints: [{ key: 'k', effect: 'NoExecute' }] }), good.nodes[1]!] }, 'task a does not tolerate k=undefined:NoExecute, which its node has'],
    ['an agent was not told', { deliveries: [['a', 'n', 1]] }, '1 of 2 tasks reached their agents'],
    ['an agent was told twice', { deliveries: [['a', 'n', 1], ...good.deliveries] }, 'task a reached an agent twice'],
    ['another agent was told', { deliveries: [['a', 'm', 1], ['b', 'm', 2]] }, 'task a reached m, but is bound to n'],
    ['a node holds too much', { tasks: [...good.tasks, task('other', 'n', { resources: { requests: { cpu: '501m' } } })] }, 'node n holds 1.001 cpu, but has 1'],
    ['a node holds too many', { nodes: [node('n', { tasks: '0' }), good.nodes[1]!] }, 'node n holds 1 tasks, but has 0'],
    ['a node has nothing of what is asked for', { tasks: [task('a', 'n', { resources: { requests: { gpu: 1 } } }), good.tasks[1]!] }, 'node n holds 1 gpu, but has 0'],
  ])('says when %s', (_, change, problem) => {
    expect(problemsOf({ ...good, ...change })).toContain(problem);
  });

  it('takes no notice of the room that finished tasks had', () => {
    expect(problemsOf({ ...good, tasks: [...good.tasks, task('done', 'n', { resources: { requests: { cpu: '9' } } }, { phase: 'Succeeded' })] })).toEqual([]);
  });
});
