// patch.ts: a PATCH is a PUT of what the patch makes of the stored object.

import { ApiError, badRequest } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import type { KubeObject } from '../../api/meta.js';
import { copyOf, decodeObject, isMapping, withoutNulls } from './admission.js';
import type { Step } from './mutator.js';
import { applyJsonPatch } from './patches/json-patch.js';
import { applyMergePatch } from './patches/merge-patch.js';
import { applyStrategicMergePatch } from './patches/strategic-merge-patch.js';
import type { Caller, ObjectTarget, PatchType, WriteOptions } from './service.js';
import { planUpdate, type Ownership } from './update.js';

/**
 * The patch as a function of the stored object.
 * @throws ApiError UnsupportedMediaType, BadRequest for what is no patch of its type
 */
export function patcherOf(kind: KindDefinition, type: PatchType, patch: unknown): (document: KubeObject) => unknown {
  switch (type) {
    case 'application/json-patch+json':
      if (!Array.isArray(patch)) throw badRequest('a JSON patch must be a list of operations');
      return (document) => applyJsonPatch(copyOf(document), patch);
    case 'application/merge-patch+json':
      refuseNoMapping(patch);
      return (document) => applyMergePatch(document, patch);
    case 'application/strategic-merge-patch+json':
      if (kind.group !== '') throw unsupported(`strategic merge patches are for kinds of the core group; send ${kind.plural} a merge patch or a JSON patch`);
      refuseNoMapping(patch);
      return (document) => applyStrategicMergePatch(document, patch);
    default:
      throw unsupported(`the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml`);
  }
}

/**
 * @param caller warned of unknown fields each time this is called
 * @throws ApiError as a PUT, or what the patch itself has wrong
 */
export function planPatch(caller: Caller, target: ObjectTarget, stored: KubeObject, patcher: (document: KubeObject) => unknown, options: WriteOptions, ownership?: Ownership): Step {
  const patched = patcher(stored);
  if (!isMapping(patched)) throw badRequest(`the patch leaves no object of kind ${target.kind.kind}`);
  // decodeObject copies, so that nothing of the stored object is in what planUpdate changes.
  const desired = decodeObject(caller, target.kind, patched, options.fieldValidation);
  return planUpdate(target, stored, desired, ownership);
}

function refuseNoMapping(patch: unknown): void {
  if (!isMapping(patch)) throw badRequest('the patch must be a mapping');
  withoutNulls(patch, 0);
}

function unsupported(message: string): ApiError {
  return new ApiError('UnsupportedMediaType', message);
}
