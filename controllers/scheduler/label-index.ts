type Labels = Readonly<Record<string, string>>;

/** Label to the slots of the nodes that have it, so that a selector costs what it matches, not what there is. */
export class LabelIndex {
  readonly #slots = new Map<string, Set<number>>();

  replace(slot: number, old: Labels | undefined, next: Labels | undefined): void {
    for (const [key, value] of Object.entries(old ?? {})) {
      if (next?.[key] === value) continue;
      const name = `${key}=${value}`;
      const slots = this.#slots.get(name);
      slots?.delete(slot);
      if (slots?.size === 0) this.#slots.delete(name);
    }
    for (const [key, value] of Object.entries(next ?? {})) {
      const name = `${key}=${value}`;
      let slots = this.#slots.get(name);
      if (!slots) this.#slots.set(name, (slots = new Set()));
      slots.add(slot);
    }
  }

  /** The slots that have the rarest of these labels; undefined when none is asked for. */
  candidates(selector: readonly (readonly [string, string])[]): ReadonlySet<number> | undefined {
    let smallest: ReadonlySet<number> | undefined;
    for (const [key, value] of selector) {
      const slots = this.#slots.get(`${key}=${value}`) ?? none;
      if (!smallest || slots.size < smallest.size) smallest = slots;
    }
    return smallest;
  }
}

const none: ReadonlySet<number> = new Set();
