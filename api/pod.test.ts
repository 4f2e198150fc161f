import { describe, expect, it } from '@jest/globals';
import { podKind, podOf, podStatusText, podUid } from './pod.js';
import { boundTo, evicted, initialStatus, reported, unschedulable, type Refusal, type TaskReport } from './task-status.js';
import type { Task, TaskSpec, TaskStatus } from './task.js';

const now = Date.UTC(2026, 0, 1);
const uid = '6f1c7d42-94b1-4c2c-9d55-2a4f6a8a1b0e';

function task(status: TaskStatus, spec: Partial<TaskSpec> = {}, metadata: object = {}): Task {
  const complete = { restartPolicy: 'Never', terminationGracePeriodSeconds: 30, priority: 0, onNodeLost: 'Reschedule', ...spec } as TaskSpec;
  return { apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name: 't', namespace: 'default', uid, creationTimestamp: '2026-01-01T00:00:00Z', generation: 1, ...metadata }, spec: complete, status };
}

function accepted(outcome: TaskStatus | Refusal | undefined): TaskStatus {
  if (!outcome || 'refused' in outcome) throw new Error(`refused: ${JSON.stringify(outcome)}`);
  return outcome;
}

const report = (over: Partial<TaskReport>): TaskReport => ({ namespace: 'default', name: 't', uid, bindings: 1, attempt: 1, phase: 'Running', ...over });
const asked = { reason: 'EvictionByEvictionAPI', message: 'evicted' };
const waiting = initialStatus(now);
const scheduled = accepted(boundTo(task(waiting), 'n1', now, '10.0.0.1'));
const running = accepted(reported(task(scheduled), 'n1', report({ startTime: '2026-01-01T00:00:01Z' }), now));
const ended = (over: Partial<TaskReport>): TaskStatus => accepted(reported(task(running), 'n1', report({ startTime: '2026-01-01T00:00:01Z', finishTime: '2026-01-01T00:00:02Z', ...over }), now));
const succeeded = ended({ phase: 'Succeeded', exitCode: 0, reason: 'Completed', message: 'exit code 0' });

