// server-side-apply.ts
//
// What a manager wants of an object, laid over what there is: https://kubernetes.io/docs/reference/using-api/server-side-apply/.
// The algorithm is that of structured-merge-diff (merge/update.go): merge, take away what the manager applied before and now does
// not and no other applier has, then see whose fields that changed.

import { dequal } from 'dequal';
import { ApiError, problemsShownMax, type StatusCause } from '../../../api/errors.js';
import { apiVersionOf, type KindDefinition } from '../../../api/kind.js';
import type { KubeObject, ManagedFieldsEntry } from '../../../api/meta.js';
import { compare } from './compare.js';
import { encoded, identityOf, managersOf, newEntry, sameOwners, type Conflict, type ManagerEntry, type Managers, type Writer } from './entries.js';
import { difference, emptySet, intersection, isEmptySet, pathsOf, pathText, sizeOf, union, unionOf, type FieldSet } from './field-set.js';
import { Reconciler, withNamedFields } from './fields-of.js';
import { merge, withoutFields } from './merge.js';
import { configuredFields, loseFields, ownable, recordWrite } from './ordinary-write.js';
import { conflictsLeftByClientSideApply, withLastApplied } from './last-applied.js';

/** Owns what an object had before it was applied for the first time. */
const beforeFirstApply = 'before-first-apply';

export interface Applied {
  /** The object as it is wanted; parts of the live one and of the configuration are in it. */
  readonly object: KubeObject;
  readonly managers: Managers;
}

/** @throws ApiError Conflict that names every field of others which the configuration would change */
export function applied(kind: KindDefinition, live: KubeObject, config: KubeObject, writer: Writer, force: boolean): Applied {
  const before = startingManagers(kind, live, writer);
  const outcome = attempt(kind, live, config, writer, before);
  const conflicts = force ? [] : conflictsLeftByClientSideApply(kind, live, writer, outcome.conflicts);
  if (conflicts.length > 0) throw conflictError(conflicts);
  return { object: withLastApplied(outcome.object, config, writer), managers: outcome.managers };
}

/** The entries of an object that was not there before. */
export function ownersOfApplied(kind: KindDefinition, config: KubeObject, writer: Writer): ManagedFieldsEntry[] | undefined {
  const entry = newEntry(writer, 'Apply', apiVersionOf(kind), configuredFields(kind, config, undefined));
  return encoded(new Map([[identityOf(entry), entry]]));
}

/** The entries of `next`. An apply that changes nothing does not even change a time. */
export function ownersAfterApply(kind: KindDefinition, stored: KubeObject, next: KubeObject, managers: Managers, { subresource }: Writer): ManagedFieldsEntry[] | undefined {
  const entries = encoded(managers);
  const before = stored.metadata.managedFields;
  return sameOwners(entries, before) && dequal(ownable(kind, stored, subresource), ownable(kind, next, subresource)) ? before : entries;
}

/** Whoever is not known to have set what is there is given a name at the first apply. */
function startingManagers(kind: KindDefinition, live: KubeObject, writer: Writer): Managers {
  const managers = managersOf(live);
  const reconciler = new Reconciler(kind.schema.root, live);
  for (const [identity, entry] of managers) managers.set(identity, { ...entry, fieldsV1: reconciler.reconciled(entry.fieldsV1) });
  if (managers.size > 0) return managers;
  const everything = compare(kind.schema.root, { metadata: {} }, ownable(kind, live, writer.subresource));
  recordWrite(managers, everything, { ...writer, manager: beforeFirstApply }, apiVersionOf(kind));
  return managers;
}

function attempt(kind: KindDefinition, live: KubeObject, config: KubeObject, writer: Writer, before: Managers): Applied & { conflicts: Conflict[] } {
  const { subresource } = writer;
  const schema = kind.schema.root;
  const managers: Managers = new Map(before);
  const own = newEntry(writer, 'Apply', apiVersionOf(kind), configuredFields(kind, config, subresource));
  const identity = identityOf(own);
  const last = managers.get(identity)?.fieldsV1 ?? emptySet;
  managers.set(identity, own);

  const wanted = subresource === 'status' ? { metadata: config.metadata, status: config.status } : withoutStatus(kind, config);
  const merged = merge(schema, live, wanted) as KubeObject;
  // Once more, for mappings that are wanted empty and went with the last of what was in them.
  const pruned = isEmptySet(last) ? merged : (merge(schema, prune(kind, merged, managers, last), wanted) as KubeObject);
  const changes = compare(schema, ownable(kind, live, subresource), ownable(kind, pruned, subresource));

  const taken = union(changes.modified, changes.added);
  const conflicts = [...managers]
    .filter(([other]) => other !== identity)
    .map(([, entry]) => ({ entry, fields: intersection(entry.fieldsV1, taken) }))
    .filter(({ fields }) => !isEmptySet(fields));
  loseFields(managers, union(taken, changes.removed), identity);
  if (isEmptySet(own.fieldsV1)) managers.delete(identity);
  return { object: pruned, managers, conflicts };
}

function withoutStatus(kind: KindDefinition, config: KubeObject): Record<string, unknown> {
  if (!kind.statusSubresource) return config;
  const { status: _status, ...rest } = config;
  return rest;
}

/**
 * Without what is in `last`, but for what appliers (the present one among them) have. Those who have something inside a struct
 * have the struct; those who have an item or a key of a map are known by it.
 */
function prune({ schema: { root } }: KindDefinition, merged: KubeObject, managers: Managers, last: FieldSet): KubeObject {
  const owned = unionOf([...managers.values()].filter(({ operation }) => operation === 'Apply').map(({ fieldsV1 }) => fieldsV1));
  return withoutFields(root, merged, difference(last, withNamedFields(root, owned))) as KubeObject;
}

/** In the words of Kubernetes, which kubectl explains further. Nobody reads thousands of them. */
function conflictError(conflicts: readonly Conflict[]): ApiError {
  const count = conflicts.reduce((sum, { fields }) => sum + sizeOf(fields), 0);
  const shown: { manager: string; path: string }[] = [];
  for (const { entry, fields } of conflicts.toSorted((a, b) => (a.entry.manager < b.entry.manager ? -1 : 1))) {
    for (const path of pathsOf(fields)) {
      if (shown.length >= problemsShownMax) break;
      shown.push({ manager: describe(entry), path: pathText(path) });
    }
  }
  const causes: StatusCause[] = shown.map(({ manager, path }) => ({ reason: 'FieldManagerConflict', message: `conflict with ${manager}`, field: path }));
  return new ApiError('Conflict', message(shown, count), { causes });
}

function message(shown: readonly { manager: string; path: string }[], count: number): string {
  const [first] = shown;
  if (count === 1) return `Apply failed with 1 conflict: conflict with ${first!.manager}: ${first!.path}`;
  const lines = shown.flatMap(({ manager, path }, at) => [...(shown[at - 1]?.manager === manager ? [] : [`conflicts with ${manager}:`]), `- ${path}`]);
  return `Apply failed with ${count} conflicts: ${lines.join('\n')}${count > shown.length ? '\n- and more' : ''}`;
}

/** `"kubectl-edit" with subresource "status" using v1`. */
function describe({ manager, subresource, operation, apiVersion }: ManagerEntry): string {
  return `${JSON.stringify(manager)}${subresource ? ` with subresource ${JSON.stringify(subresource)}` : ''}${operation === 'Update' ? ` using ${apiVersion}` : ''}`;
}
