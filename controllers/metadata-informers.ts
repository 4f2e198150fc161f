// metadata-informers.ts
//
// Copies of the metadata of all stored objects, of every kind there is, kept as kinds come and go. Only what garbage
// collection needs is asked of the server and kept: no secret comes into this process. Where the process has a copy of a
// kind anyway, that one is shared.

import type { KindDefinition } from '../api/kind.js';
import { objectKey, type KubeObject } from '../api/meta.js';
import type { ApiClient } from '../client/api-client.js';
import { Informer, type InformerChange } from '../client/informer.js';
import type { Clock } from '../lib/clock.js';
import { Deferred } from '../lib/deferred.js';
import type { Logger } from '../lib/log.js';
import type { Random } from '../lib/random.js';
import { aborted, type Service } from '../lib/service.js';
import type { KindSource } from './kind-source.js';

/** What happens to the objects of all kinds. */
export interface MetadataHandler {
  changes(kind: KindDefinition, changes: readonly InformerChange<KubeObject>[]): void;
  /** The kinds have changed: what could not be found before may be found now. */
  kindsChanged?(): void;
  /** A kind is no longer served; nothing is known of its objects any more. */
  kindGone?(kind: KindDefinition): void;
}

/** Metadata of the objects of every kind. */
export interface MetadataSource {
  /** Whether the copies of all kinds are whole. */
  readonly hasSynced: boolean;
  readonly synced: Promise<void>;
  find(apiVersion: string, kind: string): KindDefinition | undefined;
  stored(): readonly KindDefinition[];
  /** Whether some objects of the kind are left out: one that is not here, or no longer, may be there. */
  isPartial(kind: KindDefinition): boolean;
  /** The copy of an object, whatever version or view of its kind is asked for. */
  get(kind: KindDefinition, name: string, namespace: string | undefined): KubeObject | undefined;
  /** The copies of the objects of a kind; apiVersion and kind may be missing. */
  values(kind: KindDefinition): Iterable<KubeObject>;
  /** A handler that comes late first gets what is there, as added. */
  onChanges(handler: MetadataHandler): void;
}

interface Running {
  kind: KindDefinition;
  informer: Informer<KubeObject>;
  stop: AbortController;
  /** The copies in the version read before, until those in this one are whole. */
  before?: Informer<KubeObject> | undefined;
}

export interface MetadataInformersOptions {
  client: ApiClient;
  kinds: KindSource;
  /** Informers that run anyway; whoever owns them runs them. Partial: they have not all objects of their kind. */
  shared: readonly { kind: KindDefinition; informer: Informer<KubeObject>; partial?: boolean }[];
  /** Kinds that nobody owns and that own nothing. */
  ignored: readonly KindDefinition[];
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** The same kind in whatever version. */
const keyOf = ({ group, plural }: KindDefinition): string => `${group}/${plural}`;
const storedKind = (kind: KindDefinition): KindDefinition => (kind.projectionOf ?? kind.storedAs)?.kind ?? kind;

export class MetadataInformers implements Service, MetadataSource {
  readonly name = 'metadata informers';
  readonly #options: MetadataInformersOptions;
  readonly #running = new Map<string, Running>();
  readonly #ignored: ReadonlySet<string>;
  readonly #shared: ReadonlyMap<string, Informer<KubeObject>>;
  readonly #partial: ReadonlySet<string>;
  readonly #handlers: MetadataHandler[] = [];
  readonly #ends = new Set<Promise<void>>();
  readonly #settled = new Deferred<void>();
  #signal: AbortSignal | undefined;

