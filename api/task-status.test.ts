import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { conditionIs } from './conditions.js';
import type { Task, TaskPhase, TaskSpec, TaskStatus } from './task.js';
import { afterLoss, allowedMoves, boundTo, evicted, failed, initialStatus, reported, unschedulable, type Refusal, type TaskReport } from './task-status.js';

const now = Date.UTC(2026, 0, 1);

function task(status: TaskStatus, spec: Partial<TaskSpec> = {}): Task {
  return { apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name: 't', namespace: 'default', uid: 'u1' }, spec: { command: ['true'], restartPolicy: 'Never', onNodeLost: 'Reschedule', ...spec } as TaskSpec, status };
}

function report(over: Partial<TaskReport> = {}): TaskReport {
  return { namespace: 'default', name: 't', uid: 'u1', bindings: 1, attempt: 1, phase: 'Running', ...over };
}

function accepted(outcome: TaskStatus | Refusal): TaskStatus {
  if ('refused' in outcome) throw new Error(`refused: ${outcome.refused}`);
  return outcome;
}

const scheduled = accepted(boundTo(task(initialStatus(now)), 'n1', now));

describe('boundTo', () => {
  it('counts bindings and attempts and says Scheduled', () => {
    expect(scheduled).toMatchObject({ phase: 'Scheduled', nodeName: 'n1', bindings: 1, attempt: 1 });
    expect(conditionIs(scheduled.conditions, 'Scheduled', 'True')).toBe(true);
  });

  it('refuses a task that is bound, finished or being deleted', () => {
    expect(boundTo(task(scheduled), 'n2', now)).toEqual({ refused: 'the task is already bound to node n1' });
    expect(boundTo(task({ phase: 'Failed' }), 'n2', now)).toEqual({ refused: 'the task is Failed' });
    const going = { ...task(initialStatus(now)), metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } };
    expect(boundTo(going, 'n1', now)).toEqual({ refused: 'the task is being deleted' });
  });

  it('keeps the result of the attempt before', () => {
    const lost = afterLoss(task({ ...scheduled, phase: 'Running', startTime: '2026-01-01T00:00:00Z' }), 'NodeLost', 'node n1 is lost', now);
    expect(accepted(boundTo(task(lost), 'n2', now))).toMatchObject({ bindings: 2, attempt: 2, nodeName: 'n2', lastAttempt: { attempt: 1, nodeName: 'n1', reason: 'NodeLost' } });
  });
});

