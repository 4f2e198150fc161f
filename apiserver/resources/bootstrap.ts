// bootstrap.ts: what every cluster has from its first start.

import { isReason } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import { bootstrapNamespaces, namespaceKind } from '../../api/namespace.js';
import type { ResourceService } from './service.js';
import { silentCaller } from './system-caller.js';

/** Creates the namespaces that every cluster has, where they are missing. */
export async function bootstrap(resources: Pick<ResourceService, 'create'>): Promise<void> {
  const kind = namespaceKind as unknown as KindDefinition;
  await Promise.all(
    bootstrapNamespaces.map(async (name) => {
      try {
        await resources.create(silentCaller, { kind, namespace: undefined }, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }, {});
      } catch (error) {
        if (!isReason(error, 'AlreadyExists')) throw error;
      }
    }),
  );
}
