// update.ts
//
// What a PUT or a PATCH makes of a stored object. Pure: the same for both, once a patch has said what it wants.
//
//   main writes     metadata that is the user's, and everything but status (where status has its own subresource)
//   /status writes  status, and nothing else
//
// The server's own metadata is never taken from a client; generation grows when anything but metadata and status changes.

import { dequal } from 'dequal';
import { conflict, invalid, invalidValue, modifiedMessage, type FieldProblem } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import type { KubeObject, ObjectMeta } from '../../api/meta.js';
import { applyOwnDefaults, objectProblems } from '../../api/validation.js';
import { finalizerProblems, isEmpty, isMapping, ownerProblems, refuseInvalid } from './admission.js';
import { readSent, type Managers, type Sent, type Writer } from './managed-fields/entries.js';
import { ownersAfterWrite, withOwners } from './managed-fields/ordinary-write.js';
import { ownersAfterApply } from './managed-fields/server-side-apply.js';
import type { Step } from './mutator.js';
import type { ObjectTarget } from './service.js';
import { strategyOf } from './strategies/index.js';

/** Metadata that a client may change. */
const clientMetadata = ['labels', 'annotations', 'ownerReferences', 'finalizers'] as const;

/** Whose the fields are after the write: the writer of an ordinary one, or what an apply has made of the owners. Absent: nobody keeps track. */
export interface Ownership {
  readonly writer: Writer;
  readonly applied?: Managers;
}

/**
 * @param desired what the client wants; changed in place
 * @throws ApiError Conflict for another resourceVersion or uid, Invalid with every problem
 */
export function planUpdate(target: ObjectTarget, stored: KubeObject, desired: KubeObject, ownership?: Ownership): Step {
  const { kind, subresource } = target;
  if (isMapping(desired.metadata)) refuseOutdated(kind, stored, desired.metadata);
  if (subresource === 'status') return settled(kind, stored, owned(kind, stored, withStatus(kind, stored, desired), 'stored', ownership));
  const special = subresource && strategyOf(kind).subresources?.[subresource];
  if (special) {
    const next = special(stored, desired);
    refuseInvalid(kind, next);
    return settled(kind, stored, owned(kind, stored, next, 'stored', ownership));
  }
  const problems: FieldProblem[] = [];
  const sent = ownership && !ownership.applied && isMapping(desired.metadata) ? readSent(desired.metadata.managedFields, stored.metadata.managedFields, problems) : 'stored';
  return settled(kind, stored, owned(kind, stored, withMain(kind, stored, desired, problems), sent, ownership));
}

function owned(kind: KindDefinition, stored: KubeObject, next: KubeObject, sent: Sent, ownership: Ownership | undefined): KubeObject {
  if (!ownership) return next;
  const { writer, applied } = ownership;
  return withOwners(next, applied ? ownersAfterApply(kind, stored, next, applied, writer) : ownersAfterWrite(kind, stored, next, sent, writer));
}

/** What to do so that `next` takes the place of `stored`: an object that waits only for its deletion goes. */
export function settled(kind: KindDefinition, stored: KubeObject, next: KubeObject): Step {
  if (isDone(kind, next)) return { do: 'remove' };
  return dequal(next, stored) ? { do: 'nothing' } : { do: 'write', object: next };
}

/** Whether deletion was asked for and nothing stands in its way. */
export function isDone(kind: KindDefinition, object: KubeObject): boolean {
  const { deletionTimestamp, finalizers } = object.metadata;
  if (!deletionTimestamp || finalizers?.length) return false;
  return strategyOf(kind).mayRemove?.(object) ?? true;
}

function refuseOutdated(kind: KindDefinition, stored: KubeObject, desired: ObjectMeta): void {
  const name = stored.metadata.name ?? '';
  const { uid, resourceVersion } = desired;
  if (uid && uid !== stored.metadata.uid) throw uidConflict(kind, name, uid, stored.metadata.uid);
  if (!resourceVersion || resourceVersion === '0') {
    if (kind.allowUnconditionalUpdate ?? true) return;
    throw invalid({ ...kind, kind: kind.plural }, name, [{ field: 'metadata.resourceVersion', reason: 'FieldValueInvalid', message: 'Invalid value: 0x0: must be specified for an update' }]);
  }
  if (!/^[0-9]+$/.test(String(resourceVersion))) {
    throw invalid(kind, name, [invalidValue('metadata.resourceVersion', resourceVersion, 'must be a resource version that the server gave')]);
  }
  if (resourceVersion !== stored.metadata.resourceVersion) throw conflict(kind, name, modifiedMessage);
}

