// resource-requests.ts: the verbs of Kubernetes over any kind: query and body in, ResourceService, text out.

import { badRequest, invalid, invalidValue } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import type { ServedKinds } from '../../api/kind-registry.js';
import { repeatedFields } from '../resources/repeated-keys.js';
import type { Caller, DeleteOptions, ListReply, ObjectTarget, PatchType, Rendered, ResourceService, Target, WriteOptions } from '../resources/service.js';
import { negotiateShape, type NegotiatedShape } from './accept.js';
import { asObject, bodyBytesMax, decodeBody, decodePatch, isMapping, patchType } from './decode.js';
import { methodNotAllowed, statusReply } from './errors.js';
import { jsonType, textReply, yamlReply, yamlType, type ServerReply, type ServerRequest } from './message.js';
import { deleteOptions, listQuery, patchOptions, readOptions, watchQuery, writeOptions } from './query.js';
import type { ResourceRoute, Verb } from './route.js';
import { defaultVerbs } from './subresources.js';
import { ScaleRequests } from './scale-requests.js';
import { includeObject, objectsPerPart, shaperFor, type Shaper } from './table.js';
import { WatchReply } from './watch-reply.js';

export interface ResourceRequest {
  request: ServerRequest;
  route: ResourceRoute;
  kind: KindDefinition;
  verb: Verb;
  caller: Caller;
}

export class ResourceRequests {
  readonly #resources: ResourceService;
  readonly #kinds: ServedKinds;
  readonly #scales: ScaleRequests;
  readonly #now: () => number;

  /** @param options.now milliseconds since the epoch, for ages in tables */
  constructor(options: { resources: ResourceService; kinds: ServedKinds; now: () => number }) {
    this.#resources = options.resources;
    this.#kinds = options.kinds;
    this.#scales = new ScaleRequests(options);
    this.#now = options.now;
  }

  /** @throws ApiError */
  async handle(asked: ResourceRequest): Promise<ServerReply> {
    const { kind, verb, route } = asked;
    if (!(kind.verbs ?? defaultVerbs).includes(verb)) throw methodNotAllowed(kind.whyNot);
    if (route.namespace !== undefined && !kind.namespaced) throw badRequest(`${kind.plural} are cluster-wide: the path must not name a namespace`);
    if (kind.deprecationWarning !== undefined) asked.caller.warn(kind.deprecationWarning);
    const target: Target = { kind, namespace: route.namespace };
    if (verb === 'list') return this.#list(asked, target);
    if (verb === 'watch') return this.#watch(asked, target);
    if (verb === 'create') return this.#create(asked, target);
    if (verb === 'deletecollection') return this.#deleteCollection(asked, target);
    if (kind.namespaced && route.namespace === undefined) throw methodNotAllowed();
    const object: ObjectTarget = { ...target, name: route.name!, ...(route.subresource === 'status' ? { subresource: 'status' } : {}) };
    if (route.subresource === 'scale') return this.#scales.handle(asked, object);
    switch (verb) {
      case 'get': {
        const reply = this.#replier(asked);
        const found = await this.#resources.get(asked.caller, object, readOptions(asked.request.query));
        return reply(200, found);
      }
      case 'update':
        return this.#update(asked, object);
      case 'patch':
        return this.#patch(asked, object);
      case 'delete': {
        const options = await readDeleteOptions(asked.request);
        const reply = this.#replier(asked);
        const result = await this.#resources.delete(asked.caller, object, options);
        return 'json' in result ? reply(200, result) : statusReply(result);
      }
    }
  }

