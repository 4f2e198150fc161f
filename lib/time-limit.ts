// time-limit.ts
//
// Ends work that does not end by itself. For the rare case of somebody else's data making code run for minutes where it cannot
// be bounded by counting; a call costs a tenth of a millisecond, since it takes a thread of its own to watch.

import { createContext, Script } from 'node:vm';

let script: Script | undefined;
let context: { run?: () => unknown } | undefined;

/**
 * What synchronous `run` returns or throws; undefined when it took longer than `ms` milliseconds of real time. It is then stopped anywhere: whatever
 * it was changing is in no state to be used again.
 */
export function runWithin<T>(ms: number, run: () => T): { result: T } | undefined {
  script ??= new Script('run()');
  context ??= createContext({});
  context.run = run;
  try {
    return { result: script.runInContext(context, { timeout: ms }) as T };
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return undefined;
    throw error;
  } finally {
    delete context.run;
  }
}
