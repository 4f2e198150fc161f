// api-client.ts
//
// Typed verbs over a Transport. Objects go over the wire as they are: no field is dropped, none is added.
//
// What the client does by itself: it waits and asks again when the server says 429 with Retry-After, for calls that may
// be repeated, a few times. Everything else (a broken connection, a conflict) is the caller's to decide.

import { ApiError, type Status } from '../api/errors.js';
import type { KindDefinition } from '../api/kind.js';
import { collectionPath, objectPath } from '../api/kinds.js';
import type { KubeList, KubeObject } from '../api/meta.js';
import type { BulkOutcome, BulkResult, NodeLoadDigest, NodeLoadList, PresenceRequest, PresenceResponse } from '../api/protocol.js';
import { taskKind } from '../api/task.js';
import { TransportError, type ApiRequest, type ApiResponse, type Transport } from '../api/transport.js';
import { sleep, SystemClock, type Clock } from '../lib/clock.js';
import { watchBatches, type WatchEvent } from './watch-stream.js';

export type { WatchEvent } from './watch-stream.js';

export interface ListOptions {
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  limit?: number;
  continue?: string;
  /** "0": whatever the server has at hand. Absent: as of now. */
  resourceVersion?: string;
  /** Objects come as PartialObjectMetadata: without anything but metadata. */
  metadataOnly?: boolean;
  /** Objects come without metadata.managedFields; an update made from one leaves those as they are. */
  omitManagedFields?: boolean;
}

export interface WriteOptions {
  dryRun?: boolean;
  fieldManager?: string;
  fieldValidation?: string;
}

export interface DeleteOptions {
  gracePeriodSeconds?: number;
  propagationPolicy?: 'Background' | 'Foreground' | 'Orphan';
  preconditions?: { uid?: string; resourceVersion?: string };
  dryRun?: boolean;
}

export interface WatchOptions {
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  resourceVersion?: string;
  allowWatchBookmarks?: boolean;
  /** A bookmark follows what was missed since resourceVersion, at once. */
  bookmarkFirst?: boolean;
  /** Begins with all objects there are, as ADDED, and a bookmark at their end, annotated k8s.io/initial-events-end. */
  initialEvents?: boolean;
  timeoutSeconds?: number;
  /** Objects come as PartialObjectMetadata: without anything but metadata. */
  metadataOnly?: boolean;
  /** As for a list. */
  omitManagedFields?: boolean;
  /** Not told of what this reporter alone has reported (api/protocol.ts, StatusBulk), by servers that know of it. */
  exceptReportsOf?: string;
  signal: AbortSignal;
}

export interface LogQuery {
  follow?: boolean;
  previous?: boolean;
  tailLines?: number;
  limitBytes?: number;
  timestamps?: boolean;
  sinceSeconds?: number;
  /** RFC 3339. */
  sinceTime?: string;
  attempt?: number;
}

const retriesMax = 4;
/** A server that asks for more patience than this is not waited for: the caller hears of it instead. */
const retryAfterMsMax = 5_000;
const repeatable: ReadonlySet<ApiRequest['method']> = new Set(['GET', 'PUT', 'DELETE']);

export class ApiClient {
  readonly transport: Transport;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #clock: Clock;

  constructor(options: { transport: Transport; userAgent?: string; clock?: Clock }) {
    this.transport = options.transport;
    this.#headers = options.userAgent ? { accept: 'application/json', 'user-agent': options.userAgent } : { accept: 'application/json' };
    this.#clock = options.clock ?? new SystemClock();
  }

  /** @throws ApiError NotFound and others, TransportError */
  async get<T extends KubeObject>(kind: KindDefinition<T>, name: string, namespace?: string): Promise<T> {
    return this.#json<T>({ method: 'GET', path: objectPath(generic(kind), name, namespace) });
  }

  /** One page when `limit` is given, everything otherwise; of all namespaces when none is given. */
  async list<T extends KubeObject>(kind: KindDefinition<T>, options: ListOptions = {}): Promise<KubeList<T>> {
    const { namespace, metadataOnly, omitManagedFields, ...query } = options;
    return this.#json<KubeList<T>>({ method: 'GET', path: collectionPath(generic(kind), namespace), query, headers: acceptOf('PartialObjectMetadataList', metadataOnly, omitManagedFields) });
  }

  /** Only the metadata of an object. @throws ApiError NotFound and others, TransportError */
  async getMetadata(kind: KindDefinition, name: string, namespace?: string): Promise<KubeObject> {
    return this.#json<KubeObject>({ method: 'GET', path: objectPath(kind, name, namespace), headers: { accept: metadataAs('PartialObjectMetadata') } });
  }

  async create<T extends KubeObject>(kind: KindDefinition<T>, object: T, options: WriteOptions = {}): Promise<T> {
    const path = collectionPath(generic(kind), namespaceOf(kind, object));
    return this.#json<T>({ method: 'POST', path, query: writeQuery(options), body: JSON.stringify(object) });
  }

