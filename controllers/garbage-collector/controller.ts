// controller.ts
//
// Deletes what has lost its owners, for every stored kind alike. Works by uid. The graph is made of copies that may lag,
// so an owner counts as absent only when the server says so.

import { dequal } from 'dequal';
import { foregroundFinalizer, orphanFinalizer } from '../../api/finalizers.js';
import { isReason } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import { findByKind } from '../../api/kinds.js';
import type { KubeObject, ObjectMeta, OwnerReference } from '../../api/meta.js';
import type { ApiClient } from '../../client/api-client.js';
import { ReconcileLoop } from '../../client/reconcile-loop.js';
import type { Clock } from '../../lib/clock.js';
import type { Logger } from '../../lib/log.js';
import { forEachParallel } from '../../lib/parallel.js';
import type { Random } from '../../lib/random.js';
import type { Service } from '../../lib/service.js';
import { allSynced } from '../all-synced.js';
import { OwnerGraph, type GraphObject } from './graph.js';
import { planDependent, planOwner, waitsForDependents, type OwnerFinding, type OwnerState } from './plan.js';

/** What the collector needs of an informer: metadata, of any kind. */
export interface ObjectSource {
  readonly synced: Promise<void>;
  onChanges(handler: (changes: readonly { type: 'added' | 'modified' | 'deleted'; object: KubeObject; previous?: KubeObject }[]) => void): void;
}

export interface GarbageCollectorOptions {
  client: ApiClient;
  /** One for every kind that may own or be owned. */
  sources: readonly { kind: KindDefinition; informer: ObjectSource }[];
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** Owners known to be gone; a uid is never used again. More are forgotten, and asked for again when needed. */
const absentMax = 10_000;
const orphansAtOnce = 16;

export class GarbageCollector implements Service {
  readonly name = 'garbage collector';
  readonly #options: GarbageCollectorOptions;
  readonly #loop: ReconcileLoop;
  readonly #graph = new OwnerGraph();
  readonly #absent = new Set<string>();

  constructor(options: GarbageCollectorOptions) {
    this.#options = options;
    const { clock, random, logger } = options;
    this.#loop = new ReconcileLoop({ name: this.name, reconcile: (uid) => this.#reconcile(uid), concurrency: 16, clock, random, logger });
    for (const { kind, informer } of options.sources) {
      informer.onChanges((changes) => {
        for (const { type, object, previous } of changes) {
          if (type === 'deleted') this.#removed(object.metadata);
          else this.#changed(kind, object.metadata, previous?.metadata);
        }
      });
    }
  }

  async run(signal: AbortSignal): Promise<void> {
    const synced = await allSynced(this.#options.sources.map(({ informer }) => informer), signal);
    if (synced) await this.#loop.run(signal);
  }

  #changed(kind: KindDefinition, metadata: ObjectMeta, previous: ObjectMeta | undefined): void {
    const { uid = '', ownerReferences } = metadata;
    // Most changes are of status: they touch neither owners nor deletion.
    const sameOwners = previous !== undefined && dequal(ownerReferences, previous.ownerReferences);
    const sameDeletion = previous !== undefined && previous.deletionTimestamp === metadata.deletionTimestamp && dequal(previous.finalizers, metadata.finalizers);
    if (sameOwners && sameDeletion) return;
    const before = previous?.ownerReferences ?? [];
    this.#graph.put(kind, metadata);
    if (ownerReferences?.length || needsUs(metadata)) this.#loop.enqueue(uid);
    // An owner may have waited for exactly this: that it is no longer named.
    for (const { uid: owner } of before) this.#loop.enqueue(owner);
  }

  #removed({ uid = '', ownerReferences }: ObjectMeta): void {
    const dependents = [...this.#graph.dependentsOf(uid)];
    this.#graph.remove(uid);
    if (dependents.length > 0) this.#remember(uid);
    for (const dependent of dependents) this.#loop.enqueue(dependent);
    for (const { uid: owner } of ownerReferences ?? []) this.#loop.enqueue(owner);
  }

  async #reconcile(uid: string): Promise<void> {
    const item = this.#graph.get(uid);
    if (!item) return;
    if (needsUs(item.metadata)) await this.#asOwner(uid, item);
    else await this.#asDependent(uid, item);
  }

