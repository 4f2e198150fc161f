// series.ts: from the moments at which things happened to a throughput over time.

import { rounded } from './percentiles.js';

const sliceMsDefault = 250;

/**
 * Events per second in slices of the run, from its start to its last event. The last slice may be shorter, down to half of the others: of less,
 * a few events would look like a rate that never was, so that it is told with the one before.
 * @param atMs when each event happened, milliseconds since the start, in any order
 * @param weight what an event counts, such as the objects of a request
 */
export function seriesOf(atMs: readonly number[], { weight = 1, sliceMs = sliceMsDefault } = {}): { atSeconds: number; perSecond: number }[] {
  const endMs = atMs.reduce((latest, at) => Math.max(latest, at), 0);
  const counts = Array.from({ length: Math.max(endMs > 0 ? 1 : 0, Math.round(endMs / sliceMs)) }, () => 0);
  for (const at of atMs) counts[Math.min(counts.length - 1, Math.max(0, Math.floor(at / sliceMs)))]! += weight;
  return counts.map((count, index) => {
    const from = index * sliceMs;
    const to = index === counts.length - 1 ? endMs : from + sliceMs;
    return { atSeconds: rounded(to / 1_000, 3), perSecond: rounded((count * 1_000) / (to - from), 0) };
  });
}
