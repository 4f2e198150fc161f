// event.ts: what happened to an object, for people. Core v1 Event; event-v1.ts is the same thing as events.k8s.io shows it.

import { Type, type Static } from 'typebox';
import { invalidValue, required, type FieldProblem } from './errors.js';
import { age, type KindDefinition } from './kind.js';
import { ObjectMeta, parseTimestamp, type KubeObject } from './meta.js';
import { qualifiedNameProblem, subdomainProblem } from './names.js';
import { ObjectSchema } from './schema.js';

const opt = Type.Optional;

export const ObjectReference = Type.Object(
  {
    apiVersion: opt(Type.String()),
    kind: opt(Type.String()),
    namespace: opt(Type.String()),
    name: opt(Type.String()),
    uid: opt(Type.String()),
    resourceVersion: opt(Type.String()),
    fieldPath: opt(Type.String()),
  },
  { 'x-kubernetes-map-type': 'atomic', description: 'The object that the event is about.' },
);
export type ObjectReference = Static<typeof ObjectReference>;

export const eventTimeField = (description: string) => opt(Type.Union([Type.String({ format: 'date-time' }), Type.Null()], { description }));
const time = eventTimeField;

export const EventSource = Type.Object(
  { component: opt(Type.String({ description: 'Program that saw it.' })), host: opt(Type.String({ description: 'Node it was seen on.' })) },
  { description: 'Who saw it.' },
);

export const EventSeries = Type.Object(
  { count: opt(Type.Integer({ description: 'How often it happened.' })), lastObservedTime: time('When it last happened.') },
  { description: 'That it goes on happening.' },
);

const EventObject = Type.Object({
  apiVersion: Type.String({ description: 'v1' }),
  kind: Type.String({ description: 'Event' }),
  metadata: ObjectMeta,
  involvedObject: ObjectReference,
  reason: opt(Type.String({ description: 'What happened, in one CamelCase word.' })),
  message: opt(Type.String({ description: 'What happened, in a sentence.' })),
  type: opt(Type.String({ description: 'Normal or Warning.' })),
  count: opt(Type.Integer({ description: 'How often it happened.' })),
  firstTimestamp: time('When it first happened.'),
  lastTimestamp: time('When it last happened.'),
  eventTime: time('When it happened.'),
  source: opt(EventSource),
  series: opt(EventSeries),
  action: opt(Type.String({ description: 'What was done, in one CamelCase word.' })),
  related: opt(ObjectReference),
  reportingComponent: opt(Type.String({ description: 'Who saw it: a name such as example.com/controller.' })),
  reportingInstance: opt(Type.String({ description: 'Which of its processes saw it.' })),
});

export interface Event extends KubeObject, Omit<Static<typeof EventObject>, 'metadata' | 'apiVersion' | 'kind'> {
  apiVersion: 'v1';
  kind: 'Event';
}

/** Seconds that an event is kept after it last happened. */
export const eventTtlSeconds = 3600;

/** Longest texts of an event with an eventTime, in characters, as Kubernetes has it. */
const lengthsMax = { reportingInstance: 128, action: 128, reason: 128, message: 1024 } as const;

/**
 * What Kubernetes asks of an event: more of one with an eventTime than of the older form.
 * https://github.com/kubernetes/kubernetes/blob/master/pkg/apis/core/validation/events.go
 * @param reportingField what reportingComponent is called in the group that the client uses
 */
export function eventProblems(event: Event, reportingField: 'reportingComponent' | 'reportingController'): FieldProblem[] {
  const problems: FieldProblem[] = [];
  const { namespace = '' } = event.metadata;
  const about = event.involvedObject?.namespace ?? '';
  const mismatch = invalidValue('involvedObject.namespace', about, 'does not match event.namespace');
  if (!event.eventTime) {
    if (about === '' ? namespace !== 'default' : namespace !== about) problems.push(mismatch);
    return problems;
  }
  if (about === '' && namespace !== 'default' && namespace !== 'kube-system') problems.push(mismatch);
  const { reportingComponent = '' } = event;
  const nameProblem = qualifiedNameProblem(reportingComponent);
  if (reportingComponent === '') problems.push(required(reportingField));
  else if (nameProblem) problems.push(invalidValue(reportingField, reportingComponent, nameProblem));
  for (const field of ['reportingInstance', 'action', 'reason', 'message'] as const) {
    const text = event[field] ?? '';
    if (text === '' && field !== 'message') problems.push(required(field));
    if (text.length > lengthsMax[field]) problems.push(invalidValue(field, '', `can have at most ${lengthsMax[field]} characters`));
  }
  return problems;
}

