// tunnel-looks.ts: looks after all tunnels in turn, with one timer: a timer and its closures for each of thousands cost memory that says nothing.

import type { Clock, Timer } from '../../lib/clock.js';

export interface LookedAfter {
  look(): void;
}

/** Each second the next of these. */
const groups = 10;
const groupMs = 1_000;

/** Each is looked at every 10 s, the first time between 0 and 10 s after it has come. */
export class TunnelLooks<Tunnel extends LookedAfter> {
  readonly #clock: Clock;
  readonly #groups = Array.from({ length: groups }, () => new Set<Tunnel>());
  #count = 0;
  #joined = 0;
  #turn = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @returns lets it go (call it once) */
  add(tunnel: Tunnel): () => void {
    const group = this.#groups[this.#joined++ % groups]!;
    group.add(tunnel);
    if (this.#count++ === 0) this.#arm();
    return () => {
      group.delete(tunnel);
      if (--this.#count === 0) this.#timer?.cancel();
    };
  }

  *[Symbol.iterator](): Generator<Tunnel> {
    for (const group of this.#groups) yield* group;
  }

  #arm(): void {
    this.#timer = this.#clock.timer(groupMs, () => this.#look(), { unref: true });
  }

  #look(): void {
    this.#arm();
    this.#turn = (this.#turn + 1) % groups;
    for (const tunnel of [...this.#groups[this.#turn]!]) tunnel.look();
  }
}
