// plan.ts: what is to be done about a CustomResourceDefinition. Pure.

import { dequal } from 'dequal';
import { withCondition } from '../../api/conditions.js';
import { customResourceCleanupFinalizer, isEstablished, storageKindOf, type CustomResourceDefinition, type DefinitionStatus } from '../../api/custom-resource-definition.js';
import { settledStatus } from '../../api/definition-status.js';
import type { KindDefinition } from '../../api/kind.js';
import type { KubeObject } from '../../api/meta.js';

export type Step =
  | { readonly do: 'nothing' }
  /** Names have become free: the status is to say so. */
  | { readonly do: 'settle'; readonly status: DefinitionStatus }
  /** Its objects go, then it may. */
  | { readonly do: 'empty'; readonly kind: KindDefinition }
  /** There have never been objects. */
  | { readonly do: 'release' };

/** @param all every definition, this one among them @param now milliseconds since the epoch */
export function planFor(crd: CustomResourceDefinition, all: Iterable<CustomResourceDefinition>, now: number): Step {
  if (crd.metadata.deletionTimestamp) {
    if (!crd.metadata.finalizers?.includes(customResourceCleanupFinalizer)) return { do: 'nothing' };
    const kind = storageKindOf(crd);
    return isEstablished(crd) && kind ? { do: 'empty', kind } : { do: 'release' };
  }
  const status = settledStatus(crd, all, now);
  return dequal(status, crd.status) ? { do: 'nothing' } : { do: 'settle', status };
}

/** The namespaces that objects are in; undefined for those of no namespace. */
export function namespacesOf(objects: readonly KubeObject[]): (string | undefined)[] {
  return [...new Set(objects.map(({ metadata }) => metadata.namespace))];
}

/** What the status tells while objects are still there. @param now milliseconds since the epoch */
export function emptyingConditions({ status }: CustomResourceDefinition, now: number): NonNullable<DefinitionStatus['conditions']> {
  return withCondition(status?.conditions, { type: 'Terminating', status: 'True', reason: 'InstanceDeletionInProgress', message: 'CustomResource deletion is in progress' }, now);
}

/** The finalizers that are left when ours is done. */
export function othersFinalizers({ metadata }: CustomResourceDefinition): string[] | null {
  const others = (metadata.finalizers ?? []).filter((finalizer) => finalizer !== customResourceCleanupFinalizer);
  return others.length > 0 ? others : null;
}
