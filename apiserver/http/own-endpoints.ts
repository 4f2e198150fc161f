// own-endpoints.ts: what the server offers beyond the verbs of Kubernetes: many objects at once, presence and loads, logs,
// bindings, and measured use as metrics.k8s.io.

import { ApiError, badRequest, notFound } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import { taskKind } from '../../api/task.js';
import { podContainerName, podKind } from '../../api/pod.js';
import { namespaceKind } from '../../api/namespace.js';
import { nodeKind } from '../../api/node.js';
import { bulkPaths, type BulkOutcome, type BulkResult, type PresenceResponse } from '../../api/protocol.js';
import type { Attributes } from '../resources/authorization.js';
import type { BulkService } from '../resources/bulk-service.js';
import type { Evictor } from '../resources/eviction.js';
import type { PresenceService } from '../resources/presence-service.js';
import type { Caller, ResourceService } from '../resources/service.js';
import { asObject, bulkBodyBytesMax, decodeBody, isMapping, reportBodyBytesMax } from './decode.js';
import type { Endpoint } from './endpoint.js';
import { methodNotAllowed, unknownPath } from './errors.js';
import { Evictions } from './evictions.js';
import type { Logs } from './logs.js';
import { jsonReply, textReply, type ServerReply, type ServerRequest } from './message.js';
import { writeOptions } from './query.js';
import { attributesOf } from './resource-endpoints.js';
import { readValue } from './resource-requests.js';
import type { ResourceRoute } from './route.js';
import { streamEndpoint } from './streams/stream-endpoint.js';
import { streamRequestOf } from './streams/stream-request.js';

export interface OwnEndpointsOptions {
  resources: ResourceService;
  bulk: Pick<BulkService, 'create' | 'bind' | 'unschedulable' | 'status' | 'recordEvents'>;
  presence: Pick<PresenceService, 'present' | 'renewNow' | 'nodeLoads' | 'nodeLoadDigest' | 'nodeMetrics' | 'nodeMetricsOf' | 'podMetrics'>;
  logs: Logs;
  evictor: Pick<Evictor, 'evict'>;
}

type Run = Endpoint['run'];

export class OwnEndpoints {
  readonly #options: OwnEndpointsOptions;
  readonly #bulk: ReadonlyMap<string, Run>;
  readonly #evictions: Evictions;
  #lastAnswer: { answer: PresenceResponse; text: string } | undefined;

