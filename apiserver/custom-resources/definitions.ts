// definitions.ts
//
// Keeps the registry of kinds as the stored CustomResourceDefinitions have it. It listens to the watch cache, so every API
// server follows every definition, and a server that has caught up with a write goes by it.

import { customResourceDefinitionKind, isEstablished, type CustomResourceDefinition } from '../../api/custom-resource-definition.js';
import type { KindRegistry } from '../../api/kind-registry.js';
import type { Logger } from '../../lib/log.js';
import type { ObjectCache } from '../resources/object-cache.js';
import { kindPrefix } from '../resources/registry-keys.js';
import { DefinedKinds, sameServing } from './defined-kinds.js';

export interface DefinitionsOptions {
  cache: Pick<ObjectCache, 'list' | 'subscribe'>;
  registry: KindRegistry;
  logger: Logger;
}

const prefix = kindPrefix(customResourceDefinitionKind);

export class Definitions {
  readonly #options: DefinitionsOptions;
  /** By key in the store. */
  #served = new Map<string, DefinedKinds>();
  #unsubscribe: (() => void) | undefined;

  constructor(options: DefinitionsOptions) {
    this.#options = options;
  }

  /** Serves what is in the cache now, and follows it from then on. */
  follow(): void {
    this.stop();
    this.#refresh();
    const follow = (): void => this.follow();
    // The state was taken in the same turn, so nothing is between the two.
    this.#unsubscribe = this.#options.cache.subscribe({ prefix }, { changes: () => this.#refresh(), gone: follow });
  }

  stop(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
  }

  #refresh(): void {
    const { cache, registry } = this.#options;
    const served = new Map<string, DefinedKinds>();
    let changed = false;
    for (const { key, object } of cache.list(prefix).items) {
      const definition = object as CustomResourceDefinition;
      if (!isEstablished(definition)) continue;
      const before = this.#served.get(key);
      if (before?.definition === definition) served.set(key, before);
      else if (before && before.definition.metadata.uid === definition.metadata.uid && sameServing(before.definition, definition)) {
        if (before.update(definition)) changed = true;
        served.set(key, before);
      } else {
        const made = this.#made(definition);
        if (made) served.set(key, made);
        changed = true;
      }
    }
    changed ||= served.size !== this.#served.size;
    this.#served = served;
    if (changed) registry.setCustom([...served.values()].flatMap(({ kinds }) => kinds));
  }

  /** One definition that cannot be served must not take the others with it. */
  #made(definition: CustomResourceDefinition): DefinedKinds | undefined {
    try {
      return new DefinedKinds(definition);
    } catch (error) {
      this.#options.logger.error('A CustomResourceDefinition cannot be served; delete it or correct it.', { definition: definition.metadata.name, error });
      return undefined;
    }
  }
}
