// finalizers.ts: the finalizers that Taskplane's own controllers take off.

/** Dependents go before the object; the garbage collector takes it off when they have. */
export const foregroundFinalizer = 'foregroundDeletion';
/** Dependents stay and forget the object; the garbage collector takes it off when they have. */
export const orphanFinalizer = 'orphan';
/** On every Namespace; the namespace controller takes it off when a deleted namespace is empty. */
export const namespaceContentsFinalizer = 'taskplane.dev/namespace-contents';
