// unchanged.ts
//
// An object that was valid when it was written may not be any more, since its schema has changed. A change of something else must
// still be possible (a status, or the finalizer that keeps it from going): what is as it was is not held against it.
// Kubernetes calls this ratcheting, and has it since 1.30.
// https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-ratcheting

import type { FieldProblem } from '../errors.js';
import { canonical, isMapping } from './json.js';

/** The problems of what differs between the two. Lists are compared as a whole. */
export function ofChanges(problems: readonly FieldProblem[], value: unknown, old: unknown): FieldProblem[] {
  const equal = new Map<unknown, boolean>();
  const same = (a: unknown, b: unknown): boolean => {
    let known = equal.get(a);
    if (known === undefined) equal.set(a, (known = canonical(a) === canonical(b)));
    return known;
  };
  return problems.filter(({ field }) => !isUnchanged(field, value, old, same));
}

function isUnchanged(path: string, value: unknown, old: unknown, same: (a: unknown, b: unknown) => boolean): boolean {
  let [now, before, rest] = [value, old, path];
  for (;;) {
    if (!isMapping(now) || !isMapping(before)) return false;
    const next = nextKey(Object.keys(now), rest);
    // A field that is missing is a problem of the object that should have it: of one that is compared already.
    if (next === undefined || !Object.hasOwn(before, next.key)) return false;
    [now, before, rest] = [now[next.key], before[next.key], next.rest];
    if (typeof now === 'object' && now !== null ? same(now, before) : now === before) return true;
  }
}

/** The key that a path goes on with, and what follows it. Keys may hold dots: the longest that fits is it. */
function nextKey(keys: readonly string[], path: string): { key: string; rest: string } | undefined {
  let found: { key: string; rest: string } | undefined;
  for (const key of keys) {
    if (found && key.length <= found.key.length) continue;
    const inBrackets = `[${key}]`;
    const text = path.startsWith(inBrackets) ? inBrackets : path.startsWith(key) ? key : undefined;
    if (text === undefined) continue;
    const rest = path.slice(text.length);
    if (rest === '' || rest.startsWith('.') || rest.startsWith('[')) found = { key, rest: rest.startsWith('.') ? rest.slice(1) : rest };
  }
  return found;
}
