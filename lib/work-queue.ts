// work-queue.ts
//
// Hands out keys: one worker per key at a time, each key once however often it was added, none lost.
//
//   waiting     keys in order of arrival, ready to be taken; every waiting key is dirty
//   dirty       keys that need work
//   processing  keys in a worker's hands; a key may be dirty and processing at once, and goes back to waiting when its
//               worker is done with it
//
// Time and backoff are not here: see delayed-queue.ts.

import { assert } from './assert.js';

/** Taken slots are kept at the front of `waiting` until there are this many: shifting an array costs its length. */
const takenSlotsMax = 1_024;

export class WorkQueue<Key> {
  readonly #dirty = new Set<Key>();
  readonly #processing = new Set<Key>();
  #waiting: Key[] = [];
  #taken = 0;
  #closed = false;
  readonly #takers: ((key: Key | undefined) => void)[] = [];

  /** Keys that wait for a worker. */
  get size(): number {
    return this.#waiting.length - this.#taken;
  }

  /** Keys in workers' hands. */
  get processing(): number {
    return this.#processing.size;
  }

  /** Nothing waits and nobody works. */
  get idle(): boolean {
    return this.#dirty.size === 0 && this.#processing.size === 0;
  }

  /** Asks for work on `key`. A closed queue takes nothing. */
  add(key: Key): void {
    if (this.#closed || this.#dirty.has(key)) return;
    this.#dirty.add(key);
    if (!this.#processing.has(key)) this.#offer(key);
  }

  /** The next key, when there is one; undefined when the queue is closed. Say `done` afterwards. */
  take(): Promise<Key | undefined> {
    if (this.#closed) return Promise.resolve(undefined);
    if (this.size > 0) {
      const key = this.#waiting[this.#taken++]!;
      if (this.#taken === this.#waiting.length || this.#taken >= takenSlotsMax) {
        this.#waiting = this.#waiting.slice(this.#taken);
        this.#taken = 0;
      }
      return Promise.resolve(this.#start(key));
    }
    return new Promise((resolve) => this.#takers.push(resolve));
  }

  /** The worker has finished with `key`; if it was added meanwhile, it is handed out again. */
  done(key: Key): void {
    assert(this.#processing.delete(key), `done(${String(key)}) without take`);
    if (this.#dirty.has(key) && !this.#closed) this.#offer(key);
  }

  /** Lets every taker go with undefined; keys that wait are forgotten. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#waiting = [];
    this.#taken = 0;
    this.#dirty.clear();
    for (const taker of this.#takers.splice(0)) taker(undefined);
  }

  #offer(key: Key): void {
    const taker = this.#takers.shift();
    if (taker) taker(this.#start(key));
    else this.#waiting.push(key);
  }

  #start(key: Key): Key {
    this.#dirty.delete(key);
    this.#processing.add(key);
    return key;
  }
}
