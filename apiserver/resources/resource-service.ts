// resource-service.ts
//
// The resource layer: every verb over every kind of the table, on top of the watch cache and the store. Each verb's rules
// are in the file of its name; this one puts them together.

import { ApiError, badRequest, isReason, type Status } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import type { KubeObject } from '../../api/meta.js';
import type { Clock } from '../../lib/clock.js';
import type { Random } from '../../lib/random.js';
import type { Store } from '../storage/store.js';
import { copyOf, decodeObject, isMapping, settleNamespace } from './admission.js';
import { appliersName, planApply, readConfig, refuseNew } from './apply.js';
import { Creator } from './create.js';
import { planDelete } from './delete.js';
import type { Writer } from './managed-fields/entries.js';
import { ownersOfApplied } from './managed-fields/server-side-apply.js';
import { Mutator, type Mutated, type Plan, type Step } from './mutator.js';
import type { ObjectCache } from './object-cache.js';
import { patcherOf, planPatch } from './patch.js';
import { withEventsOfTask } from './pod-events.js';
import { Reader } from './read.js';
import { objectStoreKey, storedKind } from './registry-keys.js';
import type { ApplyOptions, Caller, DeleteOptions, ListQuery, ListReply, ObjectTarget, PatchType, ReadOptions, Rendered, ResourceService, Target, WatchQuery, WatchSink, WriteOptions } from './service.js';
import { withClientErrors } from './store-errors.js';
import { asServed, planOnStored } from './stored-view.js';
import { strategyOf } from './strategies/index.js';
import { planUpdate, type Ownership } from './update.js';
import { startWatch } from './watch.js';
import { worldOf } from './world.js';

/** Objects that one deletecollection works on at a time. */
const deletionsAtOnce = 256;

/** How often an apply looks again when the object comes and goes. */
const appliesMax = 8;

export interface ResourceServiceOptions {
  cache: ObjectCache;
  store: Pick<Store, 'read' | 'list'>;
  clock: Clock;
  random: Random;
}

export class StoredResourceService implements ResourceService {
  readonly #options: ResourceServiceOptions;
  readonly #reader: Reader;
  /** Shared with the bulk service, so that both write an object in turn. */
  readonly mutator: Mutator;
  readonly creator: Creator;

  constructor(options: ResourceServiceOptions) {
    this.#options = options;
    this.#reader = new Reader(options);
    this.mutator = new Mutator(options);
    this.creator = new Creator({ ...options, mutator: this.mutator });
  }

