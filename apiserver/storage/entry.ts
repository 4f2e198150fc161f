// entry.ts
//
// A stored object that is parsed once and serialised once, however many watchers and lists it goes to; what is made of its
// text is kept while it is used (entry-memory.ts).
//
// The stored text leaves metadata.resourceVersion out, because the revision is known only after the commit; it begins
// with apiVersion, kind, metadata, so that the revision can be spliced in without a second JSON.stringify.

import type { KubeObject } from '../../api/meta.js';
import type { EntryMemory, Forgetful } from './entry-memory.js';
import type { Stored } from './store.js';

const metadataOpening = '"metadata":{';

/** No index has the entry. */
const inNoIndex: readonly (string | undefined)[] = [];

export class Entry implements Stored, Forgetful {
  #object: KubeObject | undefined;
  #json: string | undefined;
  #inLine = false;
  #used = false;
  readonly #memory: EntryMemory | undefined;
  /** The value that each of the cache's indexes has it under; shared by entries of the same values. */
  indexValues = inNoIndex;

  /**
   * @param object where it is already built: with this revision as its resourceVersion
   * @param memory says how long the object and its text are kept; they go with the entry when it is absent
   */
  constructor(
    readonly key: string,
    readonly value: string,
    readonly revision: number,
    object?: KubeObject,
    memory?: EntryMemory,
  ) {
    this.#memory = memory;
    if (object) {
      this.#object = object;
      this.#keep();
    }
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
  }

  #keep(): void {
    if (this.#inLine || !this.#memory) return;
    this.#inLine = true;
    this.#memory.add(this);
  }

  #spliced(): string {
    const at = this.value.indexOf(metadataOpening) + metadataOpening.length;
    return `${this.value.slice(0, at)}"resourceVersion":"${this.revision}",${this.value.slice(at)}`;
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
