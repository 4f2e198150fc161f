// meta.ts
//
// What every object has: apiVersion, kind and metadata, as the Kubernetes API conventions define them.
// https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md

import { Type, type Static } from 'typebox';

export const OwnerReference = Type.Object(
  {
    apiVersion: Type.String({ description: 'API version of the owner.' }),
    kind: Type.String({ description: 'Kind of the owner.' }),
    name: Type.String({ description: 'Name of the owner, in the same namespace or cluster-wide.' }),
    uid: Type.String({ description: 'UID of the owner.' }),
    controller: Type.Optional(Type.Boolean({ description: 'True if the owner is the controller that manages this object.' })),
    blockOwnerDeletion: Type.Optional(
      Type.Boolean({ description: 'True if the owner cannot go, when it is deleted in the foreground, before this object is gone.' }),
    ),
  },
  { 'x-kubernetes-map-type': 'atomic', description: 'Names an object that this one belongs to; when all owners are gone, the object is deleted.' },
);
export type OwnerReference = Static<typeof OwnerReference>;

export const ManagedFieldsEntry = Type.Object(
  {
    manager: Type.Optional(Type.String({ description: 'Who writes: fieldManager, or the name of the program.' })),
    operation: Type.Optional(Type.String({ description: 'Apply (server-side apply) or Update (any other write).' })),
    apiVersion: Type.Optional(Type.String({ description: 'Version of the object in which the fields are named.' })),
    time: Type.Optional(Type.Union([Type.String({ format: 'date-time' }), Type.Null()], { description: 'When the set of fields or one of their values last changed.' })),
    fieldsType: Type.Optional(Type.String({ description: 'FieldsV1.' })),
    fieldsV1: Type.Optional(
      Type.Object({}, { 'x-kubernetes-preserve-unknown-fields': true, description: 'The fields, as a tree: f:NAME is a field, k:{KEYS} an item of a list, v:VALUE a member of a set, "." the place itself.' }),
    ),
    subresource: Type.Optional(Type.String({ description: 'The subresource through which it was written.' })),
  },
  { description: 'The fields that one manager has set.' },
);
export type ManagedFieldsEntry = Omit<Static<typeof ManagedFieldsEntry>, 'fieldsV1'> & { fieldsV1?: object };

export const ObjectMeta = Type.Object(
  {
    name: Type.Optional(Type.String({ description: 'Name, unique among objects of the kind in the namespace. Cannot be changed.' })),
    generateName: Type.Optional(Type.String({ description: 'Prefix of a name that the server makes, when name is absent.' })),
    namespace: Type.Optional(Type.String({ description: 'Namespace of the object; "default" when absent. Cannot be changed.' })),
    uid: Type.Optional(Type.String({ description: 'Set by the server: unique over all objects and all time.' })),
    resourceVersion: Type.Optional(
      Type.String({ description: 'Set by the server: grows with each write. Sent back with a write, it guards against overwriting a change.' }),
    ),
    generation: Type.Optional(Type.Integer({ description: 'Set by the server: grows with each change of spec.' })),
    creationTimestamp: Type.Optional(
      Type.Union([Type.String({ format: 'date-time' }), Type.Null()], { description: 'Set by the server: when the object was created, RFC 3339, UTC.' }),
    ),
    deletionTimestamp: Type.Optional(
      Type.Union([Type.String({ format: 'date-time' }), Type.Null()], { description: 'Set by the server: when deletion was asked for. The object goes once its processes and finalizers are done.' }),
    ),
    deletionGracePeriodSeconds: Type.Optional(Type.Integer({ description: 'Set by the server: seconds that the processes have to end after deletion was asked for.' })),
    labels: Type.Optional(Type.Record(Type.String(), Type.String(), { description: 'Keys and values to select objects by.' })),
    annotations: Type.Optional(Type.Record(Type.String(), Type.String(), { description: 'Keys and values that tools keep with the object; not selectable.' })),
    ownerReferences: Type.Optional(Type.Array(OwnerReference, { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['uid'], description: 'Objects that this one belongs to.' })),
    finalizers: Type.Optional(Type.Array(Type.String(), { 'x-kubernetes-list-type': 'set', description: 'Names of what must happen before a deleted object is removed; each is taken off by whoever did it.' })),
    managedFields: Type.Optional(Type.Array(ManagedFieldsEntry, { description: 'Which manager set which field: kept by the server, for server-side apply.' })),
    selfLink: Type.Optional(Type.String({ description: 'Deprecated; ignored.' })),
  },
  { description: 'Name, labels and what the server keeps about the object.' },
);
export type ObjectMeta = Static<typeof ObjectMeta>;

export const Condition = Type.Object(
  {
    type: Type.String({ description: 'What the condition tells of.' }),
    status: Type.String({ enum: ['True', 'False', 'Unknown'], description: 'True, False or Unknown.' }),
    reason: Type.Optional(Type.String({ description: 'Why, in one CamelCase word.' })),
    message: Type.Optional(Type.String({ description: 'Why, in a sentence for people.' })),
    lastTransitionTime: Type.Optional(Type.String({ format: 'date-time', description: 'When status last changed.' })),
    lastHeartbeatTime: Type.Optional(Type.String({ format: 'date-time', description: 'When the condition was last looked at.' })),
  },
  { description: 'One observed fact about the object.' },
);
export type Condition = Static<typeof Condition>;

/** Any object, as the generic layers see it. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  spec?: unknown;
  status?: unknown;
  [field: string]: unknown;
}

/** Any list of objects. */
export interface KubeList<T = KubeObject> {
  apiVersion: string;
  kind: string;
  metadata: { resourceVersion?: string; continue?: string; remainingItemCount?: number };
  items: T[];
}

/** Metadata of an object that the server has stored: nothing that it sets is absent. */
export interface StoredMeta extends ObjectMeta {
  name: string;
  uid: string;
  resourceVersion: string;
  generation: number;
  creationTimestamp: string;
}

let lastSecond = NaN;
let lastTimestamp = '';

/** RFC 3339 in UTC with whole seconds, as Kubernetes writes metav1.Time. */
export function timestamp(ms: number): string {
  // Thousands of objects in the same second share one string.
  const second = Math.floor(ms / 1000);
  if (second !== lastSecond) {
    lastTimestamp = `${new Date(ms).toISOString().slice(0, 19)}Z`;
    lastSecond = second;
  }
  return lastTimestamp;
}

/** RFC 3339 in UTC with microseconds, as Kubernetes writes metav1.MicroTime. */
export function microTimestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 23)}000Z`;
}

/** Milliseconds since the epoch of an RFC 3339 time, or undefined when it is absent or unreadable. */
export function parseTimestamp(text: string | null | undefined): number | undefined {
  if (!text) return undefined;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}

/** `namespace/name`, or `name` for an object of no namespace: the key that controllers work by. */
export function objectKey(object: { metadata: ObjectMeta }): string {
  const { namespace, name } = object.metadata;
  return namespace ? `${namespace}/${name ?? ''}` : (name ?? '');
}

/** The reverse of objectKey. */
export function splitObjectKey(key: string): { namespace: string | undefined; name: string } {
  const slash = key.indexOf('/');
  return slash < 0 ? { namespace: undefined, name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}
