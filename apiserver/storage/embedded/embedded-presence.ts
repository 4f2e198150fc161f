import type { Clock, Timer } from '../../../lib/clock.js';
import type { PresenceStore, WriteOutcome } from '../store.js';
import type { EmbeddedWrite } from './database.js';

interface Present {
  readonly ttlMs: number;
  /** Monotonic instant at which the key expires, unless it is renewed. */
  expiresAt: number;
  timer: Timer;
}

/** After an expiry that could not be written, it is tried again this much later. */
const retryMs = 1_000;

/**
 * Presence with timers in memory: a renewal moves an instant, no write; announcing and expiring are ordinary writes.
 */
export class EmbeddedPresence implements PresenceStore {
  readonly #clock: Clock;
  readonly #write: (write: EmbeddedWrite) => Promise<WriteOutcome>;
  readonly #present = new Map<string, Present>();
  #closed = false;

  constructor(options: { clock: Clock; write: (write: EmbeddedWrite) => Promise<WriteOutcome> }) {
    this.#clock = options.clock;
    this.#write = options.write;
  }

  /** Takes over a key that was found in the file: it has a full time to live from now. */
  adopt(key: string, ttlMs: number): void {
    this.#present.get(key)?.timer.cancel();
    this.#present.set(key, { ttlMs, expiresAt: this.#clock.monotonic() + ttlMs, timer: this.#arm(key, ttlMs) });
  }

  async announce(key: string, value: string, ttlMs: number): Promise<WriteOutcome> {
    const outcome = await this.#write({ op: 'create', key, value, ttlMs });
    if (outcome.ok && !this.#closed) this.adopt(key, ttlMs);
    return outcome;
  }

  renew(key: string): Promise<boolean> {
    return Promise.resolve(this.renewNow(key) ?? false);
  }

  renewNow(key: string): true | undefined {
    const present = this.#present.get(key);
    if (!present) return undefined;
    present.expiresAt = this.#clock.monotonic() + present.ttlMs;
    return true;
  }

  async withdraw(key: string): Promise<boolean> {
    if (!this.#present.has(key)) return false;
    this.forget(key);
    return (await this.#write({ op: 'remove', key })).ok;
  }

  /** Stops the key's timer: it was removed by another way. */
  forget(key: string): void {
    this.#present.get(key)?.timer.cancel();
    this.#present.delete(key);
  }

  close(): void {
    this.#closed = true;
    for (const key of this.#present.keys()) this.forget(key);
  }

  // One timer per key, however often it is renewed: when it fires early it is set again for the rest.
  #arm(key: string, delayMs: number): Timer {
    return this.#clock.timer(delayMs, () => this.#due(key), { unref: true });
  }

  #due(key: string): void {
    const present = this.#present.get(key);
    if (!present) return;
    const remainingMs = present.expiresAt - this.#clock.monotonic();
    if (remainingMs > 0) {
      present.timer = this.#arm(key, remainingMs);
      return;
    }
    this.#present.delete(key);
    this.#write({ op: 'remove', key }).catch(() => {
      if (!this.#closed && !this.#present.has(key)) {
        this.#present.set(key, { ttlMs: present.ttlMs, expiresAt: present.expiresAt, timer: this.#arm(key, retryMs) });
      }
    });
  }
}
