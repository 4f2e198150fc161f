// path-endpoints.ts: everything that is no resource: health, version, metrics, discovery, OpenAPI.

import type { ServedKinds } from '../../api/kind-registry.js';
import { versionInfo } from '../version.js';
import { Discovery } from './discovery.js';
import type { Endpoint } from './endpoint.js';
import { methodNotAllowed, unknownPath } from './errors.js';
import { healthReply, type HealthCheck } from './health.js';
import { jsonReply, jsonType, type ServerReply, type ServerRequest } from './message.js';
import type { ServerMetrics } from './metrics.js';
import { OpenApiV2 } from './openapi-v2.js';
import { OpenApiV3 } from './openapi-v3.js';
import type { Route } from './route.js';

type PathRoute = Exclude<Route, { type: 'resource' }>;

/** Kubernetes lets anybody ask for these. */
const anonymousPaths = new Set(['livez', 'readyz', 'healthz', 'version']);
const knownPaths = new Set([...anonymousPaths, 'metrics', 'openapi']);

export interface PathEndpointsOptions {
  kinds: ServedKinds;
  /** Version of this package. */
  version: string;
  checks: { live: readonly HealthCheck[]; ready: readonly HealthCheck[] };
  metrics: ServerMetrics;
}

export class PathEndpoints {
  readonly #options: PathEndpointsOptions;
  readonly #discovery: Discovery;
  readonly #openApiV2: OpenApiV2;
  readonly #openApiV3: OpenApiV3;
  readonly #version: ReturnType<typeof versionInfo>;

  constructor(options: PathEndpointsOptions) {
    this.#options = options;
    this.#discovery = new Discovery(options.kinds);
    this.#version = versionInfo(options.version);
    const documented = { kinds: options.kinds, version: this.#version.gitVersion };
    this.#openApiV2 = new OpenApiV2(documented);
    this.#openApiV3 = new OpenApiV3(documented);
  }

  endpoint(route: PathRoute, request: ServerRequest): Endpoint {
    const root = route.type === 'other' ? (route.segments[0] ?? '') : '';
    const attributes = { verb: request.method.toLowerCase(), path: request.path };
    const label = { verb: attributes.verb, resource: route.type === 'discovery' ? 'discovery' : knownPaths.has(root) ? root : 'unknown' };
    return { attributes, label, anonymous: anonymousPaths.has(root), run: () => this.#run(route, request) };
  }

  #run(route: PathRoute, request: ServerRequest): Promise<ServerReply> | ServerReply {
    if (route.type === 'malformed') throw unknownPath();
    const reply = route.type === 'discovery' ? () => this.#discovery.handle(route.root, route.group, route.version, request) : this.#other(route.segments, request);
    if (!reply) throw unknownPath();
    if (request.method !== 'GET' && request.method !== 'HEAD') throw methodNotAllowed();
    return reply();
  }

  #other(segments: readonly string[], request: ServerRequest): (() => Promise<ServerReply> | ServerReply) | undefined {
    const [root, ...rest] = segments;
    switch (root) {
      case 'livez':
      case 'readyz':
      case 'healthz':
        return rest.length <= 1 ? () => this.#health(root, rest[0], request) : undefined;
      case 'version':
        return rest.length === 0 ? () => jsonReply(200, this.#version) : undefined;
      case 'metrics':
        return rest.length === 0 ? () => this.#options.metrics.reply() : undefined;
      case 'openapi':
        if (rest[0] === 'v3') return () => this.#openApiV3.handle(rest.slice(1).join('/'), request);
        return rest.length === 1 && rest[0] === 'v2' ? () => this.#openApiV2.handle(request) : undefined;
      case '':
        return rest.length === 0 ? rootPaths : undefined;
      default:
        return undefined;
    }
  }

  #health(root: string, only: string | undefined, request: ServerRequest): Promise<ServerReply> {
    const { live, ready } = this.#options.checks;
    const checks = root === 'livez' ? live : [...live, ...ready];
    const chosen = only === undefined ? checks : checks.filter(({ name }) => name === only);
    if (chosen.length === 0) throw unknownPath();
    return healthReply(root, chosen, { verbose: request.query.has('verbose'), excluded: request.query.getAll('exclude') });
  }
}

/** GET /: where to go from here, as Kubernetes has it. */
function rootPaths(): ServerReply {
  const paths = ['/api', '/apis', '/healthz', '/livez', '/metrics', '/openapi/v2', '/openapi/v3', '/readyz', '/version'];
  return { status: 200, headers: { 'content-type': jsonType }, body: `${JSON.stringify({ paths }, undefined, 2)}\n` };
}
