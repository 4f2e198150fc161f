import { describe, expect, it } from '@jest/globals';
import type { Taint } from '../../api/node.js';
import type { TaskSpec, Toleration } from '../../api/task.js';
import { allows, constraintsOf, nodeInfoOf, nodeProblem, tolerates, type NodeProblem } from './filter.js';
import { makeNode, type NodeOptions } from './test-world.js';

const gpu: Taint = { key: 'gpu', value: 'a100', effect: 'NoSchedule' };

describe('a toleration', () => {
  it.each<[string, Toleration, Taint, boolean]>([
    ['matches key, value and effect', { key: 'gpu', operator: 'Equal', value: 'a100', effect: 'NoSchedule' }, gpu, true],
    ['without an operator means Equal', { key: 'gpu', value: 'a100' }, gpu, true],
    ['with another value does not match', { key: 'gpu', value: 'h100' }, gpu, false],
    ['with operator Exists matches any value', { key: 'gpu', operator: 'Exists' }, gpu, true],
    ['with another key does not match', { key: 'disk', operator: 'Exists' }, gpu, false],
    ['for another effect does not match', { key: 'gpu', operator: 'Exists', effect: 'NoExecute' }, gpu, false],
    ['with an empty effect matches every effect', { key: 'gpu', operator: 'Exists', effect: '' }, gpu, true],
    ['without a key and with Exists matches everything', { operator: 'Exists' }, gpu, true],
    ['without a key and with Equal matches nothing', { operator: 'Equal', value: 'a100' }, gpu, false],
    ['takes an absent value for an empty one', { key: 'x' }, { key: 'x', effect: 'NoSchedule' }, true],
  ])('%s', (_name, toleration, taint, expected) => {
    expect(tolerates([toleration], taint)).toBe(expected);
  });
});

describe('a node', () => {
  it.each<[string, Partial<TaskSpec>, NodeOptions, NodeProblem | undefined]>([
    ['takes a task without constraints', {}, {}, undefined],
    ['that is not ready takes nothing', {}, { ready: false }, { kind: 'not-ready' }],
    ['that is cordoned takes nothing', {}, { unschedulable: true }, { kind: 'cordoned' }],
    ['that is cordoned takes what tolerates that', { tolerations: [{ key: 'node.kubernetes.io/unschedulable', operator: 'Exists' }] }, { unschedulable: true }, undefined],
    ['with a taint NoSchedule takes only what tolerates it', {}, { taints: [gpu] }, { kind: 'taint', text: 'gpu=a100' }],
    ['with a taint NoExecute takes only what tolerates it', {}, { taints: [{ key: 'x', effect: 'NoExecute' }] }, { kind: 'taint', text: 'x' }],
    ['with a taint PreferNoSchedule takes anything', {}, { taints: [{ key: 'x', effect: 'PreferNoSchedule' }] }, undefined],
    ['takes what tolerates its taints', { tolerations: [{ key: 'gpu', operator: 'Exists' }] }, { taints: [gpu] }, undefined],
    ['needs every label of the selector', { nodeSelector: { zone: 'a', disk: 'ssd' } }, { labels: { zone: 'a' } }, { kind: 'label', text: 'disk=ssd' }],
    ['takes a task whose labels it has', { nodeSelector: { zone: 'a' } }, { labels: { zone: 'a', disk: 'ssd' } }, undefined],
    ['has no labels by inheritance', { nodeSelector: { constructor: 'a' } }, {}, { kind: 'label', text: 'constructor=a' }],
    ['does not take a task pinned elsewhere', { nodeName: 'n2' }, {}, { kind: 'pin' }],
    ['takes a task pinned to it', { nodeName: 'n1' }, {}, undefined],
    ['that lost its agent is called unreachable', {}, { ready: false, taints: [{ key: 'node.kubernetes.io/unreachable', effect: 'NoSchedule' }] }, { kind: 'unreachable' }],
  ])('%s', (_name, spec, options, expected) => {
    const constraints = constraintsOf({ command: ['true'], ...spec });
    const node = nodeInfoOf(makeNode('n1', options));
    expect(nodeProblem(constraints, node)).toEqual(expected);
    expect(allows(constraints, node)).toBe(expected === undefined);
  });

  it('that somebody has asked to delete takes nothing', () => {
    const node = makeNode('n1');
    const going = nodeInfoOf({ ...node, metadata: { ...node.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } });
    expect(allows(constraintsOf({}), going)).toBe(false);
  });
});

describe('constraints', () => {
  it('have the same key whatever the order of labels', () => {
    expect(constraintsOf({ nodeSelector: { a: '1', b: '2' } }).key).toBe(constraintsOf({ nodeSelector: { b: '2', a: '1' } }).key);
  });

  it('have another key when anything differs', () => {
    const keys = [{}, { nodeName: 'a' }, { nodeSelector: { a: '1' } }, { nodeSelector: { a: '2' } }, { tolerations: [{ key: 'a' }] }, { tolerations: [{ key: 'a', operator: 'Exists' }] }].map(
      (spec) => constraintsOf(spec).key,
    );
    expect(new Set(keys).size).toBe(keys.length);
  });
});
