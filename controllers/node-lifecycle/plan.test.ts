import { describe, expect, it } from '@jest/globals';
import { timestamp } from '../../api/meta.js';
import { unreachableTaintKey, type Node, type Taint } from '../../api/node.js';
import type { Task, TaskPhase, TaskSpec } from '../../api/task.js';
import { lostReason, planLostTask, planNode, takeBackAfterMs } from './plan.js';

const now = Date.UTC(2026, 0, 1);
const unreachable: Taint = { key: unreachableTaintKey, effect: 'NoSchedule' };
const other: Taint = { key: 'gpu', effect: 'NoSchedule' };

function node(ready: 'True' | 'False' | 'Unknown' | undefined, taints: Taint[] = [], reason = 'AgentReady', sinceMs = 60_000): Node {
  const conditions = ready ? [{ type: 'Ready', status: ready, reason, lastTransitionTime: timestamp(now - sinceMs) }] : [];
  return { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' }, spec: { taints }, status: { conditions } };
}

function task(phase: TaskPhase, spec: Partial<TaskSpec> = {}, metadata: object = {}): Task {
  return {
    apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name: 't', namespace: 'default', ...metadata },
    spec: { command: ['true'], ...spec }, status: { phase, nodeName: 'n1', bindings: 1, attempt: 1 },
  };
}

describe('plan of a node', () => {
  it('marks a ready node that is absent, keeps its other taints, and says so', () => {
    const plan = planNode(node('True', [other]), false, now);
    expect(plan.conditions).toMatchObject([{ type: 'Ready', status: 'Unknown', reason: lostReason, lastTransitionTime: timestamp(now) }]);
    expect(plan.taints).toMatchObject([other, unreachable]);
    expect(plan.event).toMatchObject({ type: 'Warning', reason: 'NodeNotReady' });
  });

  it('does nothing twice', () => {
    expect(planNode(node('Unknown', [unreachable], lostReason), false, now)).toEqual({});
    expect(planNode(node('True', [other]), true, now)).toEqual({});
  });

  it('marks a node that was never ready without an event', () => {
    expect(planNode(node(undefined), false, now).event).toBeUndefined();
  });

  it('takes the taint off when the agent is back, whatever it says of itself', () => {
    for (const ready of ['True', 'False'] as const) {
      expect(planNode(node(ready, [other, unreachable]), true, now)).toMatchObject({ taints: [other], event: { reason: 'NodeReady' } });
    }
  });

  it('leaves its own word for the agent to replace first, and takes it back after a while', () => {
    expect(planNode(node('Unknown', [unreachable], lostReason, 1_000), true, now)).toEqual({ againAfterMs: takeBackAfterMs - 1_000 });
    expect(planNode(node('Unknown', [unreachable], lostReason, takeBackAfterMs), true, now)).toMatchObject({ conditions: [{ status: 'True' }], taints: [] });
  });
});

describe('plan of a task on a lost node', () => {
  it.each([
    ['Scheduled', {}, 'Pending'],
    ['Running', {}, 'Pending'],
    ['Running', { onNodeLost: 'Fail' }, 'Failed'],
    ['Running', { onNodeLost: 'Wait' }, 'Unknown'],
    ['Running', { backoffLimit: 1 }, 'Failed'],
  ] as const)('moves %s with %j to %s', (phase, spec, expected) => {
    expect(planLostTask(task(phase, spec), now)).toMatchObject({ do: 'write', status: { phase: expected } });
  });

  it('leaves finished, waiting and unbound tasks alone', () => {
    for (const phase of ['Succeeded', 'Failed', 'Unknown'] as const) expect(planLostTask(task(phase, { onNodeLost: 'Wait' }), now)).toEqual({ do: 'nothing' });
    const unbound = task('Pending');
    delete unbound.status!.nodeName;
    expect(planLostTask(unbound, now)).toEqual({ do: 'nothing' });
  });

  it('removes a task that is being deleted, whatever onNodeLost says', () => {
    const metadata = { deletionTimestamp: timestamp(now) };
    for (const phase of ['Running', 'Unknown'] as const) expect(planLostTask(task(phase, { onNodeLost: 'Wait' }, metadata), now)).toEqual({ do: 'remove' });
  });
});
