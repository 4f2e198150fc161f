// errors.ts: every failure as a Status. What the caller or the world did wrong is told; what we did wrong is logged, and
// the client learns only where to look.

import { ApiError, type Status } from '../../api/errors.js';
import type { Logger } from '../../lib/log.js';
import { toClientError } from '../resources/store-errors.js';
import { jsonReply, type ServerReply } from './message.js';

/** Where the error happened, for the log line of an unexpected one. */
export interface ErrorPlace {
  requestId: string;
  method: string;
  path: string;
}

export function toApiError(error: unknown, place: ErrorPlace, logger: Logger): ApiError {
  const known = toClientError(error);
  if (known instanceof ApiError) return known;
  logger.error('A request failed for a reason that the server did not foresee; this is a defect of the server: please report it with this line.', { ...place, error });
  return new ApiError('InternalError', `Internal error occurred: the server could not handle the request; its log has the reason under request id ${place.requestId}`);
}

export function errorReply(error: ApiError): ServerReply {
  return statusReply(error.toStatus());
}

export function statusReply(status: Status): ServerReply {
  const retryAfter = status.details?.retryAfterSeconds;
  return jsonReply(status.code, status, retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) });
}

/** What Kubernetes says of a path that names nothing. */
export function unknownPath(): ApiError {
  return new ApiError('NotFound', 'the server could not find the requested resource');
}

/** @param why and what to do instead, where there is more to say */
export function methodNotAllowed(why?: string): ApiError {
  return new ApiError('MethodNotAllowed', `the server does not allow this method on the requested resource${why ? `: ${why}` : ''}`);
}

/** The value of a Warning header. https://www.rfc-editor.org/rfc/rfc7234#section-5.5 */
export function warningHeader(message: string): string {
  const text = message.slice(0, warningLengthMax).replaceAll(/\p{Cc}+/gu, ' ').replaceAll(/["\\]/g, '\\$&');
  // Header values are bytes: UTF-8, as client-go reads it, one byte per character for node:http.
  return `299 - "${Buffer.from(text, 'utf8').toString('latin1')}"`;
}

const warningLengthMax = 1_000;
/** More warnings than this for one request are left out: proxies limit the size of headers. */
export const warningsMax = 20;
