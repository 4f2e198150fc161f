// custom-resource-definition.ts: a definition's kind is served from the write that finds its names free, and no object outlives its definition.

import { customResourceCleanupFinalizer, customResourceDefinitionKind, type CustomResourceDefinition } from '../../../api/custom-resource-definition.js';
import { settledStatus, terminatingStatus } from '../../../api/definition-status.js';
import type { KindDefinition } from '../../../api/kind.js';
import type { Strategy } from './strategy.js';

export const customResourceDefinitionStrategy: Strategy = {
  isAwaited: true,
  settle(object, { now, all }) {
    const crd = object as CustomResourceDefinition;
    crd.status = settledStatus(crd, all(customResourceDefinitionKind as unknown as KindDefinition) as Iterable<CustomResourceDefinition>, now);
  },
  beginDelete(next, now) {
    const crd = next as CustomResourceDefinition;
    const { finalizers = [] } = crd.metadata;
    if (!finalizers.includes(customResourceCleanupFinalizer)) crd.metadata.finalizers = [...finalizers, customResourceCleanupFinalizer];
    crd.status = terminatingStatus(crd.status, now);
  },
};
