// limits.ts: how much may be under way at once. Past it a client is told to come back, so that what has begun can end.

import { ApiError } from '../../api/errors.js';

/** Requests that are being handled at once. Each holds its body and its place in the store's queue. */
export const requestsInFlightMax = 2_000;
/** Watches and logs that are open at once: 5,000 agents and controllers keep two or three each. */
export const streamsMax = 40_000;
/** Connections that became exec, attach or port-forward. Each may hold a few MB. */
export const upgradedMax = 1_000;
const retryAfterSeconds = 1;

export class Limit {
  #count = 0;

  constructor(
    private readonly max: number,
    private readonly what: string,
  ) {}

  get count(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#count >= this.max;
  }

  /** @throws ApiError TooManyRequests; answers what gives the place back (idempotent) */
  enter(): () => void {
    if (this.#count >= this.max) {
      throw new ApiError('TooManyRequests', `the server has ${this.max} ${this.what} already, please try again later`, { retryAfterSeconds });
    }
    this.#count++;
    let inside = true;
    return () => {
      if (inside) this.#count--;
      inside = false;
    };
  }
}
