// plan.ts
//
// Who goes with whom, decided for one object at a time.
// https://kubernetes.io/docs/concepts/architecture/garbage-collection/
//
//   an owner of a dependent is      because
//   present                         it is stored under the uid that the reference names
//   waiting                         it is stored, and its deletion in the foreground waits for its dependents
//   absent                          nothing is stored under that name, or something with another uid
//   unknown                         its kind is not one that we know: its dependents are left alone

import { foregroundFinalizer, orphanFinalizer } from '../../api/finalizers.js';
import type { ObjectMeta, OwnerReference } from '../../api/meta.js';

export type OwnerState = 'present' | 'waiting' | 'absent' | 'unknown';

export interface OwnerFinding {
  reference: OwnerReference;
  state: OwnerState;
}

export type DependentPlan =
  | { do: 'nothing' }
  /** Some owners stay: only the references to the others go. */
  | { do: 'release'; ownerReferences: OwnerReference[] }
  | { do: 'delete'; propagationPolicy: 'Background' | 'Foreground' | 'Orphan' };

/** What becomes of an object, given its owners. */
export function planDependent(metadata: ObjectMeta, owners: readonly OwnerFinding[], hasDependents: boolean): DependentPlan {
  if (owners.length === 0 || metadata.deletionTimestamp) return { do: 'nothing' };
  const staying = owners.filter(({ state }) => state === 'present' || state === 'unknown');
  if (staying.length === owners.length) return { do: 'nothing' };
  if (staying.length > 0) return { do: 'release', ownerReferences: staying.map(({ reference }) => reference) };
  const finalizers = metadata.finalizers ?? [];
  if (finalizers.includes(orphanFinalizer)) return { do: 'delete', propagationPolicy: 'Orphan' };
  const waiting = owners.some(({ state }) => state === 'waiting');
  if (finalizers.includes(foregroundFinalizer) || (waiting && hasDependents)) return { do: 'delete', propagationPolicy: 'Foreground' };
  return { do: 'delete', propagationPolicy: 'Background' };
}

/** A dependent as its owner sees it. */
export interface Dependent {
  uid: string;
  metadata: ObjectMeta;
}

export type OwnerPlan =
  | { do: 'nothing' }
  /** These must go first: look at each. */
  | { do: 'await'; uids: string[] }
  /** Take the owner's reference off these, then the finalizer off the owner. */
  | { do: 'orphan'; uids: string[]; finalizer: string }
  | { do: 'finish'; finalizer: string };

/** What an owner that is being deleted waits for. */
export function planOwner(metadata: ObjectMeta, dependents: readonly Dependent[]): OwnerPlan {
  if (!metadata.deletionTimestamp) return { do: 'nothing' };
  const finalizers = metadata.finalizers ?? [];
  if (finalizers.includes(orphanFinalizer)) {
    return dependents.length > 0
      ? { do: 'orphan', uids: dependents.map(({ uid }) => uid), finalizer: orphanFinalizer }
      : { do: 'finish', finalizer: orphanFinalizer };
  }
  if (!finalizers.includes(foregroundFinalizer)) return { do: 'nothing' };
  const blocking = dependents.filter((dependent) => referenceTo(dependent.metadata, metadata.uid)?.blockOwnerDeletion);
  return blocking.length > 0 ? { do: 'await', uids: blocking.map(({ uid }) => uid) } : { do: 'finish', finalizer: foregroundFinalizer };
}

/** Whether an owner waits for its dependents to go. */
export function waitsForDependents(metadata: ObjectMeta): boolean {
  return Boolean(metadata.deletionTimestamp) && (metadata.finalizers ?? []).includes(foregroundFinalizer);
}

function referenceTo(metadata: ObjectMeta, ownerUid: string | undefined): OwnerReference | undefined {
  return metadata.ownerReferences?.find((reference) => reference.uid === ownerUid);
}

const askAgainMsMin = 5_000;
/** All together ask the server not more than 200 times a second, however many settled tasks own something. */
const askAgainMsEach = 5;

/** When a dependent asks again for an owner of which nobody would tell that it goes. @param asking how many do, this one included */
export function askAgainMs(asking: number): number {
  return Math.max(askAgainMsMin, asking * askAgainMsEach);
}
