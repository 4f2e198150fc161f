// interned.ts: sets of fields that many objects have alike, kept once. Thousands of tasks of one shape share one set.

import { canonical, type FieldSet } from './field-set.js';

const setsMax = 256;
const textLengthMax = 4096;

/** The last used ones, the oldest first. */
const sets = new Map<string, FieldSet>();

/** The same set in canonical order, shared with others. */
export function interned(set: FieldSet): FieldSet {
  const text = JSON.stringify(set);
  if (text.length > textLengthMax) return canonical(set);
  let shared = sets.get(text);
  if (shared === undefined) {
    shared = canonical(set);
    sets.set(text, shared);
    if (sets.size > setsMax) sets.delete(sets.keys().next().value!);
  }
  return shared;
}
