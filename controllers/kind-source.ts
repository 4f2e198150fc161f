// kind-source.ts: which kinds the server stores: those of the table, and those that CustomResourceDefinitions add.

import { servedKindsOf, storageKindOf, type CustomResourceDefinition } from '../api/custom-resource-definition.js';
import { apiVersionOf, type KindDefinition } from '../api/kind.js';
import { findByKind, kinds as table } from '../api/kinds.js';
import type { Informer } from '../client/informer.js';

export interface KindSource {
  /** Resolves when the kinds are all known. */
  readonly synced: Promise<void>;
  /** Kinds with objects of their own, each in one version; views of other kinds are not among them. */
  stored(): readonly KindDefinition[];
  /** The kind, in whatever version, or the view that is served under this name. */
  find(apiVersion: string, kind: string): KindDefinition | undefined;
  /** Calls `handler` when `stored` may have changed. */
  onChange(handler: () => void): void;
}

/** Whether there are objects of the kind that can be listed and deleted: no views, nothing that is only asked. */
export function isStored({ projectionOf, storedAs, verbs }: KindDefinition): boolean {
  return !projectionOf && !storedAs && (verbs === undefined || ['list', 'watch', 'delete'].every((verb) => verbs.includes(verb)));
}

/** The kinds of the table alone. */
export const tableKinds: KindSource = {
  synced: Promise.resolve(),
  stored: () => table.filter(isStored),
  find: findByKind,
  onChange: () => undefined,
};

/** The kinds of the table and of all definitions. Register its handlers anew after the informer's were detached. */
export class DefinedKinds implements KindSource {
  readonly #definitions: Informer<CustomResourceDefinition>;

  constructor(definitions: Informer<CustomResourceDefinition>) {
    this.#definitions = definitions;
  }

  get synced(): Promise<void> {
    return this.#definitions.synced;
  }

  stored(): readonly KindDefinition[] {
    const defined = [...this.#definitions.values()].flatMap((definition) => storageKindOf(definition) ?? []);
    return [...tableKinds.stored(), ...defined];
  }

  find(apiVersion: string, kind: string): KindDefinition | undefined {
    const known = tableKinds.find(apiVersion, kind);
    if (known) return known;
    for (const definition of this.#definitions.values()) {
      const found = servedKindsOf(definition).find((served) => served.kind === kind && apiVersionOf(served) === apiVersion);
      if (found) return found;
    }
    return undefined;
  }

  onChange(handler: () => void): void {
    this.#definitions.onChanges(handler);
  }
}
