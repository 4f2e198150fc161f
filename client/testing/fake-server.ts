// fake-server.ts
//
// The smallest API server that an informer can tell from none: objects of one kind by key, revisions, pages, watches with
// a window of history that can be forgotten. For tests of the client alone; everything else runs on the real handler.

import { ApiError, expired, type Status } from '../../api/errors.js';
import { objectKey, type KubeObject } from '../../api/meta.js';
import type { ApiRequest, ApiResponse, ApiStream, Transport } from '../../api/transport.js';

interface Event {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  object: KubeObject;
  revision: number;
}

export class FakeServer implements Transport {
  readonly #objects = new Map<string, KubeObject>();
  #history: Event[] = [];
  #forgotten = 0;
  #revision = 1;
  readonly #watchers = new Set<{ push(text: string): void; end(): void }>();
  readonly requests: ApiRequest[] = [];

  get objects(): ReadonlyMap<string, KubeObject> {
    return this.#objects;
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  put(namespace: string, name: string, fields: Record<string, unknown> = {}): KubeObject {
    const revision = ++this.#revision;
    const key = `${namespace}/${name}`;
    const old = this.#objects.get(key);
    const metadata = { name, namespace, uid: old?.metadata.uid ?? `uid-${revision}`, resourceVersion: String(revision) };
    const object: KubeObject = { apiVersion: 'v1', kind: 'ConfigMap', metadata, ...fields };
    this.#objects.set(key, object);
    this.#record({ type: old ? 'MODIFIED' : 'ADDED', object, revision });
    return object;
  }

  remove(namespace: string, name: string): void {
    const old = this.#objects.get(`${namespace}/${name}`);
    if (!old) return;
    const revision = ++this.#revision;
    this.#objects.delete(objectKey(old));
    this.#record({ type: 'DELETED', object: { ...old, metadata: { ...old.metadata, resourceVersion: String(revision) } }, revision });
  }

  bookmark(): void {
    const metadata = { resourceVersion: String(this.#revision) };
    this.#broadcast({ type: 'BOOKMARK', object: { apiVersion: 'v1', kind: 'ConfigMap', metadata }, revision: this.#revision });
  }

  /** Watches from before now get 410 from here on. */
  forget(): void {
    this.#history = [];
    this.#forgotten = this.#revision;
  }

  /** Ends all watches, as a server that stops does. */
  endWatches(): void {
    for (const watcher of this.#watchers) watcher.end();
  }

  async request(request: ApiRequest): Promise<ApiResponse> {
    this.requests.push(request);
    const all = [...this.#objects.values()].sort((a, b) => (objectKey(a) < objectKey(b) ? -1 : 1));
    const [at, after] = String(request.query?.['continue'] ?? `${this.#revision}:`).split(':') as [string, string];
    if (Number(at) < this.#forgotten) return answer(expired('the list has moved on').toStatus());
    const rest = all.filter((object) => objectKey(object) > after);
    // Pages of three, so that every list of a test has several; as the fake keeps no old versions, a change in between is an expiry.
    if (Number(at) !== this.#revision) return answer(expired('the list has moved on').toStatus());
    const items = rest.slice(0, 3);
    const more = rest.length > items.length ? { continue: `${at}:${objectKey(items.at(-1)!)}` } : {};
    const body = { apiVersion: 'v1', kind: 'ConfigMapList', metadata: { resourceVersion: at, ...more }, items };
    return { status: 200, headers: {}, body: JSON.stringify(body) };
  }

  async stream(request: ApiRequest): Promise<ApiStream> {
    this.requests.push(request);
    if (request.query?.['sendInitialEvents'] === true) return { status: 200, headers: {}, chunks: this.#watch(this.#state(), request.signal) };
    const from = Number(request.query?.['resourceVersion']);
    if (from < this.#forgotten) {
      const status = new ApiError('Expired', 'too old resource version').toStatus();
      return { status: 410, headers: {}, chunks: chunksOf([JSON.stringify(status)]) };
    }
    const backlog = this.#history.filter((event) => event.revision > from).map(line);
    return { status: 200, headers: {}, chunks: this.#watch(backlog, request.signal) };
  }

  /** What there is as lines of a watch, and the bookmark at its end. */
  #state(): string[] {
    const metadata = { resourceVersion: String(this.#revision), annotations: { 'k8s.io/initial-events-end': 'true' } };
    const objects = [...this.#objects.values()].map((object) => ({ type: 'ADDED', object }));
    return [...objects, { type: 'BOOKMARK', object: { metadata } }].map((event) => `${JSON.stringify(event)}\n`);
  }

  async close(): Promise<void> {
    this.endWatches();
  }

  async *#watch(backlog: string[], signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
    const waiting = backlog;
    let ended = signal?.aborted ?? false;
    let wake = (): void => {};
    const watcher = {
      push: (text: string): void => {
        waiting.push(text);
        wake();
      },
      end: (): void => {
        ended = true;
        wake();
      },
    };
    this.#watchers.add(watcher);
    signal?.addEventListener('abort', watcher.end, { once: true });
    try {
      while (!ended || waiting.length > 0) {
        if (waiting.length > 0) yield Buffer.from(waiting.splice(0).join(''));
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      this.#watchers.delete(watcher);
      signal?.removeEventListener('abort', watcher.end);
    }
  }

  #record(event: Event): void {
    this.#history.push(event);
    this.#broadcast(event);
  }

  #broadcast(event: Event): void {
    for (const watcher of this.#watchers) watcher.push(line(event));
  }
}

function line(event: Event): string {
  return `${JSON.stringify({ type: event.type, object: event.object })}\n`;
}

function answer(status: Status): ApiResponse {
  return { status: status.code, headers: {}, body: JSON.stringify(status) };
}

async function* chunksOf(texts: string[]): AsyncGenerator<Buffer> {
  for (const text of texts) yield Buffer.from(text);
}
