// delete.ts
//
// Deletion as Kubernetes has it: an object goes at once, unless finalizers or its own processes hold it. Then it gets a
// deletionTimestamp and goes with the write that takes away the last of them (update.ts).

import { foregroundFinalizer, orphanFinalizer } from '../../api/finalizers.js';
import { dequal } from 'dequal';
import { conflict } from '../../api/errors.js';
import { timestamp, type KubeObject, type ObjectMeta } from '../../api/meta.js';
import type { Step } from './mutator.js';
import type { DeleteOptions, ObjectTarget } from './service.js';
import { strategyOf } from './strategies/index.js';
import { isDone, uidConflict } from './update.js';

/** @throws ApiError Conflict when a precondition does not hold, Forbidden for an object that stays */
export function planDelete(target: ObjectTarget, stored: KubeObject, options: DeleteOptions, now: number): Step {
  const { kind } = target;
  refuseUnmet(target, stored.metadata, options);
  const strategy = strategyOf(kind);
  strategy.refuseDelete?.(stored);

  const next: KubeObject = { ...stored, metadata: { ...stored.metadata } };
  setFinalizers(next.metadata, options.propagationPolicy);
  if (!stored.metadata.deletionTimestamp) {
    strategy.beginDelete?.(next, now);
    if (!strategy.graceSeconds) beginWaiting(next.metadata);
  }
  const grace = graceOf(stored, strategy.graceSeconds?.(stored, options.gracePeriodSeconds));
  next.metadata.deletionTimestamp ??= timestamp(now);
  if (grace !== undefined) next.metadata.deletionGracePeriodSeconds = grace;
  if (isDone(kind, next)) return { do: 'remove' };
  strategy.prepareForDelete?.(next);
  return dequal(next, stored) ? { do: 'nothing' } : { do: 'write', object: next };
}

/** @throws ApiError Conflict when a precondition does not hold */
export function refuseUnmet({ kind, name }: ObjectTarget, stored: ObjectMeta, { preconditions }: DeleteOptions): void {
  const { uid, resourceVersion } = preconditions ?? {};
  if (uid && uid !== stored.uid) throw uidConflict(kind, name, uid, stored.uid);
  if (resourceVersion && resourceVersion !== stored.resourceVersion) {
    throw conflict(kind, name, `Precondition failed: ResourceVersion in precondition: ${resourceVersion}, ResourceVersion in object meta: ${stored.resourceVersion ?? ''}`);
  }
}

/** For an object that no process holds. Controllers that look at changes of generation only must see that it is to go. */
function beginWaiting(metadata: ObjectMeta): void {
  metadata.deletionGracePeriodSeconds = 0;
  if (metadata.generation) metadata.generation++;
}

/** A second deletion may shorten the time that the processes have, never lengthen it. */
function graceOf(stored: KubeObject, asked: number | undefined): number | undefined {
  const { deletionTimestamp, deletionGracePeriodSeconds } = stored.metadata;
  if (!deletionTimestamp || asked === undefined || deletionGracePeriodSeconds === undefined) return asked;
  return Math.min(asked, deletionGracePeriodSeconds);
}

function setFinalizers(metadata: ObjectMeta, policy: DeleteOptions['propagationPolicy']): void {
  if (policy === undefined) return;
  const others = (metadata.finalizers ?? []).filter((finalizer) => finalizer !== foregroundFinalizer && finalizer !== orphanFinalizer);
  const ours = policy === 'Foreground' ? [foregroundFinalizer] : policy === 'Orphan' ? [orphanFinalizer] : [];
  metadata.finalizers = [...others, ...ours];
  if (metadata.finalizers.length === 0) delete metadata.finalizers;
}
