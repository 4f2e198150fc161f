import { isReason } from '../../api/errors.js';
import type { KindDefinition } from '../../api/kind.js';
import { kinds } from '../../api/kinds.js';
import { namespaceKind, type Namespace } from '../../api/namespace.js';
import type { ApiClient } from '../../client/api-client.js';
import type { Informer } from '../../client/informer.js';
import { ReconcileLoop } from '../../client/reconcile-loop.js';
import type { Clock } from '../../lib/clock.js';
import type { Logger } from '../../lib/log.js';
import type { Random } from '../../lib/random.js';
import type { Service } from '../../lib/service.js';
import { contentKinds, isOurs, released, remainingText, type Remaining } from './plan.js';

/** Tasks with processes take their grace period to go; we look this often whether they have. */
const lookAgainMs = 500;

/** Deletes what is in namespaces that are being deleted, then lets the namespaces go. */
export class NamespaceCleaner implements Service {
  readonly name = 'namespace';
  readonly #client: ApiClient;
  readonly #namespaces: Informer<Namespace>;
  readonly #logger: Logger;
  readonly #loop: ReconcileLoop;

  constructor(options: { client: ApiClient; namespaces: Informer<Namespace>; clock: Clock; random: Random; logger: Logger }) {
    const { client, namespaces, clock, random, logger } = options;
    this.#client = client;
    this.#namespaces = namespaces;
    this.#logger = logger.child({ loop: this.name });
    this.#loop = new ReconcileLoop({ name: this.name, reconcile: (key) => this.#reconcile(key), concurrency: 4, clock, random, logger });
    namespaces.onChanges((changes) => {
      for (const { type, object } of changes) if (type !== 'deleted' && isOurs(object)) this.#loop.enqueue(object.metadata.name ?? '');
    });
  }

  run(signal: AbortSignal): Promise<void> {
    return this.#loop.run(signal);
  }

  async #reconcile(name: string): Promise<void | { againAfterMs: number }> {
    const namespace = this.#namespaces.get(name);
    if (!namespace || !isOurs(namespace)) return;
    const remaining: Remaining[] = [];
    for (const kind of contentKinds(kinds)) {
      const objects = await this.#empty(kind, name);
      if (objects > 0) remaining.push({ kind: kind.kind, objects });
    }
    if (remaining.length > 0) {
      this.#logger.debug('the namespace waits for what is in it to go', { namespace: name, remaining: remainingText(remaining) });
      return { againAfterMs: lookAgainMs };
    }
    try {
      await this.#client.update(namespaceKind, released(namespace));
      this.#logger.info('the namespace is empty and gone', { namespace: name });
    } catch (error) {
      if (!isReason(error, 'NotFound', 'Conflict')) throw error;
    }
  }

  /** Asks everything of the kind to go; how much is still there. */
  async #empty(kind: KindDefinition, namespace: string): Promise<number> {
    // An empty list is the rule, and cheaper than a deletion that finds nothing.
    const before = await this.#client.list(kind, { namespace, limit: 1 });
    if (before.items.length === 0) return 0;
    await this.#client.deleteCollection(kind, { namespace });
    const after = await this.#client.list(kind, { namespace, limit: 1 });
    return after.items.length + (after.metadata.remainingItemCount ?? 0);
  }
}