  constructor(options: MetadataInformersOptions) {
    this.#options = options;
    this.#ignored = new Set(options.ignored.map(keyOf));
    this.#shared = new Map(options.shared.map(({ kind, informer }) => [keyOf(kind), informer]));
    this.#partial = new Set(options.shared.filter(({ partial }) => partial).map(({ kind }) => keyOf(kind)));
    options.kinds.onChange(() => this.#settle());
  }

  get hasSynced(): boolean {
    return this.#signal !== undefined && [...this.#running.values()].every(({ informer }) => informer.hasSynced);
  }

  get synced(): Promise<void> {
    return this.#allSynced();
  }

  find(apiVersion: string, kind: string): KindDefinition | undefined {
    return this.#options.kinds.find(apiVersion, kind);
  }

  stored(): readonly KindDefinition[] {
    return this.#options.kinds.stored();
  }

  isPartial(kind: KindDefinition): boolean {
    return this.#partial.has(keyOf(storedKind(kind)));
  }

  get(kind: KindDefinition, name: string, namespace: string | undefined): KubeObject | undefined {
    return this.#running.get(keyOf(storedKind(kind)))?.informer.get(objectKey({ metadata: { name, ...(namespace === undefined ? {} : { namespace }) } }));
  }

  *values(kind: KindDefinition): Iterable<KubeObject> {
    const running = this.#running.get(keyOf(storedKind(kind)));
    if (running) yield* running.informer.values();
  }

  onChanges(handler: MetadataHandler): void {
    this.#handlers.push(handler);
    for (const { kind, informer } of this.#running.values()) informer.onChanges((changes) => handler.changes(kind, changes));
  }

  /** Forgets all handlers, its own on the shared informers and on the kinds too, which their owners detach. */
  detachHandlers(): void {
    this.#handlers.length = 0;
    for (const { informer } of this.#running.values()) informer.detachHandlers();
    this.#options.kinds.onChange(() => this.#settle());
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.race([this.#options.kinds.synced, aborted(signal)]);
    this.#signal = signal;
    this.#settle();
    if (!signal.aborted) this.#settled.resolve();
    await aborted(signal);
    for (const { stop } of this.#running.values()) stop.abort();
    await Promise.all(this.#ends);
  }

  async #allSynced(): Promise<void> {
    await this.#settled.promise;
    await Promise.all([...this.#running.values()].map(({ informer }) => informer.synced));
  }

  /** Sees to it that there is an informer for each kind, and for no other. */
  #settle(): void {
    const signal = this.#signal;
    if (!signal || signal.aborted) return;
    const wanted = new Map(this.#options.kinds.stored().filter((kind) => !this.#ignored.has(keyOf(kind))).map((kind) => [keyOf(kind), kind]));
    const replaced = new Map<string, Informer<KubeObject>>();
    for (const [key, running] of this.#running) {
      // Another version is read from now on, or the kind is gone.
      if (wanted.get(key)?.version === running.kind.version) continue;
      running.stop.abort();
      this.#running.delete(key);
      if (wanted.has(key)) replaced.set(key, running.informer.hasSynced ? running.informer : (running.before ?? running.informer));
      else for (const handler of this.#handlers) handler.kindGone?.(running.kind);
    }
    for (const [key, kind] of wanted) if (!this.#running.has(key)) this.#start(key, kind, replaced.get(key));
    for (const handler of this.#handlers) handler.kindsChanged?.();
  }

  #start(key: string, kind: KindDefinition, before?: Informer<KubeObject>): void {
    const { client, clock, random, logger } = this.#options;
    const shared = this.#shared.get(key);
    const informer = shared ?? new Informer<KubeObject>({ client, kind, metadataOnly: true, omitManagedFields: true, keep: essentials, clock, random, logger });
    const stop = new AbortController();
    const running: Running = { kind, informer, stop, before };
    this.#running.set(key, running);
    for (const handler of this.#handlers) informer.onChanges((changes) => handler.changes(kind, changes));
    if (shared) return;
    if (before) void informer.synced.then(() => this.#tellMissing(key, running));
    const ended: Promise<void> = informer.run(stop.signal).finally(() => this.#ends.delete(ended));
    this.#ends.add(ended);
  }

  /** What went while one informer took over from another, nobody has told yet. */
  #tellMissing(key: string, running: Running): void {
    const { kind, informer, before } = running;
    running.before = undefined;
    if (!before || this.#running.get(key) !== running) return;
    const missing = [...before.values()].filter((object) => informer.get(objectKey(object))?.metadata.uid !== object.metadata.uid);
    if (missing.length === 0) return;
    const changes = missing.map((object) => ({ type: 'deleted' as const, object }));
    for (const handler of this.#handlers) handler.changes(kind, changes);
  }
}

/** What of an object says who owns it and whether it is going. */
export function essentials({ apiVersion, kind, metadata }: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion, deletionTimestamp, finalizers, ownerReferences } = metadata;
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      uid,
      resourceVersion,
      ...(deletionTimestamp ? { deletionTimestamp } : {}),
      ...(finalizers?.length ? { finalizers } : {}),
      ...(ownerReferences?.length ? { ownerReferences } : {}),
    },
  };
}
