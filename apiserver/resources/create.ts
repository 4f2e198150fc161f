// create.ts: from a client's new object to the one that is stored.

import { alreadyExists, generatedNameTaken, ApiError, badRequest, type FieldProblem } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import { timestamp, type KubeObject, type ManagedFieldsEntry, type ObjectMeta } from '../../api/meta.js';
import { namespaceKind } from '../../api/namespace.js';
import { applyDefaults } from '../../api/validation.js';
import type { Clock } from '../../lib/clock.js';
import type { Random } from '../../lib/random.js';
import { encodeObject } from '../storage/entry.js';
import { decodeObject, isEmpty, isMapping, ownerProblems, refuseInvalid, settleNamespace } from './admission.js';
import { readSent } from './managed-fields/entries.js';
import { ownersAfterWrite } from './managed-fields/ordinary-write.js';
import type { Mutator } from './mutator.js';
import { refuseClosedNamespace } from './namespaces.js';
import type { ObjectCache } from './object-cache.js';
import { objectStoreKey, storedKind } from './registry-keys.js';
import { RenderedObject } from './rendering.js';
import type { Caller, Rendered, Target, WriteOptions } from './service.js';
import { toClientError } from './store-errors.js';
import { asServed, toStored } from './stored-view.js';
import { strategyOf } from './strategies/index.js';
import { worldOf } from './world.js';

const generatedNameTriesMax = 8;
const generatedSuffixLength = 5;
/** Room for the suffix: a longer prefix is cut, as Kubernetes does. */
const generatedPrefixLengthMax = 253 - generatedSuffixLength;
const generatedLabelPrefixLengthMax = 63 - generatedSuffixLength;

/** What of metadata is the client's to say. */
const clientMetadata = ['name', 'generateName', 'namespace', 'labels', 'annotations', 'ownerReferences', 'finalizers'] as const;

export interface Created {
  readonly rendered: Rendered;
  readonly name: string;
  /** Empty for a dry run. */
  readonly resourceVersion: string;
}

export class Creator {
  constructor(private readonly options: { cache: ObjectCache; mutator: Mutator; clock: Clock; random: Random }) {}

  /**
   * @param owners of the fields of an object that is applied; of any other the writer has them all
   * @param given whether the body is ours, so that the object may be made of it
   */
  create(caller: Caller, target: Target, body: KubeObject, options: WriteOptions, owners?: ManagedFieldsEntry[], given = false): Promise<Created> {
    const { kind, namespace } = target;
    const dryRun = options.dryRun ?? false;
    let object: KubeObject;
    try {
      if (kind.closed !== undefined) throw new ApiError('MethodNotAllowed', kind.closed);
      object = this.prepare(caller, target, body, options, owners, given);
      const place = namespace === undefined ? undefined : this.options.cache.get(objectStoreKey(namespaceKind, namespace, undefined));
      if (place && kind.namespaced) {
        refuseClosedNamespace(kind, object.metadata.name ?? '', namespace!, place.object);
        // What nearly always happens, with as few promises as that takes.
        if (object.metadata.name && !dryRun) return this.#offer(kind, namespace, object, taken);
      }
    } catch (error) {
      return Promise.reject(error as Error);
    }
    return this.#createAnyway(target, object, dryRun);
  }

  /**
   * The object as it would be stored, except for a generated name.
   * @param given whether the body is ours, so that the object may be made of it
   * @throws ApiError BadRequest, Forbidden, Invalid
   */
  prepare(caller: Caller, target: Target, body: unknown, options: WriteOptions, owners?: ManagedFieldsEntry[], given = false): KubeObject {
    const { kind } = target;
    const decoded = withoutServersFields(kind, decodeObject(caller, kind, body, options.fieldValidation, given), owners !== undefined);
    if (isMapping(decoded.metadata) && decoded.metadata.resourceVersion) throw badRequest('resourceVersion should not be set on objects to be created');
    settleNamespace(target, decoded);
    const now = this.options.clock.now();
    const problems: FieldProblem[] = [];
    const sent = isMapping(decoded.metadata) ? readSent(decoded.metadata.managedFields, undefined, problems) : 'stored';
    if (isMapping(decoded.metadata)) decoded.metadata = this.#newMetadata(decoded.metadata, now);
    const shape = applyDefaults(kind, decoded);
    const strategy = strategyOf(kind);
    const ofCreation = shape.length === 0 ? [...(kind.validateCreate?.(decoded) ?? []), ...(strategy.problems?.(decoded, undefined) ?? [])] : [];
    refuseInvalid(kind, decoded, [...problems, ...ownerProblems(decoded.metadata), ...ofCreation], undefined, shape);

    // Before the server adds what is nobody's.
    const { fieldManager } = options;
    const managedFields = owners ?? (fieldManager === undefined ? undefined : ownersAfterWrite(kind, undefined, decoded, sent, { manager: fieldManager, now }));
    if (managedFields) decoded.metadata.managedFields = managedFields;

    strategy.refuseWrite?.({ ...target, name: decoded.metadata.name ?? '' });
    strategy.refuseChange?.(caller.user, decoded, undefined);
    strategy.prepareForCreate?.(decoded, now);
    strategy.settle?.(decoded, worldOf(this.options.cache, now));
    return decoded;
  }

