// query.ts: the parameters of a request, read strictly. Keys that nobody knows are ignored, as Kubernetes does.

import { ApiError, badRequest, forbiddenField, notSupported, required, type FieldProblem } from '../../api/errors.js';
import { isPrintable, managerProblems } from '../resources/managed-fields/entries.js';
import type { ApplyOptions, DeleteOptions, ListQuery, PatchType, ReadOptions, WatchQuery, WriteOptions } from '../resources/service.js';

export function flag(query: URLSearchParams, key: string): boolean {
  const value = query.get(key);
  if (value === null) return false;
  // Python's clients write True. Kubernetes takes a key without a value as true.
  const lower = value.toLowerCase();
  if (lower === 'false' || lower === '0') return false;
  if (lower === '' || lower === 'true' || lower === '1') return true;
  throw badRequest(`the query parameter ${key} must be true or false, not ${JSON.stringify(value)}`);
}

/** A whole number of at least 0, or undefined when absent or empty. */
export function count(query: URLSearchParams, key: string): number | undefined {
  const value = query.get(key);
  if (value === null || value === '') return undefined;
  const number = Number(value);
  if (!/^[0-9]+$/.test(value) || !Number.isSafeInteger(number)) throw badRequest(`the query parameter ${key} must be a whole number of at least 0, not ${JSON.stringify(value)}`);
  return number;
}

function text(query: URLSearchParams, key: string): string | undefined {
  return query.get(key) || undefined;
}

/** Leaves out what is undefined, so that options stay as small as what was asked. */
function defined<T extends object>(options: { [K in keyof T]: T[K] | undefined }): T {
  for (const key of Object.keys(options) as (keyof T)[]) if (options[key] === undefined) delete options[key];
  return options as T;
}

export function readOptions(query: URLSearchParams): ReadOptions {
  return defined<ReadOptions>({ resourceVersion: text(query, 'resourceVersion'), resourceVersionMatch: text(query, 'resourceVersionMatch') });
}

export function listQuery(query: URLSearchParams): ListQuery {
  return defined<ListQuery>({
    ...readOptions(query),
    labelSelector: text(query, 'labelSelector'),
    fieldSelector: text(query, 'fieldSelector'),
    limit: count(query, 'limit') || undefined,
    continue: text(query, 'continue'),
    ...initialEvents(query),
  });
}

function initialEvents(query: URLSearchParams): { sendInitialEvents: boolean | undefined } {
  return { sendInitialEvents: query.has('sendInitialEvents') ? flag(query, 'sendInitialEvents') : undefined };
}

export function watchQuery(query: URLSearchParams): WatchQuery {
  return defined<WatchQuery>({
    ...readOptions(query),
    labelSelector: text(query, 'labelSelector'),
    fieldSelector: text(query, 'fieldSelector'),
    allowWatchBookmarks: flag(query, 'allowWatchBookmarks') || undefined,
    ...initialEvents(query),
    continue: text(query, 'continue'),
    timeoutSeconds: count(query, 'timeoutSeconds'),
  });
}

const validations = ['Strict', 'Warn', 'Ignore'] as const;
const fieldManagerBytesMax = 128;

/** @param kind what the error names: CreateOptions, UpdateOptions, PatchOptions */
export function writeOptions(query: URLSearchParams, userAgent: string | undefined, kind: string): WriteOptions {
  const fieldValidation = text(query, 'fieldValidation');
  const known = validations.find((validation) => validation === fieldValidation);
  if (fieldValidation !== undefined && !known) throw invalidOptions(kind, notSupported('fieldValidation', fieldValidation, validations));
  const fieldManager = text(query, 'fieldManager');
  const [problem] = managerProblems(fieldManager ?? '', 'fieldManager');
  if (problem) throw invalidOptions(kind, problem);
  return defined<WriteOptions>({
    dryRun: dryRun(query.getAll('dryRun'), kind) || undefined,
    fieldManager: fieldManager ?? managerOf(userAgent),
    fieldValidation: known,
  });
}

