// native-wrapper.ts: finds what tools/build.mjs has made of wrapper.c, beside the programs. Where it had no compiler there is none, and a shell does the
// same, more slowly.

import { accessSync, constants } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Path of the wrapper for this machine; undefined when there is none, or it may not be executed where it is. */
export function findNativeWrapper(base: string = import.meta.url): string | undefined {
  const path = fileURLToPath(new URL(`../agent/wrapper-${process.platform}-${process.arch}`, base));
  try {
    accessSync(path, constants.X_OK);
    return path;
  } catch {
    return undefined;
  }
}
