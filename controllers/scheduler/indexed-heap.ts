/** Set by the heap that holds the item; -1 while none does. */
export interface HeapItem {
  heapIndex: number;
}

/** A binary heap that can also remove or move an item from the middle: each item knows its place. */
export class IndexedHeap<T extends HeapItem> {
  readonly #items: T[] = [];
  readonly #before: (a: T, b: T) => boolean;

  /** @param before whether `a` comes out before `b`; a strict order */
  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before;
  }

  get size(): number {
    return this.#items.length;
  }

  get first(): T | undefined {
    return this.#items[0];
  }

  /** In no particular order. */
  values(): IterableIterator<T> {
    return this.#items.values();
  }

  push(item: T): void {
    this.#items.push(item);
    item.heapIndex = this.#items.length - 1;
    this.#up(item.heapIndex);
  }

  /** Takes out an item that is in this heap. */
  remove(item: T): void {
    const index = item.heapIndex;
    const last = this.#items.pop()!;
    item.heapIndex = -1;
    if (last === item) return;
    // The last belongs far down, most likely: the gap goes to the bottom by one comparison a step, where two would be needed with it in hand.
    let gap = index;
    for (let child = this.#firstChild(gap); child !== undefined; child = this.#firstChild(gap)) {
      this.#place(this.#items[child]!, gap);
      gap = child;
    }
    this.#place(last, gap);
    this.#up(gap);
  }

  /** The order of an item that is in this heap has changed. */
  moved(item: T): void {
    this.#up(item.heapIndex);
    this.#down(item.heapIndex);
  }

  /** Index of the child that comes out first. */
  #firstChild(index: number): number | undefined {
    const left = 2 * index + 1;
    if (left >= this.#items.length) return undefined;
    return left + 1 < this.#items.length && this.#before(this.#items[left + 1]!, this.#items[left]!) ? left + 1 : left;
  }

  #up(index: number): void {
    const item = this.#items[index]!;
    let at = index;
    while (at > 0) {
      const parentIndex = (at - 1) >> 1;
      const parent = this.#items[parentIndex]!;
      if (!this.#before(item, parent)) break;
      this.#place(parent, at);
      at = parentIndex;
    }
    this.#place(item, at);
  }

  #down(index: number): void {
    const item = this.#items[index]!;
    const length = this.#items.length;
    let at = index;
    for (;;) {
      let childIndex = 2 * at + 1;
      if (childIndex >= length) break;
      if (childIndex + 1 < length && this.#before(this.#items[childIndex + 1]!, this.#items[childIndex]!)) childIndex++;
      const child = this.#items[childIndex]!;
      if (!this.#before(child, item)) break;
      this.#place(child, at);
      at = childIndex;
    }
    this.#place(item, at);
  }

  #place(item: T, index: number): void {
    this.#items[index] = item;
    item.heapIndex = index;
  }
}
