// server-kinds.ts: the kinds that users have defined, as the server tells of them. Asked for only when a word or a manifest names a kind that is not built in.

import { ApiError, type Status } from '../api/errors.js';
import { genericKind } from '../api/generic-kind.js';
import type { KindDefinition } from '../api/kind.js';
import { kinds } from '../api/kinds.js';
import type { ApiClient } from '../client/api-client.js';

interface Discovered {
  items: {
    metadata: { name?: string };
    versions: { version: string; resources?: { resource: string; responseKind: { group: string; version: string; kind: string }; scope: string; singularResource?: string; verbs: string[]; shortNames?: string[]; categories?: string[]; subresources?: { subresource: string }[] }[] }[];
  }[];
}

const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';

/** Kinds of groups that are not built in, the preferred version of each first. @throws ApiError, TransportError */
export async function customKinds(client: ApiClient): Promise<KindDefinition[]> {
  const reply = await client.transport.request({ method: 'GET', path: '/apis', headers: { accept } });
  if (reply.status >= 400) throw ApiError.fromStatus(JSON.parse(reply.body) as Partial<Status>, reply.status);
  const { items } = JSON.parse(reply.body) as Discovered;
  const builtIn = new Set(['metrics.k8s.io', ...kinds.map(({ group }) => group)]);
  return items
    .filter(({ metadata }) => !builtIn.has(metadata.name ?? ''))
    .flatMap(({ metadata: { name: group = '' }, versions }) =>
      versions.flatMap(({ version, resources = [] }) =>
        resources.map(({ resource, responseKind: { kind }, scope, singularResource, verbs, shortNames = [], categories = [], subresources = [] }) =>
          genericKind({
            group,
            version,
            kind,
            plural: resource,
            namespaced: scope === 'Namespaced',
            verbs,
            shortNames,
            categories,
            statusSubresource: subresources.some(({ subresource }) => subresource === 'status'),
            ...(singularResource ? { singular: singularResource } : {}),
          }),
        ),
      ),
    );
}