  /** Guarded by metadata.resourceVersion where the object has one. @throws ApiError Conflict */
  async update<T extends KubeObject>(kind: KindDefinition<T>, object: T, options: WriteOptions & { subresource?: 'status' | 'finalize' } = {}): Promise<T> {
    const path = objectPath(generic(kind), object.metadata.name ?? '', namespaceOf(kind, object), options.subresource);
    return this.#json<T>({ method: 'PUT', path, query: writeQuery(options), body: JSON.stringify(object) });
  }

  async mergePatch<T extends KubeObject>(
    kind: KindDefinition<T>,
    name: string,
    namespace: string | undefined,
    patch: object,
    options: WriteOptions & { subresource?: 'status' } = {},
  ): Promise<T> {
    return this.#patch(kind, name, namespace, 'application/merge-patch+json', patch, options);
  }

  async jsonPatch<T extends KubeObject>(
    kind: KindDefinition<T>,
    name: string,
    namespace: string | undefined,
    operations: object[],
    options: WriteOptions & { subresource?: 'status' } = {},
  ): Promise<T> {
    return this.#patch(kind, name, namespace, 'application/json-patch+json', operations, options);
  }

  /** The object when it is still there (terminating), else a Success Status. */
  async delete<T extends KubeObject>(kind: KindDefinition<T>, name: string, namespace?: string, options: DeleteOptions = {}): Promise<T | Status> {
    return this.#json<T | Status>({ method: 'DELETE', path: objectPath(generic(kind), name, namespace), body: deleteBody(options) });
  }

