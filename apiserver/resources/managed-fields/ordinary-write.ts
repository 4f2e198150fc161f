// ordinary-write.ts: what a create, update or patch makes of the owners of an object's fields.

import type { KindDefinition } from '../../../api/kind.js';
import { apiVersionOf } from '../../../api/kind.js';
import type { KubeObject, ManagedFieldsEntry, ObjectMeta } from '../../../api/meta.js';
import { isEmpty } from '../admission.js';
import { compare, type Comparison } from './compare.js';
import { capUpdaters, encoded, identityOf, managersOf, newEntry, type Managers, type Sent, type Writer } from './entries.js';
import { difference, emptySet, intersection, isEmptySet, union, type FieldSet } from './field-set.js';
import { fieldsOf } from './fields-of.js';
import { internedFields } from './interned.js';

/**
 * The entries of `after`: what was changed or added is the writer's and nobody else's, what was removed is nobody's.
 * Objects that nobody is known to own any field of stay so until they are applied.
 * @param before undefined for a new object
 * @param sent what the client has in managedFields
 */
export function ownersAfterWrite(kind: KindDefinition, before: KubeObject | undefined, after: KubeObject, sent: Sent, writer: Writer): ManagedFieldsEntry[] | undefined {
  // A subresource never takes the entries of a client.
  const stored = sent === 'stored' || writer.subresource !== undefined || (sent !== 'none' && sent.size === 0);
  if (before === undefined && stored) return ownersOfNew(kind, after, writer);
  const managers = stored ? managersOf(before) : sent === 'none' ? new Map<string, never>() : new Map(sent);
  if (managers.size === 0 && before !== undefined) return undefined;
  const changes = compare(kind.schema.root, before ? ownable(kind, before, writer.subresource) : { metadata: {} }, ownable(kind, after, writer.subresource));
  const changed = recordWrite(managers, changes, writer, apiVersionOf(kind));
  if (!changed && stored) return before?.metadata.managedFields;
  capUpdaters(managers);
  return encoded(managers, before?.metadata.managedFields);
}

/** The commonest write of all. */
function ownersOfNew(kind: KindDefinition, object: KubeObject, writer: Writer): ManagedFieldsEntry[] | undefined {
  const schema = kind.schema.root;
  const own = ownable(kind, object, undefined);
  const fields = internedFields(schema, own, () => compare(schema, { metadata: {} }, own).added);
  return isEmptySet(fields) ? undefined : [newEntry(writer, 'Update', apiVersionOf(kind), fields)];
}

/** Puts the differences into the entries, in place. Whether there was anything to put. */
export function recordWrite(managers: Managers, changes: Comparison, writer: Writer, apiVersion: string): boolean {
  const own = union(changes.modified, changes.added);
  let changed = loseFields(managers, union(own, changes.removed));
  if (!isEmptySet(own)) {
    const entry = newEntry(writer, 'Update', apiVersion, own);
    const identity = identityOf(entry);
    managers.set(identity, { ...entry, fieldsV1: union(managers.get(identity)?.fieldsV1 ?? emptySet, own) });
    changed = true;
  }
  return changed;
}

/** Takes the fields from everybody but `except`, in place. */
export function loseFields(managers: Managers, lost: FieldSet, except?: string): boolean {
  let changed = false;
  if (isEmptySet(lost)) return false;
  for (const [identity, entry] of managers) {
    if (identity === except) continue;
    if (isEmptySet(intersection(entry.fieldsV1, lost))) continue;
    changed = true;
    const fieldsV1 = difference(entry.fieldsV1, lost);
    if (isEmptySet(fieldsV1)) managers.delete(identity);
    else managers.set(identity, { ...entry, fieldsV1 });
  }
  return changed;
}

/** Metadata whose owners are kept. All else there is the server's, or names the object. */
const ownableMetadata = ['generateName', 'labels', 'annotations', 'ownerReferences', 'finalizers'] as const;

/** The part of an object that writers to the object itself, or to this subresource of it, own. */
export function ownable(kind: KindDefinition, object: KubeObject, subresource: string | undefined): Record<string, unknown> {
  if (subresource === 'status') return object.status === undefined ? {} : { status: object.status };
  const { apiVersion: _apiVersion, kind: _kind, metadata, status, ...rest } = object;
  const kept: Record<string, unknown> = {};
  // Empty metadata is stored as none.
  for (const field of ownableMetadata) if (!isEmpty(metadata[field])) kept[field] = metadata[field];
  return { metadata: kept, ...rest, ...(kind.statusSubresource || status === undefined ? {} : { status }) };
}

/** The object with these entries in place of its own. */
export function withOwners(object: KubeObject, entries: ManagedFieldsEntry[] | undefined): KubeObject {
  if (object.metadata.managedFields === entries) return object;
  // Key by key: taking one out by a rest pattern takes several times as long.
  const metadata: Record<string, unknown> = {};
  for (const key in object.metadata) if (key !== 'managedFields') metadata[key] = object.metadata[key as keyof ObjectMeta];
  if (entries) metadata['managedFields'] = entries;
  return { ...object, metadata };
}

const metadataAlone: FieldSet = { 'f:metadata': {} };

/** Everything that a configuration for the object, or this subresource of it, sets. */
export function configuredFields(kind: KindDefinition, config: KubeObject, subresource: string | undefined): FieldSet {
  // Nobody owns metadata as such, though it may be empty here.
  return difference(fieldsOf(kind.schema.root, ownable(kind, config, subresource)), metadataAlone);
}
