// own-writes.ts
//
// What this cache's own writes say, for as long as their events are not back from the store's watch:
//
//   begun         the object that a write's text was made of, so that the text need not be parsed when it comes back
//   acknowledged  the entry that the write has made: the instance that its caller was given is the one that watchers see

import type { KubeObject } from '../../api/meta.js';
import type { Entry } from './entry.js';

export class OwnWrites {
  readonly #begun = new Map<string, { readonly value: string; readonly object: KubeObject }>();
  /** By revision. */
  readonly #acknowledged = new Map<number, Entry>();
  /** The newest of them by key. */
  readonly #newest = new Map<string, Entry>();

  /** How many are acknowledged whose events are still to come. */
  get size(): number {
    return this.#acknowledged.size;
  }

  /** @param object what `value` says @returns call it when the write has been answered */
  begin(key: string, value: string, object: KubeObject): () => void {
    const begun = { value, object };
    this.#begun.set(key, begun);
    return () => {
      if (this.#begun.get(key) === begun) this.#begun.delete(key);
    };
  }

  /** The object that a write under way was made of, where `value` is what it says. */
  objectOf(key: string, value: string): KubeObject | undefined {
    const begun = this.#begun.get(key);
    return begun?.value === value ? begun.object : undefined;
  }

  acknowledged(entry: Entry): void {
    this.#acknowledged.set(entry.revision, entry);
    this.#newest.set(entry.key, entry);
  }

  deleted(key: string): void {
    this.#newest.delete(key);
  }

  newest(key: string): Entry | undefined {
    return this.#newest.get(key);
  }

  at(revision: number): Entry | undefined {
    return this.#acknowledged.get(revision);
  }

  /** As `at`: its event has come. */
  take(revision: number): Entry | undefined {
    const entry = this.#acknowledged.get(revision);
    if (entry) this.#forget(entry);
    return entry;
  }

  /** Whatever becomes of their events, up to here all is known. */
  forgetUpTo(revision: number): void {
    for (const entry of this.#acknowledged.values()) if (entry.revision <= revision) this.#forget(entry);
  }

  #forget(entry: Entry): void {
    this.#acknowledged.delete(entry.revision);
    if (this.#newest.get(entry.key) === entry) this.#newest.delete(entry.key);
  }
}
