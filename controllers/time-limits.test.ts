import { describe, expect, it } from '@jest/globals';
import type { Event } from '../api/event.js';
import { timestamp } from '../api/meta.js';
import type { Task, TaskSpec, TaskStatus } from '../api/task.js';
import { expiryInMs, withoutWords } from './event-ttl/plan.js';
import { afterDeadline, deadlineInMs } from './task-deadline/plan.js';
import { deletionDueInMs } from './task-ttl/plan.js';

const now = Date.UTC(2026, 0, 1);
const task = (spec: Partial<TaskSpec>, status: TaskStatus, metadata: object = {}): Task => ({
  apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name: 't', creationTimestamp: timestamp(now - 100_000), ...metadata }, spec: { command: ['true'], ...spec }, status,
});

describe('when a finished task goes', () => {
  const ttl = { ttlSecondsAfterFinished: 60 };
  it.each([
    ['so long after it finished', ttl, { phase: 'Succeeded', finishTime: timestamp(now - 20_000) }, 40_000],
    ['now, when that has passed', ttl, { phase: 'Failed', finishTime: timestamp(now - 90_000) }, 0],
    ['no later than its time from now, when the clock of its machine is ahead', ttl, { phase: 'Failed', finishTime: timestamp(now + 9e6) }, 60_000],
    ['never without a time', {}, { phase: 'Failed', finishTime: timestamp(now) }, undefined],
    ['never while it runs', ttl, { phase: 'Running' }, undefined],
  ] as const)('%s', (_name, spec, status, expected) => {
    expect(deletionDueInMs(task(spec, status as TaskStatus), now)).toBe(expected);
  });

  it('not again when it is being deleted', () => {
    expect(deletionDueInMs(task(ttl, { phase: 'Failed' }, { deletionTimestamp: timestamp(now) }), now)).toBeUndefined();
  });
});

describe('when a deadline is ours to watch', () => {
  const spec = { activeDeadlineSeconds: 60 };
  const firstStartTime = timestamp(now - 20_000);
  it.each([
    ['while the task is pending again', spec, { phase: 'Pending', firstStartTime }, 40_000],
    ['while its node is lost', spec, { phase: 'Unknown', firstStartTime }, 40_000],
    ['not while an agent has it', spec, { phase: 'Running', firstStartTime }, undefined],
    ['not before its first start', spec, { phase: 'Pending' }, undefined],
    ['not without a deadline', {}, { phase: 'Pending', firstStartTime }, undefined],
  ] as const)('%s', (_name, fields, status, expected) => {
    expect(deadlineInMs(task(fields, status as TaskStatus), now)).toBe(expected);
  });

  it('fails the task with the reason and the condition', () => {
    const status = afterDeadline(task(spec, { phase: 'Pending', firstStartTime }), now);
    expect(status).toMatchObject({ phase: 'Failed', reason: 'DeadlineExceeded', message: expect.stringContaining('activeDeadlineSeconds (60)') });
    expect(status.conditions).toContainEqual(expect.objectContaining({ type: 'Finished', status: 'True' }));
  });
});

describe('when an event goes', () => {
  const event = (fields: Partial<Event>): Event => ({ apiVersion: 'v1', kind: 'Event', metadata: { name: 'e' }, involvedObject: {}, ...fields });
  it('an hour after it last happened, by whatever time it carries', () => {
    expect(expiryInMs(event({ lastTimestamp: timestamp(now - 3_000_000) }), now)).toBe(600_000);
    expect(expiryInMs(event({ eventTime: timestamp(now - 3_600_000) }), now)).toBe(0);
    expect(expiryInMs(event({ lastTimestamp: timestamp(now + 1e9) }), now)).toBe(3_600_000);
  });
  it('its words are not kept', () => {
    expect(JSON.stringify(withoutWords(event({ message: 'long', lastTimestamp: timestamp(now) })))).not.toContain('long');
  });
});
