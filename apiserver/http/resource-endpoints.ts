// resource-endpoints.ts: from a resource path to its kind, verb and rights.

import type { KindDefinition } from '../../api/kind.js';
import type { ServedKinds } from '../../api/kind-registry.js';
import { nodeKind } from '../../api/node.js';
import type { Attributes } from '../resources/authorization.js';
import type { ResourceService } from '../resources/service.js';
import { isMapping } from './decode.js';
import type { Endpoint } from './endpoint.js';
import { methodNotAllowed, unknownPath } from './errors.js';
import type { ServerRequest } from './message.js';
import { flag } from './query.js';
import { readValue, ResourceRequests } from './resource-requests.js';
import { verbOf, type ResourceRoute, type Verb } from './route.js';
import { subresourcesOf } from './subresources.js';

export class ResourceEndpoints {
  readonly #requests: ResourceRequests;
  readonly #kinds: ServedKinds;

  constructor(options: { kinds: ServedKinds; resources: ResourceService; now: () => number }) {
    this.#requests = new ResourceRequests(options);
    this.#kinds = options.kinds;
  }

  /** @throws ApiError BadRequest for a `watch` parameter that is no flag */
  endpoint(route: ResourceRoute, request: ServerRequest): Endpoint {
    const kind = this.#kinds.find(route.group, route.version, route.plural);
    const verb = verbOf(request.method, route.name !== undefined, request.query.has('watch') && flag(request.query, 'watch'));
    const attributes = attributesOf(route, kind, verb ?? request.method.toLowerCase(), request.query);
    if (!kind || !this.#isServed(kind, route)) {
      return { attributes, label: { verb: 'unknown', resource: 'unknown' }, run: () => Promise.reject(unknownPath()) };
    }
    const label = { verb: verb ?? 'unknown', resource: route.subresource ? `${kind.plural}/${route.subresource}` : kind.plural };
    if (!verb || !isAllowed(kind, route, request.method, verb)) return { attributes, label, run: () => Promise.reject(methodNotAllowed()) };
    return {
      attributes,
      label,
      ...(verb === 'watch' ? { longRunning: true } : {}),
      // An agent may register its own node only, and a create names it in its body.
      ...(verb === 'create' && kind.plural === nodeKind.plural && kind.group === nodeKind.group ? { bodyAttributes: nameInBody } : {}),
      run: (asked, caller) => this.#requests.handle({ request: asked, route, kind, verb, caller }),
    };
  }

  #isServed(kind: KindDefinition, { subresource, namespace }: ResourceRoute): boolean {
    if (namespace !== undefined && !kind.namespaced) return false;
    return subresource === undefined || subresourcesOf(kind).some(({ name }) => name === subresource);
  }
}

function isAllowed(kind: KindDefinition, route: ResourceRoute, method: string, verb: Verb): boolean {
  if (route.subresource === undefined) return true;
  const subresource = subresourcesOf(kind).find(({ name }) => name === route.subresource);
  // The other subresources have endpoints of their own; only their wrong methods end up here.
  return (route.subresource === 'status' || route.subresource === 'scale') && verb !== 'watch' && subresource!.methods.includes(method);
}

export function attributesOf(route: ResourceRoute, kind: KindDefinition | undefined, verb: string, query: URLSearchParams): Attributes {
  const { group, plural, namespace, name, subresource } = route;
  const fieldSelector = query.size === 0 ? null : query.get('fieldSelector');
  return {
    verb,
    kind: kind ?? { group, plural, kind: plural },
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
    ...(subresource === undefined ? {} : { subresource }),
    ...(fieldSelector ? { fieldSelector } : {}),
  };
}

async function nameInBody(request: ServerRequest): Promise<Partial<Attributes>> {
  const body = await readValue(request);
  const metadata = isMapping(body) ? body['metadata'] : undefined;
  const name = isMapping(metadata) ? metadata['name'] : undefined;
  return typeof name === 'string' ? { name } : {};
}
