// key-queue.ts
//
// One piece of work per key at a time, in order of arrival. Writers of one object inside this process wait for each
// other instead of making each other conflict; writers in other processes still meet at the store.

interface Line<Slot> {
  readonly slot: Slot;
  /** Starts of the work that waits, in order; most keys never have any. */
  waiting: (() => void)[] | undefined;
}

export class KeyQueue<Slot extends object> {
  readonly #lines = new Map<string, Line<Slot>>();

  /** @param newSlot what the pieces of work of one key share for as long as any of them waits or runs */
  constructor(private readonly newSlot: () => Slot) {}

  /** Work on a key that nobody works on starts before this returns. */
  run<T>(key: string, work: (slot: Slot) => Promise<T>): Promise<T> {
    const line = this.#lines.get(key);
    if (line) return new Promise((resolve, reject) => (line.waiting ??= []).push(() => this.#start(key, line, work).then(resolve, reject)));
    const fresh: Line<Slot> = { slot: this.newSlot(), waiting: undefined };
    this.#lines.set(key, fresh);
    return this.#start(key, fresh, work);
  }

  /** Keys that are worked on. */
  get size(): number {
    return this.#lines.size;
  }

  #start<T>(key: string, line: Line<Slot>, work: (slot: Slot) => Promise<T>): Promise<T> {
    let result: Promise<T>;
    try {
      result = work(line.slot);
    } catch (error) {
      result = Promise.reject(error as Error);
    }
    const advance = (): void => {
      const start = line.waiting?.shift();
      if (start) start();
      else this.#lines.delete(key);
    };
    result.then(advance, advance);
    return result;
  }
}
