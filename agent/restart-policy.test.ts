import { describe, expect, it } from '@jest/globals';
import { decide, type AttemptEnd, type RestartInput } from './restart-policy.js';

const at = 1_000_000;
const end = (parts: Partial<AttemptEnd>): AttemptEnd => ({ exitCode: 0, startedAt: at - 1_000, finishedAt: at, ...parts });
const input = (parts: Partial<RestartInput>): RestartInput => ({ end: end({}), spec: {}, attempt: 1, delays: 0, ...parts });

describe('decide', () => {
  it.each([
    ['Never', {}, 'Succeeded', 'Completed'],
    ['OnFailure', {}, 'Succeeded', 'Completed'],
    ['Never', { exitCode: 3 }, 'Failed', 'Error'],
    ['Never', { exitCode: 137, signal: 'SIGKILL', oomKilled: true }, 'Failed', 'OOMKilled'],
    ['Never', { exitCode: 127, startError: 'x: not found' }, 'Failed', 'StartError'],
    ['Always', { exitCode: 143, stoppedFor: 'DeadlineExceeded' }, 'Failed', 'DeadlineExceeded'],
    ['OnFailure', { exitCode: 0, stoppedFor: 'DeadlineExceeded' }, 'Failed', 'DeadlineExceeded'],
    ['Always', { exitCode: 143, stoppedFor: 'Deleted' }, 'Failed', 'Error'],
    ['Always', { exitCode: 0, stoppedFor: 'Deleted' }, 'Succeeded', 'Completed'],
  ] as const)('with %s, %j finishes the task as %s, %s', (restartPolicy, parts, phase, reason) => {
    expect(decide(input({ end: end(parts), spec: { restartPolicy } }))).toMatchObject({ action: 'finish', phase, reason });
  });

  it.each([
    ['OnFailure', { exitCode: 1 }],
    ['OnFailure', { exitCode: 127, startError: 'x: not found' }],
    ['Always', { exitCode: 0 }],
    ['Always', { exitCode: 1 }],
  ] as const)('with %s, %j is followed by another attempt', (restartPolicy, parts) => {
    expect(decide(input({ end: end(parts), spec: { restartPolicy } }))).toMatchObject({ action: 'restart', atMs: at + 1_000, delays: 1 });
  });

  it('doubles the delay up to five minutes', () => {
    const delays = [0, 1, 2, 7, 8, 9, 20].map((before) => {
      const decision = decide(input({ end: end({ exitCode: 1 }), spec: { restartPolicy: 'Always' }, delays: before }));
      return decision.action === 'restart' ? (decision.atMs - at) / 1000 : undefined;
    });
    expect(delays).toEqual([1, 2, 4, 128, 256, 300, 300]);
  });

  it('starts the delays anew after ten minutes of running', () => {
    expect(decide(input({ end: end({ exitCode: 1, startedAt: at - 600_000 }), spec: { restartPolicy: 'Always' }, delays: 8 }))).toMatchObject({ atMs: at + 1_000, delays: 1 });
  });

  it('counts attempts against backoffLimit, six when it is absent', () => {
    expect(decide(input({ end: end({ exitCode: 1 }), spec: { restartPolicy: 'OnFailure' }, attempt: 5 }))).toMatchObject({ action: 'restart' });
    expect(decide(input({ end: end({ exitCode: 1 }), spec: { restartPolicy: 'OnFailure' }, attempt: 6 }))).toMatchObject({ phase: 'Failed', reason: 'BackoffLimitExceeded', message: 'exit code 1; it was attempt 6 of 6' });
    expect(decide(input({ end: end({ exitCode: 1 }), spec: { restartPolicy: 'Always' }, attempt: 1_000 }))).toMatchObject({ action: 'restart' });
    expect(decide(input({ end: end({ exitCode: 0 }), spec: { restartPolicy: 'Always', backoffLimit: 2 }, attempt: 2 }))).toMatchObject({ phase: 'Succeeded' });
  });

  it('does not wait for an attempt that would start after the deadline', () => {
    const spec = { restartPolicy: 'OnFailure', activeDeadlineSeconds: 5 };
    expect(decide(input({ end: end({ exitCode: 1 }), spec, deadlineAt: at + 1_000 }))).toMatchObject({ phase: 'Failed', reason: 'DeadlineExceeded' });
    expect(decide(input({ end: end({ exitCode: 1 }), spec, deadlineAt: at + 1_001 }))).toMatchObject({ action: 'restart' });
  });

  it('says in the message what happened', () => {
    const message = (parts: Partial<AttemptEnd>, limits?: Record<string, string>) => decide(input({ end: end(parts), spec: { resources: { limits: limits ?? {} } } })).message;
    expect(message({ exitCode: 3 })).toBe('exit code 3');
    expect(message({ exitCode: 139, signal: 'SIGSEGV' })).toBe('ended by SIGSEGV');
    expect(message({ exitCode: 137, oomKilled: true }, { memory: '64Mi' })).toBe('killed: over its memory limit of 64Mi');
    expect(message({ exitCode: 137, oomKilled: true })).toBe('killed: out of memory');
  });
});
