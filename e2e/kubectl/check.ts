// check.ts
//
// What kubectl must be able to do here, as a list of checks: each is one verb in one form, driven through every stock kubectl that
// this machine has. The same lists and their outcomes make docs/kubectl.md.

import type { Kube } from './kube.js';

export interface Check {
  /** `get`, `create secret`. */
  readonly verb: string;
  /** Flags and arguments that make the form: `-o wide`. */
  readonly form: string;
  /** First minor version of kubectl that has it. */
  readonly since?: number;
  /** Last minor version of kubectl that has it. */
  readonly until?: number;
  /** How the outcome differs from what a cluster of containers gives. */
  readonly differs?: string;
  /** It touches what all namespaces share: no other kubectl runs meanwhile. */
  readonly alone?: boolean;
  /** @throws Error when kubectl does not do it */
  run(kube: Kube): Promise<void>;
}

export type CheckOptions = Pick<Check, 'since' | 'until' | 'differs' | 'alone'>;

export interface Area {
  readonly title: string;
  readonly checks: readonly Check[];
}

/** Collects the checks of an area in the order in which they are told. */
export function area(title: string, tell: (check: (verb: string, form: string, run: Check['run'], options?: CheckOptions) => void) => void): Area {
  const checks: Check[] = [];
  tell((verb, form, run, options = {}) => {
    if (checks.some((known) => known.verb === verb && known.form === form)) throw new Error(`told twice: ${verb} ${form}`);
    checks.push({ verb, form, run, ...options });
  });
  return { title, checks };
}

/** Whether a kubectl of this minor version has what the check is about. */
export function hasIt({ since = 0, until = Infinity }: Check, minor: number): boolean {
  return minor >= since && minor <= until;
}