  #newMetadata(given: ObjectMeta, now: number): ObjectMeta {
    const metadata: Record<string, unknown> = {};
    for (const field of clientMetadata) if (!isEmpty(given[field])) metadata[field] = given[field];
    metadata['uid'] = this.options.random.uuid();
    metadata['creationTimestamp'] = timestamp(now);
    metadata['generation'] = 1;
    return metadata;
  }

  async #createAnyway(target: Target, object: KubeObject, dryRun: boolean): Promise<Created> {
    const { kind, namespace } = target;
    if (kind.namespaced && namespace !== undefined) {
      const stored = await this.options.mutator.find(objectStoreKey(namespaceKind, namespace, undefined));
      refuseClosedNamespace(kind, object.metadata.name ?? '', namespace, stored?.object);
    }
    return this.#store(target, object, dryRun);
  }

  async #store({ kind, namespace }: Target, object: KubeObject, dryRun: boolean): Promise<Created> {
    const { name, generateName = '' } = object.metadata;
    for (let tries = name ? generatedNameTriesMax : 1; ; tries++) {
      const named = name ?? this.#generatedName(kind, generateName);
      // In the order in which clients like to read it: the name first.
      const final: KubeObject = name ? object : { ...object, metadata: { name: named, ...object.metadata } };
      const stored = await this.offer(kind, namespace, final, dryRun);
      if (stored) return stored;
      if (tries >= generatedNameTriesMax) throw name ? alreadyExists(kind, named) : generatedNameTaken(kind, named);
    }
  }

  /** Undefined when an object of this name exists. @throws ApiError what the store's failure means */
  async offer(kind: KindDefinition, namespace: string | undefined, object: KubeObject, dryRun: boolean): Promise<Created | undefined> {
    if (!dryRun) return this.#offer(kind, namespace, object, () => undefined);
    const name = object.metadata.name!;
    const there = await this.options.mutator.find(objectStoreKey(storedKind(kind), name, namespace));
    return there ? undefined : { rendered: new RenderedObject(object), name, resourceVersion: '' };
  }

  /** @param otherwise what to answer when an object of this name exists */
  #offer<T>(kind: KindDefinition, namespace: string | undefined, object: KubeObject, otherwise: (kind: KindDefinition, name: string) => T): Promise<Created | T> {
    const name = object.metadata.name!;
    const stored = toStored(kind, object);
    const write = { op: 'create', key: objectStoreKey(storedKind(kind), name, namespace), value: encodeObject(stored) } as const;
    return this.options.cache.write(write, stored).then(
      (outcome) => (outcome.ok ? { rendered: asServed(kind, outcome.entry!), name, resourceVersion: String(outcome.revision) } : otherwise(kind, name)),
      (error: unknown) => {
        throw toClientError(error);
      },
    );
  }

  #generatedName(kind: KindDefinition, prefix: string): string {
    const lengthMax = kind === (namespaceKind as unknown as KindDefinition) ? generatedLabelPrefixLengthMax : generatedPrefixLengthMax;
    return prefix.slice(0, lengthMax) + this.options.random.suffix(generatedSuffixLength);
  }
}

function taken(kind: KindDefinition, name: string): never {
  throw alreadyExists(kind, name);
}

function withoutServersFields(kind: KindDefinition, object: KubeObject, applied: boolean): KubeObject {
  if (!kind.statusSubresource || (kind.statusAtCreation && !applied) || object.status === undefined) return object;
  const { status: _status, ...rest } = object;
  return rest as KubeObject;
}
