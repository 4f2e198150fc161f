// finalizers.ts: the finalizers that Taskplane's own controllers take off.

/** Dependents go before the object; the garbage collector takes it off when they have. */
export const foregroundFinalizer = 'foregroundDeletion';
/** Dependents stay and forget the object; the garbage collector takes it off when they have. */
export const orphanFinalizer = 'orphan';
/** Earlier versions had this in metadata.finalizers of every Namespace, instead of namespaceFinalizer in its spec; it goes with the next write. */
export const namespaceContentsFinalizer = 'taskplane.dev/namespace-contents';
