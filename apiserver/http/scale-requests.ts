// scale-requests.ts
//
// .../scale of a kind that has one: an autoscaling/v1 Scale that is read from the object, and writes back one number. A write
// is a patch of the object that is guarded by the version that the Scale was read at; without a version of the client's own it
// is tried again on what has changed meanwhile. A Scale that is applied is applied to the object.

import { badRequest, conflict, invalid, invalidValue, isReason, modifiedMessage, ApiError } from '../../api/errors.js';
import { apiVersionOf } from '../../api/kind.js';
import type { KubeObject, ObjectMeta } from '../../api/meta.js';
import { replicasProblems, scaleOf, withReplicas, type Scale } from '../../api/structural/scale.js';
import { applyJsonPatch } from '../resources/patches/json-patch.js';
import { applyMergePatch } from '../resources/patches/merge-patch.js';
import type { Caller, ObjectTarget, Rendered, ResourceService, WriteOptions } from '../resources/service.js';
import { asObject, bodyBytesMax, decodeBody, decodePatch, isMapping, patchType } from './decode.js';
import { jsonReply, type ServerReply, type ServerRequest } from './message.js';
import { patchOptions, readOptions, writeOptions } from './query.js';
import type { Verb } from './route.js';

const triesMax = 64;
const applyType = 'application/apply-patch+yaml';
const scaleKind = { group: 'autoscaling', plural: 'scales', kind: 'Scale' };

/** A request to .../scale. */
interface Asked {
  request: ServerRequest;
  verb: Verb;
  caller: Caller;
}

/** What a client makes of a Scale. @throws ApiError */
type Change = (scale: Scale) => unknown;

export class ScaleRequests {
  readonly #resources: ResourceService;

  constructor(options: { resources: ResourceService }) {
    this.#resources = options.resources;
  }

