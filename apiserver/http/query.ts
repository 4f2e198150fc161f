// query.ts: the parameters of a request, read strictly. Keys that nobody knows are ignored, as Kubernetes does.

import { badRequest, forbiddenField, invalid, invalidValue, notSupported, required, type ApiError, type FieldProblem } from '../../api/errors.js';
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
  if (query.size === 0) return {};
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
    exceptReportsOf: text(query, 'exceptReportsOf'),
  });
}

const validations = ['Strict', 'Warn', 'Ignore'] as const;
const fieldManagerBytesMax = 128;

/** @param kind what the error names: CreateOptions, UpdateOptions, PatchOptions. @throws ApiError Invalid with every problem */
export function writeOptions(query: URLSearchParams, userAgent: string | undefined, kind: string): WriteOptions {
  // What most writes ask for.
  if (query.size === 0) return { fieldManager: managerOf(userAgent) };
  const fieldValidation = text(query, 'fieldValidation');
  const known = validations.find((validation) => validation === fieldValidation);
  const fieldManager = text(query, 'fieldManager');
  const dryRuns = query.getAll('dryRun');
  const problems = [...managerProblems(fieldManager ?? '', 'fieldManager'), ...dryRunProblems(dryRuns)];
  if (fieldValidation !== undefined && !known) problems.push(notSupported('fieldValidation', fieldValidation, ['', 'Ignore', 'Strict', 'Warn']));
  if (problems.length > 0) throw invalidOptions(kind, problems);
  return defined<WriteOptions>({
    dryRun: isDryRun(dryRuns) || undefined,
    fieldManager: fieldManager ?? managerOf(userAgent),
    fieldValidation: known,
  });
}

const managersMax = 64;
/** Longer ones are not kept. */
const agentLengthMax = 256;
/** By User-Agent, the oldest first: most clients are few programs. */
const managers = new Map<string, string>();

/** Who writes, when they do not say: their program, as Kubernetes takes it from User-Agent. */
function managerOf(userAgent = ''): string {
  let manager = managers.get(userAgent);
  if (manager === undefined) {
    manager = readManager(userAgent);
    if (userAgent.length > agentLengthMax) return manager;
    managers.set(userAgent, manager);
    if (managers.size > managersMax) managers.delete(managers.keys().next().value!);
  }
  return manager;
}

function readManager(userAgent: string): string {
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
    if (query.has('force')) throw invalidOptions('PatchOptions', [forbiddenField('force', 'may not be specified for non-apply patch')]);
    return options;
  }
  if (!text(query, 'fieldManager')) throw invalidOptions('PatchOptions', [required('fieldManager', 'is required for apply patch')]);
  return flag(query, 'force') ? { ...options, force: true } : options;
}

function dryRunProblems(values: readonly unknown[]): FieldProblem[] {
  const wrong = values.filter((value) => value !== '').find((value) => value !== 'All');
  return wrong === undefined ? [] : [notSupported('dryRun', wrong, ['All'])];
}

function isDryRun(values: readonly unknown[]): boolean {
  return values.some((value) => value !== '');
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
  const inBody = body?.['dryRun'];
  const dryRuns: unknown[] = [...query.getAll('dryRun'), ...(Array.isArray(inBody) ? inBody : [])];
  const problems = dryRunProblems(dryRuns);
  if (policy !== undefined && policy !== null) {
    if (orphan !== undefined && orphan !== null) problems.push(invalidValue('propagationPolicy', policy, 'orphanDependents and deletionPropagation cannot be both set'));
    if (policy !== known) problems.push(notSupported('propagationPolicy', policy, ['Foreground', 'Background', 'Orphan', 'nil']));
  }
  if (problems.length > 0) throw invalidOptions(kind, problems);
  const preconditions = (body?.['preconditions'] ?? undefined) as DeleteOptions['preconditions'];
  if (preconditions !== undefined && (typeof preconditions !== 'object' || Array.isArray(preconditions))) throw badRequest('preconditions must be a mapping');
  for (const part of ['uid', 'resourceVersion'] as const) {
    if (preconditions?.[part] !== undefined && typeof preconditions[part] !== 'string') throw badRequest(`preconditions.${part} must be a string`);
  }
  return defined<DeleteOptions>({
    dryRun: isDryRun(dryRuns) || undefined,
    // Kubernetes takes a negative grace period as the shortest one.
    gracePeriodSeconds: typeof grace === 'number' ? (grace < 0 ? 1 : grace) : undefined,
    propagationPolicy: known,
    preconditions,
  });
}

function invalidOptions(kind: string, problems: readonly FieldProblem[]): ApiError {
  return invalid({ group: 'meta.k8s.io', plural: '', kind }, '', problems);
}
