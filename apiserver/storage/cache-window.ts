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

/** The texts that the changes keep alive, characters. */
const charactersMaxDefault = 128 * 1_024 * 1_024;

/**
 * The newest changes, in order of revision, for watchers that were away. A ring of fixed size, and bounded in the texts that
 * it keeps alive: what falls out at the old end makes older revisions Gone.
 */
export class CacheWindow {
  readonly #changesMax: number;
  #ring: (CacheChange | undefined)[] = [];
  #start = 0;
  #size = 0;
  #floor = 0;
  readonly #charactersMax: number;
  #characters = 0;

  constructor(changesMax: number, charactersMax = charactersMaxDefault) {
    this.#changesMax = changesMax;
    this.#charactersMax = charactersMax;
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
    this.#characters = 0;
    this.#floor = revision;
  }

  push(change: CacheChange): void {
    this.#characters += textsOf(change);
    if (this.#size === this.#changesMax) this.#drop();
    while (this.#characters > this.#charactersMax && this.#size > 0) this.#drop();
    this.#ring[(this.#start + this.#size) % this.#changesMax] = change;
    this.#size++;
  }

  #drop(): void {
    const oldest = this.#at(0);
    this.#ring[this.#start] = undefined;
    this.#floor = oldest.revision;
    this.#characters -= textsOf(oldest);
    this.#start = (this.#start + 1) % this.#changesMax;
    this.#size--;
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

/** Each text may be counted twice: as what was put, and as what was replaced. */
function textsOf({ type, entry, previous }: CacheChange): number {
  return (type === 'put' ? entry.characters : 0) + (previous?.characters ?? 0);
}