  async #list(asked: ResourceRequest, target: Target): Promise<ServerReply> {
    const shape = negotiateShape(asked.request.headers['accept'], 'list');
    const shaper = this.#shaper(asked, shape);
    const reply = await this.#resources.list(asked.caller, target, listQuery(asked.request.query));
    return listReply(shaper, shape, reply);
  }

  async #watch({ request, route, kind, caller }: ResourceRequest, target: Target): Promise<ServerReply> {
    const query = watchQuery(request.query);
    // GET of one object with ?watch: a watch of the collection for that name.
    if (route.name !== undefined) query.fieldSelector = [query.fieldSelector, `metadata.name=${route.name}`].filter(Boolean).join(',');
    const reply = new WatchReply(shaperFor(kind, negotiateShape(request.headers['accept'], 'watch'), includeObject(request.query), this.#now));
    const stopWatch = await this.#resources.watch(caller, target, query, reply);
    const forget = this.#kinds.onRetired(kind, () => reply.end(undefined));
    const stop = (): void => {
      forget();
      stopWatch();
    };
    return { status: 200, headers: { 'content-type': 'application/json', 'cache-control': 'no-cache, private' }, body: (output) => reply.writeTo(output, stop) };
  }

  async #create(asked: ResourceRequest, target: Target): Promise<ServerReply> {
    const { request, route, kind, caller } = asked;
    if (kind.namespaced && route.namespace === undefined) throw methodNotAllowed(`${kind.plural} belong to a namespace: create them at …/namespaces/NAMESPACE/${kind.plural}`);
    const options = writeOptions(request.query, request.headers['user-agent'], 'CreateOptions');
    const object = asObject(await readValue(request));
    const reply = this.#replier(asked);
    return reply(201, await this.#resources.create(caller, target, object, options));
  }

  async #update(asked: ResourceRequest, target: ObjectTarget): Promise<ServerReply> {
    const { request, caller } = asked;
    const options = writeOptions(request.query, request.headers['user-agent'], 'UpdateOptions');
    const object = asObject(await readValue(request));
    const reply = this.#replier(asked);
    return reply(200, await this.#resources.update(caller, target, object, options));
  }

  async #patch(asked: ResourceRequest, target: ObjectTarget): Promise<ServerReply> {
    const { request, caller } = asked;
    const type: PatchType = patchType(request.headers['content-type']);
    const options = patchOptions(request.query, request.headers['user-agent'], type);
    const patch = decodePatch(await request.readBody(bodyBytesMax), type);
    settleRepeatedFields(caller, type, patch, options.fieldValidation);
    const reply = this.#replier(asked);
    if (type !== 'application/apply-patch+yaml') return reply(200, await this.#resources.patch(caller, target, type, patch, options));
    const { rendered, created } = await this.#resources.apply(caller, target, patch, options);
    return reply(created ? 201 : 200, rendered);
  }

  async #deleteCollection(asked: ResourceRequest, target: Target): Promise<ServerReply> {
    if (asked.kind.namespaced && target.namespace === undefined) throw methodNotAllowed();
    const query = listQuery(asked.request.query);
    const options = await readDeleteOptions(asked.request);
    const shape = negotiateShape(asked.request.headers['accept'], 'list');
    return listReply(this.#shaper(asked, shape), shape, await this.#resources.deleteCollection(asked.caller, target, query, options));
  }

  /** Made before the work is done: what the client cannot read is refused, not done. @throws ApiError NotAcceptable, Invalid */
  #replier(asked: ResourceRequest): (status: number, object: Rendered) => ServerReply {
    const shape = negotiateShape(asked.request.headers['accept'], 'object');
    if (shape.yaml) return (status, { json }) => yamlReply(status, json);
    if (shape.shape === 'plain' && !shape.omitManagedFields) return (status, { json }) => textReply(status, json);
    const shaper = this.#shaper(asked, shape);
    return (status, object) => textReply(status, shaper.object(object));
  }

  #shaper({ request, kind }: ResourceRequest, shape: NegotiatedShape): Shaper {
    return shaperFor(kind, shape, includeObject(request.query), this.#now);
  }
}

/** @throws ApiError Invalid (BadRequest of an apply) for a patch that says a field twice, where the client wants to know */
function settleRepeatedFields(caller: Caller, type: PatchType, patch: unknown, fieldValidation: WriteOptions['fieldValidation'] = 'Warn'): void {
  const texts = repeatedFields(patch).map((field) => `duplicate field ${JSON.stringify(field)}`);
  if (texts.length === 0 || fieldValidation === 'Ignore') return;
  if (fieldValidation === 'Strict' && type === 'application/apply-patch+yaml') throw badRequest(`error strict decoding YAML: ${texts.join(', ')}`);
  if (fieldValidation === 'Strict') throw invalid({ group: '', plural: '', kind: '' }, '', [invalidValue('patch', patch, `strict decoding error: ${texts.join(', ')}`)]);
  for (const text of texts) caller.warn(text);
}

/** The value of a JSON or YAML body. @throws ApiError */
export async function readValue(request: ServerRequest, bytesMax = bodyBytesMax): Promise<unknown> {
  return decodeBody(await request.readBody(bytesMax), request.headers['content-type']);
}

/** A body may be missing, also under a content type. */
export async function readDeleteOptions(request: ServerRequest): Promise<DeleteOptions> {
  const body = await request.readBody(bodyBytesMax);
  if (body.length === 0) return deleteOptions(request.query, undefined);
  const value = decodeBody(body, request.headers['content-type']);
  if (!isMapping(value)) throw badRequest('the body of a DELETE must be a mapping of kind DeleteOptions');
  const { kind } = value;
  if (kind !== undefined && kind !== 'DeleteOptions') throw badRequest(`the kind in the data (${String(kind)}) does not match the expected kind (DeleteOptions)`);
  return deleteOptions(request.query, value);
}

/** Bytes of a long list that wait for the client before more are made. */
const listBufferBytesMax = 1024 * 1024;

function listReply(shaper: Shaper, { yaml }: NegotiatedShape, reply: ListReply): ServerReply {
  const parts = shaper.list(reply);
  if (reply.items.length <= objectsPerPart) {
    const text = [...parts].join('');
    return yaml ? yamlReply(200, text) : textReply(200, text);
  }
  return {
    status: 200,
    // JSON is YAML.
    headers: { 'content-type': yaml ? yamlType : jsonType },
    async body(output) {
      for (const part of parts) {
        if (output.signal.aborted) return;
        output.write(part);
        if (output.bufferedBytes > listBufferBytesMax) await output.drained();
        else await turn();
      }
      output.end();
    },
  };
}

/** Lets everything else that is ready go first. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
