import { describe, expect, it } from '@jest/globals';
import type { Node } from '../../api/node.js';
import type { TaskSpec } from '../../api/task.js';
import { SeededRandom } from '../../lib/random.js';
import { SchedulerCore } from './core.js';
import { explain } from './explain.js';
import { asking, boundTask, makeNode, makeTask } from './test-world.js';

const gpuTaint = [{ key: 'gpu', effect: 'NoSchedule' as const }];

function many(count: number, prefix: string, options: Parameters<typeof makeNode>[1]): Node[] {
  return Array.from({ length: count }, (_, i) => makeNode(`${prefix}${i}`, options));
}

/** What a task is told on these nodes, where `held` has tasks already. */
function told(nodes: readonly Node[], spec: Partial<TaskSpec>, held: Record<string, Partial<TaskSpec>> = {}): string | undefined {
  const core = new SchedulerCore({ random: new SeededRandom(1) });
  for (const node of nodes) core.setNode(node);
  for (const [nodeName, heldSpec] of Object.entries(held)) core.setTask(boundTask(makeTask(`on-${nodeName}`, heldSpec), nodeName));
  core.setTask(makeTask('waiting', spec));
  let message: string | undefined;
  core.next(Infinity, (group) => (message = explain(group.demand, core.snapshot)));
  return message;
}

describe('a task that fits nowhere', () => {
  it('is told how many nodes lack what, how much is missing and which node is nearest', () => {
    const nodes = [...many(8, 'n', { allocatable: { cpu: '1' } }), makeNode('m3'), ...many(3, 'g', { taints: gpuTaint })];
    expect(told(nodes, asking('4'), { m3: asking('500m') })).toBe(
      '0/12 nodes fit: 9 lack cpu (largest free 3500m, needs 4), 3 have taint gpu; would fit if node m3 freed 500m cpu',
    );
  });

  it('is told that no node is large enough', () => {
    expect(told(many(2, 'n', {}), asking('16'))).toBe('0/2 nodes fit: 2 lack cpu (largest free 4, needs 16); no node that it may run on is large enough');
  });

  it('is told of several resources that one node lacks', () => {
    expect(told([makeNode('n')], asking('3', '6Gi'), { n: asking('2', '4Gi') })).toBe(
      '0/1 nodes fit: 1 lack cpu (largest free 2, needs 3) and memory (largest free 4Gi, needs 6Gi); would fit if node n freed 1 cpu and 2Gi memory',
    );
  });

  it('is told that nodes hold as many tasks as they may', () => {
    expect(told([makeNode('n', { allocatable: { tasks: 1 } })], {}, { n: {} })).toBe(
      '0/1 nodes fit: 1 lack room for one more task; would fit if node n freed 1 of its tasks',
    );
  });

  it('is told of a resource that no node has', () => {
    expect(told([makeNode('n')], { resources: { requests: { licence: 1 } } })).toBe(
      '0/1 nodes fit: 1 lack licence (largest free 0, needs 1); no node that it may run on is large enough',
    );
  });

  it('is told of labels, cordoned, lost and unready nodes', () => {
    const nodes = [
      makeNode('label'),
      makeNode('cordoned', { labels: { zone: 'a' }, unschedulable: true }),
      makeNode('lost', { labels: { zone: 'a' }, taints: [{ key: 'node.kubernetes.io/unreachable', effect: 'NoSchedule' }] }),
      makeNode('unready', { labels: { zone: 'a' }, ready: false }),
      makeNode('unready2', { labels: { zone: 'a' }, ready: false }),
    ];
    expect(told(nodes, { nodeSelector: { zone: 'a' } })).toBe('0/5 nodes fit: 2 are not ready, 1 are cordoned, 1 are unreachable, 1 lack label zone=a');
  });

  it('is told the six most frequent causes and how many there are beside', () => {
    const nodes = Array.from({ length: 9 }, (_, i) => makeNode(`n${i}`, { taints: [{ key: `t${Math.min(i, 7)}`, effect: 'NoSchedule' }] }));
    expect(told(nodes, {})).toBe(
      '0/9 nodes fit: 2 have taint t7, 1 have taint t0, 1 have taint t1, 1 have taint t2, 1 have taint t3, 1 have taint t4, 2 for other reasons',
    );
  });

  it('is told how to add a node when there is none', () => {
    expect(told([], {})).toBe('no nodes are registered; start an agent on a machine: taskplane agent --kubeconfig FILE --node-name NAME');
  });
});

describe('a pinned task', () => {
  it.each<[string, Node[], Partial<TaskSpec>, string]>([
    ['is told that its node is not registered', [makeNode('other')], {}, 'which is not registered'],
    ['is told that its node is cordoned', [makeNode('n', { unschedulable: true })], {}, 'which is cordoned'],
    ['is told that its node is tainted', [makeNode('n', { taints: gpuTaint })], {}, 'which has taint gpu'],
    ['is told that its node lacks a label', [makeNode('n')], { nodeSelector: { a: 'b' } }, 'which lacks label a=b'],
    ['is told that its node is too small', [makeNode('n')], asking('5'), 'which lacks cpu (has 4 in all, needs 5)'],
    ['is told that its node is full', [makeNode('n')], asking('2'), 'which lacks cpu (free 1, needs 2)'],
  ])('%s', (_name, nodes, spec, expected) => {
    expect(told(nodes, { ...spec, nodeName: 'n' }, { n: asking('3') })).toBe(`spec.nodeName pins the task to node n, ${expected}`);
  });
});
