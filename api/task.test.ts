import { describe, expect, it } from '@jest/globals';
import { attemptsMax, displayStatus, isSettled, taskKind, type Task, type TaskSpec } from './task.js';

function task(spec: Partial<TaskSpec>, status?: Task['status']): Task {
  return { apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name: 't', namespace: 'default' }, spec: spec as TaskSpec, ...(status ? { status } : {}) };
}

function problems(spec: Partial<TaskSpec>): string[] {
  const object = task(spec);
  return [...taskKind.schema.problems(object), ...taskKind.validate!(object)].map((problem) => `${problem.field}: ${problem.message}`);
}

function updateProblems(old: Task, spec: Partial<TaskSpec>): string[] {
  return taskKind.validateUpdate!(task({ ...old.spec, ...spec }), old).map((problem) => problem.field);
}

describe('a task manifest', () => {
  it('with a command is accepted, and so is one with a script', () => {
    expect(problems({ command: ['true'] })).toEqual([]);
    expect(problems({ script: 'echo hi' })).toEqual([]);
  });

  it.each([
    [{}, 'spec.command: Required value: give command (a list) or script (a shell script)'],
    [{ command: ['a'], script: 'b' }, 'spec.script: Forbidden: may not be used together with command; keep one of them'],
    [{ command: [] }, 'spec.command: Invalid value: []: must not be empty'],
    [{ command: ['true'], workingDir: 'tmp' }, 'spec.workingDir: Invalid value: "tmp": must be an absolute path'],
    [{ command: ['true'], restartPolicy: 'Sometimes' }, 'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Never", "OnFailure", "Always"'],
    [{ command: ['true'], backoffLimit: 0 }, 'spec.backoffLimit: Invalid value: 0: must be greater than or equal to 1'],
    [{ command: ['true'], resources: { requests: { cpu: '2' }, limits: { cpu: '1' } } }, 'spec.resources.requests[cpu]: Invalid value: "2": must be less than or equal to the cpu limit of 1'],
    [{ command: ['true'], resources: { requests: { memory: '-1' } } }, 'spec.resources.requests[memory]: Invalid value: "-1": must be greater than or equal to 0'],
    [{ command: ['true'], env: [{ name: 'A B', value: '' }] }, `spec.env[0].name: Invalid value: "A B": a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit (e.g. 'MY_NAME')`],
    [{ command: ['true'], env: [{ name: 'A', valueFrom: {} }] }, 'spec.env[0].valueFrom: Invalid value: "": must have exactly one of secretKeyRef, configMapKeyRef and fieldRef'],
    [{ command: ['true'], runAsUser: 'a b' }, 'spec.runAsUser: Invalid value: "a b": must be the name or the number of a user'],
    [{ command: ['true'], tolerations: [{ value: 'x' }] }, 'spec.tolerations[0].operator: Invalid value: "Equal": must be Exists when key is empty, which means "match all values and all keys"'],
  ])('%j is refused', (spec, message) => {
    expect(problems(spec as Partial<TaskSpec>)).toContain(message);
  });

  it('with several problems gets them all at once', () => {
    expect(problems({ workingDir: 'x', nodeName: 'A', resources: { limits: { cpu: 'lots' } } })).toHaveLength(4);
  });

  it('gets its defaults: requests from limits, Never, 30 s of grace', () => {
    const object = task({ command: ['true'], resources: { limits: { cpu: '1', memory: '1Gi' }, requests: { memory: '1Mi' } } });
    taskKind.schema.applyDefaults(object);
    taskKind.applyDefaults!(object);
    expect(object.spec).toMatchObject({ restartPolicy: 'Never', terminationGracePeriodSeconds: 30, priority: 0, onNodeLost: 'Reschedule', resources: { requests: { cpu: '1', memory: '1Mi' } } });
  });

  it('names unknown fields by their path', () => {
    const object = task({ command: ['true'], comand: 1, env: [{ name: 'A', vale: 'x' }] } as unknown as TaskSpec);
    expect(taskKind.schema.unknownFields(object)).toEqual(['spec.env[0].vale', 'spec.comand'].sort((a, b) => (a === 'spec.env[0].vale' ? 1 : b === 'spec.env[0].vale' ? -1 : 0)));
    taskKind.schema.prune(object);
    expect(object.spec).toEqual({ command: ['true'], env: [{ name: 'A' }] });
  });
});

describe('an update of a task', () => {
  const pending = task({ command: ['true'], priority: 1 }, { phase: 'Pending' });
  const bound = task({ command: ['true'], tolerations: [{ key: 'a', operator: 'Exists' }] }, { phase: 'Running', nodeName: 'n1' });

  it('may change anything while it is pending', () => {
    expect(updateProblems(pending, { command: ['false'], nodeSelector: { a: 'b' } })).toEqual([]);
  });

  it('may change only what an agent can take up once it is bound', () => {
    expect(updateProblems(bound, { restartPolicy: 'Always', backoffLimit: 2, activeDeadlineSeconds: 5, ttlSecondsAfterFinished: 1, terminationGracePeriodSeconds: 1, priority: 4 })).toEqual([]);
    expect(updateProblems(bound, { command: ['false'], nodeName: 'n2' })).toEqual(['spec.command', 'spec.nodeName']);
  });

  it('may add tolerations once it is bound, not change or remove them', () => {
    expect(updateProblems(bound, { tolerations: [{ key: 'a', operator: 'Exists' }, { key: 'b', operator: 'Exists' }] })).toEqual([]);
    expect(updateProblems(bound, { tolerations: [] })).toEqual(['spec.tolerations']);
    expect(updateProblems(bound, { tolerations: [{ key: 'b', operator: 'Exists' }] })).toEqual(['spec.tolerations']);
  });
});

describe('attemptsMax and displayStatus', () => {
  it('attemptsMax is 6, or none with restartPolicy Always, or what backoffLimit says', () => {
    expect(attemptsMax({ restartPolicy: 'OnFailure' } as TaskSpec)).toBe(6);
    expect(attemptsMax({ restartPolicy: 'Always' } as TaskSpec)).toBe(Infinity);
    expect(attemptsMax({ restartPolicy: 'Always', backoffLimit: 2 } as TaskSpec)).toBe(2);
  });

  it('displayStatus tells the reason of a failure and that a task is on its way out', () => {
    expect(displayStatus(task({}))).toBe('Pending');
    expect(displayStatus(task({}, { phase: 'Failed', reason: 'OOMKilled' }))).toBe('OOMKilled');
    expect(displayStatus(task({}, { phase: 'Failed', reason: 'Error' }))).toBe('Failed');
    expect(displayStatus({ ...task({}, { phase: 'Running' }), metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } })).toBe('Terminating');
  });
});

describe('a task is settled', () => {
  it('when it has finished and neither a time, an owner nor a deletion will do anything to it', () => {
    const done = task({ command: ['true'] }, { phase: 'Succeeded' });
    expect(isSettled(done)).toBe(true);
    expect(isSettled(task({}, { phase: 'Failed' }))).toBe(true);
    expect(isSettled(task({}, { phase: 'Unknown' }))).toBe(false);
    expect(isSettled(task({}))).toBe(false);
    expect(isSettled(task({ ttlSecondsAfterFinished: 0 }, { phase: 'Failed' }))).toBe(false);
    expect(isSettled({ ...done, metadata: { ...done.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } })).toBe(false);
    expect(isSettled({ ...done, metadata: { ...done.metadata, ownerReferences: [] } })).toBe(true);
    expect(isSettled({ ...done, metadata: { ...done.metadata, ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'a', uid: 'u' }] } })).toBe(false);
  });
});
