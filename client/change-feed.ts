// change-feed.ts
//
// What changed, told to whoever listens: in one order for all, the order in which they began to listen. A few changes are
// told at once. Many, such as a first list or all that is there for one who comes late, are told in parts over turns of the
// event loop; what changes meanwhile waits behind them.

import type { Clock } from '../lib/clock.js';
import { Turns } from '../lib/turns.js';

export type InformerChange<T> = {
  type: 'added' | 'modified' | 'deleted';
  object: T;
  previous?: T;
  /** objectKey(object), where the teller has it at hand: a reader that looks the object up saves making it, and its hash, once more. */
  key?: string;
};

export type ChangeHandler<T> = (changes: readonly InformerChange<T>[]) => void;

/** Changes told in one go: a dozen handlers take some hundred microseconds for them. */
const partMax = 128;

interface Part<T> {
  readonly handlers: readonly ChangeHandler<T>[];
  readonly from: number;
  readonly to: number;
  changes(from: number, to: number): readonly InformerChange<T>[];
}

export class ChangeFeed<T> {
  readonly #turns: Turns;
  #handlers: readonly ChangeHandler<T>[] = [];
  #parts: Part<T>[] = [];
  #telling: Promise<void> | undefined;
  /** How often everybody has stopped to listen. */
  #cleared = 0;

  constructor(options: { clock: Pick<Clock, 'monotonic'> }) {
    this.#turns = new Turns(options);
  }

  /** Resolves when all that is known now has been told; undefined when it has been. */
  get telling(): Promise<void> | undefined {
    return this.#telling;
  }

  /** @param objects what is there: told to this handler first, as added */
  add(handler: ChangeHandler<T>, objects: readonly T[]): void {
    this.#handlers = [...this.#handlers, handler];
    this.#queue([handler], objects.length, (from, to) => objects.slice(from, to).map((object) => ({ type: 'added', object })));
  }

  tell(changes: readonly InformerChange<T>[]): void {
    this.#queue(this.#handlers, changes.length, (from, to) => (to - from === changes.length ? changes : changes.slice(from, to)));
  }

  /** Nobody listens any more, not to what was still to be told either. */
  clear(): void {
    this.#handlers = [];
    this.#parts = [];
    this.#cleared++;
  }

  #queue(handlers: readonly ChangeHandler<T>[], count: number, changes: Part<T>['changes']): void {
    if (count === 0 || handlers.length === 0) return;
    if (!this.#telling && count <= partMax) return tellPart({ handlers, from: 0, to: count, changes });
    for (let from = 0; from < count; from += partMax) this.#parts.push({ handlers, from, to: Math.min(from + partMax, count), changes });
    this.#telling ??= this.#tellAll().finally(() => (this.#telling = undefined));
  }

  async #tellAll(): Promise<void> {
    while (this.#parts.length > 0) {
      // What comes while these are told follows them.
      const parts = this.#parts;
      const cleared = this.#cleared;
      this.#parts = [];
      await this.#turns.forEach(parts, (part) => {
        if (this.#cleared === cleared) tellPart(part);
      });
    }
  }
}

function tellPart<T>({ handlers, from, to, changes }: Part<T>): void {
  const part = changes(from, to);
  for (const handler of handlers) handler(part);
}
