import type { KubeObject } from '../api/meta.js';
import { objectKey } from '../api/meta.js';
import type { Informer } from './informer.js';

const nothing: ReadonlySet<string> = new Set();

/**
 * The keys of an informer's objects under a value of each, such as the tasks of a node: finding them costs what is found,
 * not what there is. Make it before the handlers that read it are registered, so that it is up to date when they run.
 */
export class IndexBy<T extends KubeObject> {
  readonly #keys = new Map<string, Set<string>>();

  /** @param valueOf what an object is found under, by itself alone; undefined for an object that is not in the index */
  constructor(informer: Informer<T>, valueOf: (object: T) => string | undefined) {
    informer.onChanges((changes) => {
      for (const { type, object, previous, key = objectKey(object) } of changes) {
        // What it was found under is read from what it was: nothing is kept beside the index.
        const known = type === 'deleted' ? (previous ?? object) : previous;
        const before = known && valueOf(known);
        const after = type === 'deleted' ? undefined : valueOf(object);
        if (before === after && type !== 'added') continue;
        if (before !== undefined) this.#remove(before, key);
        if (after !== undefined) this.#add(after, key);
      }
    });
  }

  /** Keys (objectKey) of the objects under `value`. Changes with the informer: copy it before waiting for anything. */
  get(value: string): ReadonlySet<string> {
    return this.#keys.get(value) ?? nothing;
  }

  /** Values that have objects. */
  values(): IterableIterator<string> {
    return this.#keys.keys();
  }

  #add(value: string, key: string): void {
    const keys = this.#keys.get(value);
    if (keys) keys.add(key);
    else this.#keys.set(value, new Set([key]));
  }

  #remove(value: string, key: string): void {
    const keys = this.#keys.get(value);
    keys?.delete(key);
    if (keys?.size === 0) this.#keys.delete(value);
  }
}