  async #asOwner(uid: string, item: GraphObject): Promise<void> {
    const dependents = [...this.#graph.dependentsOf(uid)].map((dependent) => ({ uid: dependent, metadata: this.#graph.get(dependent)!.metadata }));
    const plan = planOwner(item.metadata, dependents);
    switch (plan.do) {
      case 'nothing':
        return;
      case 'await':
        for (const dependent of plan.uids) this.#loop.enqueue(dependent);
        return;
      case 'orphan':
        await forEachParallel(plan.uids, orphansAtOnce, (dependent) => this.#release(dependent, (reference) => reference.uid !== uid));
        await this.#finish(item, plan.finalizer);
        return;
      case 'finish':
        await this.#finish(item, plan.finalizer);
    }
  }

  async #asDependent(uid: string, item: GraphObject): Promise<void> {
    const { client, logger } = this.#options;
    const { kind, metadata } = item;
    const { ownerReferences = [], name = '', namespace, resourceVersion } = metadata;
    if (ownerReferences.length === 0 || metadata.deletionTimestamp) return;
    const owners: OwnerFinding[] = [];
    for (const reference of ownerReferences) owners.push({ reference, state: await this.#stateOf(reference, namespace) });
    const plan = planDependent(metadata, owners, this.#graph.dependentsOf(uid).size > 0);
    if (plan.do === 'release') {
      const kept = new Set(plan.ownerReferences.map((reference) => reference.uid));
      await this.#release(uid, (reference) => kept.has(reference.uid));
    } else if (plan.do === 'delete') {
      // Guarded by version: an owner may just have been added. A conflict is tried again with what our copy is told.
      await unlessGone(client.delete(kind, name, namespace, { preconditions: { uid, resourceVersion: await this.#newest(item, resourceVersion) }, propagationPolicy: plan.propagationPolicy }));
      logger.debug('deleted an object whose owners are gone', { kind: kind.kind, namespace, name });
    }
  }

  /**
   * The graph is not told of changes that touch neither owners nor deletion, so its resourceVersion may be old.
   * @throws ApiError Conflict when the object is no longer as the graph has it
   */
  async #newest({ kind, metadata }: GraphObject, known: string | undefined): Promise<string | undefined> {
    try {
      const stored = await this.#options.client.get(kind, metadata.name ?? '', metadata.namespace);
      const same = stored.metadata.uid === metadata.uid && dequal(stored.metadata.ownerReferences, metadata.ownerReferences);
      return same ? stored.metadata.resourceVersion : known;
    } catch (error) {
      if (isReason(error, 'NotFound')) return known;
      throw error;
    }
  }

  async #stateOf(reference: OwnerReference, namespace: string | undefined): Promise<OwnerState> {
    const kind = findByKind(reference.apiVersion, reference.kind);
    // A reference from outside any namespace into one names nothing that could be found.
    if (!kind || (kind.namespaced && namespace === undefined)) return 'unknown';
    const known = this.#graph.get(reference.uid);
    const where = kind.namespaced ? namespace : undefined;
    if (known && known.metadata.namespace === where && known.metadata.name === reference.name) return waitsForDependents(known.metadata) ? 'waiting' : 'present';
    if (this.#absent.has(reference.uid)) return 'absent';
    try {
      const stored = await this.#options.client.get(kind, reference.name, where);
      if (stored.metadata.uid === reference.uid) return waitsForDependents(stored.metadata) ? 'waiting' : 'present';
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
    }
    if (!known) this.#remember(reference.uid);
    return 'absent';
  }

  /** Takes references off a dependent. */
  async #release(uid: string, keep: (reference: OwnerReference) => boolean): Promise<void> {
    const item = this.#graph.get(uid);
    if (!item) return;
    const { name = '', namespace, resourceVersion } = item.metadata;
    const ownerReferences = (item.metadata.ownerReferences ?? []).filter(keep);
    const patch = { metadata: { uid, resourceVersion: await this.#newest(item, resourceVersion), ownerReferences } };
    await unlessGone(this.#options.client.mergePatch(item.kind, name, namespace, patch));
  }

  /** Takes our finalizer off an owner. */
  async #finish({ kind, metadata }: GraphObject, finalizer: string): Promise<void> {
    const { client } = this.#options;
    const { name = '', namespace, uid } = metadata;
    const stored = await unlessGone(client.get(kind, name, namespace));
    if (!stored || stored.metadata.uid !== uid || !stored.metadata.finalizers?.includes(finalizer)) return;
    const finalizers = stored.metadata.finalizers.filter((other) => other !== finalizer);
    await unlessGone(client.mergePatch(kind, name, namespace, { metadata: { uid, resourceVersion: stored.metadata.resourceVersion, finalizers } }));
  }

  #remember(uid: string): void {
    this.#absent.add(uid);
    if (this.#absent.size > absentMax) this.#absent.delete(this.#absent.values().next().value!);
  }
}

/** Whether the object is an owner that waits for the collector. */
function needsUs(metadata: ObjectMeta): boolean {
  const finalizers = metadata.finalizers ?? [];
  return Boolean(metadata.deletionTimestamp) && (finalizers.includes(foregroundFinalizer) || finalizers.includes(orphanFinalizer));
}

async function unlessGone<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (isReason(error, 'NotFound')) return undefined;
    throw error;
  }
}
