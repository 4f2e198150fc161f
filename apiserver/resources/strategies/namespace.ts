import { forbidden } from '../../../api/errors.js';
import { namespaceContentsFinalizer } from '../../../api/finalizers.js';
import type { KubeObject } from '../../../api/meta.js';
import { bootstrapNamespaces, namespaceKind } from '../../../api/namespace.js';
import type { Strategy } from './strategy.js';

const nameLabel = 'kubernetes.io/metadata.name';

function keepOurs({ metadata }: KubeObject): void {
  const { finalizers = [] } = metadata;
  if (!finalizers.includes(namespaceContentsFinalizer)) metadata.finalizers = [...finalizers, namespaceContentsFinalizer];
  metadata.labels = { ...metadata.labels, [nameLabel]: metadata.name ?? '' };
}

export const namespaceStrategy: Strategy = {
  prepareForCreate(object) {
    keepOurs(object);
    object.status = { phase: 'Active' };
  },
  prepareForUpdate(next, stored) {
    if (!stored.metadata.deletionTimestamp) keepOurs(next);
  },
  refuseDelete({ metadata: { name = '' } }) {
    if ((bootstrapNamespaces as readonly string[]).includes(name)) throw forbidden(namespaceKind, name, 'this namespace may not be deleted');
  },
  prepareForDelete(next) {
    next.status = { ...(next.status as object | undefined), phase: 'Terminating' };
  },
};
