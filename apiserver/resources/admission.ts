// admission.ts: from what a client sent to an object that may be stored, or every reason why it may not.

import { badRequest, forbiddenField, invalid, invalidValue, required, type FieldProblem } from '../../api/errors.js';
import { apiVersionOf, type KindDefinition } from '../../api/kind.js';
import { kinds } from '../../api/kinds.js';
import type { KubeObject, ObjectMeta } from '../../api/meta.js';
import { objectProblems } from '../../api/validation.js';
import { repeatedFields } from './repeated-keys.js';
import type { Caller, Target, WriteOptions } from './service.js';

/** Objects nest at most so deep: far more than any schema needs, far less than the stack holds. */
const depthMax = 100;

type Mapping = Record<string, unknown>;

export function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A private copy of JSON data: unlike structuredClone it makes objects of this realm, which deep comparison asks for. */
export function copyOf<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

/** Absent, or a list or mapping of nothing: stored as absent, so that the two are no difference. */
export function isEmpty(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return value === undefined;
  for (const _key in value) return false;
  return true;
}

/**
 * A private copy of what a client sent as an object of this kind: nulls are left out, as Kubernetes has it, fields that
 * the schema does not know are refused, warned of or dropped, apiVersion, kind and metadata are there and come first.
 * @param given whether the body is ours, so that nothing of it needs to be copied
 * @throws ApiError BadRequest
 */
export function decodeObject(caller: Caller, kind: KindDefinition, body: unknown, fieldValidation: WriteOptions['fieldValidation'] = 'Warn', given = false): KubeObject {
  if (!isMapping(body)) throw badRequest(`the body must be one object of kind ${kind.kind}`);
  const object = given && isWithoutNulls(body, 0) ? body : (withoutNulls(body, 0, kind.schema.keepsNulls) as Mapping);
  const expected = versionOf(kind);
  const { apiVersion = expected, kind: kindName = kind.kind, metadata = {} } = object;
  if (kindName !== kind.kind) throw badRequest(`${describe(kindName)} in version ${JSON.stringify(apiVersion)} cannot be handled as a ${kind.kind}: the path names ${kind.plural}`);
  if (apiVersion !== expected) throw badRequest(`the API version in the data (${describe(apiVersion)}) does not match the expected API version (${expected})`);
  // A wrong type of metadata is left for the schema to name, beside whatever else is wrong.
  const decoded: KubeObject = { apiVersion: expected, kind: kind.kind, metadata: metadata as ObjectMeta };
  for (const key in object) if (key !== 'apiVersion' && key !== 'kind' && key !== 'metadata') decoded[key] = object[key];
  settleUnknownFields(caller, kind, decoded, repeatedFields(body), fieldValidation);
  return decoded;
}

/** One string for all objects of a kind. */
const versions = new WeakMap<KindDefinition, string>();

function versionOf(kind: KindDefinition): string {
  let version = versions.get(kind);
  if (version === undefined) versions.set(kind, (version = apiVersionOf(kind)));
  return version;
}

function settleUnknownFields(caller: Caller, kind: KindDefinition, object: KubeObject, repeated: readonly string[], fieldValidation: 'Strict' | 'Warn' | 'Ignore'): void {
  const unknown = kind.schema.unknownFields(object);
  if (unknown.length === 0 && repeated.length === 0) return;
  const texts = [...repeated.map((field) => `duplicate field ${JSON.stringify(field)}`), ...unknown.map((field) => `unknown field ${JSON.stringify(field)}`)];
  if (fieldValidation === 'Strict') {
    throw badRequest(`${kind.kind} in version ${JSON.stringify(kind.version)} cannot be handled as a ${kind.kind}: strict decoding error: ${texts.join(', ')}`);
  }
  if (fieldValidation === 'Warn') for (const text of texts) caller.warn(text);
  kind.schema.prune(object);
}

/** Whether withoutNulls has nothing to leave out, and nothing to refuse. */
function isWithoutNulls(value: object, depth: number): boolean {
  if (depth >= depthMax) return false;
  if (Array.isArray(value)) return value.every((item: unknown) => typeof item !== 'object' || (item !== null && isWithoutNulls(item, depth + 1)));
  for (const key in value) {
    const child = (value as Mapping)[key];
    if (child === undefined || child === null || key === '__proto__') return false;
    if (typeof child === 'object' && !isWithoutNulls(child, depth + 1)) return false;
  }
  return true;
}

/**
 * @param keepNulls whether the kind's schema judges nulls; in metadata they always mean absent
 * @throws ApiError BadRequest when it nests too deep
 */
