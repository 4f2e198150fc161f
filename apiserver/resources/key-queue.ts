// key-queue.ts
//
// One piece of work per key at a time, in order of arrival. Writers of one object inside this process wait for each
// other instead of making each other conflict; writers in other processes still meet at the store.

export class KeyQueue<Slot extends object> {
  readonly #slots = new Map<string, { readonly slot: Slot; pending: number; last: Promise<void> | undefined }>();

  /** @param newSlot what the pieces of work of one key share for as long as any of them waits or runs */
  constructor(private readonly newSlot: () => Slot) {}

  /** Work on a key that nobody works on starts before this returns. */
  run<T>(key: string, work: (slot: Slot) => Promise<T>): Promise<T> {
    let line = this.#slots.get(key);
    if (!line) this.#slots.set(key, (line = { slot: this.newSlot(), pending: 0, last: undefined }));
    const { slot } = line;
    line.pending++;
    const result = line.last ? line.last.then(() => work(slot)) : work(slot);
    line.last = result.then(() => undefined, () => undefined).then(() => {
      if (--line.pending === 0) this.#slots.delete(key);
    });
    return result;
  }

  /** Keys that are worked on. */
  get size(): number {
    return this.#slots.size;
  }
}