  constructor(options: OwnEndpointsOptions) {
    this.#options = options;
    this.#evictions = new Evictions(options.evictor);
    const { bulk } = options;
    const plain = (work: (body: unknown) => Promise<BulkOutcome[]>): Run => async (request) => bulkReply(await work(await readBulk(request)));
    const report = (work: (body: unknown) => Promise<BulkOutcome[]>): Run => async (request) => bulkReply(await work(await readReports(request)));
    this.#bulk = new Map<string, Run>([
      [
        bulkPaths.create,
        async (request, caller) => {
          const options = writeOptions(request.query, request.headers['user-agent'], 'CreateOptions');
          return bulkReply(await bulk.create(caller, await readBulk(request), options));
        },
      ],
      [bulkPaths.bind, plain((body) => bulk.bind(body))],
      [bulkPaths.unschedulable, plain((body) => bulk.unschedulable(body))],
      [bulkPaths.status, report((body) => bulk.status(body))],
      [bulkPaths.events, report((body) => bulk.recordEvents(body))],
    ]);
  }

  /** Undefined when the path is an ordinary resource. */
  endpoint(route: ResourceRoute, request: ServerRequest): Endpoint | undefined {
    if (route.group === 'metrics.k8s.io' && route.version === 'v1beta1') return this.#metrics(route, request);
    if (route.group === taskKind.group && route.version === taskKind.version) {
      if (route.plural === 'bulk') return this.#bulkEndpoint(request);
      if (route.plural === 'nodeloads' && route.name === undefined && route.namespace === undefined) return this.#nodeLoads(request);
    }
    return route.subresource === undefined ? this.#deletePod(route, request) : this.#subresource(route, request);
  }

  #bulkEndpoint(request: ServerRequest): Endpoint {
    const { method, path } = request;
    const run = this.#bulk.get(path);
    const attributes: Attributes = { verb: method.toLowerCase(), path };
    if (!run) return { attributes, label: { verb: 'unknown', resource: 'unknown' }, run: () => Promise.reject(unknownPath()) };
    const label = { verb: method.toLowerCase(), resource: path.slice(path.indexOf('bulk/')) };
    if (method !== 'POST') return { attributes, label, run: () => Promise.reject(methodNotAllowed()) };
    return { attributes, label, ...(path === bulkPaths.status ? { bodyAttributes: nodeNameInBody } : {}), run };
  }

  #nodeLoads(request: ServerRequest): Endpoint {
    const { method, path, query } = request;
    const { presence } = this.#options;
    return {
      attributes: { verb: method.toLowerCase(), path },
      label: { verb: method.toLowerCase(), resource: 'nodeloads' },
      run: () => (isRead(method) ? jsonReply(200, query.get('form') === 'digest' ? presence.nodeLoadDigest() : presence.nodeLoads()) : Promise.reject(methodNotAllowed())),
    };
  }

  #metrics(route: ResourceRoute, request: ServerRequest): Endpoint | undefined {
    const { plural, name, namespace, subresource } = route;
    const known = subresource === undefined && (plural === 'nodes' ? namespace === undefined : plural === 'pods' && (name === undefined || namespace !== undefined));
    if (!known) return undefined;
    const verb = name === undefined ? 'list' : 'get';
    return {
      attributes: attributesOf(route, undefined, verb, request.query),
      label: { verb, resource: `metrics/${plural}` },
      run: () => (isRead(request.method) ? this.#measured(plural, namespace, name) : Promise.reject(methodNotAllowed())),
    };
  }

  #measured(plural: string, namespace: string | undefined, name: string | undefined): ServerReply {
    const { presence } = this.#options;
    const list = (kind: string, items: unknown[]): ServerReply => jsonReply(200, { kind: `${kind}List`, apiVersion: 'metrics.k8s.io/v1beta1', metadata: {}, items });
    if (plural === 'nodes') return name === undefined ? list('NodeMetrics', presence.nodeMetrics()) : jsonReply(200, presence.nodeMetricsOf(name));
    const pods = presence.podMetrics(namespace, podContainerName);
    if (name === undefined) return list('PodMetrics', pods);
    const found = pods.find(({ metadata }) => metadata.name === name);
    if (!found) throw notFound({ group: 'metrics.k8s.io', plural: 'pods', kind: 'PodMetrics' }, name);
    return jsonReply(200, found);
  }

  /** The one write that the view of a task as a Pod takes. */
  #deletePod(route: ResourceRoute, { method, query }: ServerRequest): Endpoint | undefined {
    const { group, version, plural, namespace, name } = route;
    if (method !== 'DELETE' || plural !== podKind.plural || group !== podKind.group || version !== podKind.version) return undefined;
    if (name === undefined || namespace === undefined) return undefined;
    return {
      attributes: attributesOf(route, podKind, 'delete', query),
      label: { verb: 'delete', resource: podKind.plural },
      run: (asked) => this.#evictions.deletePod(namespace, name, asked),
    };
  }

  #subresource(route: ResourceRoute, request: ServerRequest): Endpoint | undefined {
    const stream = streamRequestOf(route);
    // With an upgrade they do not come here (streams/stream-server.ts).
    if (stream) return streamEndpoint(stream, route, request.method);
    const { group, plural, namespace, name = '', subresource } = route;
    const { method, query } = request;
    switch (`${group}/${plural}/${subresource}`) {
      case `${taskKind.group}/${taskKind.plural}/log`:
      case `/${podKind.plural}/log`:
        if (namespace === undefined || !isRead(method)) return undefined;
        return {
          attributes: attributesOf(route, group === '' ? podKind : taskKind, 'get', query),
          label: { verb: 'get', resource: `${plural}/log` },
          longRunning: true,
          run: (asked, caller) => this.#options.logs.handle(caller, group === '' ? podKind : taskKind, namespace, name, asked),
        };
      case `${taskKind.group}/${taskKind.plural}/binding`:
        if (namespace === undefined || method !== 'POST') return undefined;
        return {
          attributes: attributesOf(route, taskKind, 'create', query),
          label: { verb: 'create', resource: 'tasks/binding' },
          run: (asked, caller) => this.#bind(namespace, name, asked, caller),
        };
      case `${taskKind.group}/${taskKind.plural}/eviction`:
      case `/${podKind.plural}/eviction`: {
        if (namespace === undefined || method !== 'POST') return undefined;
        const kind = (group === '' ? podKind : taskKind) as KindDefinition;
        return {
          attributes: attributesOf(route, kind, 'create', query),
          label: { verb: 'create', resource: `${plural}/eviction` },
          run: (asked) => this.#evictions.create(kind, namespace, name, asked),
        };
      }
      case `/${namespaceKind.plural}/finalize`:
        if (method !== 'PUT') return undefined;
        return {
          attributes: attributesOf(route, namespaceKind, 'update', query),
          label: { verb: 'update', resource: 'namespaces/finalize' },
          run: (asked, caller) => this.#finalize(name, asked, caller),
        };
      case `/${nodeKind.plural}/presence`:
        if (method !== 'POST') return undefined;
        return {
          attributes: attributesOf(route, nodeKind, 'create', query),
          label: { verb: 'create', resource: 'nodes/presence' },
          run: async (asked) => jsonReply(200, await this.#options.presence.present(name, await readValue(asked))),
          runNow: (body, headers) => {
            const answer = this.#options.presence.renewNow(name, decodeBody(body, headers['content-type']));
            return answer && this.#textOf(answer);
          },
        };
      case `/${nodeKind.plural}/tunnel`:
        if (!isRead(method)) return undefined;
        return {
          attributes: attributesOf(route, nodeKind, 'get', query),
          label: { verb: 'get', resource: 'nodes/tunnel' },
          run: () => Promise.reject(badRequest('a tunnel is a WebSocket: the request must ask to upgrade the connection')),
        };
      default:
        return undefined;
    }
  }

  /** Thousands of agents get the same answer. */
  #textOf(answer: PresenceResponse): string {
    if (this.#lastAnswer?.answer !== answer) this.#lastAnswer = { answer, text: `${JSON.stringify(answer)}\n` };
    return this.#lastAnswer.text;
  }

  /** Body v1 Namespace, of which spec.finalizers counts. */
  async #finalize(name: string, request: ServerRequest, caller: Caller): Promise<ServerReply> {
    const options = writeOptions(request.query, request.headers['user-agent'], 'UpdateOptions');
    const target = { kind: namespaceKind as unknown as KindDefinition, namespace: undefined, name, subresource: 'finalize' as const };
    return textReply(200, (await this.#options.resources.update(caller, target, asObject(await readValue(request)), options)).json);
  }

  /** Body v1 Binding: `{target: {kind: Node, name}}`. */
  async #bind(namespace: string, name: string, request: ServerRequest, caller: Caller): Promise<ServerReply> {
    const body = await readValue(request);
    const target = isMapping(body) ? body['target'] : undefined;
    const nodeName = isMapping(target) ? target['name'] : undefined;
    if (typeof nodeName !== 'string' || nodeName === '') throw badRequest('target.name must name a node');
    const metadata = isMapping(body) && isMapping(body['metadata']) ? body['metadata'] : {};
    const { object } = await this.#options.resources.get(caller, { kind: taskKind, namespace, name });
    const uid = typeof metadata['uid'] === 'string' && metadata['uid'] !== '' ? metadata['uid'] : object.metadata.uid!;
    const [outcome] = await this.#options.bulk.bind({ items: [{ namespace, name, uid, nodeName }] });
    if (outcome?.status) throw ApiError.fromStatus(outcome.status, outcome.code);
    return jsonReply(201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 });
  }
}

function isRead(method: string): boolean {
  return method === 'GET' || method === 'HEAD';
}

function readBulk(request: ServerRequest): Promise<unknown> {
  return readValue(request, bulkBodyBytesMax);
}

const reports = new WeakMap<ServerRequest, Promise<unknown>>();

/** Once for each request: both authorization and the work ask for it. */
function readReports(request: ServerRequest): Promise<unknown> {
  let body = reports.get(request);
  if (!body) reports.set(request, (body = readValue(request, reportBodyBytesMax)));
  return body;
}

async function nodeNameInBody(request: ServerRequest): Promise<Partial<Attributes>> {
  const body = await readReports(request);
  const nodeName = isMapping(body) ? body['nodeName'] : undefined;
  return typeof nodeName === 'string' ? { bulkNodeName: nodeName } : {};
}

function bulkReply(items: BulkOutcome[]): ServerReply {
  const result: BulkResult = { kind: 'BulkResult', apiVersion: 'taskplane.dev/v1', items };
  return jsonReply(200, result);
}
