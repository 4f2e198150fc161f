/**
 * The slots that became more attractive, in order, for any number of readers that each keep a position. Bounded: a
 * reader that fell too far behind is told so and looks at everything instead.
 */
export class TouchLog {
  #slots: number[] = [];
  #base = 0;

  /** Position after the newest entry. */
  get end(): number {
    return this.#base + this.#slots.length;
  }

  /** @param slotCount how many slots there are: nobody wants to follow a log much longer than that */
  push(slot: number, slotCount: number): void {
    this.#slots.push(slot);
    const limit = Math.max(4096, 2 * slotCount);
    if (this.#slots.length < 2 * limit) return;
    this.#slots = this.#slots.slice(limit);
    this.#base += limit;
  }

  /** How many entries follow `position`, or undefined when some of them are gone. */
  behind(position: number): number | undefined {
    return position < this.#base ? undefined : this.end - position;
  }

  /** The entry at a position that `behind` has vouched for. */
  at(position: number): number {
    return this.#slots[position - this.#base]!;
  }
}
