import { namespaceContentsFinalizer } from '../../api/finalizers.js';
import type { KindDefinition } from '../../api/kind.js';
import type { Namespace } from '../../api/namespace.js';

/** Whether the namespace is being deleted and waits for us. */
export function isOurs(namespace: Namespace): boolean {
  return Boolean(namespace.metadata.deletionTimestamp) && (namespace.metadata.finalizers ?? []).includes(namespaceContentsFinalizer);
}

/** What is in namespaces and is stored, so that it must go with them. */
export function contentKinds(kinds: readonly KindDefinition[]): KindDefinition[] {
  return kinds.filter((kind) => kind.namespaced && !kind.projectionOf && !kind.storedAs && (kind.verbs?.includes('delete') ?? true));
}

export interface Remaining {
  kind: string;
  objects: number;
}

/** What deleting a namespace waits for, for people. */
export function remainingText(remaining: readonly Remaining[]): string {
  return remaining.map(({ kind, objects }) => `${objects} of kind ${kind}`).join(', ');
}

/** The namespace without our finalizer. */
export function released(namespace: Namespace): Namespace {
  const finalizers = (namespace.metadata.finalizers ?? []).filter((finalizer) => finalizer !== namespaceContentsFinalizer);
  return { ...namespace, metadata: { ...namespace.metadata, finalizers } };
}
