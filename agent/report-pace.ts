// report-pace.ts: how far apart an agent's requests with reports are. A server that answers late is busy: what is said to it in fewer, larger
// requests costs it less, and everybody is answered sooner. One that answers at once is told everything at once.

/** An answer within this is that of a server that has time, milliseconds: its store's commit takes the most of it. */
const promptMs = 50;
/** However late the answer was. */
const pauseMsMax = 500;

/** Milliseconds to leave between an answer and the next request. @param roundTripMs how long the answer took */
export function pauseAfterMs(roundTripMs: number): number {
  return roundTripMs <= promptMs ? 0 : Math.min(roundTripMs, pauseMsMax);
}
