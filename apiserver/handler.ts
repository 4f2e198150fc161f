// handler.ts
//
// The API server as a function from a request to a reply; it knows no socket. `#serve` shows the order that every request
// goes through:
//
//   request id -> authentication -> authorization -> limits -> decode, service (the endpoint's run)
//
// Whatever is thrown on the way becomes a Status.

import { ApiError, forbidden, unauthorized } from '../api/errors.js';
import type { ServedKinds } from '../api/kind-registry.js';
import type { Clock } from '../lib/clock.js';
import type { Logger } from '../lib/log.js';
import type { Random } from '../lib/random.js';
import type { Endpoint } from './http/endpoint.js';
import { errorReply, toApiError, warningHeader, warningsMax } from './http/errors.js';
import type { HealthCheck } from './http/health.js';
import { Limit, requestsInFlightMax, streamsMax, upgradedMax } from './http/limits.js';
import type { ServerReply, ServerRequest, ShortWay } from './http/message.js';
import type { ServerMetrics } from './http/metrics.js';
import { OwnEndpoints, type OwnEndpointsOptions } from './http/own-endpoints.js';
import { PathEndpoints } from './http/path-endpoints.js';
import { ResourceEndpoints } from './http/resource-endpoints.js';
import { parsePath } from './http/route.js';
import { nodeOf, type Attributes } from './resources/authorization.js';
import { Reviews } from './reviews/reviews.js';
import type { Caller, ResourceService, User } from './resources/service.js';

export interface HandlerOptions extends OwnEndpointsOptions {
  kinds: ServedKinds;
  resources: ResourceService;
  /** @throws ApiError Forbidden */
  authorize(user: User, attributes: Attributes): void;
  /** Whether what is stored is known; until then no request about objects is answered. */
  isReady(): boolean;
  metrics: ServerMetrics;
  checks: { live: readonly HealthCheck[]; ready: readonly HealthCheck[] };
  /** Version of this package. */
  version: string;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** Of impersonate-user, -group, -uid and -extra-… */
const impersonationPrefix = 'impersonate-';
/** Of a request that could not even be understood. */
const unknownLabel = { verb: 'unknown', resource: 'unknown' };
const nobody: User = { name: 'system:anonymous', groups: ['system:unauthenticated'] };

export class Handler {
  readonly #options: HandlerOptions;
  readonly #paths: PathEndpoints;
  readonly #own: OwnEndpoints;
  readonly #reviews: Reviews;
  readonly #resources: ResourceEndpoints;
  readonly #inFlight = new Limit(requestsInFlightMax, 'requests in flight');
  readonly #streams = new Limit(streamsMax, 'watches and logs open');
  readonly #upgraded = new Limit(upgradedMax, 'exec, attach and port-forward connections open');
  readonly #idPrefix: string;
  #requests = 0;

  constructor(options: HandlerOptions) {
    this.#options = options;
    this.#paths = new PathEndpoints(options);
    this.#own = new OwnEndpoints(options);
    this.#reviews = new Reviews(options);
    this.#resources = new ResourceEndpoints({ ...options, now: () => options.clock.now() });
    this.#idPrefix = options.random.suffix(8);
  }

  /** Never rejects. */
  async handle(request: ServerRequest): Promise<ServerReply> {
    const { clock, metrics, logger } = this.#options;
    const startedAt = clock.monotonic();
    const requestId = `${this.#idPrefix}-${++this.#requests}`;
    const warnings: string[] = [];
    let endpoint: Endpoint | undefined;
    let reply: ServerReply;
    try {
      endpoint = this.#endpoint(request);
      reply = await this.#serve(request, endpoint, (message) => warnings.push(message));
    } catch (error) {
      reply = errorReply(toApiError(error, { requestId, method: request.method, path: request.path }, logger));
    }
    reply.headers['x-request-id'] = requestId;
    if (warnings.length > 0) reply.headers['warning'] = warnings.slice(0, warningsMax).map(warningHeader);
    const { verb, resource } = endpoint?.label ?? unknownLabel;
    metrics.replied(verb, resource, reply.status, (clock.monotonic() - startedAt) / 1000);
    return reply;
  }

