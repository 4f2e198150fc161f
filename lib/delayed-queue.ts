// delayed-queue.ts
//
// Keys with a time. When its time has come a key is passed on, typically to a WorkQueue. Asked for twice, a key comes once,
// at the earlier of both times. Costs O(log n) per key and one timer in all.

import type { Clock, Timer } from './clock.js';

interface Entry<Key> {
  /** Clock.monotonic milliseconds. */
  readonly at: number;
  readonly order: number;
  readonly key: Key;
}

export class DelayedQueue<Key> {
  readonly #clock: Clock;
  readonly #due: (key: Key) => void;
  /** The entry that counts for each key; others of the key in the heap are leftovers. */
  readonly #current = new Map<Key, Entry<Key>>();
  readonly #heap: Entry<Key>[] = [];
  #order = 0;
  #timer: { at: number; handle: Timer } | undefined;
  #closed = false;

  /** @param options.due gets each key when its time has come */
  constructor(options: { clock: Clock; due: (key: Key) => void }) {
    this.#clock = options.clock;
    this.#due = options.due;
  }

  /** Keys that wait for their time. */
  get size(): number {
    return this.#current.size;
  }

  add(key: Key, delayMs: number): void {
    if (this.#closed) return;
    const at = this.#clock.monotonic() + Math.max(0, delayMs);
    const current = this.#current.get(key);
    if (current && current.at <= at) return;
    const entry = { at, order: this.#order++, key };
    this.#current.set(key, entry);
    push(this.#heap, entry);
    this.#arm();
  }

  /** Forgets `key`. */
  remove(key: Key): void {
    // Its entry stays in the heap as a leftover, until its time.
    this.#current.delete(key);
  }

  /** Forgets every key and the timer. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#current.clear();
    this.#heap.length = 0;
    this.#timer?.handle.cancel();
    this.#timer = undefined;
  }

  #arm(): void {
    const first = this.#heap[0];
    if (!first) return;
    if (this.#timer && this.#timer.at <= first.at) return;
    this.#timer?.handle.cancel();
    // Whole milliseconds, rounded up: a timer that comes a hair early would be armed again for no time at all.
    const handle = this.#clock.timer(Math.ceil(first.at - this.#clock.monotonic()), () => this.#fire());
    this.#timer = { at: first.at, handle };
  }

  #fire(): void {
    this.#timer = undefined;
    const now = this.#clock.monotonic();
    for (let first = this.#heap[0]; first && first.at <= now; first = this.#heap[0]) {
      pop(this.#heap);
      if (this.#current.get(first.key) !== first) continue;
      this.#current.delete(first.key);
      this.#due(first.key);
    }
    this.#arm();
  }
}

function before<Key>(a: Entry<Key>, b: Entry<Key>): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

// A binary heap in an array: the children of i are 2i + 1 and 2i + 2, and none comes before its parent.

function push<Key>(heap: Entry<Key>[], entry: Entry<Key>): void {
  let at = heap.length;
  heap.push(entry);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!before(entry, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = entry;
}

function pop<Key>(heap: Entry<Key>[]): void {
  const last = heap.pop()!;
  if (heap.length === 0) return;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
    if (!before(heap[child]!, last)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
}
