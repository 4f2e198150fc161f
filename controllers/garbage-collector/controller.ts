// controller.ts
//
// Deletes what has lost its owners, for every stored kind alike, those that users bring included. Works by uid. The graph
// holds only objects that name owners, or that wait for us to be deleted: a hundred thousand without either cost nothing.
// It is made of copies that may lag: an owner is present when the copies have it, since its end will be told, but absent
// only when the server says so, or has said that it went.

import { dequal } from 'dequal';
import { foregroundFinalizer, orphanFinalizer } from '../../api/finalizers.js';
import { isReason, type ApiError } from '../../api/errors.js';
import { apiVersionOf, type KindDefinition } from '../../api/kind.js';
import type { KubeObject, ObjectMeta, OwnerReference } from '../../api/meta.js';
import type { ApiClient } from '../../client/api-client.js';
import type { EventRecorder } from '../../client/event-recorder.js';
import { ReconcileLoop } from '../../client/reconcile-loop.js';
import type { Clock } from '../../lib/clock.js';
import type { Logger } from '../../lib/log.js';
import { forEachParallel } from '../../lib/parallel.js';
import type { Random } from '../../lib/random.js';
import { aborted, type Service } from '../../lib/service.js';
import { essentials, type MetadataSource } from '../metadata-informers.js';
import { OwnerGraph, type GraphObject } from './graph.js';
import { askAgainMs, planDependent, planOwner, waitsForDependents, type OwnerFinding, type OwnerState } from './plan.js';

export interface GarbageCollectorOptions {
  client: ApiClient;
  /** Metadata of the objects of every kind that may own or be owned. */
  objects: MetadataSource;
  recorder: Pick<EventRecorder, 'record'>;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** Owners known to be gone; a uid is never used again. More are forgotten, and asked for again when needed. */
const absentMax = 50_000;
const orphansAtOnce = 16;
/** The copies of a kind that has just come are whole after a moment; until then an owner may have more dependents than we know. */
const syncLookMs = 200;
/** What its dependents are told of an owner that our copies do not have, such as a finished task, they share for a moment. */
const unseenShareMs = 1_000;
const unseenMax = 10_000;

export class GarbageCollector implements Service {
  readonly name = 'garbage collector';
  readonly #options: GarbageCollectorOptions;
  readonly #loop: ReconcileLoop;
  readonly #graph = new OwnerGraph();
  readonly #absent = new Set<string>();
  /** Owners that only the server has, by what was asked, and until when (monotonic) its answer is good. */
  readonly #unseen = new Map<string, number>();
  /** Uids of the dependents that ask for such an owner again and again. */
  readonly #asking = new Set<string>();
  /** Uids of objects with an owner of a kind that is not known (yet). */
  readonly #unresolved = new Set<string>();

