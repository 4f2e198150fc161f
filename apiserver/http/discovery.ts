// discovery.ts
//
// What the server serves, for clients that ask before they talk: legacy lists per group version, and the aggregated form
// that tells everything in one reply. Kinds change seldom, so each is text made once between two changes, with its ETag.
// https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api

import { createHash } from 'node:crypto';
import { apiVersionOf, type KindDefinition } from '../../api/kind.js';
import type { ServedKinds } from '../../api/kind-registry.js';
import { unknownPath } from './errors.js';
import { jsonType, type ServerReply, type ServerRequest } from './message.js';
import { negotiateDiscovery } from './accept.js';
import { defaultVerbs, subresourcesOf } from './subresources.js';

interface Resource {
  plural: string;
  singular: string;
  namespaced: boolean;
  kind: { group: string; version: string; kind: string };
  verbs: readonly string[];
  shortNames: readonly string[];
  categories: readonly string[];
  subresources: readonly { name: string; verbs: readonly string[]; kind: { group: string; version: string; kind: string } }[];
}

interface GroupVersion {
  group: string;
  version: string;
  resources: Resource[];
}

/** The group of Eviction, which is only ever a subresource of pods: kubectl before 1.22 evicts where it finds the group, and deletes elsewhere. */
const policyGroup: GroupVersion = { group: 'policy', version: 'v1', resources: [] };

/** Measured use, a view that is no kind: `kubectl top` asks for it. Last, so that `nodes` and `pods` mean the core ones. */
const metricsGroup: GroupVersion = {
  group: 'metrics.k8s.io',
  version: 'v1beta1',
  resources: [
    { plural: 'nodes', kind: 'NodeMetrics', namespaced: false },
    { plural: 'pods', kind: 'PodMetrics', namespaced: true },
  ].map(({ plural, kind, namespaced }) => ({
    plural,
    singular: '',
    namespaced,
    kind: { group: 'metrics.k8s.io', version: 'v1beta1', kind },
    verbs: ['get', 'list'],
    shortNames: [],
    categories: [],
    subresources: [],
  })),
};

export class Discovery {
  readonly #kinds: ServedKinds;
  /** Of the kinds that `#groups` and `#texts` were made of. */
  #revision = -1;
  #groups: readonly GroupVersion[] = [];
  readonly #texts = new Map<string, CachedText>();

  constructor(kinds: ServedKinds) {
    this.#kinds = kinds;
  }

  /** @throws ApiError NotFound for a group or version that is not served */
  handle(root: 'api' | 'apis', group: string | undefined, version: string | undefined, request: ServerRequest): ServerReply {
    if (this.#revision !== this.#kinds.revision) this.#regroup();
    if (version !== undefined) return this.#reply(request, `${root}/${group ?? ''}/${version}`, () => this.#resourceList(group ?? '', version));
    if (group !== undefined) return this.#reply(request, `${root}/${group}`, () => this.#apiGroup(group));
    const aggregated = negotiateDiscovery(request.headers['accept']);
    const vary = { vary: 'Accept' };
    if (aggregated) {
      const type = `${jsonType};g=apidiscovery.k8s.io;v=${aggregated};as=APIGroupDiscoveryList`;
      return this.#reply(request, `${root} ${aggregated}`, () => this.#aggregated(root, aggregated), { ...vary, 'content-type': type });
    }
    return this.#reply(request, root, () => (root === 'api' ? this.#apiVersions() : this.#apiGroupList()), vary);
  }

  #regroup(): void {
    const groups = new Map<string, GroupVersion>();
    for (const kind of this.#kinds.kinds) {
      const apiVersion = apiVersionOf(kind);
      let group = groups.get(apiVersion);
      if (!group) groups.set(apiVersion, (group = { group: kind.group, version: kind.version, resources: [] }));
      group.resources.push(resourceOf(kind));
    }
    this.#groups = [...groups.values(), policyGroup, metricsGroup];
    this.#texts.clear();
    this.#revision = this.#kinds.revision;
  }