  /** Asks a task to leave its node. @throws ApiError NotFound */
  async evict(namespace: string, name: string, options: { gracePeriodSeconds?: number; dryRun?: boolean } = {}): Promise<void> {
    const { gracePeriodSeconds, dryRun } = options;
    const deleteOptions = { ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }), ...(dryRun ? { dryRun: ['All'] } : {}) };
    const body = JSON.stringify({ apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace }, deleteOptions });
    await this.#json<Status>({ method: 'POST', path: objectPath(generic(taskKind), name, namespace, 'eviction'), body });
  }

  /** Deletes all objects of a kind in a namespace, or those that the selectors choose. Resolves to how many were asked to go. */
  async deleteCollection<T extends KubeObject>(
    kind: KindDefinition<T>,
    options: { namespace: string | undefined; labelSelector?: string; fieldSelector?: string },
    deleteOptions: DeleteOptions = {},
  ): Promise<number> {
    const { namespace, ...query } = options;
    const path = collectionPath(generic(kind), namespace);
    const list = await this.#json<Partial<KubeList<T>>>({ method: 'DELETE', path, query, body: deleteBody(deleteOptions) });
    return list.items?.length ?? 0;
  }

  /**
   * Ends when the server ends it or the signal aborts.
   * @throws ApiError (Expired or Gone: list again), TransportError
   */
  async *watch<T extends KubeObject>(kind: KindDefinition<T>, options: WatchOptions): AsyncGenerator<WatchEvent<T>> {
    for await (const batch of this.watchBatches(kind, options)) yield* batch;
  }

  /** As watch, but all events that arrived together at once. */
  async *watchBatches<T extends KubeObject>(kind: KindDefinition<T>, options: WatchOptions): AsyncGenerator<WatchEvent<T>[]> {
    const { namespace, signal, metadataOnly, omitManagedFields, bookmarkFirst, initialEvents, ...query } = options;
    const path = collectionPath(generic(kind), namespace);
    try {
      const headers = acceptOf('PartialObjectMetadata', metadataOnly, omitManagedFields);
      const chunks = await this.#stream({ method: 'GET', path, query: { ...query, ...(bookmarkFirst || initialEvents ? { sendInitialEvents: Boolean(initialEvents), resourceVersionMatch: 'NotOlderThan' } : {}), watch: true }, headers, signal });
      yield* watchBatches<T>(chunks);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  /** @param path one of bulkPaths */
  async bulk(path: string, body: object, options: WriteOptions = {}): Promise<BulkOutcome[]> {
    const result = await this.#json<BulkResult>({ method: 'POST', path, query: writeQuery(options), body: JSON.stringify(body) });
    return result.items;
  }

  async presence(nodeName: string, body: PresenceRequest): Promise<PresenceResponse> {
    const path = `/api/v1/nodes/${encodeURIComponent(nodeName)}/presence`;
    return this.#json<PresenceResponse>({ method: 'POST', path, body: JSON.stringify(body) });
  }

  async nodeLoads(): Promise<NodeLoadList> {
    return this.#json<NodeLoadList>({ method: 'GET', path: '/apis/taskplane.dev/v1/nodeloads' });
  }

  async nodeLoadDigest(): Promise<NodeLoadDigest> {
    return this.#json<NodeLoadDigest>({ method: 'GET', path: '/apis/taskplane.dev/v1/nodeloads', query: { form: 'digest' } });
  }

  /** The output of a task as it arrives. @throws ApiError when there is none, TransportError */
  async log(namespace: string, name: string, query: LogQuery, signal: AbortSignal): Promise<AsyncIterable<Buffer>> {
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}/log`;
    return this.#stream({ method: 'GET', path, query: { ...query }, headers: { accept: '*/*' }, signal });
  }

  async #patch<T extends KubeObject>(
    kind: KindDefinition<T>,
    name: string,
    namespace: string | undefined,
    type: string,
    patch: object,
    options: WriteOptions & { subresource?: 'status' },
  ): Promise<T> {
    return this.#json<T>({
      method: 'PATCH',
      path: objectPath(generic(kind), name, namespace, options.subresource),
      query: writeQuery(options),
      headers: { 'content-type': type },
      body: JSON.stringify(patch),
    });
  }

  async #json<T>(request: ApiRequest): Promise<T> {
    const response = await this.#request(request);
    if (response.status >= 400) throw errorOf(response.status, response.headers, response.body);
    try {
      return JSON.parse(response.body) as T;
    } catch (cause) {
      throw new TransportError(`${request.method} ${request.path}: the answer is not JSON; is this the address of a Taskplane API server?`, { cause });
    }
  }

  async #request(request: ApiRequest): Promise<ApiResponse> {
    const complete = { ...request, headers: this.#headersOf(request) };
    for (let retries = 0; ; retries++) {
      const response = await this.transport.request(complete);
      if (response.status !== 429 || retries === retriesMax || !repeatable.has(request.method)) return response;
      const afterMs = retryAfterMs(response.headers);
      if (afterMs === undefined || afterMs > retryAfterMsMax) return response;
      await sleep(this.#clock, afterMs, request.signal);
      if (request.signal?.aborted) return response;
    }
  }

  async #stream(request: ApiRequest): Promise<AsyncIterable<Buffer>> {
    const stream = await this.transport.stream({ ...request, headers: this.#headersOf(request) });
    if (stream.status < 400) return stream.chunks;
    const parts: Buffer[] = [];
    for await (const chunk of stream.chunks) parts.push(chunk);
    throw errorOf(stream.status, stream.headers, Buffer.concat(parts).toString('utf8'));
  }

  #headersOf(request: ApiRequest): Record<string, string> {
    const typed: Record<string, string> = request.body === undefined ? {} : { 'content-type': 'application/json' };
    return { ...this.#headers, ...typed, ...request.headers };
  }
}

/** Milliseconds of a Retry-After header in seconds, or undefined. */
function retryAfterMs(headers: Readonly<Record<string, string>>): number | undefined {
  const text = headers['retry-after'];
  return text !== undefined && /^\d+$/.test(text) ? Number(text) * 1_000 : undefined;
}

/** Accept header for objects without anything but metadata. */
function metadataAs(kind: 'PartialObjectMetadata' | 'PartialObjectMetadataList'): string {
  return `application/json;as=${kind};g=meta.k8s.io;v=v1`;
}

/** The Accept header of a list or a watch; none where the default will do. */
function acceptOf(metadata: 'PartialObjectMetadata' | 'PartialObjectMetadataList', metadataOnly = false, omitManagedFields = false): Record<string, string> {
  if (!metadataOnly && !omitManagedFields) return {};
  return { accept: `${metadataOnly ? metadataAs(metadata) : 'application/json'}${omitManagedFields ? ';managedfields=omit' : ''}` };
}

const shownBodyLengthMax = 200;

function errorOf(code: number, headers: Readonly<Record<string, string>>, body: string): ApiError {
  let status: Partial<Status> = {};
  try {
    const parsed = JSON.parse(body) as Partial<Status> | null;
    if (parsed?.kind === 'Status') status = parsed;
  } catch {
    // Not from an API server but from something before it: its words are all there is.
  }
  const said = status.message ?? body.trim().slice(0, shownBodyLengthMax);
  const message =
    code === 401
      ? `the API server does not accept our credentials (401${said ? `: ${said}` : ''}); check the certificate or token that the kubeconfig names`
      : said || `the server answered ${code}`;
  const afterMs = retryAfterMs(headers);
  const details = afterMs === undefined ? status.details : { retryAfterSeconds: afterMs / 1_000, ...status.details };
  return ApiError.fromStatus({ ...status, message, ...(details ? { details } : {}) }, code);
}

function deleteBody({ dryRun, ...rest }: DeleteOptions): string {
  return JSON.stringify({ kind: 'DeleteOptions', apiVersion: 'v1', ...rest, ...(dryRun ? { dryRun: ['All'] } : {}) });
}

function writeQuery(options: WriteOptions): Record<string, string | undefined> {
  const { dryRun, fieldManager, fieldValidation } = options;
  return { dryRun: dryRun ? 'All' : undefined, fieldManager, fieldValidation };
}

function namespaceOf<T extends KubeObject>(kind: KindDefinition<T>, object: T): string | undefined {
  return kind.namespaced ? (object.metadata.namespace ?? 'default') : undefined;
}

/** The path functions read names only, which do not depend on the object's type. */
function generic<T extends KubeObject>(kind: KindDefinition<T>): KindDefinition {
  return kind as unknown as KindDefinition;
}