/** Who writes, when they do not say: their program, as Kubernetes takes it from User-Agent. */
function managerOf(userAgent = ''): string {
  let manager = '';
  for (const letter of userAgent.split('/', 1)[0]!) {
    if (!isPrintable(letter)) continue;
    if (Buffer.byteLength(manager) + Buffer.byteLength(letter) > fieldManagerBytesMax) break;
    manager += letter;
  }
  return manager || 'unknown';
}

/** Parameters of a PATCH. An apply has to say who applies; no other patch can be forced. @throws ApiError */
export function patchOptions(query: URLSearchParams, userAgent: string | undefined, type: PatchType): ApplyOptions {
  const options = writeOptions(query, userAgent, 'PatchOptions');
  if (type !== 'application/apply-patch+yaml') {
    if (query.has('force')) throw invalidOptions('PatchOptions', forbiddenField('force', 'may not be specified for non-apply patch'));
    return options;
  }
  if (!text(query, 'fieldManager')) throw invalidOptions('PatchOptions', required('fieldManager', 'is required for apply patch'));
  return flag(query, 'force') ? { ...options, force: true } : options;
}

function dryRun(values: readonly unknown[], kind: string): boolean {
  const asked = values.filter((value) => value !== '');
  const wrong = asked.find((value) => value !== 'All');
  if (wrong !== undefined) throw invalidOptions(kind, notSupported('dryRun', wrong, ['All']));
  return asked.length > 0;
}

const policies = ['Background', 'Foreground', 'Orphan'] as const;

/** DeleteOptions come in the query, in the body (which wins), or in both. */
export function deleteOptions(query: URLSearchParams, body: Record<string, unknown> | undefined): DeleteOptions {
  const kind = 'DeleteOptions';
  const grace = body?.['gracePeriodSeconds'] ?? count(query, 'gracePeriodSeconds');
  if (grace !== undefined && grace !== null && !Number.isSafeInteger(grace)) throw badRequest('gracePeriodSeconds must be a whole number');
  const policy = body?.['propagationPolicy'] ?? text(query, 'propagationPolicy');
  const orphan = body?.['orphanDependents'] ?? (query.has('orphanDependents') ? flag(query, 'orphanDependents') : undefined);
  const known = policies.find((value) => value === policy) ?? (orphan === true ? 'Orphan' : orphan === false ? 'Background' : undefined);
  if (policy !== undefined && policy !== null && policy !== known) throw invalidOptions(kind, notSupported('propagationPolicy', policy, policies));
  const inBody = body?.['dryRun'];
  const preconditions = (body?.['preconditions'] ?? undefined) as DeleteOptions['preconditions'];
  if (preconditions !== undefined && (typeof preconditions !== 'object' || Array.isArray(preconditions))) throw badRequest('preconditions must be a mapping');
  for (const part of ['uid', 'resourceVersion'] as const) {
    if (preconditions?.[part] !== undefined && typeof preconditions[part] !== 'string') throw badRequest(`preconditions.${part} must be a string`);
  }
  return defined<DeleteOptions>({
    dryRun: dryRun([...query.getAll('dryRun'), ...(Array.isArray(inBody) ? inBody : [])], kind) || undefined,
    // Kubernetes takes a negative grace period as the shortest one.
    gracePeriodSeconds: typeof grace === 'number' ? (grace < 0 ? 1 : grace) : undefined,
    propagationPolicy: known,
    preconditions,
  });
}

function invalidOptions(kind: string, problem: FieldProblem): ApiError {
  return new ApiError('Invalid', `${kind}.meta.k8s.io "" is invalid: ${problem.field}: ${problem.message}`, {
    group: 'meta.k8s.io',
    kind,
    causes: [{ reason: problem.reason, message: problem.message, field: problem.field }],
  });
}
