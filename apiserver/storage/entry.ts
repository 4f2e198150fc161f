// entry.ts
//
// A stored object that is parsed once and serialised once, however many watchers and lists it goes to; what is made of its
// text is kept while it is used (entry-memory.ts). The text itself is a string as long as that is kept, and bytes in a slab
// outside the heap from then on (text-arena.ts), unless the entry has been replaced by then.
//
// The stored text leaves metadata.resourceVersion out, because the revision is known only after the commit; it begins
// with apiVersion, kind, metadata, so that the revision can be spliced in without a second JSON.stringify.

import type { KubeObject } from '../../api/meta.js';
import type { EntryMemory, Forgetful } from './entry-memory.js';
import type { Stored } from './store.js';
import type { Slab, Tenant } from './text-arena.js';

const metadataOpening = '"metadata":{';

/** No index has the entry. */
const inNoIndex: readonly (string | undefined)[] = [];

export class Entry implements Stored, Forgetful, Tenant {
  #text: string | Slab;
  /** Where in the slab. */
  #at = 0;
  #bytes = 0;
  /** How long the text is, in characters. */
  readonly characters: number;
  #object: KubeObject | undefined;
  #json: string | undefined;
  #inLine = false;
  #used = false;
  #isStored = false;
  readonly #memory: EntryMemory | undefined;
  /** The value that each of the cache's indexes has it under; shared by entries of the same values. */
  indexValues = inNoIndex;

  /**
   * @param object where it is already built: with this revision as its resourceVersion
   * @param memory says how long the object and its text are kept; they go with the entry when it is absent
   */
  constructor(
    readonly key: string,
    value: string,
    readonly revision: number,
    object?: KubeObject,
    memory?: EntryMemory,
  ) {
    this.#text = value;
    this.characters = value.length;
    this.#memory = memory;
    if (object) {
      this.#object = object;
      this.#keep();
    }
  }

  /** Made anew with each call once the text is in a slab: hold it rather than ask twice. */
  get value(): string {
    const text = this.#text;
    return typeof text === 'string' ? text : text.read(this.#at, this.#bytes, this.#bytes === this.characters);
  }

  /** The object with its resourceVersion. Shared: never change it. */
  get object(): KubeObject {
    if (this.#object) {
      this.#used = true;
      return this.#object;
    }
    const object = JSON.parse(this.#json ?? this.#spliced()) as KubeObject;
    this.#object = object;
    this.#keep();
    return object;
  }

  /** The object where it is at hand: for who can do with the text. */
  get objectAtHand(): KubeObject | undefined {
    return this.#object;
  }

  /** JSON text of `object`. */
  get json(): string {
    if (this.#json !== undefined) {
      this.#used = true;
      return this.#json;
    }
    const json = this.#spliced();
    this.#json = json;
    this.#keep();
    return json;
  }

  /** The same value at another revision, as of a deletion. */
  at(revision: number): Entry {
    const entry = new Entry(this.key, this.value, revision, this.#object && withRevision(this.#object, revision), this.#memory);
    entry.indexValues = this.indexValues;
    return entry;
  }

  /** Whether the cache has it now. */
  get isStored(): boolean {
    return this.#isStored;
  }

  /** The cache has it now. */
  enter(): void {
    if (this.#isStored) return;
    this.#isStored = true;
    if (!this.#inLine) this.move();
  }

  /** The cache has another in its place, or none. */
  leave(): void {
    this.#isStored = false;
    if (typeof this.#text !== 'string') this.#text.leave(this.#bytes);
  }

  move(): void {
    if (!this.#isStored || !this.#memory) return;
    const text = this.value;
    this.#bytes ||= Buffer.byteLength(text);
    const { slab, at } = this.#memory.texts.add(this, text, this.#bytes);
    this.#text = slab;
    this.#at = at;
  }

  get resourceVersion(): string {
    return String(this.revision);
  }

  takeUsed(): boolean {
    const used = this.#used;
    this.#used = false;
    return used;
  }

  forget(): void {
    this.#object = undefined;
    this.#json = undefined;
    this.#inLine = false;
    if (typeof this.#text === 'string') this.move();
  }

  #keep(): void {
    if (this.#inLine || !this.#memory) return;
    this.#inLine = true;
    this.#memory.add(this);
  }

  #spliced(): string {
    const { value } = this;
    const at = value.indexOf(metadataOpening) + metadataOpening.length;
    return `${value.slice(0, at)}"resourceVersion":"${this.revision}",${value.slice(at)}`;
  }
}

/** A shallow copy of the object with the given revision as its resourceVersion. */
export function withRevision(object: KubeObject, revision: number): KubeObject {
  return { ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } };
}

/**
 * The text to store for an object. The object's resourceVersion is left out.
 */
export function encodeObject(object: KubeObject): string {
  const { apiVersion, kind, metadata, ...rest } = object;
  const { resourceVersion: _dropped, ...kept } = metadata;
  return JSON.stringify({ apiVersion, kind, metadata: kept, ...rest });
}
