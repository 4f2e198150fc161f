// store-errors.ts: what a failure of the store means to a client.

import { ApiError, expired } from '../../api/errors.js';
import { GoneError, StoreOverloadedError, StoreUnavailableError, ValueTooLargeError } from '../storage/store.js';

/** Seconds after which a refused writer may try again. */
const overloadRetrySeconds = 1;

/** The error that a client sees; anything that is no failure of the store comes back as it is. */
export function toClientError(error: unknown): unknown {
  if (error instanceof GoneError) return expired(error.message);
  if (error instanceof StoreOverloadedError) {
    return new ApiError('TooManyRequests', `${error.message}; try again later`, { retryAfterSeconds: overloadRetrySeconds }, { cause: error });
  }
  if (error instanceof ValueTooLargeError) return new ApiError('RequestEntityTooLarge', error.message, undefined, { cause: error });
  if (error instanceof StoreUnavailableError) {
    return error.applied === 'unknown'
      ? new ApiError('Timeout', `the store did not answer, so it is not known whether the write was done; read the object before trying again: ${error.message}`, undefined, { cause: error })
      : new ApiError('ServiceUnavailable', `the store is not available: ${error.message}`, { retryAfterSeconds: overloadRetrySeconds }, { cause: error });
  }
  return error;
}

/** Runs `work` with failures of the store turned into what a client sees. */
export async function withClientErrors<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toClientError(error);
  }
}
