// text-arena.ts
//
// Texts outside the heap of JavaScript: a million tasks of 1.5 KB are no work for the garbage collector and do not count
// against the heap's limit. Texts lie one behind the other in slabs. A slab goes when nobody refers to it; one of which less
// than half is still stored gives what is left to a new one, so that slabs are half full at least.

/** Small enough that moving half of one is not felt (300 tasks, half a millisecond). */
const slabBytes = 1_024 * 1_024;
/** Longer ones have a slab of their own. */
const sharedBytesMax = slabBytes / 8;

/** Who has a text in a slab. */
export interface Tenant {
  /** Puts its text elsewhere, if it is still stored. */
  move(): void;
}

/** Many texts, which are never changed. */
export class Slab {
  readonly #bytes: Buffer;
  #used = 0;
  /** Of these, the bytes of tenants that have not left. */
  #stored = 0;
  /** Undefined when they have been told to move, or there is room for one only. */
  #tenants: Tenant[] | undefined;
  #isOpen: boolean;

  constructor(bytes: number, shared: boolean) {
    // Not an ArrayBuffer: V8 adds those up, and starts to collect garbage over and over as texts come in, and none of it is garbage.
    this.#bytes = Buffer.from(new SharedArrayBuffer(bytes));
    this.#isOpen = shared;
    if (shared) this.#tenants = [];
  }

  /** Where the text begins; undefined when there is no room for it. @param bytes its length in UTF-8 */
  add(tenant: Tenant, text: string, bytes: number): number | undefined {
    const at = this.#used;
    if (at + bytes > this.#bytes.length) return undefined;
    if (bytes === text.length) this.#bytes.write(text, at, 'latin1');
    else this.#bytes.write(text, at, 'utf8');
    this.#used += bytes;
    this.#stored += bytes;
    this.#tenants?.push(tenant);
    return at;
  }

  /** @param isAscii whether it has as many characters as bytes */
  read(at: number, bytes: number, isAscii: boolean): string {
    return this.#bytes.toString(isAscii ? 'latin1' : 'utf8', at, at + bytes);
  }

  /** A tenant's text is no longer stored. It can be read as before. */
  leave(bytes: number): void {
    this.#stored -= bytes;
    if (!this.#isOpen) this.#moveIfSparse();
  }

  /** Nothing is added any more. */
  close(): void {
    this.#isOpen = false;
    this.#moveIfSparse();
  }

  #moveIfSparse(): void {
    if (!this.#tenants || this.#stored * 2 > this.#bytes.length) return;
    const tenants = this.#tenants;
    this.#tenants = undefined;
    for (const tenant of tenants) tenant.move();
  }
}

/** Where new texts go. */
export class TextArena {
  #open: Slab | undefined;

  /** Puts the text into a slab: `in.read(at, bytes, …)` gives it back. @param bytes its length in UTF-8 */
  add(tenant: Tenant, text: string, bytes: number): { readonly slab: Slab; readonly at: number } {
    if (bytes > sharedBytesMax) {
      const slab = new Slab(bytes, false);
      return { slab, at: slab.add(tenant, text, bytes)! };
    }
    const at = this.#open?.add(tenant, text, bytes);
    if (at !== undefined) return { slab: this.#open!, at };
    const full = this.#open;
    const slab = (this.#open = new Slab(slabBytes, true));
    const begin = slab.add(tenant, text, bytes)!;
    full?.close();
    return { slab, at: begin };
  }
}
