// entry-memory.ts
//
// Which entries keep what has been made of their text: the parsed object, and the text with its revision. Both can be made
// again, and together they take three times what the text does; so only what was used lately keeps them, up to a bound.
// Entries stand in line; at the head, one that was used since it last stood there goes to the end, another gives them up,
// and its text goes into a slab. One that the cache has replaced is of use for as long as watchers are told of that: it leaves
// its place to others, and stands in a short line of such.

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
const charactersMaxDefault = 14 * 1_024 * 1_024;

/** The short line's part of that, besides. */
const replacedShare = 1 / 8;

/** How much of a bound is filled when room has been made: a set that has lost its first elements is slow to say which is the first now. */
const filledShare = 63 / 64;

/** Entries that are sent to the end of the line before one must go although it was used: the bound is firm. */
const sparedMax = 4;

export class EntryMemory {
  /** Where the texts of entries go that are not in line. */
  readonly texts = new TextArena();
  readonly #charactersMax: number;
  readonly #line = new Set<Forgetful>();
  #characters = 0;
  readonly #replaced = new Set<Forgetful>();
  #replacedCharacters = 0;

  constructor(charactersMax = charactersMaxDefault) {
    this.#charactersMax = charactersMax;
  }

  /** `entry`, which is not in line, has made something. */
  add(entry: Forgetful): void {
    this.#line.add(entry);
    this.#characters += entry.characters;
    if (this.#characters <= this.#charactersMax) return;
    let spared = 0;
    for (const head of this.#line) {
      this.#line.delete(head);
      if (spared < sparedMax && head.takeUsed()) {
        this.#line.add(head);
        spared++;
        continue;
      }
      spared = 0;
      head.forget();
      this.#characters -= head.characters;
      if (this.#characters <= this.#charactersMax * filledShare) return;
    }
  }

  /** `entry`, which may be in line, has been replaced or deleted. */
  leave(entry: Forgetful): void {
    if (!this.#line.delete(entry)) return;
    this.#characters -= entry.characters;
    this.#replaced.add(entry);
    this.#replacedCharacters += entry.characters;
    const charactersMax = this.#charactersMax * replacedShare;
    if (this.#replacedCharacters <= charactersMax) return;
    for (const oldest of this.#replaced) {
      this.#replaced.delete(oldest);
      this.#replacedCharacters -= oldest.characters;
      oldest.forget();
      if (this.#replacedCharacters <= charactersMax * filledShare) return;
    }
  }
}
