// outcome.ts: what a run of the suite leaves behind for docs/kubectl.md.

import { fileURLToPath } from 'node:url';

/** Two levels up from here, and from every file of the bundle in dist/. */
export const outcomesFolder = fileURLToPath(new URL('../../.cache/kubectl', import.meta.url));

export interface CheckOutcome {
  verb: string;
  form: string;
  differs?: string;
  /** By title of the kubectl: whether it did it; absent where this version has no such verb or flag. */
  passed: Record<string, boolean>;
}

export interface AreaOutcome {
  title: string;
  /** Title and minor version of each kubectl, oldest first. */
  kubectls: { title: string; minor: number }[];
  checks: CheckOutcome[];
}