  get(_caller: Caller, target: ObjectTarget, options: ReadOptions = {}): Promise<Rendered> {
    return withClientErrors(() => this.#reader.get(target, options));
  }

  list(_caller: Caller, target: Target, query: ListQuery): Promise<ListReply> {
    return withClientErrors(() => this.#reader.list(target, withEventsOfTask(this.#options.cache, target, query)));
  }

  watch(_caller: Caller, target: Target, query: WatchQuery, sink: WatchSink): Promise<() => void> {
    return withClientErrors(() => startWatch(this.#options, target, withEventsOfTask(this.#options.cache, target, query), sink));
  }

  async create(caller: Caller, target: Target, object: KubeObject, options: WriteOptions): Promise<Rendered> {
    refuseProjection(target.kind, 'create');
    return (await this.#awaited(target.kind, () => this.creator.create(caller, target, object, options))).rendered;
  }

  async update(caller: Caller, target: ObjectTarget, object: KubeObject, options: WriteOptions): Promise<Rendered> {
    refuseWrite(target, 'update');
    const desired = decodeObject(caller, target.kind, object, options.fieldValidation);
    settleNamespace(target, desired);
    if (isMapping(desired.metadata)) {
      desired.metadata.name ??= target.name;
      if (desired.metadata.name !== target.name) throw badRequest(`the name of the object (${desired.metadata.name}) does not match the name on the URL (${target.name})`);
    }
    return (await this.#mutate(target, (stored) => permitted(caller, target, stored, planUpdate(target, stored, copyOf(desired), this.#ownership(target, options))), options)).rendered;
  }

  async patch(caller: Caller, target: ObjectTarget, type: PatchType, patch: unknown, options: ApplyOptions): Promise<Rendered> {
    if (type === 'application/apply-patch+yaml') return (await this.apply(caller, target, patch, options)).rendered;
    refuseWrite(target, 'patch');
    const patcher = patcherOf(target.kind, type, patch);
    const once = warnedOnce(caller);
    const ownership = this.#ownership(target, options);
    return (await this.#mutate(target, (stored) => permitted(caller, target, stored, planPatch(once, target, stored, patcher, options, ownership)), options)).rendered;
  }

  async apply(caller: Caller, target: ObjectTarget, config: unknown, options: ApplyOptions): Promise<{ rendered: Rendered; created: boolean }> {
    refuseWrite(target, 'patch');
    const writer = this.#writer(target, appliersName(options.fieldManager), options.writtenThrough);
    const wanted = readConfig(target, config);
    for (let tries = 0; ; tries++) {
      try {
        const plan: Plan = (stored) => permitted(caller, target, stored, planApply(target, stored, wanted, writer, options.force ?? false));
        return { rendered: (await this.#mutate(target, plan, options)).rendered, created: false };
      } catch (error) {
        if (!isReason(error, 'NotFound') || writer.subresource !== undefined || tries >= appliesMax) throw error;
      }
      try {
        refuseNew(target, wanted);
        const owners = ownersOfApplied(target.kind, wanted, writer);
        const { rendered } = await this.#awaited(target.kind, () => this.creator.create(caller, target, wanted, options, owners));
        return { rendered, created: true };
      } catch (error) {
        // Somebody was faster: there is an object now, to be merged with.
        if (!isReason(error, 'AlreadyExists') || tries >= appliesMax) throw error;
      }
    }
  }

  #writer(target: ObjectTarget, manager: string, writtenThrough?: WriteOptions['writtenThrough']): Writer {
    const subresource = target.subresource ?? writtenThrough;
    return { manager, now: this.#options.clock.now(), ...(subresource ? { subresource } : {}) };
  }

  #ownership(target: ObjectTarget, { fieldManager, writtenThrough }: WriteOptions): Ownership | undefined {
    return fieldManager === undefined ? undefined : { writer: this.#writer(target, fieldManager, writtenThrough) };
  }

  async delete(_caller: Caller, target: ObjectTarget, options: DeleteOptions): Promise<Rendered | Status> {
    refuseWrite(target, 'delete');
    const mutated = await this.#delete(target, options);
    return mutated.did === 'remove' ? deletedStatus(target, mutated.rendered.object) : mutated.rendered;
  }

  async deleteCollection(caller: Caller, target: Target, query: ListQuery, options: DeleteOptions): Promise<ListReply> {
    refuseProjection(target.kind, 'delete');
    const { preconditions } = options;
    if (preconditions?.uid || preconditions?.resourceVersion) throw badRequest('preconditions are not for collections');
    const found = await this.list(caller, target, query);
    const left = found.items.values();
    // The workers share one iterator: each takes the next object when it is done with its last.
    const work = async (): Promise<void> => {
      for (const { object } of left) await this.#deleteIfThere({ ...target, namespace: object.metadata.namespace, name: object.metadata.name! }, options);
    };
    const results = await Promise.allSettled(Array.from({ length: Math.min(deletionsAtOnce, found.items.length) }, work));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
    return found;
  }

  async #deleteIfThere(target: ObjectTarget, options: DeleteOptions): Promise<void> {
    try {
      refuseWrite(target, 'delete');
      await this.#delete(target, options);
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
    }
  }

  #delete(target: ObjectTarget, options: DeleteOptions): Promise<Mutated> {
    const now = this.#options.clock.now();
    return this.#mutate(target, (stored) => planDelete(target, stored, options, now), options);
  }

  /** @param plan over the object as the target's kind has it, which need not be how it is stored */
  async #mutate({ kind, name, namespace }: ObjectTarget, plan: Plan, options: { dryRun?: boolean }): Promise<Mutated> {
    const key = objectStoreKey(storedKind(kind), name, namespace);
    const mutated = await this.#awaited(kind, () => this.mutator.mutate({ kind, name, key }, planOnStored(kind, this.#settling(kind, plan)), options));
    return kind.storedAs ? { ...mutated, rendered: asServed(kind, mutated.rendered) } : mutated;
  }

  /** The plan, with what the kind makes of its result in the world as it is. */
  #settling(kind: KindDefinition, plan: Plan): Plan {
    const strategy = strategyOf(kind);
    if (!strategy.settle) return plan;
    return (stored) => {
      const step = plan(stored);
      if (step.do !== 'write') return step;
      const object = { ...step.object };
      strategy.settle!(object, worldOf(this.#options.cache, this.#options.clock.now()));
      return { do: 'write', object };
    };
  }

  /** What is judged among all objects of its kind is judged among all that were acknowledged, and answered when this server goes by it. */
  async #awaited<T>(kind: KindDefinition, write: () => Promise<T>): Promise<T> {
    if (!strategyOf(kind).isAwaited) return write();
    const { cache } = this.#options;
    await withClientErrors(() => cache.fresh());
    const done = await write();
    await withClientErrors(() => cache.fresh());
    return done;
  }
}

/** A plan may be made several times; what it warns of is said once. */
function warnedOnce(caller: Caller): Caller {
  const warned = new Set<string>();
  return {
    user: caller.user,
    warn(message) {
      if (warned.has(message)) return;
      warned.add(message);
      caller.warn(message);
    },
  };
}

/** @throws ApiError Forbidden for what the caller may not write into the object */
function permitted(caller: Caller, { kind }: ObjectTarget, stored: KubeObject, step: Step): Step {
  if (step.do === 'write') strategyOf(kind).refuseChange?.(caller.user, step.object, stored);
  return step;
}

function refuseWrite(target: ObjectTarget, verb: string): void {
  refuseProjection(target.kind, verb);
  if (target.subresource === 'status' && !target.kind.statusSubresource) throw new ApiError('NotFound', 'the server could not find the requested resource');
  strategyOf(target.kind).refuseWrite?.(target);
}

function refuseProjection(kind: KindDefinition, verb: string): void {
  const from = kind.projectionOf?.kind;
  if (from) throw new ApiError('MethodNotAllowed', `${verb} is not supported on resources of kind "${kind.plural}": they are views of ${from.plural}.${from.group}; ${verb} those`);
}

function deletedStatus({ kind, name }: ObjectTarget, object: KubeObject): Status {
  const { uid } = object.metadata;
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: { name, ...(kind.group ? { group: kind.group } : {}), kind: kind.plural, ...(uid ? { uid } : {}) },
    code: 200,
  };
}
