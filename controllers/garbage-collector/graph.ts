import type { KindDefinition } from '../../api/kind.js';
import type { ObjectMeta } from '../../api/meta.js';

export interface GraphObject {
  kind: KindDefinition;
  metadata: ObjectMeta;
}

const nobody: ReadonlySet<string> = new Set();

/** Objects by uid, and who names whom as owner. An owner need not be there, nor ever have been. */
export class OwnerGraph {
  readonly #objects = new Map<string, GraphObject>();
  readonly #dependents = new Map<string, Set<string>>();

  get(uid: string): GraphObject | undefined {
    return this.#objects.get(uid);
  }

  objects(): IterableIterator<[string, GraphObject]> {
    return this.#objects.entries();
  }

  /** Uids of the objects that name `uid` as an owner. Changes with the graph. */
  dependentsOf(uid: string): ReadonlySet<string> {
    return this.#dependents.get(uid) ?? nobody;
  }

  put(kind: KindDefinition, metadata: ObjectMeta): void {
    const { uid = '' } = metadata;
    this.#unlink(uid);
    this.#objects.set(uid, { kind, metadata });
    for (const { uid: owner } of metadata.ownerReferences ?? []) {
      const dependents = this.#dependents.get(owner);
      if (dependents) dependents.add(uid);
      else this.#dependents.set(owner, new Set([uid]));
    }
  }

  remove(uid: string): void {
    this.#unlink(uid);
    this.#objects.delete(uid);
  }

  #unlink(uid: string): void {
    for (const { uid: owner } of this.#objects.get(uid)?.metadata.ownerReferences ?? []) {
      const dependents = this.#dependents.get(owner);
      dependents?.delete(uid);
      if (dependents?.size === 0) this.#dependents.delete(owner);
    }
  }
}
