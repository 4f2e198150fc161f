// evictions.ts: what takes a Pod off its node: the eviction subresource, which kubectl drain asks for, and DELETE of a Pod.

import { badRequest } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import { podKind as podDefinition } from '../../api/pod.js';
import type { Evictor } from '../resources/eviction.js';
import { isMapping } from './decode.js';
import { statusReply } from './errors.js';
import { jsonReply, textReply, type ServerReply, type ServerRequest } from './message.js';
import { deleteOptions } from './query.js';
import { readDeleteOptions, readValue } from './resource-requests.js';

const podKind = podDefinition as unknown as KindDefinition;
const versions: readonly unknown[] = ['policy/v1', 'policy/v1beta1'];

export class Evictions {
  constructor(private readonly evictor: Pick<Evictor, 'evict'>) {}

  /** Body Eviction of policy/v1 or v1beta1: `{metadata: {name}, deleteOptions}`. @throws ApiError */
  async create(kind: KindDefinition, namespace: string, name: string, request: ServerRequest): Promise<ServerReply> {
    const body = await readValue(request);
    if (!isMapping(body)) throw badRequest('the body must be a mapping of kind Eviction');
    const { apiVersion, kind: given, metadata, deleteOptions: options } = body;
    if ((given !== undefined && given !== 'Eviction') || (apiVersion !== undefined && !versions.includes(apiVersion))) {
      throw badRequest(`the API version in the data (${String(apiVersion)}, Kind=${String(given)}) does not match the expected API version (policy/v1, Kind=Eviction)`);
    }
    const named = isMapping(metadata) ? metadata : {};
    if (named['name'] !== undefined && named['name'] !== name) throw badRequest('name in URL does not match name in Eviction object');
    if (named['namespace'] !== undefined && named['namespace'] !== '' && named['namespace'] !== namespace) throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
    if (options !== undefined && options !== null && !isMapping(options)) throw badRequest('deleteOptions must be a mapping of kind DeleteOptions');
    await this.evictor.evict({ kind, namespace, name }, deleteOptions(request.query, options ?? undefined));
    return jsonReply(201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 });
  }

  /**
   * The Pod, while it has to stop; else a Status that names the Pod that is gone. A task that waits for a node has nothing to stop, and its
   * Pod, if it went, would come back as it was: the Status then names none.
   * @throws ApiError
   */
  async deletePod(namespace: string, name: string, request: ServerRequest): Promise<ServerReply> {
    const { pod, uid, going } = await this.evictor.evict({ kind: podKind, namespace, name }, await readDeleteOptions(request));
    if (going) return textReply(200, pod.json);
    const gone = pod.object.metadata.uid === uid ? nobody : uid;
    return statusReply({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details: { name, kind: podKind.plural, uid: gone }, code: 200 });
  }
}

const nobody = '00000000-0000-0000-0000-000000000000';
