// wire.ts: plain HTTPS requests with the admin's certificate: what is sent and what comes back, with no client library between.

import { Agent, request as httpsRequest } from 'node:https';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { loadKubeConfig, type ClusterAccess } from '../../client/kubeconfig.js';

/** JSON as the tests look at it. */
export interface Json {
  kind?: string;
  apiVersion?: string;
  metadata: { name?: string; namespace?: string; uid?: string; resourceVersion?: string; generation?: number; continue?: string; remainingItemCount?: number; annotations?: Record<string, string>; [field: string]: unknown };
  items?: Json[];
  spec?: Record<string, unknown>;
  status?: unknown;
  data?: Record<string, string>;
  message?: string;
  reason?: string;
  code?: number;
  [field: string]: unknown;
}

export interface Reply {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  /** The body, when it is JSON. */
  json: Json;
}

export interface Sent {
  query?: Readonly<Record<string, string | readonly string[]>>;
  headers?: Readonly<Record<string, string>>;
  /** A value is sent as JSON; text and bytes as they are. */
  body?: unknown;
  /** Content-Type; application/json for a value when absent. */
  type?: string;
}

export interface WatchEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  object: Json;
}

export class Wire {
  readonly #access: ClusterAccess;
  readonly #agent: Agent;
  readonly #watches = new Set<WireWatch>();

  static async of(kubeconfig: string): Promise<Wire> {
    return new Wire(await loadKubeConfig({ path: kubeconfig }));
  }

  constructor(access: ClusterAccess) {
    this.#access = access;
    const { ca, cert, key } = access;
    this.#agent = new Agent({ keepAlive: true, maxSockets: 64, ...(ca ? { ca } : {}), ...(cert ? { cert } : {}), ...(key ? { key } : {}) });
  }

  async request(method: string, path: string, sent: Sent = {}): Promise<Reply> {
    const message = await this.#open(method, path, sent);
    const parts: Buffer[] = [];
    for await (const part of message) parts.push(part as Buffer);
    const text = Buffer.concat(parts).toString('utf8');
    const json = (message.headers['content-type'] ?? '').includes('json') && text !== '' ? (JSON.parse(text) as Json) : ({} as Json);
    return { status: message.statusCode ?? 0, headers: message.headers, text, json };
  }

  get(path: string, query: Sent['query'] = {}, headers: Sent['headers'] = {}): Promise<Reply> {
    return this.request('GET', path, { query, headers });
  }

  post(path: string, body: unknown, query: Sent['query'] = {}): Promise<Reply> {
    return this.request('POST', path, { body, query });
  }

  put(path: string, body: unknown, query: Sent['query'] = {}): Promise<Reply> {
    return this.request('PUT', path, { body, query });
  }

  delete(path: string, body?: unknown, query: Sent['query'] = {}): Promise<Reply> {
    return this.request('DELETE', path, { query, ...(body === undefined ? {} : { body }) });
  }

  /** @param type `merge`, `json`, `strategic` or `apply` */
  patch(path: string, type: keyof typeof patchTypes, body: unknown, query: Sent['query'] = {}): Promise<Reply> {
    return this.request('PATCH', path, { body, query, type: patchTypes[type] });
  }

  /** The object that was made. @throws Error unless the answer is 201 */
  async create(path: string, body: unknown): Promise<Json> {
    const reply = await this.post(path, body);
    if (reply.status !== 201) throw new Error(`POST ${path}: ${reply.status} ${reply.text}`);
    return reply.json;
  }

  async watch(path: string, query: Sent['query'] = {}, headers: Sent['headers'] = {}): Promise<WireWatch> {
    const message = await this.#open('GET', path, { query: { watch: 'true', ...query }, headers });
    const watch = new WireWatch(message);
    this.#watches.add(watch);
    return watch;
  }

  close(): void {
    for (const watch of this.#watches) watch.stop();
    this.#agent.destroy();
  }

  #open(method: string, path: string, { query = {}, headers = {}, body, type }: Sent): Promise<IncomingMessage> {
    const parameters = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) for (const each of [value].flat()) parameters.append(name, each);
    const url = new URL(`${this.#access.server}${path}${parameters.size > 0 ? `?${parameters.toString()}` : ''}`);
    const bytes = body === undefined ? undefined : Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
    return new Promise((resolve, reject) => {
      const request = httpsRequest(url, {
        method,
        agent: this.#agent,
        headers: { accept: 'application/json', 'user-agent': 'conformance/1.0', ...(bytes ? { 'content-type': type ?? 'application/json', 'content-length': String(bytes.length) } : {}), ...headers },
      });
      request.once('response', resolve);
      request.once('error', reject);
      request.end(bytes);
    });
  }
}

export const patchTypes = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
} as const;

/** The events of a watch, in order, as they come. */
export class WireWatch {
  readonly status: number;
  readonly #events: AsyncIterator<string>;

  constructor(private readonly message: IncomingMessage) {
    this.status = message.statusCode ?? 0;
    message.on('error', () => undefined);
    this.#events = createInterface({ input: message, crlfDelay: Infinity })[Symbol.asyncIterator]();
  }

  /** Undefined when the server has ended the watch. */
  async next(): Promise<WatchEvent | undefined> {
    const { done, value } = await this.#events.next();
    return done ? undefined : (JSON.parse(value) as WatchEvent);
  }

  /** `TYPE name` of the next `count` events; a bookmark has no name. */
  async take(count: number): Promise<string[]> {
    const seen: string[] = [];
    while (seen.length < count) {
      const event = await this.next();
      if (!event) return [...seen, 'the end'];
      seen.push(event.object.metadata.name === undefined ? event.type : `${event.type} ${event.object.metadata.name}`);
    }
    return seen;
  }

  stop(): void {
    this.message.destroy();
  }
}