describe('reported', () => {
  it('moves a task to Running and to its end, with conditions', () => {
    const running = accepted(reported(task(scheduled), 'n1', report({ startTime: '2026-01-01T00:00:00Z' }), now));
    expect(conditionIs(running.conditions, 'Ready', 'True')).toBe(true);
    const done = accepted(reported(task(running), 'n1', report({ phase: 'Failed', exitCode: 3, reason: 'Error', startTime: '2026-01-01T00:00:00Z' }), now));
    expect(done).toMatchObject({ phase: 'Failed', exitCode: 3, reason: 'Error' });
    for (const type of ['Failed', 'Finished']) expect(conditionIs(done.conditions, type, 'True')).toBe(true);
    expect(conditionIs(done.conditions, 'Ready', 'False')).toBe(true);
  });

  it.each([
    [{ uid: 'u0' }, 'n1', 'the task was deleted; another one has its name'],
    [{}, 'n2', 'the task is bound to node n1'],
    [{ bindings: 0 }, 'n1', 'binding 0 is over; the current one is 1'],
    [{ attempt: 0 }, 'n1', 'attempt 0 is over; the current one is 1'],
  ])('refuses %j from %s: %s', (over, node, refused) => {
    expect(reported(task(scheduled), node, report(over), now)).toEqual({ refused });
  });

  it('refuses that an attempt runs which has ended, but not that the next one does', () => {
    const backingOff = accepted(reported(task(scheduled), 'n1', report({ phase: 'Scheduled', reason: 'BackOff', exitCode: 1, finishTime: '2026-01-01T00:00:05Z' }), now));
    const late = report({ startTime: '2026-01-01T00:00:00Z' });
    expect(reported(task(backingOff), 'n1', late, now)).toEqual({ refused: 'attempt 1 has ended' });
    expect(accepted(reported(task(backingOff), 'n1', { ...late, attempt: 2 }, now))).toMatchObject({ phase: 'Running', attempt: 2 });
  });

  it('refuses everything once the task has finished', () => {
    expect(reported(task({ ...scheduled, phase: 'Succeeded' }), 'n1', report(), now)).toEqual({ refused: 'the task has finished: Succeeded' });
  });

  it('forgets what the attempt before reported when a later one starts', () => {
    const ended = accepted(reported(task(scheduled), 'n1', report({ phase: 'Scheduled', exitCode: 1, reason: 'BackOff', finishTime: '2026-01-01T00:00:00Z' }), now));
    const again = accepted(reported(task(ended), 'n1', report({ attempt: 2 }), now));
    expect(again.exitCode).toBeUndefined();
    expect(again.attempt).toBe(2);
  });

  it.each(['Lost', 'Evicted'] as const)('does not mix what was told of the attempt before into the end of a later one (%s)', (phase) => {
    const before = accepted(reported(task(scheduled), 'n1', report({ phase: 'Scheduled', startTime: '2026-01-01T00:00:00Z', exitCode: 1, reason: 'BackOff', finishTime: '2026-01-01T00:00:01Z' }), now));
    const evicting = evicted(task(before), { reason: 'EvictionByEvictionAPI', message: 'm' }, now)!;
    // That the second attempt ran was overtaken by how it ended.
    const free = accepted(reported(task(evicting), 'n1', report({ attempt: 2, phase, ...(phase === 'Evicted' ? { reason: 'Evicted' } : {}) }), now + 5000));
    expect(free).toMatchObject({ phase: 'Pending', attempt: 2, evictions: 1 });
    expect(free.lastAttempt).toEqual({ attempt: 2, nodeName: 'n1', finishTime: '2026-01-01T00:00:05Z', reason: phase });
  });

  it('takes Lost as the end of the attempt without a result', () => {
    expect(accepted(reported(task(scheduled), 'n1', report({ phase: 'Lost' }), now))).toMatchObject({ phase: 'Pending', lastAttempt: { attempt: 1, reason: 'Lost' } });
  });
});

describe('afterLoss', () => {
  it('frees the task for another node by default', () => {
    const status = afterLoss(task(scheduled), 'NodeLost', 'node n1 is lost', now);
    expect(status).toMatchObject({ phase: 'Pending', reason: 'NodeLost' });
    expect(status.nodeName).toBeUndefined();
  });

  it('waits for the node, or fails, when onNodeLost says so', () => {
    expect(afterLoss(task(scheduled, { onNodeLost: 'Wait' }), 'NodeLost', 'm', now)).toMatchObject({ phase: 'Unknown', nodeName: 'n1' });
    expect(afterLoss(task(scheduled, { onNodeLost: 'Fail' }), 'NodeLost', 'm', now)).toMatchObject({ phase: 'Failed', reason: 'NodeLost' });
  });

  it('fails the task when its attempts are used up', () => {
    expect(afterLoss(task(scheduled, { backoffLimit: 1 }), 'NodeLost', 'm', now)).toMatchObject({ phase: 'Failed', reason: 'BackoffLimitExceeded' });
  });
});

