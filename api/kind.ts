// kind.ts: what the generic layers need to know of a kind. The table of all kinds is kinds.ts.

import type { FieldProblem, ResourceName } from './errors.js';
import type { KubeObject } from './meta.js';
import type { SchemaRules } from './schema.js';

export interface PrinterColumn<T = KubeObject> {
  name: string;
  type: 'string' | 'integer' | 'number' | 'boolean' | 'date';
  /** `name` on the column that names the object: kubectl prefixes it when it prints several kinds. Others say what they like. */
  format?: string;
  description: string;
  /** 0 is always shown, higher only with `-o wide`. */
  priority: number;
  /** @param now milliseconds since the epoch, for ages */
  cell(object: T, now: number): string | number | boolean | null;
}

/** Declared as a method, whose parameters TypeScript compares both ways: a definition of one kind is a definition of any. */
type FieldReader<T> = { read(object: T): string }['read'];

export interface KindDefinition<T extends KubeObject = KubeObject> extends ResourceName {
  /** Empty for the core group. */
  group: string;
  version: string;
  kind: string;
  plural: string;
  /** Of lists; the kind with `List` appended when absent. */
  listKind?: string;
  singular: string;
  shortNames: readonly string[];
  categories: readonly string[];
  namespaced: boolean;
  description: string;
  schema: SchemaRules;
  columns: readonly PrinterColumn<T>[];
  /** Whether status is written through its own subresource only. */
  statusSubresource: boolean;
  /** Whether a new object comes with its status all the same, except from an apply: agents register their nodes in one request, as kubelets do. */
  statusAtCreation?: boolean;
  /** Set on a kind that is not stored: each object is derived from the one of the same namespace and name of another kind. */
  projectionOf?: { kind: KindDefinition; project(object: KubeObject): T };
  /**
   * Set on a kind whose objects are stored as those of another kind, under the same namespace and name, and that can be written: another group
   * or version of the same thing. Both functions are pure; fromStored(toStored(object)) says the same as object.
   */
  storedAs?: {
    kind: KindDefinition;
    /** What is stored for `object`. `stored` is what it takes the place of, for what this kind does not show. */
    toStored(object: T, stored?: KubeObject): KubeObject;
    /** Whether the stored object is to be written anew, as it would be stored now, by a write that changes nothing. */
    isStale?(stored: KubeObject): boolean;
    /** The object as clients of this kind see it; it must not change `stored`. */
    fromStored(stored: KubeObject): T;
  };
  /** Whether a PUT may come without the resourceVersion that it was made from, and then takes the place of whatever there is; true when absent. */
  allowUnconditionalUpdate?: boolean;
  /** What clients may do; all of get list watch create update patch delete deletecollection when absent. */
  verbs?: readonly string[];
  /** Why there may be no new objects now, when there may not. */
  readonly closed?: string | undefined;
  /** What everybody is told who uses it. */
  deprecationWarning?: string;
  /** Where the numbers of replicas are, for a kind that has a scale. */
  scale?: { specReplicasPath: string; statusReplicasPath: string; labelSelectorPath?: string };
  /** Why the other verbs are not there, and what to do instead: clients that try one are told. */
  whyNot?: string;
  /** Why `name` is no name for this kind, or undefined. */
  nameProblem(name: string): string | undefined;
  /** Defaults that depend on other fields, after the schema's own; in place. It keeps the shape that the schema asks for. */
  applyDefaults?(object: T): void;
  /** Problems beyond the schema: rules across fields. `old` is what is stored, on a change; rules between the two that a user wrote stand here. */
  validate?(object: T, old?: T): FieldProblem[];
  /** Problems of a new object only. */
  validateCreate?(object: T): FieldProblem[];
  /** What may not change between the stored object and its successor. */
  validateUpdate?(object: T, old: T): FieldProblem[];
  /** Fields that a field selector may name, besides metadata.name and metadata.namespace; absent values are ''. */
  selectableFields?: Readonly<Record<string, FieldReader<T>>>;
}

/** `v1`, `taskplane.dev/v1`. */
export function apiVersionOf(kind: { group: string; version: string }): string {
  return kind.group ? `${kind.group}/${kind.version}` : kind.version;
}

/** The age of an object as `kubectl get` shows it: 59s, 3m12s, 40m, 5h12m, 3d4h, 400d. https://github.com/kubernetes/apimachinery/blob/master/pkg/util/duration/duration.go */
export function humanDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < -1) return '<invalid>';
  if (seconds < 0) return '0s';
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return seconds % 60 === 0 ? `${minutes}m` : `${minutes}m${seconds % 60}s`;
  if (minutes < 180) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 8) return minutes % 60 === 0 ? `${hours}h` : `${hours}h${minutes % 60}m`;
  if (hours < 48) return `${hours}h`;
  const days = Math.floor(hours / 24);
  if (days < 8) return hours % 24 === 0 ? `${days}d` : `${days}d${hours % 24}h`;
  if (days < 730) return `${days}d`;
  const years = Math.floor(days / 365);
  if (years < 8) return days % 365 === 0 ? `${years}y` : `${years}y${days % 365}d`;
  return `${years}y`;
}

/** Columns that every kind has. */
export const nameColumn: PrinterColumn = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description: 'Name of the object.',
  priority: 0,
  cell: (object) => object.metadata.name ?? '',
};

export const ageColumn: PrinterColumn = {
  name: 'Age',
  type: 'string',
  description: 'Time since the object was created.',
  priority: 0,
  cell: (object, now) => age(object.metadata.creationTimestamp, now),
};

/** Time since an RFC 3339 time, for a cell; `<unknown>` when it is absent. */
export function age(time: string | null | undefined, now: number): string {
  return time ? humanDuration(now - Date.parse(time)) : '<unknown>';
}
