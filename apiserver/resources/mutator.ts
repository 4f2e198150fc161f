// mutator.ts
//
// Read, plan, write if unchanged, again on conflict: the one way in which stored objects change.
//
// The first plan is made on the cache's copy, which may be behind. A plan that leads to a write needs no more care: the
// store's guard finds out. One that refuses or changes nothing is believed only once the store has confirmed that its
// input was the newest, else a client could be told about a past that it has itself changed.

import { ApiError, conflict, modifiedMessage, notFound } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import type { KubeObject } from '../../api/meta.js';
import { encodeObject, Entry } from '../storage/entry.js';
import type { Store, Stored } from '../storage/store.js';
import { KeyQueue } from './key-queue.js';
import type { ObjectCache } from './object-cache.js';
import { RenderedObject } from './rendering.js';
import type { Rendered } from './service.js';
import { toClientError } from './store-errors.js';

export type Step =
  | { readonly do: 'write'; readonly object: KubeObject }
  | { readonly do: 'remove' }
  /** `sure`: right whatever has become of the object meanwhile. */
  | { readonly do: 'nothing'; readonly sure?: true };

/** From the stored object, which it must not change, to what to do with it. Called again when the object has changed. @throws ApiError */
export type Plan = (stored: KubeObject) => Step;

export interface Mutated {
  readonly did: Step['do'];
  /** As it is now (with dryRun: as it would be); a removed object as it was. */
  readonly rendered: Rendered;
  /** Of the object as it is now; of a removed one, that of its removal. */
  readonly resourceVersion: string;
}

export interface MutationTarget {
  readonly kind: KindDefinition;
  readonly key: string;
  readonly name: string;
}

/** Conflicts with writers in other processes after which we give up: each means that one of them got through. */
const triesMax = 64;

export class Mutator {
  readonly #cache: ObjectCache;
  readonly #store: Pick<Store, 'read'>;
  readonly #queue = new KeyQueue<{ newest: Entry | undefined }>(() => ({ newest: undefined }));

  constructor(options: { cache: ObjectCache; store: Pick<Store, 'read'> }) {
    this.#cache = options.cache;
    this.#store = options.store;
  }

  /** @throws ApiError NotFound, Conflict when others keep changing the object, what the plan throws, what the store's failure means */
  async mutate(target: MutationTarget, plan: Plan, options: { dryRun?: boolean } = {}): Promise<Mutated> {
    try {
      return await this.#queue.run(target.key, (slot) => this.#attempt(target, plan, options.dryRun ?? false, slot));
    } catch (error) {
      throw toClientError(error);
    }
  }

  /** The object as the store has it now, when the cache does not know it (yet). */
  async find(key: string): Promise<Entry | undefined> {
    const cached = this.#cache.get(key);
    if (cached) return cached;
    try {
      return asEntry(await this.#store.read(key));
    } catch (error) {
      throw toClientError(error);
    }
  }

  async #attempt(target: MutationTarget, plan: Plan, dryRun: boolean, slot: { newest: Entry | undefined }): Promise<Mutated> {
    const { kind, key, name } = target;
    let current = newer(this.#cache.get(key), slot.newest);
    let confirmed = false;
    for (let tries = 0; tries < triesMax; ) {
      if (!current) {
        if (confirmed) throw notFound(kind, name);
        current = asEntry(await this.#store.read(key));
        confirmed = true;
        continue;
      }
      const step = tried(plan, current);
      if (step instanceof ApiError || (step.do === 'nothing' && !step.sure)) {
        if (!confirmed) {
          const stored = asEntry(await this.#store.read(key));
          confirmed = true;
          if (stored?.revision !== current.revision) {
            current = stored;
            continue;
          }
        }
      }
      if (step instanceof ApiError) throw step;
      if (step.do === 'nothing' || dryRun) {
        return { did: step.do, rendered: step.do === 'write' ? new RenderedObject(step.object) : current, resourceVersion: current.resourceVersion };
      }

      const { revision } = current;
      const value = step.do === 'write' ? encodeObject(step.object) : undefined;
      const outcome = await this.#cache.write(value === undefined ? { op: 'delete', key, revision } : { op: 'update', key, value, revision }, step.do === 'write' ? step.object : undefined);
      if (outcome.ok) {
        slot.newest = outcome.entry;
        return { did: step.do, rendered: slot.newest ?? current, resourceVersion: String(outcome.revision) };
      }
      current = outcome.current;
      confirmed = true;
      tries++;
    }
    throw conflict(kind, name, modifiedMessage);
  }
}

function tried(plan: Plan, entry: Entry): Step | ApiError {
  try {
    return plan(entry.object);
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
}

function newer(a: Entry | undefined, b: Entry | undefined): Entry | undefined {
  return a && b ? (a.revision >= b.revision ? a : b) : (a ?? b);
}

export function asEntry(stored: Stored | undefined): Entry | undefined {
  return stored === undefined || stored instanceof Entry ? stored : new Entry(stored.key, stored.value, stored.revision);
}
