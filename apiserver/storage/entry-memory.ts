// entry-memory.ts
//
// Which entries keep what has been made of their text: the parsed object, and the text with its revision. Both can be made
// again, and together they take three times what the text does; so only what was used lately keeps them, up to a bound.
// Entries stand in line; at the head, one that was used since it last stood there goes to the end, another gives them up,
// and its text goes into a slab.

import { TextArena } from './text-arena.js';

export interface Forgetful {
  /** The length of the text that what was made is made of. */
  readonly characters: number;
  /** Whether what was made has been used since it was made, or since the last call. */
  takeUsed(): boolean;
  /** Gives up what was made. */
  forget(): void;
}

/** The sum of the texts, in characters, whose objects are kept. */
const charactersMaxDefault = 16 * 1_024 * 1_024;

/** Entries that are sent to the end of the line before one must go although it was used: the bound is firm. */
const sparedMax = 4;

export class EntryMemory {
  /** Where the texts of entries go that are not in line. */
  readonly texts = new TextArena();
  readonly #charactersMax: number;
  #line: Forgetful[] = [];
  /** How many at the head of the line have gone; the array is cut when they are half of it. */
  #gone = 0;
  #characters = 0;

  constructor(charactersMax = charactersMaxDefault) {
    this.#charactersMax = charactersMax;
  }

  /** `entry`, which is not in line, has made something. */
  add(entry: Forgetful): void {
    this.#line.push(entry);
    this.#characters += entry.characters;
    for (let spared = 0; this.#characters > this.#charactersMax; ) {
      const head = this.#line[this.#gone++]!;
      if (spared < sparedMax && head.takeUsed()) {
        this.#line.push(head);
        spared++;
      } else {
        head.forget();
        this.#characters -= head.characters;
      }
    }
    if (this.#gone * 2 > this.#line.length) {
      this.#line = this.#line.slice(this.#gone);
      this.#gone = 0;
    }
  }
}
