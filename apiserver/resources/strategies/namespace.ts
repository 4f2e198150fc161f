import { forbidden } from '../../../api/errors.js';
import { namespaceContentsFinalizer } from '../../../api/finalizers.js';
import type { KubeObject } from '../../../api/meta.js';
import { bootstrapNamespaces, namespaceFinalizer, namespaceKind, type Namespace } from '../../../api/namespace.js';
import type { Strategy } from './strategy.js';

const nameLabel = 'kubernetes.io/metadata.name';

function keepLabel({ metadata }: KubeObject): void {
  metadata.labels = { ...metadata.labels, [nameLabel]: metadata.name ?? '' };
}

/** Finalizers as the object had them under an earlier version become those of today. */
function dropOldFinalizer({ metadata }: KubeObject): void {
  const finalizers = metadata.finalizers?.filter((finalizer) => finalizer !== namespaceContentsFinalizer);
  if (finalizers?.length) metadata.finalizers = finalizers;
  else delete metadata.finalizers;
}

/** What /finalize makes of a namespace: its spec.finalizers change, nothing else. */
function finalized(stored: KubeObject, desired: KubeObject): KubeObject {
  const next: KubeObject = { ...stored, metadata: { ...stored.metadata }, spec: { finalizers: (desired as Namespace).spec?.finalizers ?? [] } };
  dropOldFinalizer(next);
  return next;
}

export const namespaceStrategy: Strategy = {
  prepareForCreate(object) {
    keepLabel(object);
    const { finalizers = [] } = (object as Namespace).spec ?? {};
    object.spec = { finalizers: finalizers.includes(namespaceFinalizer) ? finalizers : [...finalizers, namespaceFinalizer] };
    object.status = { phase: 'Active' };
  },
  prepareForUpdate(next, stored) {
    const { finalizers } = (stored as Namespace).spec ?? {};
    if (stored.metadata.deletionTimestamp) {
      if (stored.spec === undefined) delete next.spec;
      else next.spec = stored.spec;
      return;
    }
    keepLabel(next);
    dropOldFinalizer(next);
    next.spec = { finalizers: finalizers ?? [namespaceFinalizer] };
  },
  subresources: { finalize: finalized },
  refuseDelete({ metadata: { name = '' } }) {
    if ((bootstrapNamespaces as readonly string[]).includes(name)) throw forbidden(namespaceKind, name, 'this namespace may not be deleted');
  },
  prepareForDelete(next) {
    next.status = { ...(next.status as object | undefined), phase: 'Terminating' };
  },
  mayRemove: (object) => ((object as Namespace).spec?.finalizers ?? []).length === 0,
};
