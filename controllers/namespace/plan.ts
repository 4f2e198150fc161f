// plan.ts: what is left in a namespace that is being deleted, and how its conditions tell of it: in the words of Kubernetes.
// https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/namespace/deletion/status_condition_utils.go

import { withCondition } from '../../api/conditions.js';
import { namespaceContentsFinalizer } from '../../api/finalizers.js';
import type { KindDefinition } from '../../api/kind.js';
import type { Condition } from '../../api/meta.js';
import { namespaceFinalizer, type Namespace } from '../../api/namespace.js';

/** Whether the namespace is being deleted and waits for us. */
export function isOurs({ metadata, spec }: Namespace): boolean {
  if (!metadata.deletionTimestamp) return false;
  return Boolean(spec?.finalizers?.includes(namespaceFinalizer) || metadata.finalizers?.includes(namespaceContentsFinalizer));
}

/** Kinds with objects in namespaces, which must go with them. */
export function contentKinds(kinds: readonly KindDefinition[]): KindDefinition[] {
  return kinds.filter((kind) => kind.namespaced);
}

/** What is there of a kind after all of it was asked to go. */
export interface Remaining {
  kind: KindDefinition;
  objects: number;
  /** How many of them wait for each finalizer. */
  finalizers: ReadonlyMap<string, number>;
}

export interface Emptied {
  remaining: readonly Remaining[];
  /** Why objects could not be asked to go. */
  failures: readonly { kind: KindDefinition; message: string }[];
}

/** What deleting a namespace waits for, for logs. */
export function remainingText(remaining: readonly Remaining[]): string {
  return remaining.map(({ kind, objects }) => `${objects} of kind ${kind.kind}`).join(', ');
}

/** @param now milliseconds since the epoch */
export function conditionsOf({ remaining, failures }: Emptied, before: readonly Condition[] | undefined, now: number): Condition[] {
  const finalizers = new Map<string, number>();
  for (const found of remaining) for (const [name, objects] of found.finalizers) finalizers.set(name, (finalizers.get(name) ?? 0) + objects);
  const left = remaining.map(({ kind, objects }) => `${kind.plural}.${kind.group} has ${objects} resource instances`);
  const waited = [...finalizers].map(([name, objects]) => `${name} in ${objects} resource instances`);
  const failed = failures.map(({ message }) => message);
  const told: Parameters<typeof withCondition>[1][] = [
    { type: 'NamespaceDeletionDiscoveryFailure', status: 'False', reason: 'ResourcesDiscovered', message: 'All resources successfully discovered' },
    { type: 'NamespaceDeletionGroupVersionParsingFailure', status: 'False', reason: 'ParsedGroupVersions', message: 'All legacy kube types successfully parsed' },
    failed.length > 0
      ? { type: 'NamespaceDeletionContentFailure', status: 'True', reason: 'ContentDeletionFailed', message: `Failed to delete all resource types, ${failed.length} remaining: ${failed.toSorted().join(', ')}` }
      : { type: 'NamespaceDeletionContentFailure', status: 'False', reason: 'ContentDeleted', message: 'All content successfully deleted, may be waiting on finalization' },
    left.length > 0
      ? { type: 'NamespaceContentRemaining', status: 'True', reason: 'SomeResourcesRemain', message: `Some resources are remaining: ${left.toSorted().join(', ')}` }
      : { type: 'NamespaceContentRemaining', status: 'False', reason: 'ContentRemoved', message: 'All content successfully removed' },
    waited.length > 0
      ? { type: 'NamespaceFinalizersRemaining', status: 'True', reason: 'SomeFinalizersRemain', message: `Some content in the namespace has finalizers remaining: ${waited.toSorted().join(', ')}` }
      : { type: 'NamespaceFinalizersRemaining', status: 'False', reason: 'ContentHasNoFinalizers', message: 'All content-preserving finalizers finished' },
  ];
  return told.reduce<Condition[]>((conditions, condition) => withCondition(conditions, condition, now), [...(before ?? [])]);
}

/** The namespace without what of its finalizers is ours. */
export function released(namespace: Namespace): Namespace {
  const { resourceVersion: _any, ...metadata } = namespace.metadata;
  return { ...namespace, metadata, spec: { finalizers: (namespace.spec?.finalizers ?? []).filter((finalizer) => finalizer !== namespaceFinalizer) } };
}