export function uidConflict(kind: KindDefinition, name: string, asked: string, stored: string | undefined): Error {
  return conflict(kind, name, `Precondition failed: UID in precondition: ${asked}, UID in object meta: ${stored ?? ''}`);
}

function withStatus(kind: KindDefinition, stored: KubeObject, desired: KubeObject): KubeObject {
  const part = { status: desired.status };
  // The schema of a user's kind may have defaults there, and null may be a value or not. Ours are written whole.
  if (kind.schema.keepsNulls && part.status !== undefined) kind.schema.applyDefaults(part);
  const next: KubeObject = { ...stored, status: part.status };
  if (desired.status === undefined) delete next.status;
  const problems = objectProblems(kind, next, stored).filter(({ field }) => /^(status\b|<nil>$)/.test(field));
  if (problems.length > 0) throw invalid(kind, stored.metadata.name ?? '', problems);
  return next;
}

function withMain(kind: KindDefinition, stored: KubeObject, desired: KubeObject, problems: readonly FieldProblem[]): KubeObject {
  const { metadata } = desired;
  if (!isMapping(metadata)) refuseInvalid(kind, desired);
  const immutable = immutableProblems(metadata, stored.metadata);
  if (kind.statusSubresource) {
    if (stored.status === undefined) delete desired.status;
    else desired.status = stored.status;
  }
  const next: KubeObject = { ...desired, apiVersion: stored.apiVersion, kind: stored.kind, metadata: mergedMetadata(metadata, stored.metadata) };
  const { complete, shape } = withDefaults(kind, next, stored);

  const strategy = strategyOf(kind);
  const shapeIsRight = shape.length === 0;
  if (shapeIsRight) strategy.prepareForUpdate?.(complete, stored);
  const more = [
    ...problems,
    ...immutable,
    ...ownerProblems(complete.metadata),
    ...(shapeIsRight ? [...finalizerProblems(complete.metadata, stored.metadata), ...(kind.validateUpdate?.(complete, stored) ?? []), ...(strategy.problems?.(complete, stored) ?? [])] : []),
  ];
  refuseInvalid(kind, complete, more, stored, shapeIsRight && strategy.prepareForUpdate ? undefined : shape);
  if (!sameIntent(kind, complete, stored)) complete.metadata.generation = (stored.metadata.generation ?? 0) + 1;
  return complete;
}

/** Defaults are filled in place: never in a status that is the stored one. */
function withDefaults(kind: KindDefinition, next: KubeObject, stored: KubeObject): { complete: KubeObject; shape: readonly FieldProblem[] } {
  const { status, ...withoutStatus } = next;
  const filled = kind.statusSubresource ? (withoutStatus as KubeObject) : next;
  kind.schema.applyDefaults(filled);
  const complete = filled === next || status === undefined ? filled : { ...filled, status };
  return { complete, shape: applyOwnDefaults(kind, complete, stored) };
}

/** Built key by key: an object that a key is deleted from is slow to copy and to encode ever after. */
function mergedMetadata(desired: ObjectMeta, stored: ObjectMeta): ObjectMeta {
  const merged: Record<string, unknown> = {};
  for (const key in stored) {
    if (!isClientMetadata(key)) merged[key] = stored[key as keyof ObjectMeta];
    else if (!isEmpty(desired[key])) merged[key] = desired[key];
  }
  for (const field of clientMetadata) if (!(field in stored) && !isEmpty(desired[field])) merged[field] = desired[field];
  return merged as ObjectMeta;
}

function isClientMetadata(key: string): key is (typeof clientMetadata)[number] {
  return (clientMetadata as readonly string[]).includes(key);
}

function immutableProblems(desired: ObjectMeta, stored: ObjectMeta): FieldProblem[] {
  const problems: FieldProblem[] = [];
  for (const field of ['name', 'namespace'] as const) {
    if (desired[field] !== undefined && desired[field] !== stored[field]) problems.push(invalidValue(`metadata.${field}`, desired[field], 'field is immutable'));
  }
  return problems;
}

/** A status that is no subresource is what the user says, like everything else. */
function sameIntent({ statusSubresource }: KindDefinition, a: KubeObject, b: KubeObject): boolean {
  const isSame = (key: string): boolean => key === 'metadata' || (key === 'status' && statusSubresource) || dequal(a[key], b[key]);
  return Object.keys(a).every(isSame) && Object.keys(b).every((key) => key in a || isSame(key));
}
