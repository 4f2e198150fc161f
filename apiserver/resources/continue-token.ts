// continue-token.ts: where a paged list goes on. Opaque to clients.

import { badRequest } from '../../api/errors.js';

/** In place of a revision: what a list that has expired may go on with. */
export const newest = -1;

export interface ContinuePoint {
  /** Every page is as of this revision; `newest` for a list that goes on with what is there now. */
  revision: number;
  /** Key of the last object that was looked at. */
  after: string;
  /** Objects after it; undefined where a selector makes that unknown. */
  remaining?: number;
}

const version = 'tp1';

export function encodeContinue({ revision, after, remaining }: ContinuePoint): string {
  return Buffer.from(JSON.stringify([version, revision, after, ...(remaining === undefined ? [] : [remaining])])).toString('base64url');
}

/**
 * @param prefix what the list is about: a token of another list is refused
 * @throws ApiError BadRequest
 */
export function decodeContinue(token: string, prefix: string): ContinuePoint {
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'));
  } catch {
    throw badRequest('invalid continue token: continue key is not valid: it cannot be read');
  }
  const [found, revision, after, remaining] = Array.isArray(parts) ? (parts as unknown[]) : [];
  if (found !== version || !(revision === newest || isCount(revision)) || typeof after !== 'string' || (remaining !== undefined && !isCount(remaining))) {
    throw badRequest('invalid continue token: continue key is not valid: it was not made by this server');
  }
  if (!after.startsWith(prefix)) throw badRequest('invalid continue token: continue key is not valid: it belongs to another list');
  return { revision: revision as number, after, ...(remaining === undefined ? {} : { remaining }) };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
