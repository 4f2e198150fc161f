// observer.ts
//
// Watches the objects of one kind from outside and lets a story wait for what it wants to see. It lists and watches by
// itself, without the informer of the product, because it is the judge of the product; a server that is killed and
// started again only makes it list again.

import type { ApiClient } from '../client/api-client.js';
import type { KindDefinition } from '../api/kind.js';
import { objectKey, type KubeObject } from '../api/meta.js';
import { sleep, type Clock } from '../lib/clock.js';
import { Deferred } from '../lib/deferred.js';

export interface ObserverOptions<T extends KubeObject> {
  readonly client: ApiClient;
  readonly kind: KindDefinition<T>;
  readonly clock: Clock;
  /** Told of every state of every object, after it has been entered in `objects`. */
  readonly onChange?: (object: T, type: 'ADDED' | 'MODIFIED' | 'DELETED') => void;
}

interface Wait {
  check(): void;
}

/** A server that is away is asked again this soon: stories kill servers, and wait for them. */
const retryMs = 50;

export class Observer<T extends KubeObject> {
  /** By objectKey; the newest state of each object that exists. */
  readonly objects = new Map<string, T>();
  readonly #options: ObserverOptions<T>;
  readonly #waits = new Set<Wait>();
  #listings = 0;

  constructor(options: ObserverOptions<T>) {
    this.#options = options;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#listAndWatch(signal);
      } catch {
        await sleep(this.#options.clock, retryMs, signal);
      }
    }
  }

  /** Resolves when the first list is here. */
  async synced(): Promise<void> {
    await this.until('the first list', () => this.#listings > 0);
  }

  /**
   * Resolves with the first truthy answer of `check`, asked now and after each change.
   * @param what completes "timed out waiting for …"
   * @throws Error when there is none within `timeoutMs`
   */
  async until<R>(what: string, check: () => R | undefined | false, timeoutMs = 60_000): Promise<R> {
    const found = new Deferred<R>();
    const wait = {
      check: () => {
        try {
          const answer = check();
          if (answer) found.resolve(answer);
        } catch (error) {
          found.reject(error);
        }
      },
    };
    const timer = this.#options.clock.timer(timeoutMs, () => found.reject(new Error(`timed out after ${timeoutMs} ms waiting for ${what}; there is:\n${this.#summary()}`)));
    this.#waits.add(wait);
    wait.check();
    try {
      return await found.promise;
    } finally {
      timer.cancel();
      this.#waits.delete(wait);
    }
  }

  /** Resolves with the object once `check` holds for it. */
  untilObject(key: string, what: string, check: (object: T) => boolean, timeoutMs?: number): Promise<T> {
    const holds = (): T | undefined => {
      const object = this.objects.get(key);
      return object && check(object) ? object : undefined;
    };
    return this.until(`${key} ${what}`, holds, timeoutMs);
  }

  async untilGone(key: string, timeoutMs?: number): Promise<void> {
    await this.until(`${key} to be gone`, () => this.#listings > 0 && !this.objects.has(key), timeoutMs);
  }

  async #listAndWatch(signal: AbortSignal): Promise<void> {
    const { client, kind } = this.#options;
    const list = await client.list(kind);
    const present = new Set(list.items.map(objectKey));
    for (const [key, object] of this.objects) if (!present.has(key)) this.#apply('DELETED', object);
    for (const object of list.items) {
      const known = this.objects.get(objectKey(object));
      if (known?.metadata.resourceVersion !== object.metadata.resourceVersion) this.#apply(known ? 'MODIFIED' : 'ADDED', object);
    }
    this.#listings++;
    this.#checkAll();
    const resourceVersion = list.metadata.resourceVersion;
    for await (const event of client.watch(kind, { resourceVersion, signal })) {
      if (event.type === 'BOOKMARK') continue;
      this.#apply(event.type, event.object);
      this.#checkAll();
    }
  }

  #apply(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: T): void {
    if (type === 'DELETED') this.objects.delete(objectKey(object));
    else this.objects.set(objectKey(object), object);
    this.#options.onChange?.(object, type);
  }

  #checkAll(): void {
    for (const wait of this.#waits) wait.check();
  }

  #summary(): string {
    const shown = [...this.objects.values()].slice(0, 20).map((object) => `${objectKey(object)} ${JSON.stringify(object.status ?? {})}`);
    return [...shown, ...(this.objects.size > shown.length ? [`… and ${this.objects.size - shown.length} more`] : [])].join('\n') || '(nothing)';
  }
}
