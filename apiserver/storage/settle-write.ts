import type { Stored, Write, WriteOutcome } from './store.js';

/**
 * The outcome of a write that waited behind an earlier one of its key, where its guard is plainly broken by what is stored
 * since then. It may be answered as of that moment, which lies between its call and its answer.
 * @param sameRevision whether a guard's revision names a stored one
 */
export function settleWrite(
  write: Write,
  earlier: Write,
  outcome: WriteOutcome,
  sameRevision: (guard: number, stored: number) => boolean = (guard, stored) => guard === stored,
): WriteOutcome | undefined {
  const current = storedAfter(earlier, outcome);
  const holds = write.op === 'create' ? !current : current !== undefined && sameRevision(write.revision, current.revision);
  return holds ? undefined : { ok: false, current };
}

function storedAfter(write: Write, outcome: WriteOutcome): Stored | undefined {
  if (!outcome.ok) return outcome.current;
  return write.op === 'delete' ? undefined : { key: write.key, value: write.value, revision: outcome.revision };
}