describe('the uid of a Pod', () => {
  it('is that of one stay on a node: kept from the wait for the node on, another one after an eviction', () => {
    const evicting = accepted(evicted(task(running), asked, now));
    const free = accepted(reported(task(evicting), 'n1', report({ phase: 'Evicted', reason: 'Evicted', exitCode: 143 }), now));
    const again = accepted(boundTo(task(free), 'n1', now));
    const [first, second] = [podUid(task(waiting)), podUid(task(free))];
    expect([scheduled, running, evicting, succeeded].map((status) => podUid(task(status)))).toEqual([first, first, first, first]);
    expect(podUid(task(again))).toBe(second);
    expect(second).not.toBe(first);
    expect(first).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it('changes, and the Pod leaves its node, when the Pod of a finished task is evicted', () => {
    const marked = accepted(evicted(task(succeeded), asked, now));
    expect(podOf(task(marked)).spec.nodeName).toBeUndefined();
    expect(podUid(task(marked))).not.toBe(podUid(task(succeeded)));
    expect(podOf(task(marked)).status).toMatchObject({ phase: 'Succeeded', containerStatuses: [{ state: { terminated: { exitCode: 0 } } }] });
  });
});

describe('podOf', () => {
  it.each<[string, Task, string, string]>([
    ['waits for the scheduler', task(waiting), 'Pending', 'Pending'],
    ['is bound', task(scheduled), 'Pending', 'ContainerCreating'],
    ['cannot start yet', task(accepted(reported(task(scheduled), 'n1', report({ phase: 'Scheduled', reason: 'CreateConfigError', message: 'no secret' }), now))), 'Pending', 'CreateContainerConfigError'],
    ['runs', task(running), 'Running', 'Running'],
    ['waits for its next start', task(ended({ phase: 'Scheduled', exitCode: 3, reason: 'BackOff' })), 'Running', 'CrashLoopBackOff'],
    ['has succeeded', task(succeeded), 'Succeeded', 'Completed'],
    ['has failed', task(ended({ phase: 'Failed', exitCode: 3, reason: 'Error' })), 'Failed', 'Error'],
    ['ran out of memory', task(ended({ phase: 'Failed', exitCode: 137, signal: 'SIGKILL', reason: 'OOMKilled' })), 'Failed', 'OOMKilled'],
    ['was too slow', task(ended({ phase: 'Failed', exitCode: 143, signal: 'SIGTERM', reason: 'DeadlineExceeded' })), 'Failed', 'DeadlineExceeded'],
    ['is being deleted', task(running, {}, { deletionTimestamp: '2026-01-01T00:00:30Z' }), 'Running', 'Terminating'],
    ['is being evicted', task(accepted(evicted(task(running), asked, now))), 'Running', 'Terminating'],
    ['waits for its lost node', task({ ...running, phase: 'Unknown', reason: 'NodeLost' }), 'Unknown', 'NodeLost'],
    ['was evicted for good', task(accepted(reported(task(accepted(evicted(task(running), asked, now)), { onNodeLost: 'Fail' }), 'n1', report({ phase: 'Evicted', reason: 'Evicted', exitCode: 143 }), now))), 'Failed', 'Evicted'],
  ])('says of a task that %s', (_what, of, phase, text) => {
    const pod = podOf(of);
    expect([pod.status.phase, podStatusText(pod)]).toEqual([phase, text]);
  });

  it('tells how a container ended, now and the time before', () => {
    const backOff = podOf(task(ended({ phase: 'Scheduled', exitCode: 143, signal: 'SIGTERM', reason: 'BackOff', message: 'attempt 2 follows' })));
    expect(backOff.status.containerStatuses![0]).toMatchObject({
      ready: false,
      state: { waiting: { reason: 'CrashLoopBackOff', message: 'attempt 2 follows' } },
      lastState: { terminated: { exitCode: 143, signal: 15, reason: 'Error', startedAt: '2026-01-01T00:00:01Z', finishedAt: '2026-01-01T00:00:02Z' } },
    });
    const lastAttempt = { attempt: 1, nodeName: 'n1', exitCode: 3, reason: 'Error', finishTime: '2026-01-01T00:00:02Z' };
    const second = podOf(task(accepted(reported(task(running), 'n1', report({ attempt: 2, lastAttempt }), now))));
    expect(second.status.containerStatuses![0]).toMatchObject({ ready: true, restartCount: 1, lastState: { terminated: { exitCode: 3, reason: 'Error' } } });
    const cells = podKind.columns.map(({ name, cell }) => [name, cell(second, now + 62_000)]);
    expect(cells).toEqual([['Name', 't'], ['Ready', '1/1'], ['Status', expect.any(String)], ['Restarts', '1 (60s ago)'], ['Age', '62s'], ['IP', '10.0.0.1'], ['Node', 'n1'], ['Nominated Node', '<none>'], ['Readiness Gates', '<none>']]);
  });

  it('knows nothing of the stay before', () => {
    const free = accepted(reported(task(accepted(evicted(task(running), asked, now))), 'n1', report({ phase: 'Evicted', reason: 'Evicted', exitCode: 143 }), now));
    const again = podOf(task(accepted(boundTo(task(free), 'n1', now))));
    expect(again.status.containerStatuses![0]).toMatchObject({ restartCount: 0, lastState: {} });
    expect(podOf(task(free)).status).not.toHaveProperty('containerStatuses');
  });

  it('has a controller, so that drain takes it for replaceable, unless an eviction makes the task fail', () => {
    expect(podOf(task(running)).metadata.ownerReferences).toEqual([{ apiVersion: 'taskplane.dev/v1', kind: 'Task', name: 't', uid, controller: true, blockOwnerDeletion: true }]);
    expect(podOf(task(running, { onNodeLost: 'Fail' })).metadata.ownerReferences![0]).not.toHaveProperty('controller');
  });

  it('says until when it has to stop, as Kubernetes does', () => {
    const pod = podOf(task(accepted(evicted(task(running), { ...asked, gracePeriodSeconds: 5 }, now))));
    expect(pod.metadata).toMatchObject({ deletionTimestamp: '2026-01-01T00:00:05Z', deletionGracePeriodSeconds: 5 });
    expect(pod.status.conditions).toContainEqual(expect.objectContaining({ type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI' }));
  });

  it('has conditions with their times', () => {
    const nowhere = podOf(task(unschedulable(task(waiting), 'Unschedulable', '0/1 nodes fit', now)!));
    expect(nowhere.status.conditions).toEqual([{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/1 nodes fit', lastTransitionTime: '2026-01-01T00:00:00Z', lastProbeTime: null }]);
    expect(podOf(task(running)).status.conditions.map(({ type, status, lastTransitionTime }) => [type, status, lastTransitionTime])).toEqual(
      ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'].map((type) => [type, 'True', '2026-01-01T00:00:00Z']),
    );
  });

  it('shows where secrets come from, and is nothing that kubectl would prune', () => {
    const env = [{ name: 'KEY', valueFrom: { secretKeyRef: { name: 'k', key: 'v' } } }];
    const pod = podOf(task(running, { command: ['a'], args: ['b'], env, resources: { requests: { cpu: '1', memory: '1Gi' }, limits: { cpu: '1', memory: '1Gi' } } }, { annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{}' }, finalizers: ['x'] }));
    expect(pod.spec.containers[0]).toMatchObject({ command: ['a'], args: ['b'], env });
    expect(pod.status.qosClass).toBe('Guaranteed');
    expect(pod.metadata).not.toHaveProperty('annotations');
    expect(pod.metadata).not.toHaveProperty('finalizers');
    expect(podOf(task(running)).status.qosClass).toBe('BestEffort');
  });
});