  constructor(options: GarbageCollectorOptions) {
    this.#options = options;
    const { clock, random, logger } = options;
    this.#loop = new ReconcileLoop({ name: this.name, reconcile: (uid) => this.#reconcile(uid), concurrency: 16, clock, random, logger });
    options.objects.onChanges({
      changes: (kind, changes) => {
        for (const { type, object } of changes) {
          if (type === 'deleted') this.#removed(kind, object.metadata);
          else this.#changed(kind, object);
        }
      },
      kindsChanged: () => {
        for (const uid of this.#unresolved) this.#loop.enqueue(uid);
        this.#unresolved.clear();
      },
      kindGone: (kind) => this.#kindGone(kind),
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.race([this.#options.objects.synced, aborted(signal)]);
    if (!signal.aborted) await this.#loop.run(signal);
  }

  #changed(kind: KindDefinition, object: KubeObject): void {
    const { metadata } = object;
    const { uid = '', ownerReferences } = metadata;
    const before = this.#graph.get(uid);
    const known = before?.metadata;
    const ours = Boolean(ownerReferences?.length) || needsUs(metadata);
    if (!ours && !known) return;
    // Most changes touch neither owners nor deletion. Another version of its kind may be the only one that is still served.
    const same = known !== undefined && before?.kind.version === kind.version && known.deletionTimestamp === metadata.deletionTimestamp && dequal(known.finalizers ?? [], metadata.finalizers ?? []) && dequal(known.ownerReferences ?? [], ownerReferences ?? []);
    if (same) return;
    if (ours) this.#graph.put(kind, essentials(object).metadata);
    else this.#graph.remove(uid);
    if (ours) this.#loop.enqueue(uid);
    // An owner may have waited for exactly this: that it is no longer named.
    this.#released(known?.ownerReferences);
  }

  #removed(kind: KindDefinition, { uid = '', ownerReferences }: ObjectMeta): void {
    const dependents = [...this.#graph.dependentsOf(uid)];
    this.#graph.remove(uid);
    this.#unresolved.delete(uid);
    // One that our copies have left out may still be there: its dependents ask.
    if (dependents.length > 0 && !this.#options.objects.isPartial(kind)) this.#remember(uid);
    for (const dependent of dependents) this.#loop.enqueue(dependent);
    this.#released(ownerReferences);
  }

  #released(ownerReferences: readonly OwnerReference[] | undefined): void {
    for (const { uid } of ownerReferences ?? []) this.#loop.enqueue(uid);
  }

  #kindGone(gone: KindDefinition): void {
    for (const [uid, { kind }] of [...this.#graph.objects()]) if (sameKind(kind, gone)) this.#graph.remove(uid);
  }

  async #reconcile(uid: string): Promise<void | { againAfterMs: number }> {
    const item = this.#graph.get(uid);
    this.#asking.delete(uid);
    if (!item) return undefined;
    if (needsUs(item.metadata)) return this.#asOwner(uid, item);
    return this.#asDependent(uid, item);
  }

  async #asOwner(uid: string, item: GraphObject): Promise<void | { againAfterMs: number }> {
    if (!this.#options.objects.hasSynced) return { againAfterMs: syncLookMs };
    const dependents = [...this.#graph.dependentsOf(uid)].map((dependent) => ({ uid: dependent, metadata: this.#graph.get(dependent)!.metadata }));
    const plan = planOwner(item.metadata, dependents);
    switch (plan.do) {
      case 'nothing':
        break;
      case 'await':
        for (const dependent of plan.uids) this.#loop.enqueue(dependent);
        break;
      case 'orphan':
        await forEachParallel(plan.uids, orphansAtOnce, (dependent) => this.#release(dependent, (reference) => reference.uid !== uid));
        await this.#finish(item, plan.finalizer);
        break;
      case 'finish':
        await this.#finish(item, plan.finalizer);
    }
    return undefined;
  }

  async #asDependent(uid: string, item: GraphObject): Promise<void | { againAfterMs: number }> {
    const { client, logger } = this.#options;
    const { kind, metadata } = item;
    const { ownerReferences = [], name = '', namespace, resourceVersion } = metadata;
    if (ownerReferences.length === 0 || metadata.deletionTimestamp) return undefined;
    const owners: OwnerFinding[] = [];
    let unseen = false;
    for (const reference of ownerReferences) {
      const state = await this.#stateOf(reference, item);
      unseen ||= state === 'unseen';
      owners.push({ reference, state: state === 'unseen' ? 'present' : state });
    }
    const plan = planDependent(metadata, owners, this.#graph.dependentsOf(uid).size > 0);
    if (plan.do === 'release') {
      const kept = new Set(plan.ownerReferences.map((reference) => reference.uid));
      await this.#release(uid, (reference) => kept.has(reference.uid));
    } else if (plan.do === 'delete') {
      // Guarded by version: an owner may just have been added. A conflict is tried again with what our copy is told.
      await unlessGone(client.delete(kind, name, namespace, { preconditions: { uid, resourceVersion: await this.#newest(item, resourceVersion) }, propagationPolicy: plan.propagationPolicy }));
      logger.debug('deleted an object whose owners are gone', { kind: kind.kind, namespace, name });
    }
    if (!unseen) return undefined;
    this.#asking.add(uid);
    return { againAfterMs: askAgainMs(this.#asking.size) };
  }

  /**
   * The graph is not told of changes that touch neither owners nor deletion, so its resourceVersion may be old.
   * @throws ApiError Conflict when the object is no longer as the graph has it
   */
  async #newest({ kind, metadata }: GraphObject, known: string | undefined): Promise<string | undefined> {
    const stored = await unlessGone(this.#options.client.getMetadata(kind, metadata.name ?? '', metadata.namespace));
    const same = stored !== undefined && stored.metadata.uid === metadata.uid && dequal(stored.metadata.ownerReferences ?? [], metadata.ownerReferences ?? []);
    return same ? stored.metadata.resourceVersion : known;
  }

  /** `unseen`: there, as the server says, but not in our copies, so that nobody may tell us when it goes. */
  async #stateOf(reference: OwnerReference, { kind: dependentKind, metadata: dependent }: GraphObject): Promise<OwnerState | 'unseen'> {
    // Of a kind whose definition went with its objects nobody can be asked any more.
    if (this.#absent.has(reference.uid)) return 'absent';
    const kind = this.#options.objects.find(reference.apiVersion, reference.kind);
    if (!kind) return this.#unknown(dependent);
    // A reference from outside any namespace into one names nothing that could be found.
    if (kind.namespaced && dependent.namespace === undefined) {
      this.#tellInvalid(reference, dependentKind, dependent);
      return 'unknown';
    }
    const where = kind.namespaced ? dependent.namespace : undefined;
    const asked = `${reference.uid} ${kind.group}/${kind.plural} ${where ?? ''}/${reference.name}`;
    if (this.#absent.has(asked)) return 'absent';
    const { client, objects, clock } = this.#options;
    const known = objects.get(kind, reference.name, where)?.metadata;
    if (known?.uid === reference.uid) return waitsForDependents(known) ? 'waiting' : 'present';
    if ((this.#unseen.get(asked) ?? 0) > clock.monotonic()) return 'unseen';
    try {
      const stored = await client.getMetadata(kind, reference.name, where);
      if (stored.metadata.uid === reference.uid) {
        if (waitsForDependents(stored.metadata)) return 'waiting';
        this.#seeUnseen(asked);
        return 'unseen';
      }
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
      // Not the object but its kind may be what is not there.
      if (!namesObject(error)) return this.#unknown(dependent);
    }
    if (kind.namespaced && this.#isElsewhere(kind, reference.uid)) this.#tellInvalid(reference, dependentKind, dependent);
    this.#remember(asked);
    return 'absent';
  }

  #unknown({ uid = '' }: ObjectMeta): OwnerState {
    this.#unresolved.add(uid);
    return 'unknown';
  }

  #isElsewhere(kind: KindDefinition, uid: string): boolean {
    for (const { metadata } of this.#options.objects.values(kind)) if (metadata.uid === uid) return true;
    return false;
  }

  #tellInvalid({ apiVersion, kind, name, uid }: OwnerReference, dependentKind: KindDefinition, dependent: ObjectMeta): void {
    const namespace = dependent.namespace ?? '';
    const object = { apiVersion: apiVersionOf(dependentKind), kind: dependentKind.kind, metadata: dependent };
    const owner = `[${apiVersion}/${kind}, namespace: ${namespace}, name: ${name}, uid: ${uid}]`;
    this.#options.recorder.record(object, 'Warning', 'OwnerRefInvalidNamespace', `ownerRef ${owner} does not exist in namespace ${JSON.stringify(namespace)}`);
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
    const stored = await unlessGone(client.getMetadata(kind, name, namespace));
    if (!stored || stored.metadata.uid !== uid || !stored.metadata.finalizers?.includes(finalizer)) return;
    const finalizers = stored.metadata.finalizers.filter((other) => other !== finalizer);
    await unlessGone(client.mergePatch(kind, name, namespace, { metadata: { uid, resourceVersion: stored.metadata.resourceVersion, finalizers } }));
  }

  #seeUnseen(asked: string): void {
    if (this.#unseen.size >= unseenMax) this.#unseen.clear();
    this.#unseen.set(asked, this.#options.clock.monotonic() + unseenShareMs);
  }

  #remember(absent: string): void {
    this.#absent.add(absent);
    if (this.#absent.size > absentMax) this.#absent.delete(this.#absent.values().next().value!);
  }
}

/** Whether the object is an owner that waits for the collector. */
function needsUs({ deletionTimestamp, finalizers = [] }: ObjectMeta): boolean {
  return Boolean(deletionTimestamp) && (finalizers.includes(foregroundFinalizer) || finalizers.includes(orphanFinalizer));
}

function sameKind(a: KindDefinition, b: KindDefinition): boolean {
  return a.group === b.group && a.plural === b.plural;
}

/** Whether it is an object that was not found, rather than its kind. */
function namesObject({ details }: ApiError): boolean {
  return Boolean(details?.name);
}

async function unlessGone<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (isReason(error, 'NotFound')) return undefined;
    throw error;
  }
}
