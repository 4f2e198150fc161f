// namespaces.ts: whether a namespace takes new objects.

import { ApiError, notFound, qualifiedPlural } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import type { KubeObject } from '../../api/meta.js';
import { namespaceKind } from '../../api/namespace.js';

/**
 * @param stored the Namespace object, where there is one
 * @throws ApiError NotFound for a namespace that does not exist, Forbidden for one that is being deleted
 */
export function refuseClosedNamespace(kind: KindDefinition, name: string, namespace: string, stored: KubeObject | undefined): void {
  if (!stored) throw notFound(namespaceKind, namespace);
  if (!stored.metadata.deletionTimestamp) return;
  throw new ApiError(
    'Forbidden',
    `${qualifiedPlural(kind)} "${name}" is forbidden: unable to create new content in namespace ${namespace} because it is being terminated`,
    {
      name,
      ...(kind.group ? { group: kind.group } : {}),
      kind: kind.plural,
      causes: [{ reason: 'NamespaceTerminating', message: `namespace ${namespace} is being terminated`, field: 'metadata.namespace' }],
    },
  );
}
