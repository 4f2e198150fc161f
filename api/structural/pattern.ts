// pattern.ts
//
// Patterns that users write, for texts that anybody sends. They mean what Go's regexp means (RE2), as in Kubernetes, and run
// in time linear in the text: no pattern can hold up the server. What RE2 lacks (look-around, back references) is refused
// when the schema is.
// https://github.com/google/re2/wiki/Syntax

import { RE2JS } from 're2js';

/** Kept compiled; the oldest goes first. */
const kept = new Map<string, RE2JS | undefined>();
const keptMax = 500;

/** A pattern of 100 000 characters or one that counts to thousands makes a program of as many megabytes. */
const patternLengthMax = 10_000;

/** Why `pattern` is none, or undefined. */
export function patternProblem(pattern: string): string | undefined {
  if (pattern.length > patternLengthMax) return `must be at most ${patternLengthMax} characters`;
  try {
    RE2JS.compile(pattern);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Whether the pattern is found in the text; undefined when it is no pattern. */
export function matchesPattern(pattern: string, text: string): boolean | undefined {
  return compiled(pattern)?.test(text);
}

/** The compiled pattern, or undefined when it is none. */
export function compiled(pattern: string): RE2JS | undefined {
  if (kept.has(pattern)) return kept.get(pattern);
  let program: RE2JS | undefined;
  try {
    program = pattern.length > patternLengthMax ? undefined : RE2JS.compile(pattern);
  } catch {
    program = undefined;
  }
  if (kept.size >= keptMax) kept.delete(kept.keys().next().value!);
  kept.set(pattern, program);
  return program;
}
