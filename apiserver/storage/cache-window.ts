import type { Entry } from './entry.js';

export interface CacheChange {
  readonly type: 'put' | 'delete';
  readonly key: string;
  readonly revision: number;
  /** What is stored now; for a deletion what was stored last, at the revision of the deletion. */
  readonly entry: Entry;
  /** What was stored before; absent when nothing was. */
  readonly previous?: Entry | undefined;
}

/**
 * The newest changes, in order of revision, for watchers that were away. A ring of fixed size: what falls out at the old end
 * makes older revisions Gone.
 */
export class CacheWindow {
  readonly #changesMax: number;
  #ring: CacheChange[] = [];
  #start = 0;
  #size = 0;
  #floor = 0;

  constructor(changesMax: number) {
    this.#changesMax = changesMax;
  }

  /** The oldest revision after which every change is here. */
  get floor(): number {
    return this.#floor;
  }

  /** Forgets all; what comes next comes after `revision`. */
  reset(revision: number): void {
    this.#ring = [];
    this.#start = 0;
    this.#size = 0;
    this.#floor = revision;
  }

  push(change: CacheChange): void {
    if (this.#size === this.#changesMax) {
      this.#floor = this.#ring[this.#start]!.revision;
      this.#start = (this.#start + 1) % this.#changesMax;
      this.#size--;
    }
    this.#ring[(this.#start + this.#size) % this.#changesMax] = change;
    this.#size++;
  }

  /** Changes after `revision`, oldest first; it is not below the floor. */
  *after(revision: number): Generator<CacheChange> {
    let low = 0;
    for (let high = this.#size; low < high; ) {
      const middle = (low + high) >> 1;
      if (this.#at(middle).revision <= revision) low = middle + 1;
      else high = middle;
    }
    for (let index = low; index < this.#size; index++) yield this.#at(index);
  }

  #at(index: number): CacheChange {
    return this.#ring[(this.#start + index) % this.#changesMax]!;
  }
}
