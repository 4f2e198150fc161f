import type { Random } from './random.js';

export interface BackoffPolicy {
  /** Delay after the first failure, milliseconds. */
  firstMs: number;
  /** Delays never exceed this, milliseconds. */
  maxMs: number;
  /** Each delay is the last one times this. */
  factor: number;
}

/**
 * The delay before try `failures + 1`, without jitter.
 * @param failures how often it has failed in a row, at least 1
 */
export function backoffMs(policy: BackoffPolicy, failures: number): number {
  return Math.min(policy.maxMs, policy.firstMs * policy.factor ** (failures - 1));
}

/** The same, spread over [1/2, 1] of the delay, so that many clients do not come back in step. */
export function jitteredBackoffMs(policy: BackoffPolicy, failures: number, random: Random): number {
  return backoffMs(policy, failures) * (0.5 + random.float() / 2);
}

/** Reconnects and retries of every component: fast at first, never more than 5 s apart. */
export const reconnectBackoff: BackoffPolicy = { firstMs: 50, maxMs: 5_000, factor: 2 };