export function withoutNulls(value: unknown, depth: number, keepNulls = false): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= depthMax) throw badRequest(`the object is nested deeper than ${depthMax} levels`);
  if (Array.isArray(value)) return value.map((item) => withoutNulls(item, depth + 1, keepNulls));
  const copy: Mapping = {};
  for (const key of Object.keys(value)) {
    const child = (value as Mapping)[key];
    const keepHere = keepNulls && !(depth === 0 && ['apiVersion', 'kind', 'metadata'].includes(key));
    // A JSON key of this name would become the copy's prototype.
    if (child === undefined || key === '__proto__' || (child === null && !keepHere)) continue;
    copy[key] = withoutNulls(child, depth + 1, keepHere);
  }
  return copy;
}

/**
 * Puts the object in the namespace of the request.
 * @throws ApiError BadRequest when it names another one
 */
export function settleNamespace(target: Target, object: KubeObject): void {
  const { metadata } = object;
  if (!isMapping(metadata)) return;
  if (!target.kind.namespaced) delete metadata['namespace'];
  else if (!metadata.namespace) metadata.namespace = target.namespace!;
  else if (metadata.namespace !== target.namespace) throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
}

/**
 * @param shape what the schema says of the object, where it has been asked already
 * @throws ApiError Invalid with every problem of the object, as the successor of `old` if there is one, and `more`
 */
export function refuseInvalid(kind: KindDefinition, object: KubeObject, more: readonly FieldProblem[] = [], old?: KubeObject, shape?: readonly FieldProblem[]): void {
  const problems = [...objectProblems(kind, object, old, shape), ...more];
  if (problems.length === 0) return;
  const metadata: ObjectMeta = isMapping(object.metadata) ? object.metadata : {};
  const name = metadata.name ?? metadata.generateName ?? '';
  refuseUndecodable(kind, problems);
  throw invalid(kind, typeof name === 'string' ? name : '', kind.kind === 'Secret' ? problems.map(redacted) : problems);
}

/**
 * To Kubernetes a value of the wrong type in a kind of its own is no object at all, while in any other kind it is one more
 * thing that is invalid: clients of the former look for 400.
 * @throws ApiError BadRequest
 */
function refuseUndecodable(kind: KindDefinition, problems: readonly FieldProblem[]): void {
  if (kind.group !== '' && !(kind.group.endsWith('.k8s.io') && kinds.includes(kind))) return;
  const wrong = problems.filter(({ undecodable }) => undecodable);
  if (wrong.length === 0) return;
  const texts = (kind.kind === 'Secret' ? wrong.map(redacted) : wrong).map(({ field, message }) => `${field}: ${message}`);
  throw badRequest(`${kind.kind} in version ${JSON.stringify(kind.version)} cannot be handled as a ${kind.kind}: ${texts.join(', ')}`);
}

/** Values of a Secret never appear in an error. */
function redacted(problem: FieldProblem): FieldProblem {
  if (!/^(data|stringData)\b/.test(problem.field)) return problem;
  return { ...problem, message: problem.message.replace(/^(\w+ value): .*: (?=\S)/s, '$1: (hidden): ') };
}

/** Rules of ownerReferences; the schema has looked at their shape if `metadata` is as it promises. */
export function ownerProblems(metadata: ObjectMeta): FieldProblem[] {
  if (!isMapping(metadata) || !Array.isArray(metadata.ownerReferences)) return [];
  const problems: FieldProblem[] = [];
  let controllers = 0;
  (metadata.ownerReferences as unknown[]).forEach((owner, index) => {
    if (!isMapping(owner)) return;
    for (const field of ['apiVersion', 'kind', 'name', 'uid']) if (owner[field] === '') problems.push(required(`metadata.ownerReferences[${index}].${field}`));
    if (owner['controller'] === true && ++controllers === 2) {
      problems.push(invalidValue('metadata.ownerReferences', owner['name'], 'Only one reference can have Controller set to true'));
    }
  });
  return problems;
}

/** An object that is being deleted gets no new finalizers. */
export function finalizerProblems(metadata: ObjectMeta, old: ObjectMeta): FieldProblem[] {
  if (!old.deletionTimestamp || !Array.isArray(metadata.finalizers)) return [];
  const before = new Set(old.finalizers);
  const added = metadata.finalizers.filter((finalizer) => !before.has(finalizer));
  if (added.length === 0) return [];
  return [forbiddenField('metadata.finalizers', `no new finalizers can be added if the object is being deleted, found new finalizers ${JSON.stringify(added)}`)];
}

function describe(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
