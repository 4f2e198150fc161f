// sorted-slots.ts
//
// Slots in key order: arrays of some hundred, in order, none empty. Finding one is two binary searches, putting one in
// moves some hundred pointers, and counting a range adds up lengths, however many there are. A slot stays when the entry in it is
// replaced, so an update touches nothing here.

import type { Entry } from './entry.js';

/** Where the newest entry of a key is. */
export interface Slot {
  readonly key: string;
  entry: Entry;
}

const chunkMax = 512;

interface Position {
  readonly chunk: number;
  readonly index: number;
}

export class SortedSlots {
  readonly #chunks: Slot[][] = [];

  add(slot: Slot): void {
    const last = this.#chunks.at(-1);
    // Mostly keys come in order, from a list or as names that count up: then chunks are filled to the end.
    if (!last || slot.key > last.at(-1)!.key) {
      if (last && last.length < chunkMax) last.push(slot);
      else this.#chunks.push([slot]);
      return;
    }
    const { chunk, index } = this.#position(slot.key);
    const slots = this.#chunks[chunk]!;
    slots.splice(index, 0, slot);
    if (slots.length > chunkMax) this.#chunks.splice(chunk + 1, 0, slots.splice(chunkMax >> 1));
  }

  remove(slot: Slot): void {
    const { chunk, index } = this.#position(slot.key);
    const slots = this.#chunks[chunk];
    if (slots?.[index] !== slot) throw new Error(`assertion failed: ${slot.key} is not in its place`);
    slots.splice(index, 1);
    if (slots.length === 0) this.#chunks.splice(chunk, 1);
  }

  /** Entries with `from` <= key < `end`, up to `limit` of them pushed to `items`. Answers how many there are. */
  collect(from: string, end: string, limit: number, items: Entry[]): number {
    const first = this.#position(from);
    const last = this.#position(end);
    let room = limit;
    for (let chunk = first.chunk; room > 0 && chunk <= last.chunk && chunk < this.#chunks.length; chunk++) {
      const slots = this.#chunks[chunk]!;
      const start = chunk === first.chunk ? first.index : 0;
      const stop = Math.min(chunk === last.chunk ? last.index : slots.length, start + room);
      for (let index = start; index < stop; index++) items.push(slots[index]!.entry);
      room -= Math.max(0, stop - start);
    }
    return this.#distance(first, last);
  }

  #distance(first: Position, last: Position): number {
    if (last.chunk < first.chunk) return 0;
    let count = last.index - first.index;
    for (let chunk = first.chunk; chunk < last.chunk; chunk++) count += this.#chunks[chunk]!.length;
    return Math.max(0, count);
  }

  /** Of the first slot whose key is not less than `key`. */
  #position(key: string): Position {
    let low = 0;
    for (let high = this.#chunks.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (this.#chunks[middle]!.at(-1)!.key < key) low = middle + 1;
      else high = middle;
    }
    const chunk = low;
    const slots = this.#chunks[chunk];
    if (!slots) return { chunk, index: 0 };
    low = 0;
    for (let high = slots.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (slots[middle]!.key < key) low = middle + 1;
      else high = middle;
    }
    return { chunk, index: low };
  }
}
