// renewal-times.ts
//
// When an agent renews its presence, and how long it waits for an answer, within the time that a renewal holds (agent/fence.ts):
//
//   sent ───── every ───── due ── patience ── timeout ── retry ──── sent + hold: what is guarded is killed
//                           │        │           │         └ asked anew, both ways at once
//                           │        └ asked beside the tunnel, too
//                           └ asked over the tunnel
//
// The server says how often (apiserver/resources/renewal-pace.ts); it may not take from an agent the time for a second asking, so that one
// renewal that is lost never costs a task.

export interface RenewalTimes {
  /** From one asking to the next, when answers come. */
  everyMs: number;
  /** From asking until it is asked another way, too. */
  patienceMs: number;
  /** From asking until it has failed. */
  timeoutMs: number;
}

/** How long before the server's time is up the guarded tasks are killed: by the agent, or by its watchdog (agent/watchdog.ts). */
export function marginsMs(ttlMs: number): { agent: number; watchdog: number } {
  const agent = Math.min(1_500, ttlMs / 5);
  // The watchdog looks twice a second only.
  return { agent, watchdog: Math.max(agent, Math.min(1_000, ttlMs * 0.4)) };
}

/** @param renewAfterMs as the server says; a quarter of the time to live when it says nothing, and never more often */
export function renewalTimes(ttlMs: number, renewAfterMs = 0): RenewalTimes {
  const holdMs = ttlMs - marginsMs(ttlMs).watchdog;
  const everyMs = Math.min(Math.max(renewAfterMs, ttlMs / 4), holdMs / 2);
  const leftMs = holdMs - everyMs;
  return { everyMs, patienceMs: leftMs * 0.4, timeoutMs: leftMs * 0.75 };
}

/** From a failure, which came sooner than its timeout mostly, to the next asking. @param failures in a row, 1 or more */
export function renewalRetryMs(ttlMs: number, failures: number): number {
  return Math.min(ttlMs / 8, failures * Math.min(100, ttlMs / 32));
}