  #reply(request: ServerRequest, key: string, make: () => unknown, headers: Record<string, string> = {}): ServerReply {
    let text = this.#texts.get(key);
    if (!text) {
      const value = make();
      if (value === undefined) throw unknownPath();
      this.#texts.set(key, (text = cachedText(JSON.stringify(value))));
    }
    return conditionalReply(request, text, headers);
  }

  #apiVersions(): unknown {
    const versions = this.#groups.filter(({ group }) => group === '').map(({ version }) => version);
    return { kind: 'APIVersions', versions, serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: '' }] };
  }

  #apiGroupList(): unknown {
    const names = [...new Set(this.#groups.map(({ group }) => group))].filter((group) => group !== '');
    return { kind: 'APIGroupList', apiVersion: 'v1', groups: names.map((group) => this.#groupEntry(group)) };
  }

  #apiGroup(group: string): unknown {
    const entry = group === '' ? undefined : this.#groupEntry(group);
    return entry && { kind: 'APIGroup', apiVersion: 'v1', ...entry };
  }

  #groupEntry(group: string): { name: string; versions: unknown[]; preferredVersion: unknown } | undefined {
    const versions = this.#groups.filter((known) => known.group === group).map((known) => ({ groupVersion: apiVersionOf(known), version: known.version }));
    return versions.length > 0 ? { name: group, versions, preferredVersion: versions[0] } : undefined;
  }

  #resourceList(group: string, version: string): unknown {
    const found = this.#groups.find((known) => known.group === group && known.version === version);
    if (!found) return undefined;
    const resources = found.resources.flatMap((resource) => [
      {
        name: resource.plural,
        singularName: resource.singular,
        namespaced: resource.namespaced,
        kind: resource.kind.kind,
        verbs: resource.verbs,
        ...(resource.shortNames.length > 0 ? { shortNames: resource.shortNames } : {}),
        ...(resource.categories.length > 0 ? { categories: resource.categories } : {}),
      },
      ...resource.subresources.map((subresource) => ({
        name: `${resource.plural}/${subresource.name}`,
        singularName: '',
        namespaced: resource.namespaced,
        ...(apiVersionOf(subresource.kind) === apiVersionOf(found) ? {} : { group: subresource.kind.group, version: subresource.kind.version }),
        kind: subresource.kind.kind,
        verbs: subresource.verbs,
      })),
    ]);
    return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: apiVersionOf(found), resources };
  }

  #aggregated(root: 'api' | 'apis', version: string): unknown {
    const groups = this.#groups.filter(({ group }) => (group === '') === (root === 'api'));
    const names = [...new Set(groups.map(({ group }) => group))];
    const items = names.map((name) => ({
      metadata: name === '' ? {} : { name },
      versions: groups.filter(({ group }) => group === name).map((group) => ({ version: group.version, resources: group.resources.map(aggregatedResource), freshness: 'Current' })),
    }));
    return { kind: 'APIGroupDiscoveryList', apiVersion: `apidiscovery.k8s.io/${version}`, metadata: {}, items };
  }
}

/** What is still done to objects of a kind that goes. */
const lastVerbs: readonly string[] = ['delete', 'deletecollection', 'get', 'list', 'watch'];

function resourceOf(kind: KindDefinition): Resource {
  const { plural, singular, namespaced, shortNames, categories } = kind;
  const verbs = kind.closed === undefined ? (kind.verbs ?? defaultVerbs) : lastVerbs;
  return { plural, singular, namespaced, kind, verbs: [...verbs].sort(), shortNames, categories, subresources: subresourcesOf(kind) };
}

function aggregatedResource(resource: Resource): unknown {
  const responseKind = ({ group, version, kind }: Resource['kind']): unknown => ({ group, version, kind });
  return {
    resource: resource.plural,
    responseKind: responseKind(resource.kind),
    scope: resource.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: resource.singular,
    verbs: resource.verbs,
    ...(resource.shortNames.length > 0 ? { shortNames: resource.shortNames } : {}),
    ...(resource.categories.length > 0 ? { categories: resource.categories } : {}),
    ...(resource.subresources.length > 0
      ? { subresources: resource.subresources.map(({ name, verbs, kind }) => ({ subresource: name, responseKind: responseKind(kind), verbs })) }
      : {}),
  };
}

export interface CachedText {
  body: string | Buffer;
  hash: string;
}

export function cachedText(body: string | Buffer): CachedText {
  return { body, hash: createHash('sha256').update(body).digest('hex').slice(0, 32).toUpperCase() };
}

/** The text under its ETag, or 304 for who has it. Never carries warnings: clients keep what they got and would repeat them. */
export function conditionalReply(request: ServerRequest, { body, hash }: CachedText, headers: Record<string, string> = {}): ServerReply {
  const etag = `"${hash}"`;
  const known = (request.headers['if-none-match'] ?? '').split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  const common = { 'content-type': jsonType, etag, 'cache-control': 'no-cache, private', ...headers };
  return known.includes(etag) || known.includes('*') ? { status: 304, headers: common, body: '' } : { status: 200, headers: common, body };
}
