import { jitteredBackoffMs, reconnectBackoff, type BackoffPolicy } from '../lib/backoff.js';
import { sleep, type Clock } from '../lib/clock.js';
import type { LogFields, Logger } from '../lib/log.js';
import type { Random } from '../lib/random.js';

/** Delays up to this are the ordinary noise of a network; longer ones are worth a person's attention. */
const quietMsMax = 1_000;

/**
 * The pause between the tries of one endless loop: it grows with failures in a row, is forgotten at a sign of health, and
 * is told the louder the longer it is.
 */
export class Reconnect {
  readonly #options: { clock: Clock; random: Random; logger: Logger; policy?: BackoffPolicy };
  #failures = 0;

  constructor(options: { clock: Clock; random: Random; logger: Logger; policy?: BackoffPolicy }) {
    this.#options = options;
  }

  /** Failures since the last sign of health. */
  get failures(): number {
    return this.#failures;
  }

  healthy(): void {
    if (this.#failures > 0) this.#options.logger.debug('works again', { afterFailures: this.#failures });
    this.#failures = 0;
  }

  /** Says what failed and waits; returns early when the signal aborts. */
  async failed(message: string, error: unknown, signal: AbortSignal, fields: LogFields = {}): Promise<void> {
    const { clock, random, logger, policy = reconnectBackoff } = this.#options;
    this.#failures++;
    const delayMs = Math.round(jitteredBackoffMs(policy, this.#failures, random));
    const level = delayMs > quietMsMax ? 'warn' : 'debug';
    logger[level](message, { ...fields, why: error instanceof Error ? error.message : String(error), failures: this.#failures, nextTryMs: delayMs });
    await sleep(clock, delayMs, signal);
  }
}
