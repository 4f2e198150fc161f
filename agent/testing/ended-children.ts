// ended-children.ts: for tests, whose process does not hear signals (jest keeps them to itself).

import { SystemClock } from '../../lib/clock.js';

const clock = new SystemClock();
const lookMs = 2;

/** Calls the handler every other millisecond, as SIGCHLD would when a child has ended. @returns stops that */
export function looksForEndedChildren(handler: () => void): () => void {
  let stopped = false;
  const look = (): void => {
    if (stopped) return;
    handler();
    clock.timer(lookMs, look);
  };
  clock.timer(lookMs, look);
  return () => {
    stopped = true;
  };
}
