// entry.ts
//
// A stored object that is parsed once and serialised once, however many watchers and lists it goes to.
//
// The stored text leaves metadata.resourceVersion out, because the revision is known only after the commit; it begins
// with apiVersion, kind, metadata, so that the revision can be spliced in without a second JSON.stringify.

import type { KubeObject } from '../../api/meta.js';
import type { Stored } from './store.js';

const metadataOpening = '"metadata":{';

export class Entry implements Stored {
  #object: KubeObject | undefined;
  #json: string | undefined;

  constructor(
    readonly key: string,
    readonly value: string,
    readonly revision: number,
    /** The object, where it is already built: with this revision as its resourceVersion. */
    object?: KubeObject,
  ) {
    this.#object = object;
  }

  /** The object with its resourceVersion. Shared: never change it. */
  get object(): KubeObject {
    return (this.#object ??= JSON.parse(this.json) as KubeObject);
  }

  /** JSON text of `object`. */
  get json(): string {
    if (this.#json === undefined) {
      const at = this.value.indexOf(metadataOpening) + metadataOpening.length;
      this.#json = `${this.value.slice(0, at)}"resourceVersion":"${this.revision}",${this.value.slice(at)}`;
    }
    return this.#json;
  }

  /** The same value at another revision, as of a deletion. */
  at(revision: number): Entry {
    return new Entry(this.key, this.value, revision, this.#object && withRevision(this.#object, revision));
  }

  get resourceVersion(): string {
    return String(this.revision);
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
