// apply.ts: a configuration that is applied, from what the client sent to the write of an object or the creation of a new one.

import { ApiError, badRequest, conflict, modifiedMessage, required } from '../../api/errors.js';
import { apiVersionOf } from '../../api/kind.js';
import type { KubeObject } from '../../api/meta.js';
import { copyOf, isMapping, withoutNulls } from './admission.js';
import type { Writer } from './managed-fields/entries.js';
import { itemProblems } from './managed-fields/fields-of.js';
import { applied } from './managed-fields/server-side-apply.js';
import type { Step } from './mutator.js';
import type { ObjectTarget } from './service.js';
import { planUpdate } from './update.js';

/**
 * The configuration, a private copy without nulls.
 * @throws ApiError BadRequest for what can be applied to no object of the kind, or not to this one
 */
export function readConfig(target: ObjectTarget, body: unknown): KubeObject {
  const { kind, name, namespace } = target;
  if (!isMapping(body)) throw badRequest(`the body must be one object of kind ${kind.kind}`);
  const config = withoutNulls(body, 0, kind.schema.keepsNulls) as KubeObject;
  if (config.apiVersion !== apiVersionOf(kind) || config.kind !== kind.kind) {
    throw badRequest(`invalid object type: ${describeType(config.apiVersion, config.kind)}, expected ${describeType(apiVersionOf(kind), kind.kind)}`);
  }
  config.metadata ??= {};
  const { metadata } = config;
  if (!isMapping(metadata)) throw badRequest('metadata must be a mapping');
  if (metadata['managedFields'] !== undefined) throw badRequest('metadata.managedFields must be nil');
  if (metadata['name'] !== undefined && metadata['name'] !== name) throw badRequest(`the name of the object (${String(metadata['name'])}) does not match the name on the URL (${name})`);
  if (kind.namespaced && metadata['namespace'] && metadata['namespace'] !== namespace) {
    throw badRequest(`the namespace of the object (${String(metadata['namespace'])}) does not match the namespace on the request (${namespace ?? ''})`);
  }
  refuseUntyped(target, config);
  return config;
}

/** `taskplane.dev/v1, Kind=Task`. */
function describeType(apiVersion: unknown, kind: unknown): string {
  const version = typeof apiVersion === 'string' ? apiVersion : '';
  return `${version.includes('/') ? version : `/${version}`}, Kind=${typeof kind === 'string' ? kind : ''}`;
}

/** Other writes may drop what nobody knows; of an apply it would have an owner. */
function refuseUntyped({ kind, name, namespace = '' }: ObjectTarget, config: KubeObject): void {
  const problems = [
    ...kind.schema.unknownFields(config).map((field) => `.${field}: field not declared in schema`),
    ...itemProblems(kind.schema.root, config),
  ];
  if (problems.length === 0) return;
  const shown = problems.length === 1 ? problems[0]! : ['errors:', ...problems.slice(0, 100).map((problem) => `  ${problem}`)].join('\n');
  throw badRequest(`failed to create typed patch object (${namespace}/${name}; ${describeType(apiVersionOf(kind), kind.kind)}): ${shown}`);
}

/**
 * @param config is left as it is, to be applied again when the object has changed
 * @throws ApiError Conflict for fields of others, and as a PUT
 */
export function planApply(target: ObjectTarget, stored: KubeObject, config: KubeObject, writer: Writer, force: boolean): Step {
  const { object, managers } = applied(target.kind, stored, config, writer, force);
  return planUpdate(target, stored, copyOf(object), { writer, applied: managers });
}

/** @throws ApiError Conflict for a configuration of an object that is not there any more, BadRequest without a name */
export function refuseNew(target: ObjectTarget, { metadata }: KubeObject): void {
  const { kind, name } = target;
  if (metadata.uid) throw conflict(kind, name, `uid mismatch: the provided object specified uid ${metadata.uid}, and no existing object was found`);
  if (metadata.resourceVersion && metadata.resourceVersion !== '0') throw conflict(kind, name, modifiedMessage);
  if (metadata.name === undefined) throw badRequest(`the name of the object (${name} based on URL) was undeterminable: name must be provided`);
}

/** @throws ApiError Invalid without a manager, which the fields would belong to */
export function appliersName(fieldManager: string | undefined): string {
  if (fieldManager) return fieldManager;
  const problem = required('fieldManager', 'is required for apply patch');
  throw new ApiError('Invalid', `PatchOptions.meta.k8s.io "" is invalid: ${problem.field}: ${problem.message}`, { group: 'meta.k8s.io', kind: 'PatchOptions', causes: [{ reason: problem.reason, message: problem.message, field: problem.field }] });
}