  /**
   * The same steps in the same order for a request that comes again and again, each with another body: what does not change is found once, and
   * there is no promise where the answer is known at once.
   */
  shortWay(request: ServerRequest): ShortWay | undefined {
    const { clock, metrics, authorize, isReady } = this.#options;
    const endpoint = this.#endpointIfAny(request);
    if (!endpoint?.runNow || endpoint.bodyAttributes || endpoint.anonymous || endpoint.longRunning) return undefined;
    const { attributes, label } = endpoint;
    const { user, headers } = request;
    const replied = metrics.counting(label.verb, label.resource, 200);
    return (body) => {
      if (!isReady() || this.#inFlight.isFull) return undefined;
      const startedAt = clock.monotonic();
      try {
        authorize(authenticated(user, headers, false), attributes);
        const text = endpoint.runNow?.(body, headers);
        if (text === undefined) return undefined;
        replied((clock.monotonic() - startedAt) / 1000);
        return { requestId: `${this.#idPrefix}-${++this.#requests}`, text };
      } catch {
        return undefined;
      }
    };
  }

  /**
   * The first steps alone, for connections that become something else than a request (the agents' tunnels).
   * @throws ApiError
   */
  admit(user: User | undefined, headers: ServerRequest['headers'], attributes: Attributes): User {
    const known = authenticated(user, headers, false);
    this.#options.authorize(known, attributes);
    return known;
  }

  /**
   * As `admit`, for a connection that stays open and is about an object; it has a place among all such until `over`.
   * @param endpoint what a request at its path would have led to
   * @throws ApiError
   */
  admitStream(user: User | undefined, headers: ServerRequest['headers'], { attributes, label }: Pick<Endpoint, 'attributes' | 'label'>): { caller: Caller; over(): void } {
    if (!this.#options.isReady()) throw starting();
    const caller: Caller = { user: this.admit(user, headers, attributes), warn: () => undefined };
    const leave = this.#enter(this.#upgraded);
    const ended = this.#options.metrics.streamStarted(label.verb, label.resource);
    const over = (): void => {
      leave();
      ended();
    };
    return { caller, over };
  }

  /** Counts the answer to a request that did not come through `handle`. @param seconds from its headers to those of the answer */
  replied({ label }: Pick<Endpoint, 'label'>, code: number, seconds: number): void {
    this.#options.metrics.replied(label.verb, label.resource, code, seconds);
  }

  /** @throws what becomes a Status */
  async #serve(request: ServerRequest, endpoint: Endpoint, warn: Caller['warn']): Promise<ServerReply> {
    const anonymous = endpoint.anonymous ?? false;
    const user = authenticated(request.user, request.headers, anonymous);
    if (!anonymous) {
      const { attributes, bodyAttributes } = endpoint;
      // Only an agent's rights depend on what it sends: nobody else's body is read before they have any.
      const asked = bodyAttributes !== undefined && nodeOf(user) !== undefined;
      this.#options.authorize(user, asked ? { ...attributes, ...(await bodyAttributes(request)) } : attributes);
    }
    const caller: Caller = { user, warn };
    return endpoint.longRunning ? this.#stream(request, endpoint, caller) : this.#answer(request, endpoint, caller);
  }

  async #answer(request: ServerRequest, endpoint: Endpoint, caller: Caller): Promise<ServerReply> {
    const leave = this.#enter(this.#inFlight);
    this.#options.metrics.requestStarted();
    try {
      return await endpoint.run(request, caller);
    } finally {
      this.#options.metrics.requestEnded();
      leave();
    }
  }

  /** A stream keeps its place until its body is written. */
  async #stream(request: ServerRequest, endpoint: Endpoint, caller: Caller): Promise<ServerReply> {
    const leave = this.#enter(this.#streams);
    const { verb, resource } = endpoint.label;
    const ended = this.#options.metrics.streamStarted(verb, resource);
    const over = (): void => {
      leave();
      ended();
    };
    try {
      const reply = await endpoint.run(request, caller);
      const { body } = reply;
      if (typeof body !== 'function') {
        over();
        return reply;
      }
      return {
        ...reply,
        body: async (output) => {
          try {
            await body(output);
          } finally {
            over();
          }
        },
      };
    } catch (error) {
      over();
      throw error;
    }
  }

  #enter(limit: Limit): () => void {
    try {
      return limit.enter();
    } catch (error) {
      this.#options.metrics.requestRejected();
      throw error;
    }
  }

  #endpointIfAny(request: ServerRequest): Endpoint | undefined {
    try {
      return this.#endpoint(request);
    } catch {
      return undefined;
    }
  }

  #endpoint(request: ServerRequest): Endpoint {
    const route = parsePath(request.path);
    const tellsKinds = route.type === 'discovery' || (route.type === 'other' && route.segments[0] === 'openapi');
    // Which kinds there are is stored, too: clients keep what they are told, so half of it would be worse than nothing.
    if ((route.type === 'resource' || tellsKinds) && !this.#options.isReady()) throw starting();
    if (route.type !== 'resource') return this.#paths.endpoint(route, request);
    return this.#own.endpoint(route, request) ?? this.#reviews.endpoint(route, request) ?? this.#resources.endpoint(route, request);
  }
}

function starting(): ApiError {
  return new ApiError('ServiceUnavailable', 'the server is starting: it has not read what is stored yet; try again in a moment', { retryAfterSeconds: 1 });
}

/** Without a list of all headers: every request comes by. */
function impersonates(headers: ServerRequest['headers']): boolean {
  for (const name in headers) if (name.startsWith(impersonationPrefix)) return true;
  return false;
}

/** @throws ApiError Unauthorized, Forbidden */
function authenticated(user: User | undefined, headers: ServerRequest['headers'], anonymous: boolean): User {
  if (!user) {
    if (anonymous) return nobody;
    throw unauthorized();
  }
  // Acting with the caller's own rights instead would be worse than refusing.
  if (impersonates(headers)) {
    throw forbidden(undefined, '', `user "${user.name}" cannot impersonate: this server has no impersonation`);
  }
  return user;
}
