import { dequal } from 'dequal';
import { isReason } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import { namespaceKind, type Namespace } from '../../api/namespace.js';
import type { ApiClient } from '../../client/api-client.js';
import type { Informer } from '../../client/informer.js';
import { ReconcileLoop } from '../../client/reconcile-loop.js';
import type { Clock } from '../../lib/clock.js';
import type { Logger } from '../../lib/log.js';
import type { Random } from '../../lib/random.js';
import { aborted, type Service } from '../../lib/service.js';
import type { MetadataSource } from '../metadata-informers.js';
import { conditionsOf, contentKinds, isOurs, released, remainingText, type Emptied, type Remaining } from './plan.js';

/** Objects tell us when they go; this is for those whose copies we do not have. */
const lookAgainMs = 5_000;
/** Many objects go at about the same time: one look serves for all. */
const gatherMs = 100;
/** Objects of a kind whose finalizers are looked at. */
const sampleMax = 500;

/** Deletes what is in namespaces that are being deleted, of every kind, then lets the namespaces go. */
export class NamespaceCleaner implements Service {
  readonly name = 'namespace';
  readonly #client: ApiClient;
  readonly #namespaces: Informer<Namespace>;
  readonly #objects: MetadataSource;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #loop: ReconcileLoop;

  constructor(options: { client: ApiClient; namespaces: Informer<Namespace>; objects: MetadataSource; clock: Clock; random: Random; logger: Logger }) {
    const { client, namespaces, objects, clock, random, logger } = options;
    this.#client = client;
    this.#namespaces = namespaces;
    this.#objects = objects;
    this.#clock = clock;
    this.#logger = logger.child({ loop: this.name });
    this.#loop = new ReconcileLoop({ name: this.name, reconcile: (key) => this.#reconcile(key), concurrency: 4, clock, random, logger });
    const terminating = new Set<string>();
    namespaces.onChanges((changes) => {
      for (const { type, object } of changes) {
        const { name = '' } = object.metadata;
        if (type === 'deleted' || !isOurs(object)) {
          terminating.delete(name);
        } else if (!terminating.has(name)) {
          terminating.add(name);
          this.#loop.enqueue(name);
        }
      }
    });
    objects.onChanges({
      changes: (_kind, changes) => {
        if (terminating.size === 0) return;
        for (const { type, object } of changes) {
          const { namespace = '' } = object.metadata;
          if (type === 'deleted' && terminating.has(namespace)) this.#loop.enqueueAfter(namespace, gatherMs);
        }
      },
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    // Content of a kind that is not known yet would be left behind.
    await Promise.race([this.#objects.synced, aborted(signal)]);
    if (!signal.aborted) await this.#loop.run(signal);
  }

  async #reconcile(name: string): Promise<void | { againAfterMs: number }> {
    const namespace = this.#namespaces.get(name);
    if (!namespace || !isOurs(namespace)) return undefined;
    const emptied = await this.#emptyAll(name);
    const { remaining, failures } = emptied;
    const conditions = conditionsOf(emptied, namespace.status?.conditions, this.#clock.now());
    const done = remaining.length === 0 && failures.length === 0;
    if (!done && !dequal(conditions, namespace.status?.conditions)) await this.#tell(namespace, conditions);
    if (!done) {
      this.#logger.debug('the namespace waits for what is in it to go', { namespace: name, remaining: remainingText(remaining) });
      return { againAfterMs: lookAgainMs };
    }
    try {
      await this.#client.update(namespaceKind, released(namespace), { subresource: 'finalize' });
      this.#logger.info('the namespace is empty and gone', { namespace: name });
    } catch (error) {
      if (!isReason(error, 'NotFound', 'Conflict')) throw error;
    }
    return undefined;
  }

  async #tell(namespace: Namespace, conditions: NonNullable<Namespace['status']>['conditions']): Promise<void> {
    const { resourceVersion: _any, ...metadata } = namespace.metadata;
    try {
      await this.#client.update(namespaceKind, { ...namespace, metadata, status: { ...namespace.status, phase: 'Terminating', conditions } }, { subresource: 'status' });
    } catch (error) {
      if (!isReason(error, 'NotFound', 'Conflict')) throw error;
    }
  }

  async #emptyAll(namespace: string): Promise<Emptied> {
    const remaining: Remaining[] = [];
    const failures: { kind: KindDefinition; message: string }[] = [];
    for (const kind of contentKinds(this.#objects.stored())) {
      try {
        const left = await this.#empty(kind, namespace);
        if (left.objects > 0) remaining.push(left);
      } catch (error) {
        // A kind that is no longer served has nothing here.
        if (isReason(error, 'NotFound', 'MethodNotAllowed')) continue;
        failures.push({ kind, message: (error as Error).message });
      }
    }
    return { remaining, failures };
  }

  /** Asks everything of the kind to go. @returns what is still there */
  async #empty(kind: KindDefinition, namespace: string): Promise<Remaining> {
    // An empty list is the rule, and cheaper than a deletion that finds nothing.
    const before = await this.#client.list(kind, { namespace, limit: 1, metadataOnly: true });
    if (before.items.length === 0) return { kind, objects: 0, finalizers: new Map() };
    await this.#client.deleteCollection(kind, { namespace }, { propagationPolicy: 'Background' });
    const after = await this.#client.list(kind, { namespace, limit: sampleMax, metadataOnly: true });
    const finalizers = new Map<string, number>();
    for (const { metadata } of after.items) for (const finalizer of metadata.finalizers ?? []) finalizers.set(finalizer, (finalizers.get(finalizer) ?? 0) + 1);
    return { kind, objects: after.items.length + (after.metadata.remainingItemCount ?? 0), finalizers };
  }
}
