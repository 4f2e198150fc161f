// merge-patch.ts: RFC 7396.

import { isMapping } from '../admission.js';

/** A new value; parts of both arguments may be in it. */
export function applyMergePatch(document: unknown, patch: unknown): unknown {
  if (!isMapping(patch)) return patch;
  const result: Record<string, unknown> = isMapping(document) ? { ...document } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (key === '__proto__') continue;
    if (value === null) delete result[key];
    else result[key] = applyMergePatch(Object.hasOwn(result, key) ? result[key] : undefined, value);
  }
  return result;
}