describe('eviction', () => {
  const asked = { reason: 'EvictionByEvictionAPI', message: 'evicted' };
  const running = accepted(reported(task(scheduled), 'n1', report({ startTime: '2026-01-01T00:00:00Z' }), now));
  const evicting = evicted(task(running, { terminationGracePeriodSeconds: 20 }), asked, now)!;
  const stopped = report({ phase: 'Evicted', reason: 'Evicted', exitCode: 143, signal: 'SIGTERM', finishTime: '2026-01-01T00:00:09Z' });

  it('is a request in the status: the task stays bound until its agent says that the attempt is over', () => {
    expect(evicting).toMatchObject({ phase: 'Running', nodeName: 'n1', eviction: { requestedTime: '2026-01-01T00:00:00Z', gracePeriodSeconds: 20, reason: 'EvictionByEvictionAPI' } });
    expect(conditionIs(evicting.conditions, 'DisruptionTarget', 'True')).toBe(true);
    expect(boundTo(task(evicting), 'n2', now)).toEqual({ refused: 'the task is already bound to node n1' });
    expect(accepted(reported(task(evicting), 'n1', report(), now)).eviction).toEqual(evicting.eviction);
  });

  it('gives the task away when it is stopped, and does not count the attempt', () => {
    const free = accepted(reported(task(evicting, { backoffLimit: 1 }), 'n1', stopped, now));
    expect(free).toMatchObject({ phase: 'Pending', reason: 'Evicted', evictions: 1, attempt: 1, lastAttempt: { attempt: 1, nodeName: 'n1', exitCode: 143, signal: 'SIGTERM', reason: 'Evicted' } });
    expect([free.nodeName, free.eviction]).toEqual([undefined, undefined]);
    const again = accepted(boundTo(task(free), 'n2', now));
    expect(again.conditions!.map(({ type }) => type)).not.toContain('DisruptionTarget');
    expect(afterLoss(task(again, { backoffLimit: 2 }), 'NodeLost', 'm', now)).toMatchObject({ phase: 'Pending' });
    expect(afterLoss(task(again, { backoffLimit: 1 }), 'NodeLost', 'm', now)).toMatchObject({ phase: 'Failed', message: 'm; it was attempt 1 of 1' });
  });

  it('counts an attempt that had ended by itself', () => {
    expect(accepted(reported(task(evicting), 'n1', { ...stopped, reason: 'Error', exitCode: 3 }, now))).toMatchObject({ phase: 'Pending', lastAttempt: { reason: 'Error', exitCode: 3 } });
    const backoff = accepted(reported(task(evicting), 'n1', report({ phase: 'Scheduled', reason: 'BackOff', exitCode: 1, finishTime: '2026-01-01T00:00:00Z' }), now));
    expect(afterLoss(task(backoff), 'NodeLost', 'm', now).evictions).toBeUndefined();
  });

  it('ends with the loss of the node, too; a task that waits for its node is stopped when it is back', () => {
    expect(afterLoss(task(evicting, { backoffLimit: 1 }), 'NodeLost', 'node n1 is lost', now)).toMatchObject({ phase: 'Pending', reason: 'Evicted', evictions: 1 });
    expect(afterLoss(task(evicting, { onNodeLost: 'Wait' }), 'NodeLost', 'node n1 is lost', now)).toMatchObject({ phase: 'Unknown', nodeName: 'n1', eviction: evicting.eviction });
  });

  it('fails a task that may not be started twice', () => {
    expect(accepted(reported(task(evicting, { onNodeLost: 'Fail' }), 'n1', stopped, now))).toMatchObject({ phase: 'Failed', reason: 'Evicted', exitCode: 143, nodeName: 'n1' });
  });

  it('lets a result stand that comes first', () => {
    expect(accepted(reported(task(evicting), 'n1', report({ phase: 'Succeeded', exitCode: 0 }), now))).toMatchObject({ phase: 'Succeeded', exitCode: 0 });
  });

  it('may be asked for again: only a shorter grace period is a change', () => {
    const again = (gracePeriodSeconds?: number) => evicted(task(evicting, { terminationGracePeriodSeconds: 20 }), { ...asked, ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }) }, now + 5000);
    expect([again(), again(60)]).toEqual([undefined, undefined]);
    expect(again(0)!.eviction).toEqual({ ...evicting.eviction, gracePeriodSeconds: 0 });
  });

  it('has nothing to do for a task that is on no node or being deleted', () => {
    expect(evicted(task(initialStatus(now)), asked, now)).toBeUndefined();
    expect(evicted({ ...task(running), metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }, asked, now)).toBeUndefined();
  });

  it('believes an agent that has stopped the task, whatever has become of the request', () => {
    expect(accepted(reported(task(running), 'n1', stopped, now))).toMatchObject({ phase: 'Pending', evictions: 1 });
  });

  it('only marks a finished task, once', () => {
    const done = { ...running, phase: 'Succeeded' } as const;
    const marked = evicted(task(done), asked, now)!;
    expect(marked).toMatchObject({ phase: 'Succeeded', nodeName: 'n1', eviction: { gracePeriodSeconds: 0 } });
    expect(evicted(task(marked), asked, now)).toBeUndefined();
  });
});

