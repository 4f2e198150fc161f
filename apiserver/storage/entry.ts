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
  /** 0 until somebody asks. */
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

  /** The length of `json` in UTF-8. */
  get jsonBytes(): number {
    return this.#valueBytes() + this.#revisionText().length;
  }

  /** Writes `json` in UTF-8. The text is not made for that: most objects are told as bytes only. */
  writeJson(into: Buffer, at: number): void {
    const { value } = this;
    const encoding = this.#valueBytes() === this.characters ? 'latin1' : 'utf8';
    const revision = this.#revisionText();
    // All of it behind the room for the revision, and then what comes before the revision once more, where it belongs.
    into.write(value, at + revision.length, encoding);
    into.write(value.slice(0, spliceAt(value)) + revision, at, encoding);
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
    if (this.#inLine) this.#memory!.leave(this);
  }

  move(): void {
    if (!this.#isStored || !this.#memory) return;
    const text = this.value;
    const { slab, at } = this.#memory.texts.add(this, text, this.#valueBytes());
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
    const at = spliceAt(value);
    return `${value.slice(0, at)}${this.#revisionText()}${value.slice(at)}`;
  }

  #revisionText(): string {
    return `"resourceVersion":"${this.revision}",`;
  }

  /** The length of the value in UTF-8. */
  #valueBytes(): number {
    return (this.#bytes ||= Buffer.byteLength(this.value));
  }
}

/** Where in the stored text the revision goes. */
function spliceAt(value: string): number {
  return value.indexOf(metadataOpening) + metadataOpening.length;
}

/** A shallow copy of the object with the given revision as its resourceVersion. */
export function withRevision(object: KubeObject, revision: number): KubeObject {
  return { ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } };
}

/**
 * The text to store for an object. The object's resourceVersion is left out.
 */
export function encodeObject(object: KubeObject): string {
  if (isInOrder(object)) return JSON.stringify(object);
  const { apiVersion, kind, metadata, ...rest } = object;
  const { resourceVersion: _dropped, ...kept } = metadata;
  return JSON.stringify({ apiVersion, kind, metadata: kept, ...rest });
}

const firstKeys = ['apiVersion', 'kind', 'metadata'];

/** Whether the object is as it is stored: what most objects are that are new. */
function isInOrder(object: KubeObject): boolean {
  if (object.metadata.resourceVersion !== undefined) return false;
  let index = 0;
  for (const key in object) {
    if (key !== firstKeys[index]) return false;
    if (++index === firstKeys.length) return true;
  }
  return false;
}
