// mutator.ts
//
// Read, plan, write if unchanged, again on conflict: the one way in which stored objects change.
//
// The first plan is made on the cache's copy, or on what this server has written since, either of which may be behind. A
// plan that leads to a write needs no more care: the store's guard finds out. One that refuses or changes nothing is
// believed only once the store has confirmed that its input was the newest, else a client could be told about a past that
// it has itself changed.

import { ApiError, conflict, modifiedMessage, notFound } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import type { KubeObject } from '../../api/meta.js';
import { Entry } from '../storage/entry.js';
import type { Store, Stored } from '../storage/store.js';
import type { CacheOutcome } from '../storage/watch-cache.js';
import { encodeSuccessor } from './encode.js';
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

/** A step that is a write to the store. */
type Change = Exclude<Step, { readonly do: 'nothing' }>;

/** What the writers of one object, while there are any, know to be stored. */
interface Slot {
  newest: Entry | undefined;
}

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
  readonly #queue = new KeyQueue<Slot>(() => ({ newest: undefined }));

  constructor(options: { cache: ObjectCache; store: Pick<Store, 'read'> }) {
    this.#cache = options.cache;
    this.#store = options.store;
  }

  /** @throws ApiError NotFound, Conflict when others keep changing the object, what the plan throws, what the store's failure means */
  mutate(target: MutationTarget, plan: Plan, options: { dryRun?: boolean } = {}): Promise<Mutated> {
    return this.#queue.run(target.key, (slot) => this.#attempt(target, plan, options.dryRun ?? false, slot));
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

  /** What nearly always happens, with as few promises as that takes: the cache has the object, the plan writes, nobody was faster. */
  #attempt(target: MutationTarget, plan: Plan, dryRun: boolean, slot: Slot): Promise<Mutated> {
    const current = newer(this.#cache.newest(target.key), slot.newest);
    if (!current || dryRun) return this.#attempts(target, plan, dryRun, slot, { current });
    const step = tried(plan, current);
    if (step instanceof ApiError || step.do === 'nothing') return this.#attempts(target, plan, dryRun, slot, { current, step });
    return this.#write(target, current, step).then(
      (outcome) => (outcome.ok ? written(step, current, outcome, slot) : this.#attempts(target, plan, dryRun, slot, { current: outcome.current, tries: 1 })),
      (error: unknown) => {
        throw toClientError(error);
      },
    );
  }

  /** @param from what is known already: the object, the step that the plan makes of it, and how often others were faster */
  async #attempts(target: MutationTarget, plan: Plan, dryRun: boolean, slot: Slot, from: { current: Entry | undefined; step?: Step | ApiError; tries?: number }): Promise<Mutated> {
    try {
      return await this.#untilDone(target, plan, dryRun, slot, from);
    } catch (error) {
      throw toClientError(error);
    }
  }

  async #untilDone({ kind, key, name }: MutationTarget, plan: Plan, dryRun: boolean, slot: Slot, from: { current: Entry | undefined; step?: Step | ApiError; tries?: number }): Promise<Mutated> {
    let { current, step: planned, tries = 0 } = from;
    // A write that failed has told what the store has.
    let confirmed = tries > 0;
    while (tries < triesMax) {
      if (!current) {
        if (confirmed) throw notFound(kind, name);
        current = asEntry(await this.#store.read(key));
        confirmed = true;
        continue;
      }
      const step: Step | ApiError = planned ?? tried(plan, current);
      planned = undefined;
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
      const outcome = await this.#write({ key }, current, step);
      if (outcome.ok) return written(step, current, outcome, slot);
      current = outcome.current;
      confirmed = true;
      tries++;
    }
    throw conflict(kind, name, modifiedMessage);
  }

  #write({ key }: Pick<MutationTarget, 'key'>, current: Entry, step: Change): Promise<CacheOutcome> {
    const { revision } = current;
    if (step.do === 'remove') return this.#cache.write({ op: 'delete', key, revision });
    return this.#cache.write({ op: 'update', key, value: encodeSuccessor(current, step.object), revision }, step.object);
  }
}

function written(step: Change, before: Entry, outcome: CacheOutcome & { ok: true }, slot: Slot): Mutated {
  slot.newest = outcome.entry;
  return { did: step.do, rendered: outcome.entry ?? before, resourceVersion: String(outcome.revision) };
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
