// cluster.ts: the resource layer on a real store, for tests. Objects in the cache are frozen, so that nothing
// can change a shared one without failing at that line.

import { dequal } from 'dequal';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KindDefinition } from '../../../api/kind.js';
import type { KubeObject } from '../../../api/meta.js';
import { nodeKind as node } from '../../../api/node.js';
import { taskKind as task, type Task, type TaskSpec } from '../../../api/task.js';
import { deepFreeze } from '../../../lib/deep-freeze.js';
import { SystemClock } from '../../../lib/clock.js';
import { FakeClock } from '../../../lib/fake-clock.js';
import { silentLogger } from '../../../lib/log.js';
import { SeededRandom } from '../../../lib/random.js';
import { EmbeddedStore } from '../../storage/embedded/embedded-store.js';
import { rootPrefix, type Store } from '../../storage/store.js';
import { WatchCache } from '../../storage/watch-cache.js';
import { bootstrap } from '../bootstrap.js';
import { BulkService } from '../bulk-service.js';
import { cacheIndexes } from '../object-cache.js';
import { PresenceService } from '../presence-service.js';
import { StoredResourceService } from '../resource-service.js';
import type { Caller, ObjectTarget, Rendered, Target, WatchQuery } from '../service.js';

export const taskKind = task as unknown as KindDefinition;
export const nodeKind = node as unknown as KindDefinition;

export interface SeenEvent {
  type: string;
  object: KubeObject;
}

/** A watch, with what it has seen; `until` waits for the next event that is not yet taken. */
export interface SeenWatch {
  readonly events: SeenEvent[];
  readonly ended: unknown[];
  next(): Promise<SeenEvent>;
  end(): Promise<unknown>;
  stop(): void;
}

export class TestCluster {
  readonly warnings: string[] = [];
  readonly caller: Caller = { user: { name: 'admin', groups: ['system:masters'] }, warn: (message) => this.warnings.push(message) };

  private constructor(
    readonly store: Store,
    readonly cache: WatchCache,
    readonly resources: StoredResourceService,
    readonly bulk: BulkService,
    readonly presence: PresenceService,
    readonly clock: FakeClock,
    private readonly held: { gate: Promise<void> | undefined; open: () => void },
    private readonly stopAll: () => Promise<void>,
  ) {}

  /** On an embedded store of its own. */
  static start(): Promise<TestCluster> {
    const directory = mkdtempSync(join(tmpdir(), 'resources-'));
    const store = EmbeddedStore.open({ file: join(directory, 'store.db'), clock: new SystemClock(), keepChanges: 1_000 });
    return TestCluster.on(store, () => rmSync(directory, { recursive: true, force: true }));
  }

  /** On this store, which it closes. */
  static async on(inner: Store, afterwards: () => void = () => {}): Promise<TestCluster> {
    const held: { gate: Promise<void> | undefined; open: () => void } = { gate: undefined, open: () => {} };
    const store = withHeldWatch(inner, held);
    const clock = new FakeClock();
    const random = new SeededRandom(1);
    const cache = new WatchCache({ store, indexes: cacheIndexes, windowChanges: 1_000, clock: new SystemClock(), random, log: silentLogger });
    const stop = new AbortController();
    const running = cache.run(stop.signal);
    const resources = new StoredResourceService({ cache, store, clock, random });
    const { mutator, creator } = resources;
    const bulk = new BulkService({ cache, mutator, creator, clock });
    const presence = new PresenceService({ cache, presence: store.presence, mutator, clock, random, logger: silentLogger });
    await cache.ready;
    cache.subscribe({ prefix: rootPrefix }, { changes: (batch) => batch.forEach(({ entry }) => deepFreeze(entry.object)), gone() {} });
    await bootstrap(resources);
    await cache.fresh();
    return new TestCluster(store, cache, resources, bulk, presence, clock, held, async () => {
      held.open();
      stop.abort();
      await running;
      await inner.close();
      afterwards();
    });
  }

  stop(): Promise<void> {
    return this.stopAll();
  }

  /** From now on the cache sees no changes, as one far behind, until `letCacheGo`. */
  holdCache(): void {
    this.held.gate = new Promise((resolve) => (this.held.open = resolve));
  }

  async letCacheGo(): Promise<void> {
    this.held.gate = undefined;
    this.held.open();
    await this.cache.fresh();
  }

  target(kind: KindDefinition, name: string, options: { namespace?: string; subresource?: 'status' } = {}): ObjectTarget {
    return { kind, name, namespace: kind.namespaced ? (options.namespace ?? 'default') : undefined, ...(options.subresource ? { subresource: options.subresource } : {}) };
  }

  async createTask(name: string, spec: Partial<TaskSpec> = {}, metadata: object = {}): Promise<Task> {
    const body = { apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name, ...metadata }, spec: { command: ['true'], ...spec } };
    return this.create(taskKind, body) as Promise<Task>;
  }

  async createNode(name: string): Promise<KubeObject> {
    return this.create(nodeKind, { metadata: { name } });
  }

  async create(kind: KindDefinition, body: object, namespace = 'default'): Promise<KubeObject> {
    return this.read(await this.resources.create(this.caller, { kind, namespace: kind.namespaced ? namespace : undefined }, body as KubeObject, {}));
  }

  async bindTask(taskName: string, nodeName: string): Promise<Task> {
    const { metadata } = await this.getTask(taskName);
    const outcomes = await this.bulk.bind({ items: [{ namespace: 'default', name: taskName, uid: metadata.uid, nodeName }] });
    if (outcomes[0]!.code !== 200) throw new Error(JSON.stringify(outcomes[0]));
    return this.getTask(taskName);
  }

  async getTask(name: string): Promise<Task> {
    return this.read(await this.resources.get(this.caller, this.target(taskKind, name))) as Task;
  }

  /** A private copy, and a check that text and object agree. */
  read({ object, json }: Rendered): KubeObject {
    const parsed = JSON.parse(json) as KubeObject;
    // A projection may have fields that are undefined; what is stored may not.
    const plain = object.kind === 'Pod' ? (JSON.parse(JSON.stringify(object)) as KubeObject) : object;
    if (!dequal(parsed, plain)) throw new Error(`text and object differ: ${json}`);
    return parsed;
  }

  async watch(target: Target, query: WatchQuery = {}): Promise<SeenWatch> {
    const events: SeenEvent[] = [];
    const ended: unknown[] = [];
    let wake = (): void => {};
    let taken = 0;
    const stop = await this.resources.watch(this.caller, target, query, {
      event: (type, rendered) => {
        events.push({ type, object: this.read(rendered) });
        wake();
      },
      end: (status) => {
        ended.push(status);
        wake();
      },
    });
    const something = (): Promise<void> => new Promise((resolve) => (wake = resolve));
    return {
      events,
      ended,
      stop,
      async next() {
        while (events.length <= taken) await something();
        return events[taken++]!;
      },
      async end() {
        while (ended.length === 0) await something();
        return ended[0];
      },
    };
  }
}

function withHeldWatch(store: Store, held: { gate: Promise<void> | undefined }): Store {
  return {
    presence: store.presence,
    read: (key) => store.read(key),
    list: (prefix, options) => store.list(prefix, options),
    write: (write) => store.write(write),
    currentRevision: () => store.currentRevision(),
    close: () => store.close(),
    async *watch(prefix, revision, signal) {
      for await (const batch of store.watch(prefix, revision, signal)) {
        if (held.gate) await held.gate;
        yield batch;
      }
    },
  };
}