  /** @throws ApiError */
  async handle(asked: Asked, target: ObjectTarget): Promise<ServerReply> {
    const { request, verb, caller } = asked;
    if (verb === 'get') return jsonReply(200, this.#scale(target, await this.#resources.get(caller, target, readOptions(request.query))));
    if (verb === 'patch' && patchType(request.headers['content-type']) === applyType) return jsonReply(200, this.#scale(target, await this.#apply(asked, target)));
    const { change, options } = verb === 'update' ? await readScale(asked) : await readPatch(asked, target);
    return jsonReply(200, this.#scale(target, await this.#write(asked, target, change, options)));
  }

  #scale({ kind }: ObjectTarget, { object }: Rendered): Scale {
    return scaleOf(object, kind.scale!);
  }

  async #apply({ request, caller }: Asked, target: ObjectTarget): Promise<Rendered> {
    const options = patchOptions(request.query, request.headers['user-agent'], applyType);
    const config = configOf(target, decodePatch(await request.readBody(bodyBytesMax), applyType));
    return (await this.#resources.apply(caller, target, config, { ...options, writtenThrough: 'scale' })).rendered;
  }

  async #write({ caller }: Asked, target: ObjectTarget, change: Change, options: WriteOptions): Promise<Rendered> {
    for (let tries = 1; ; tries++) {
      const stored = await this.#resources.get(caller, target);
      const scale = this.#scale(target, stored);
      const { replicas, isGuarded } = wantedOf(target, scale, change(scale));
      if (scale.spec.replicas === replicas) return stored;
      const guarded: KubeObject = { apiVersion: '', kind: '', metadata: { resourceVersion: scale.metadata.resourceVersion! } };
      const { metadata, spec } = withReplicas(guarded, target.kind.scale!, replicas);
      try {
        return await this.#resources.patch(caller, target, 'application/merge-patch+json', { metadata, spec }, { ...options, writtenThrough: 'scale' });
      } catch (error) {
        if (isGuarded || tries >= triesMax || !isReason(error, 'Conflict')) throw error;
      }
    }
  }
}

/** @throws ApiError */
async function readScale({ request }: Asked): Promise<{ change: Change; options: WriteOptions }> {
  const options = writeOptions(request.query, request.headers['user-agent'], 'UpdateOptions');
  const body = asObject(decodeBody(await request.readBody(bodyBytesMax), request.headers['content-type']));
  return { change: () => body, options };
}

/** @throws ApiError */
async function readPatch({ request }: Asked, { kind }: ObjectTarget): Promise<{ change: Change; options: WriteOptions }> {
  const type = patchType(request.headers['content-type']);
  if (type !== 'application/json-patch+json' && type !== 'application/merge-patch+json') {
    throw new ApiError('UnsupportedMediaType', `the scale of ${kind.plural} takes application/json-patch+json, application/merge-patch+json and application/apply-patch+yaml, not ${type}`);
  }
  const options = patchOptions(request.query, request.headers['user-agent'], type);
  const patch = decodePatch(await request.readBody(bodyBytesMax), type);
  if (type === 'application/json-patch+json') {
    if (!Array.isArray(patch)) throw badRequest('a JSON patch must be a list of operations');
    return { change: (scale) => applyJsonPatch(scale as unknown as KubeObject, patch), options };
  }
  if (!isMapping(patch)) throw badRequest('the patch must be a mapping');
  return { change: (scale) => applyMergePatch(scale, patch), options };
}

/** @throws ApiError BadRequest, Conflict, Invalid */
function wantedOf({ kind, name }: ObjectTarget, current: Scale, wanted: unknown): { replicas: number; isGuarded: boolean } {
  if (!isMapping(wanted)) throw badRequest('the body of the request must be a Scale');
  const { apiVersion = current.apiVersion, kind: kindName = current.kind } = wanted;
  if (kindName !== current.kind || apiVersion !== current.apiVersion) {
    throw badRequest(`${String(kindName)} in version ${JSON.stringify(apiVersion)} cannot be handled as a Scale: the path expects autoscaling/v1, Kind=Scale`);
  }
  const metadata = isMapping(wanted['metadata']) ? wanted['metadata'] : {};
  if (metadata['name'] !== undefined && metadata['name'] !== name) throw badRequest(`the name of the object (${String(metadata['name'])}) does not match the name on the URL (${name})`);
  const { uid, resourceVersion } = metadata;
  if (uid && uid !== current.metadata.uid) throw conflict(kind, name, `Precondition failed: UID in precondition: ${String(uid)}, UID in object meta: ${current.metadata.uid ?? ''}`);
  const spec = isMapping(wanted['spec']) ? wanted['spec'] : {};
  const { replicas = 0 } = spec;
  refuseReplicas(name, replicas);
  const isGuarded = Boolean(resourceVersion) && resourceVersion !== '0';
  if (isGuarded && resourceVersion !== current.metadata.resourceVersion) throw conflict(kind, name, modifiedMessage);
  return { replicas: replicas as number, isGuarded };
}

/** @throws ApiError Invalid */
function refuseReplicas(name: string, replicas: unknown): void {
  const problems = replicasProblems(replicas);
  if (Number.isInteger(replicas) && (replicas as number) > 2 ** 31 - 1) problems.push(invalidValue('spec.replicas', replicas, 'must be at most 2147483647'));
  if (problems.length > 0) throw invalid(scaleKind, name, problems);
}

/**
 * The object's configuration that a Scale's stands for: what names it, and the replicas if it has them.
 * @throws ApiError BadRequest, Invalid
 */
function configOf({ kind, name, namespace }: ObjectTarget, wanted: unknown): KubeObject {
  if (!isMapping(wanted)) throw badRequest('the body of the request must be a Scale');
  const { apiVersion, kind: kindName, metadata, spec, status: _status, ...others } = wanted;
  if (apiVersion !== 'autoscaling/v1' || kindName !== 'Scale') {
    throw badRequest(`invalid object type: ${String(apiVersion ?? '')}, Kind=${String(kindName ?? '')}, expected autoscaling/v1, Kind=Scale`);
  }
  const { replicas, ...otherSpec } = isMapping(spec) ? spec : {};
  const unknown = [...Object.keys(others).map((field) => `.${field}`), ...Object.keys(otherSpec).map((field) => `.spec.${field}`)];
  if (unknown.length > 0) {
    throw badRequest(`failed to create typed patch object (${namespace ?? ''}/${name}; autoscaling/v1, Kind=Scale): ${unknown.map((field) => `${field}: field not declared in schema`).join(', ')}`);
  }
  const { uid, resourceVersion, name: given, namespace: givenNamespace, managedFields } = isMapping(metadata) ? metadata : {};
  const named = { name: given ?? name, namespace: givenNamespace, uid, resourceVersion, managedFields };
  const config: KubeObject = { apiVersion: apiVersionOf(kind), kind: kind.kind, metadata: named as ObjectMeta };
  if (replicas === undefined || replicas === null) return config;
  refuseReplicas(name, replicas);
  return withReplicas(config, kind.scale!, replicas as number);
}
