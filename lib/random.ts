// random.ts
//
// Chance comes in through constructors, as time does. Names, jitter and tie-breaks come from a Random; a seeded one
// replays. Secrets never do: they come from node:crypto where they are made.

import { randomFillSync, randomUUID } from 'node:crypto';

export interface Random {
  /** A float in [0, 1). */
  float(): number;
  /** An integer in [0, bound). `bound` is at least 1. */
  integer(bound: number): number;
  /** `length` characters that are safe in an object name; vowels and look-alikes are left out, as Kubernetes does. */
  suffix(length: number): string;
  /** An RFC 4122 version 4 UUID. */
  uuid(): string;
}

const suffixAlphabet = 'bcdfghjklmnpqrstvwxz2456789';

abstract class RandomBase implements Random {
  /** 32 random bits as an unsigned integer. */
  protected abstract next(): number;

  float(): number {
    return this.next() / 2 ** 32;
  }

  integer(bound: number): number {
    return Math.floor(this.float() * bound);
  }

  suffix(length: number): string {
    let text = '';
    while (text.length < length) text += suffixAlphabet[this.integer(suffixAlphabet.length)];
    return text;
  }

  uuid(): string {
    const hex = [0, 1, 2, 3].map(() => this.next().toString(16).padStart(8, '0')).join('');
    const variant = '89ab'[this.integer(4)];
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
  }
}

/** Unpredictable: from the operating system, read in blocks because a call per number costs a microsecond each. */
export class SystemRandom extends RandomBase {
  readonly #block = new Uint32Array(256);
  #used = 256;

  protected next(): number {
    if (this.#used === this.#block.length) {
      randomFillSync(this.#block);
      this.#used = 0;
    }
    return this.#block[this.#used++]!;
  }

  /** Every new object takes one: the platform's own is a tenth of the work. */
  override uuid(): string {
    return randomUUID();
  }
}

/** The same seed gives the same sequence. Algorithm: mulberry32 (Tommy Ettinger, public domain). */
export class SeededRandom extends RandomBase {
  #state: number;

  constructor(seed: number) {
    super();
    this.#state = seed >>> 0;
  }

  protected next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }
}
