// resource-requests.ts: the verbs of Kubernetes over any kind: query and body in, ResourceService, text out.

import { badRequest, type Status } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import type { Caller, DeleteOptions, ListReply, ObjectTarget, PatchType, Rendered, ResourceService, Target } from '../resources/service.js';
import { negotiateShape } from './accept.js';
import { asObject, bodyBytesMax, decodeBody, decodePatch, isMapping, patchType } from './decode.js';
import { methodNotAllowed, statusReply } from './errors.js';
import { jsonType, textReply, type ServerReply, type ServerRequest } from './message.js';
import { deleteOptions, flag, listQuery, readOptions, watchQuery, writeOptions } from './query.js';
import type { ResourceRoute, Verb } from './route.js';
import { defaultVerbs } from './subresources.js';
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
  readonly #now: () => number;

  /** @param options.now milliseconds since the epoch, for ages in tables */
  constructor(options: { resources: ResourceService; now: () => number }) {
    this.#resources = options.resources;
    this.#now = options.now;
  }

  /** @throws ApiError */
  async handle(asked: ResourceRequest): Promise<ServerReply> {
    const { kind, verb, route } = asked;
    if (!(kind.verbs ?? defaultVerbs).includes(verb)) throw methodNotAllowed(kind.whyNot);
    if (route.namespace !== undefined && !kind.namespaced) throw badRequest(`${kind.plural} are cluster-wide: the path must not name a namespace`);
    const target: Target = { kind, namespace: route.namespace };
    if (verb === 'list') return this.#list(asked, target);
    if (verb === 'watch') return this.#watch(asked, target);
    if (verb === 'create') return this.#create(asked, target);
    if (verb === 'deletecollection') return this.#deleteCollection(asked, target);
    if (kind.namespaced && route.namespace === undefined) throw methodNotAllowed();
    const object: ObjectTarget = { ...target, name: route.name!, ...(route.subresource === 'status' ? { subresource: 'status' } : {}) };
    switch (verb) {
      case 'get': {
        const found = await this.#resources.get(asked.caller, object, readOptions(asked.request.query));
        return textReply(200, this.#shaper(asked, false).object(found));
      }
      case 'update':
        return this.#update(asked, object);
      case 'patch':
        return this.#patch(asked, object);
      case 'delete': {
        const options = await readDeleteOptions(asked.request);
        return deletedReply(await this.#resources.delete(asked.caller, object, options));
      }
    }
  }

  async #list(asked: ResourceRequest, target: Target): Promise<ServerReply> {
    const shaper = this.#shaper(asked, true);
    const reply = await this.#resources.list(asked.caller, target, listQuery(asked.request.query));
    return listReply(shaper, reply);
  }

  async #watch({ request, route, kind, caller }: ResourceRequest, target: Target): Promise<ServerReply> {
    const query = watchQuery(request.query);
    // GET of one object with ?watch: a watch of the collection for that name.
    if (route.name !== undefined) query.fieldSelector = [query.fieldSelector, `metadata.name=${route.name}`].filter(Boolean).join(',');
    const reply = new WatchReply(shaperFor(kind, negotiateShape(request.headers['accept'], false), includeObject(request.query), this.#now));
    const stop = await this.#resources.watch(caller, target, query, reply);
    return { status: 200, headers: { 'content-type': 'application/json', 'cache-control': 'no-cache, private' }, body: (output) => reply.writeTo(output, stop) };
  }

  async #create({ request, route, kind, caller }: ResourceRequest, target: Target): Promise<ServerReply> {
    if (kind.namespaced && route.namespace === undefined) throw badRequest(`${kind.plural} belong to a namespace: create them at …/namespaces/NAMESPACE/${kind.plural}`);
    const options = writeOptions(request.query, request.headers['user-agent'], 'CreateOptions');
    const object = asObject(await readValue(request));
    return textReply(201, (await this.#resources.create(caller, target, object, options)).json);
  }

  async #update({ request, caller }: ResourceRequest, target: ObjectTarget): Promise<ServerReply> {
    const options = writeOptions(request.query, request.headers['user-agent'], 'UpdateOptions');
    const object = asObject(await readValue(request));
    return textReply(200, (await this.#resources.update(caller, target, object, options)).json);
  }

  async #patch({ request, caller }: ResourceRequest, target: ObjectTarget): Promise<ServerReply> {
    const type: PatchType = patchType(request.headers['content-type']);
    const options = writeOptions(request.query, request.headers['user-agent'], 'PatchOptions');
    const force = flag(request.query, 'force');
    const patch = decodePatch(await request.readBody(bodyBytesMax), type);
    return textReply(200, (await this.#resources.patch(caller, target, type, patch, force ? { ...options, force } : options)).json);
  }

  async #deleteCollection(asked: ResourceRequest, target: Target): Promise<ServerReply> {
    if (asked.kind.namespaced && target.namespace === undefined) throw methodNotAllowed();
    const query = listQuery(asked.request.query);
    const options = await readDeleteOptions(asked.request);
    return listReply(this.#shaper(asked, true), await this.#resources.deleteCollection(asked.caller, target, query, options));
  }

  #shaper({ request, kind }: ResourceRequest, collection: boolean): Shaper {
    return shaperFor(kind, negotiateShape(request.headers['accept'], collection), includeObject(request.query), this.#now);
  }
}

/** The value of a JSON or YAML body. @throws ApiError */
export async function readValue(request: ServerRequest, bytesMax = bodyBytesMax): Promise<unknown> {
  return decodeBody(await request.readBody(bytesMax), request.headers['content-type']);
}

/** A body may be missing, also under a content type. */
async function readDeleteOptions(request: ServerRequest): Promise<DeleteOptions> {
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

function listReply(shaper: Shaper, reply: ListReply): ServerReply {
  const parts = shaper.list(reply);
  if (reply.items.length <= objectsPerPart) return textReply(200, [...parts].join(''));
  return {
    status: 200,
    headers: { 'content-type': jsonType },
    async body(output) {
      for (const part of parts) {
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

function deletedReply(result: Rendered | Status): ServerReply {
  return 'json' in result ? textReply(200, result.json) : statusReply(result);
}
