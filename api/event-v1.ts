// event-v1.ts
//
// events.k8s.io/v1: the events of event.ts under the names that newer clients use for the same fields. Stored as core v1
// Events, so that each group shows what was written through the other.

import { dequal } from 'dequal';
import { Type, type Static } from 'typebox';
import { invalidValue, required, type FieldProblem } from './errors.js';
import { EventSeries, EventSource, eventKind, eventProblems, eventTimeField, ObjectReference, type Event } from './event.js';
import type { KindDefinition } from './kind.js';
import { ObjectMeta, type KubeObject } from './meta.js';
import { subdomainProblem } from './names.js';
import { ObjectSchema } from './schema.js';

const opt = Type.Optional;

const EventV1Object = Type.Object({
  apiVersion: Type.String({ description: 'events.k8s.io/v1' }),
  kind: Type.String({ description: 'Event' }),
  metadata: ObjectMeta,
  eventTime: eventTimeField('When it first happened.'),
  series: opt(EventSeries),
  reportingController: opt(Type.String({ description: 'Who saw it: a name such as example.com/controller.' })),
  reportingInstance: opt(Type.String({ description: 'Which of its processes saw it.' })),
  action: opt(Type.String({ description: 'What was done, in one CamelCase word.' })),
  reason: opt(Type.String({ description: 'What happened, in one CamelCase word.' })),
  regarding: opt(ObjectReference),
  related: opt(ObjectReference),
  note: opt(Type.String({ description: 'What happened, in a sentence.' })),
  type: opt(Type.String({ description: 'Normal or Warning.' })),
  deprecatedSource: opt(EventSource),
  deprecatedFirstTimestamp: eventTimeField('firstTimestamp of the core v1 Event.'),
  deprecatedLastTimestamp: eventTimeField('lastTimestamp of the core v1 Event.'),
  deprecatedCount: opt(Type.Integer({ description: 'count of the core v1 Event.' })),
});

export interface EventV1 extends KubeObject, Omit<Static<typeof EventV1Object>, 'metadata' | 'apiVersion' | 'kind'> {
  apiVersion: 'events.k8s.io/v1';
  kind: 'Event';
}

/** The same field in events.k8s.io/v1 and in core v1; the others bear the same name in both. */
const renamed = [
  ['regarding', 'involvedObject'],
  ['note', 'message'],
  ['reportingController', 'reportingComponent'],
  ['deprecatedSource', 'source'],
  ['deprecatedFirstTimestamp', 'firstTimestamp'],
  ['deprecatedLastTimestamp', 'lastTimestamp'],
  ['deprecatedCount', 'count'],
] as const;

const toCore = new Map<string, string>(renamed);
const fromCore = new Map<string, string>(renamed.map(([v1, core]) => [core, v1]));

function withNames(object: KubeObject, apiVersion: string, names: ReadonlyMap<string, string>): KubeObject {
  const named = Object.entries(object).map(([field, value]): [string, unknown] => [names.get(field) ?? field, value]);
  return { ...Object.fromEntries(named), apiVersion } as KubeObject;
}

/** The event as it is stored. Pure. */
export function coreEvent(event: EventV1): Event {
  const core = withNames(event, 'v1', toCore);
  return (core['involvedObject'] === undefined ? { ...core, involvedObject: {} } : core) as Event;
}

/** The stored event as events.k8s.io shows it. Pure. */
export function eventV1Of(event: KubeObject): EventV1 {
  return withNames(event, 'events.k8s.io/v1', fromCore) as EventV1;
}

/** What a new event of this group may not bring, or must. */
function creationProblems(event: EventV1): FieldProblem[] {
  const problems = seriesProblems(event);
  if (!event.eventTime) problems.push(required('eventTime'));
  if (event.type !== 'Normal' && event.type !== 'Warning') problems.push(invalidValue('type', '', `has invalid value: ${event.type ?? ''}`));
  const older = { firstTimestamp: event.deprecatedFirstTimestamp, lastTimestamp: event.deprecatedLastTimestamp, count: event.deprecatedCount, source: event.deprecatedSource?.component || event.deprecatedSource?.host };
  for (const [field, value] of Object.entries(older)) if (value) problems.push(invalidValue(field, '', 'needs to be unset'));
  return problems;
}

function seriesProblems({ series }: EventV1): FieldProblem[] {
  const problems: FieldProblem[] = [];
  if (series && (series.count ?? 0) < 2) problems.push(invalidValue('series.count', '', 'should be at least 2'));
  if (series && !series.lastObservedTime) problems.push(required('series.lastObservedTime'));
  return problems;
}

/** Only its metadata, note and series change once an event is recorded. */
function changeProblems(event: EventV1, old: EventV1): FieldProblem[] {
  const problems = dequal(event.series, old.series) ? [] : seriesProblems(event);
  for (const field of ['regarding', 'reason', 'reportingController', 'reportingInstance', 'action', 'related', 'type', 'eventTime'] as const) {
    if (!dequal(event[field], old[field])) problems.push(invalidValue(toCore.get(field) ?? field, event[field] ?? null, 'field is immutable'));
  }
  for (const field of ['deprecatedFirstTimestamp', 'deprecatedLastTimestamp', 'deprecatedCount', 'deprecatedSource'] as const) {
    if (!dequal(event[field], old[field])) problems.push(invalidValue(toCore.get(field)!, event[field] ?? null, 'field is immutable'));
  }
  return problems;
}

const regarding = (field: keyof ObjectReference) => (event: EventV1) => event.regarding?.[field] ?? '';

export const eventV1Kind: KindDefinition<EventV1> = {
  group: 'events.k8s.io',
  version: 'v1',
  kind: 'Event',
  plural: 'events',
  singular: 'event',
  shortNames: ['ev'],
  categories: [],
  namespaced: true,
  description: 'An Event tells what happened to an object. Events go an hour after they last happened.',
  schema: new ObjectSchema(EventV1Object),
  statusSubresource: false,
  storedAs: { kind: eventKind as unknown as KindDefinition, toStored: (event) => coreEvent(event), fromStored: eventV1Of },
  nameProblem: subdomainProblem,
  validate: (event) => eventProblems(coreEvent(event), 'reportingController'),
  validateCreate: creationProblems,
  validateUpdate: changeProblems,
  selectableFields: {
    'regarding.apiVersion': regarding('apiVersion'),
    'regarding.kind': regarding('kind'),
    'regarding.namespace': regarding('namespace'),
    'regarding.name': regarding('name'),
    'regarding.uid': regarding('uid'),
    'regarding.resourceVersion': regarding('resourceVersion'),
    'regarding.fieldPath': regarding('fieldPath'),
    reason: (event) => event.reason ?? '',
    type: (event) => event.type ?? '',
    reportingController: (event) => event.reportingController ?? '',
  },
  columns: eventKind.columns.map((column) => ({ ...column, cell: (event, now) => column.cell(coreEvent(event), now) })),
};
