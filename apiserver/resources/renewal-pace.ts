// renewal-pace.ts: how often agents are to renew their presence. See docs/decisions/0013-renewals-as-agents-grow.md.

/** Parts of the time to live. */
const few = { agents: 1_000, part: 0.25 };
const many = { agents: 5_000, part: 0.4 };
/** Agents come and go; the answer to most renewals is the same text. */
const stepMs = 100;

/**
 * Milliseconds from one renewal to the next, where that is more than the quarter of the time to live that agents take by themselves.
 * @param agents that this server hears
 */
export function renewAfterMs(ttlMs: number, agents: number): number | undefined {
  if (agents <= few.agents) return undefined;
  const grown = Math.min(1, (agents - few.agents) / (many.agents - few.agents));
  const afterMs = Math.floor((ttlMs * (few.part + grown * (many.part - few.part))) / stepMs) * stepMs;
  return afterMs > ttlMs * few.part ? afterMs : undefined;
}