/** When the event last happened, in milliseconds since the epoch; undefined when it does not say. */
export function lastHappened({ series, lastTimestamp, eventTime, metadata }: Pick<Event, 'series' | 'lastTimestamp' | 'eventTime' | 'metadata'>): number | undefined {
  return parseTimestamp(series?.lastObservedTime) ?? parseTimestamp(lastTimestamp) ?? parseTimestamp(eventTime) ?? parseTimestamp(metadata.creationTimestamp);
}

const firstSeen = (event: Event): string | null | undefined => event.firstTimestamp ?? event.eventTime;
const lastSeen = (event: Event): string | null | undefined => event.series?.lastObservedTime ?? event.lastTimestamp ?? firstSeen(event);

/** `component, host`, as kubectl shows who saw an event. */
function sourceText({ source, reportingComponent = '', reportingInstance = '' }: Event): string {
  const component = source?.component ?? reportingComponent;
  const place = source?.component === undefined ? reportingInstance : (source.host ?? '');
  return place ? `${component}, ${place}` : component;
}

const involved = (field: keyof ObjectReference) => (event: Event) => event.involvedObject?.[field] ?? '';

export const eventKind: KindDefinition<Event> = {
  group: '',
  version: 'v1',
  kind: 'Event',
  plural: 'events',
  singular: 'event',
  shortNames: ['ev'],
  categories: [],
  namespaced: true,
  description: 'An Event tells what happened to an object. Events go an hour after they last happened.',
  schema: new ObjectSchema(EventObject),
  statusSubresource: false,
  nameProblem: subdomainProblem,
  selectableFields: {
    'involvedObject.apiVersion': involved('apiVersion'),
    'involvedObject.kind': involved('kind'),
    'involvedObject.namespace': involved('namespace'),
    'involvedObject.name': involved('name'),
    'involvedObject.uid': involved('uid'),
    'involvedObject.resourceVersion': involved('resourceVersion'),
    'involvedObject.fieldPath': involved('fieldPath'),
    reason: (event) => event.reason ?? '',
    type: (event) => event.type ?? '',
    source: (event) => event.source?.component || (event.reportingComponent ?? ''),
    reportingComponent: (event) => event.reportingComponent ?? '',
  },
  validate: (event) => eventProblems(event, 'reportingComponent'),
  columns: [
    { name: 'Last Seen', type: 'string', priority: 0, description: 'Time since it last happened.', cell: (event, now) => age(lastSeen(event), now) },
    { name: 'Type', type: 'string', priority: 0, description: 'Normal or Warning.', cell: (event) => event.type ?? '' },
    { name: 'Reason', type: 'string', priority: 0, description: 'What happened.', cell: (event) => event.reason ?? '' },
    { name: 'Object', type: 'string', priority: 0, description: 'To which object.', cell: (event) => [(event.involvedObject?.kind ?? '').toLowerCase(), event.involvedObject?.name].filter(Boolean).join('/') },
    { name: 'Subobject', type: 'string', priority: 1, description: 'To which part of it.', cell: (event) => event.involvedObject?.fieldPath ?? '' },
    { name: 'Source', type: 'string', priority: 1, description: 'Who saw it.', cell: sourceText },
    { name: 'Message', type: 'string', priority: 0, description: 'What happened, in a sentence.', cell: (event) => (event.message ?? '').trim() },
    { name: 'First Seen', type: 'string', priority: 1, description: 'Time since it first happened.', cell: (event, now) => age(firstSeen(event), now) },
    { name: 'Count', type: 'string', priority: 1, description: 'How often it happened.', cell: (event) => String(event.series?.count ?? event.count ?? 1) },
    { name: 'Name', type: 'string', format: 'name', priority: 1, description: 'Name of the event.', cell: (event) => event.metadata.name ?? '' },
  ],
};
