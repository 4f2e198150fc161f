// resource-versions.ts
//
// How new an answer must be. https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions

import { ApiError, badRequest, forbiddenField, invalid, notSupported, type FieldProblem } from '../../api/errors.js';
import type { ObjectCache } from './object-cache.js';

const matches = ['Exact', 'NotOlderThan'] as const;
export type ResourceVersionMatch = (typeof matches)[number];

/**
 * The number of a resourceVersion that the server gave; undefined for an absent one.
 * @throws ApiError Invalid, as Kubernetes
 */
export function parseResourceVersion(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  const number = /^[0-9]+$/.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(number)) throw badRequest(`invalid resource version: resourceVersion: Invalid value: ${JSON.stringify(text)}: must be one that the server gave`);
  return number;
}

/** @throws ApiError Invalid, BadRequest for a combination that makes no sense */
export function checkListMatch(options: { resourceVersion?: string; resourceVersionMatch?: string; continue?: string; limit?: number; sendInitialEvents?: boolean }): ResourceVersionMatch | undefined {
  const { resourceVersion, resourceVersionMatch: match } = options;
  const problems: FieldProblem[] = [];
  if (match) {
    if (!resourceVersion) problems.push(forbiddenField('resourceVersionMatch', 'resourceVersionMatch is forbidden unless resourceVersion is provided'));
    if (options.continue) problems.push(forbiddenField('resourceVersionMatch', 'resourceVersionMatch is forbidden when continue is provided'));
    if (!isMatch(match)) problems.push(notSupported('resourceVersionMatch', match, [...matches, '']));
    else if (match === 'Exact' && resourceVersion === '0') problems.push(forbiddenField('resourceVersionMatch', 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'));
  }
  if (options.sendInitialEvents !== undefined) problems.push(forbiddenField('sendInitialEvents', 'sendInitialEvents is forbidden for list'));
  if (problems.length > 0) throw invalidListOptions(problems);
  if (options.continue && resourceVersion && resourceVersion !== '0') throw badRequest('specifying resource version is not allowed when using continue');
  // A page of a version meant that very version before there was resourceVersionMatch, and still does.
  if (!match && options.limit !== undefined && resourceVersion && resourceVersion !== '0') return 'Exact';
  return (match || undefined) as ResourceVersionMatch | undefined;
}

/** @throws ApiError Invalid for a combination that makes no sense */
export function checkWatchMatch(options: { resourceVersionMatch?: string; sendInitialEvents?: boolean; continue?: string }): void {
  const { resourceVersionMatch: match, sendInitialEvents } = options;
  const problems: FieldProblem[] = [];
  if (sendInitialEvents !== undefined && match !== 'NotOlderThan') {
    problems.push(forbiddenField('resourceVersionMatch', 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan'));
  }
  if (match) {
    if (sendInitialEvents === undefined) problems.push(forbiddenField('resourceVersionMatch', 'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided'));
    if (match !== 'NotOlderThan') problems.push(notSupported('resourceVersionMatch', match, ['NotOlderThan']));
    if (options.continue) problems.push(forbiddenField('resourceVersionMatch', 'resourceVersionMatch is forbidden when continue is provided'));
  }
  if (problems.length > 0) throw invalidListOptions(problems);
}

/**
 * Waits until an answer from the cache is as new as it has to be.
 * @param version undefined: as new as everything acknowledged before the call; 0: whatever the cache has
 * @throws ApiError Timeout for a version that the store has not come to: it is from elsewhere, or from the future
 */
export async function caughtUp(cache: ObjectCache, version: number | undefined): Promise<void> {
  if (version !== undefined && version <= cache.revision) return;
  // Every version that a client can have was acknowledged before.
  await cache.fresh();
  if (version === undefined || version <= cache.revision) return;
  throw new ApiError('Timeout', `Timeout: Too large resource version: ${version}, current: ${cache.revision}`, {
    causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
    retryAfterSeconds: 1,
  });
}

function isMatch(text: string): text is ResourceVersionMatch {
  return (matches as readonly string[]).includes(text);
}

function invalidListOptions(problems: readonly FieldProblem[]): ApiError {
  return invalid({ group: 'meta.k8s.io', plural: 'listoptions', kind: 'ListOptions' }, '', problems);
}
