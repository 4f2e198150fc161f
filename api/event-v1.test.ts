import { describe, expect, it } from '@jest/globals';
import { eventKind, type Event } from './event.js';
import { coreEvent, eventV1Kind, eventV1Of, type EventV1 } from './event-v1.js';

const recorded: EventV1 = {
  apiVersion: 'events.k8s.io/v1',
  kind: 'Event',
  metadata: { name: 'e', namespace: 'default' },
  eventTime: '2026-11-21T10:00:00.123456Z',
  reportingController: 'example.com/widgets',
  reportingInstance: 'widgets-0',
  action: 'Reconcile',
  reason: 'Created',
  regarding: { apiVersion: 'v1', kind: 'Node', name: 'm1' },
  note: 'made a widget',
  type: 'Normal',
};

describe('an event of events.k8s.io/v1', () => {
  it('is a core event under other names, and comes back as it was', () => {
    expect(coreEvent(recorded)).toEqual({
      apiVersion: 'v1', kind: 'Event', metadata: recorded.metadata, eventTime: recorded.eventTime, reportingComponent: 'example.com/widgets', reportingInstance: 'widgets-0',
      action: 'Reconcile', reason: 'Created', involvedObject: recorded.regarding, message: 'made a widget', type: 'Normal',
    });
    expect(eventV1Of(coreEvent(recorded))).toEqual(recorded);
  });

  it('shows the older fields of a core event as deprecated', () => {
    const core = { apiVersion: 'v1', kind: 'Event', metadata: {}, involvedObject: {}, source: { component: 'agent' }, firstTimestamp: 'a', lastTimestamp: 'b', count: 3 } as Event;
    expect(eventV1Of(core)).toMatchObject({ deprecatedSource: { component: 'agent' }, deprecatedFirstTimestamp: 'a', deprecatedLastTimestamp: 'b', deprecatedCount: 3 });
  });

  it.each<[string, Partial<EventV1>, string[]]>([
    ['is right as recorders write it', {}, []],
    ['needs a time', { eventTime: null }, ['Required value', ]],
    ['needs who and what', { reportingController: '', action: '', reason: '' }, ['reportingController', 'action', 'reason']],
    ['brings none of the older fields', { deprecatedCount: 2, deprecatedSource: { component: 'x' } }, ['count', 'source']],
    ['has a series only of several', { series: { count: 1 } }, ['series.count', 'series.lastObservedTime']],
    ['is Normal or a Warning', { type: 'Odd' }, ['type']],
    ['lies where its object does', { regarding: { namespace: 'x' }, metadata: { name: 'e', namespace: 'y' }, eventTime: null }, ['involvedObject.namespace', 'eventTime']],
  ])('%s', (_what, parts, fields) => {
    const event = { ...recorded, ...parts };
    const problems = [...eventV1Kind.validate!(event), ...eventV1Kind.validateCreate!(event)];
    if (fields[0] === 'Required value') expect(problems.map(({ message }) => message)).toContain('Required value');
    else expect(problems.map(({ field }) => field)).toEqual(expect.arrayContaining(fields));
    if (fields.length === 0) expect(problems).toEqual([]);
  });

  it('changes in its series and note only', () => {
    const changed = { ...recorded, note: 'again', series: { count: 2, lastObservedTime: '2026-11-21T10:01:00.000000Z' } };
    expect(eventV1Kind.validateUpdate!(changed, recorded)).toEqual([]);
    expect(eventV1Kind.validateUpdate!({ ...recorded, reason: 'Other' }, recorded)).toMatchObject([{ field: 'reason', message: 'Invalid value: "Other": field is immutable' }]);
  });

  it('is counted by its series in the table of either group', () => {
    const cells = (kind: 'core' | 'v1', event: EventV1): unknown[] =>
      kind === 'core' ? eventKind.columns.map((column) => column.cell(coreEvent(event), Date.parse('2026-11-21T10:02:00Z'))) : eventV1Kind.columns.map((column) => column.cell(event, Date.parse('2026-11-21T10:02:00Z')));
    const event = { ...recorded, series: { count: 7, lastObservedTime: '2026-11-21T10:01:30.000000Z' } };
    expect(cells('v1', event)).toEqual(cells('core', event));
    expect(cells('v1', event)).toEqual(['30s', 'Normal', 'Created', 'node/m1', '', 'example.com/widgets, widgets-0', 'made a widget', '119s', '7', 'e']);
  });
});
