// event.ts: what happened to an object, for people. Core v1 Event.

import { Type, type Static } from 'typebox';
import { age, type KindDefinition } from './kind.js';
import { ObjectMeta, type KubeObject } from './meta.js';
import { subdomainProblem } from './names.js';
import { ObjectSchema } from './schema.js';

const opt = Type.Optional;

const ObjectReference = Type.Object(
  {
    apiVersion: opt(Type.String()),
    kind: opt(Type.String()),
    namespace: opt(Type.String()),
    name: opt(Type.String()),
    uid: opt(Type.String()),
    resourceVersion: opt(Type.String()),
    fieldPath: opt(Type.String()),
  },
  { description: 'The object that the event is about.' },
);
export type ObjectReference = Static<typeof ObjectReference>;

const time = (description: string) => opt(Type.Union([Type.String({ format: 'date-time' }), Type.Null()], { description }));

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
  source: opt(Type.Object({ component: opt(Type.String()), host: opt(Type.String()) }, { description: 'Who saw it.' })),
  series: opt(Type.Unknown()),
  action: opt(Type.String()),
  related: opt(ObjectReference),
  reportingComponent: opt(Type.String({ description: 'Who saw it.' })),
  reportingInstance: opt(Type.String()),
});

export interface Event extends KubeObject, Omit<Static<typeof EventObject>, 'metadata' | 'apiVersion' | 'kind'> {
  apiVersion: 'v1';
  kind: 'Event';
}

/** Seconds that an event is kept after it last happened. */
export const eventTtlSeconds = 3600;

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
    source: (event) => event.source?.component ?? '',
    reportingComponent: (event) => event.reportingComponent ?? '',
  },
  columns: [
    { name: 'Last Seen', type: 'string', priority: 0, description: 'Time since it last happened.', cell: (event, now) => age(event.lastTimestamp ?? event.eventTime ?? event.metadata.creationTimestamp, now) },
    { name: 'Type', type: 'string', priority: 0, description: 'Normal or Warning.', cell: (event) => event.type ?? '' },
    { name: 'Reason', type: 'string', priority: 0, description: 'What happened.', cell: (event) => event.reason ?? '' },
    { name: 'Object', type: 'string', priority: 0, description: 'To which object.', cell: (event) => `${(event.involvedObject?.kind ?? '').toLowerCase()}/${event.involvedObject?.name ?? ''}` },
    { name: 'Source', type: 'string', priority: 1, description: 'Who saw it.', cell: (event) => event.source?.component ?? event.reportingComponent ?? '' },
    { name: 'Message', type: 'string', priority: 0, description: 'What happened, in a sentence.', cell: (event) => event.message ?? '' },
    { name: 'First Seen', type: 'string', priority: 1, description: 'Time since it first happened.', cell: (event, now) => age(event.firstTimestamp ?? event.eventTime, now) },
    { name: 'Count', type: 'string', priority: 1, description: 'How often it happened.', cell: (event) => String(event.count ?? 1) },
    { name: 'Name', type: 'string', format: 'name', priority: 1, description: 'Name of the event.', cell: (event) => event.metadata.name ?? '' },
  ],
};
