// json-patch.ts: RFC 6902, by json-p3, which edits what it is given and lets a copy share what it copied.

import { JSONPatch, JSONPatchError, JSONPatchTestFailure, JSONPointer, type JSONValue } from 'json-p3';
import { ApiError, badRequest } from '../../../api/errors.js';
import { valueBytesMax } from '../../storage/store.js';
import { copyOf, isMapping } from '../admission.js';

const operationsMax = 10_000;

/**
 * @param document a private copy; parts of it may be in the answer
 * @throws ApiError BadRequest for what is no JSON patch, Invalid for one that does not fit the document or whose test fails
 */
export function applyJsonPatch(document: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw badRequest('a JSON patch must be a list of operations');
  if (patch.length > operationsMax) {
    throw new ApiError('RequestEntityTooLarge', `The allowed maximum operations in a JSON patch is ${operationsMax}, got ${patch.length}`);
  }
  let copiedBytes = 0;
  let result = document as JSONValue;
  patch.forEach((operation: unknown, index) => {
    if (!isMapping(operation) || typeof operation['op'] !== 'string' || typeof operation['path'] !== 'string') {
      throw badRequest(`operation ${index} of the JSON patch must have the strings op and path`);
    }
    try {
      const own = copyOf(operation) as { op: string; path: string; from?: string; value?: JSONValue };
      if (own.op === 'copy' && typeof own.from === 'string') {
        const text = JSON.stringify(new JSONPointer(own.from).resolve(result));
        copiedBytes += text.length;
        // A few dozen copies of copies would fill the memory.
        if (copiedBytes > valueBytesMax) throw new ApiError('RequestEntityTooLarge', `the JSON patch copies more than ${valueBytesMax} bytes`);
        result = new JSONPatch([{ op: 'add', path: own.path, value: JSON.parse(text) as JSONValue }]).apply(result);
      } else {
        result = new JSONPatch([own]).apply(result);
      }
    } catch (error) {
      throw refusal(error, index, operation['op']);
    }
  });
  return result;
}

function refusal(error: unknown, index: number, op: string): unknown {
  if (error instanceof ApiError) return error;
  // json-p3 numbers every operation 0, as it is given one at a time.
  const text = error instanceof Error ? error.message.replace(/ \(\w*:0\)$/, '') : String(error);
  if (error instanceof JSONPatchTestFailure) return unprocessable(`the server rejected our request due to an error in our request: operation ${index} (test) of the JSON patch failed: the value is another one`);
  if (error instanceof JSONPatchError || error instanceof Error) return unprocessable(`the server rejected our request due to an error in our request: operation ${index} (${op}) of the JSON patch: ${text}`);
  return error;
}

function unprocessable(message: string): ApiError {
  return new ApiError('Invalid', message);
}
