// controller.ts
//
// Ends a CustomResourceDefinition that is being deleted: first all its objects, then itself. And gives a definition the names
// that it waits for once another has left them. Every look begins anew from what there is, so a crash anywhere is only a delay.

import { dequal } from 'dequal';
import { isReason } from '../../api/errors.js';
import { customResourceDefinitionKind, type CustomResourceDefinition } from '../../api/custom-resource-definition.js';
import type { KindDefinition } from '../../api/kind.js';
import type { ApiClient } from '../../client/api-client.js';
import type { Informer } from '../../client/informer.js';
import { ReconcileLoop } from '../../client/reconcile-loop.js';
import type { Clock } from '../../lib/clock.js';
import type { Logger } from '../../lib/log.js';
import type { Random } from '../../lib/random.js';
import { aborted, type Service } from '../../lib/service.js';
import type { MetadataSource } from '../metadata-informers.js';
import { emptyingConditions, namespacesOf, othersFinalizers, planFor } from './plan.js';

/** Objects tell us when they go; this is for those whose copies we do not have. */
const lookAgainMs = 5_000;
/** Many objects go at about the same time: one look serves for all. */
const gatherMs = 100;
/** Objects that are looked at in one go. */
const pageObjects = 500;

export class DefinitionCleaner implements Service {
  readonly name = 'custom-resource-definition';
  readonly #client: ApiClient;
  readonly #definitions: Informer<CustomResourceDefinition>;
  readonly #objects: Pick<MetadataSource, 'values'>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #loop: ReconcileLoop;

  constructor(options: { client: ApiClient; definitions: Informer<CustomResourceDefinition>; objects: Pick<MetadataSource, 'onChanges' | 'values'>; clock: Clock; random: Random; logger: Logger }) {
    const { client, definitions, objects, clock, random, logger } = options;
    this.#client = client;
    this.#definitions = definitions;
    this.#objects = objects;
    this.#clock = clock;
    this.#logger = logger.child({ loop: this.name });
    this.#loop = new ReconcileLoop({ name: this.name, reconcile: (key) => this.#reconcile(key), concurrency: 4, clock, random, logger });
    definitions.onChanges((changes) => {
      const left = new Set<string>();
      for (const { type, object } of changes) {
        this.#loop.enqueue(object.metadata.name ?? '');
        if (type === 'deleted') left.add(object.spec.group);
      }
      if (left.size === 0) return;
      // Names that others of the group wait for may have become free.
      for (const { metadata, spec } of definitions.values()) if (left.has(spec.group)) this.#loop.enqueue(metadata.name ?? '');
    });
    objects.onChanges({
      changes: ({ group, plural }, changes) => {
        const name = `${plural}.${group}`;
        if (definitions.get(name)?.metadata.deletionTimestamp && changes.some(({ type }) => type === 'deleted')) this.#loop.enqueueAfter(name, gatherMs);
      },
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    // Names are judged among all definitions.
    await Promise.race([this.#definitions.synced, aborted(signal)]);
    if (!signal.aborted) await this.#loop.run(signal);
  }

  async #reconcile(name: string): Promise<void | { againAfterMs: number }> {
    const crd = this.#definitions.get(name);
    if (!crd) return undefined;
    const step = planFor(crd, this.#definitions.values(), this.#clock.now());
    try {
      switch (step.do) {
        case 'nothing':
          return undefined;
        case 'settle':
          // The server judges the names once more, by what is stored then.
          await this.#client.mergePatch(customResourceDefinitionKind, name, undefined, guarded(crd, { status: { conditions: step.status.conditions } }), { subresource: 'status' });
          return undefined;
        case 'empty':
          if (!(await this.#empty(crd, step.kind))) return { againAfterMs: lookAgainMs };
          // Garbage is found by what our copies tell; with the definition they would end before the last of it.
          for (const _left of this.#objects.values(step.kind)) return { againAfterMs: gatherMs };
          this.#logger.info('all objects of the kind are gone, and so is its definition', { definition: name });
          return await this.#release(crd);
        case 'release':
          return await this.#release(crd);
      }
    } catch (error) {
      // Others write it, too: the change is about to come to us.
      if (isReason(error, 'Conflict')) return { againAfterMs: gatherMs };
      throw error;
    }
  }

  /** Asks every object to go. @returns whether none is left */
  async #empty(crd: CustomResourceDefinition, kind: KindDefinition): Promise<boolean> {
    const before = await this.#client.list(kind, { limit: pageObjects, metadataOnly: true });
    if (before.items.length === 0) return true;
    for (const namespace of namespacesOf(before.items)) {
      await this.#client.deleteCollection(kind, { namespace }, { propagationPolicy: 'Background' });
    }
    const after = await this.#client.list(kind, { limit: 1, metadataOnly: true });
    if (after.items.length === 0) return true;
    const conditions = emptyingConditions(crd, this.#clock.now());
    if (!dequal(conditions, crd.status?.conditions)) {
      await this.#client.mergePatch(customResourceDefinitionKind, crd.metadata.name ?? '', undefined, guarded(crd, { status: { conditions } }), { subresource: 'status' });
    }
    this.#logger.debug('the definition waits for its objects to go', { definition: crd.metadata.name, left: 1 + (after.metadata.remainingItemCount ?? 0) });
    return false;
  }

  async #release(crd: CustomResourceDefinition): Promise<void> {
    // Read anew: the status may just have been written, and our copy has no schemas.
    const current = await this.#client.get(customResourceDefinitionKind, crd.metadata.name ?? '');
    if (current.metadata.uid !== crd.metadata.uid) return;
    await this.#client.mergePatch(customResourceDefinitionKind, crd.metadata.name ?? '', undefined, { metadata: { finalizers: othersFinalizers(current), resourceVersion: current.metadata.resourceVersion, uid: crd.metadata.uid } });
  }
}

function guarded({ metadata }: CustomResourceDefinition, patch: object): object {
  return { ...patch, metadata: { uid: metadata.uid, resourceVersion: metadata.resourceVersion } };
}