describe('unschedulable and failed', () => {
  it('unschedulable says each reason once', () => {
    const said = unschedulable(task(initialStatus(now)), 'Unschedulable', '0/1 nodes fit', now)!;
    expect(said.conditions).toContainEqual(expect.objectContaining({ type: 'Scheduled', status: 'False', message: '0/1 nodes fit' }));
    expect(unschedulable(task(said), 'Unschedulable', '0/1 nodes fit', now)).toBeUndefined();
    expect(unschedulable(task(scheduled), 'Unschedulable', 'x', now)).toBeUndefined();
  });

  it('failed ends a task that waits', () => {
    expect(failed(task(initialStatus(now)), 'DeadlineExceeded', 'too late', now)).toMatchObject({ phase: 'Failed', reason: 'DeadlineExceeded' });
  });
});

describe('the life of a task', () => {
  const step = fc.oneof(
    fc.constantFrom('n1', 'n2').map((node) => (t: Task) => boundTo(t, node, now)),
    fc
      .record({ node: fc.constantFrom('n1', 'n2'), bindings: fc.integer({ min: 0, max: 4 }), attempt: fc.integer({ min: 0, max: 6 }), phase: fc.constantFrom<TaskReport['phase']>('Scheduled', 'Running', 'Succeeded', 'Failed', 'Lost', 'Evicted') })
      .map(({ node, ...over }) => (t: Task) => reported(t, node, report(over), now)),
    fc.constantFrom(0, 30).map((gracePeriodSeconds) => (t: Task) => (t.status!.phase === 'Succeeded' || t.status!.phase === 'Failed' ? undefined : evicted(t, { gracePeriodSeconds, reason: 'r', message: 'm' }, now)) ?? { refused: 'nothing to do' }),
    fc.constant((t: Task) => (t.status!.nodeName && t.status!.phase !== 'Succeeded' && t.status!.phase !== 'Failed' ? afterLoss(t, 'NodeLost', 'lost', now) : { refused: 'not bound' })),
  );

  it('makes only allowed moves, never leaves its end, and never counts back', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40, size: 'max' }), fc.constantFrom('Reschedule', 'Wait', 'Fail'), (steps, onNodeLost) => {
        let current = task(initialStatus(now), { onNodeLost, backoffLimit: 4 });
        for (const apply of steps) {
          const next = apply(current);
          if ('refused' in next) continue;
          const from = current.status!.phase as TaskPhase;
          expect(allowedMoves[from]).toContain(next.phase);
          expect(next.bindings ?? 0).toBeGreaterThanOrEqual(current.status!.bindings ?? 0);
          expect(next.evictions ?? 0).toBeGreaterThanOrEqual(current.status!.evictions ?? 0);
          if (next.eviction) expect(next.nodeName).toBeDefined();
          expect(next.attempt ?? 0).toBeGreaterThanOrEqual(current.status!.attempt ?? 0);
          if (next.phase === 'Pending') expect(next.nodeName).toBeUndefined();
          current = { ...current, status: next };
        }
      }),
    );
  });
});
