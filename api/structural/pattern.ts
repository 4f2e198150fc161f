// pattern.ts
//
// Patterns that users write, for texts that anybody sends. They mean what Go's regexp means (RE2), as in Kubernetes, and run
// in time linear in the text. What RE2 lacks (look-around, back references) is refused when the schema is. Linear is not fast:
// a pattern that counts can take a step for each of its instructions at each character, a third of a microsecond each.
// So whoever matches a pattern counts its steps, and takes care when they are many.
// https://github.com/google/re2/wiki/Syntax

import { RE2JS } from 're2js';

/** Kept compiled; the oldest goes first. */
const kept = new Map<string, RE2JS | undefined>();
const keptMax = 500;

const patternLengthMax = 10_000;
/** What compiles to more is nobody's: a host name of labels of 63 characters takes 300. */
const instructionsMax = 10_000;

/** Why `pattern` is none, or undefined. */
export function patternProblem(pattern: string): string | undefined {
  if (pattern.length > patternLengthMax) return `must be at most ${patternLengthMax} characters`;
  try {
    const size = RE2JS.compile(pattern).programSize();
    return size > instructionsMax ? `it compiles to ${size} instructions, more than ${instructionsMax}: count to less in {…}` : undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Whether the pattern is found in the text; true when it is no pattern. */
export function matchesPattern(pattern: string, text: string): boolean {
  return compiled(pattern)?.test(text) ?? true;
}

/** How many steps a match takes at most. */
export function stepsOf(pattern: string, text: string): number {
  return (compiled(pattern)?.programSize() ?? 0) * text.length;
}

/** Forgets all patterns: one whose match was stopped half way cannot be used again. */
export function forgetPatterns(): void {
  kept.clear();
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
