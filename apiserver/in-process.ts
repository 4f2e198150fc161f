// in-process.ts
//
// The real API server without a socket: the handler, the resource layer, a real store. Tests of clients, controllers and
// agents run against it, and so can a simulator, because time, chance and the store come in from outside.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TransportError, type ApiRequest, type ApiResponse, type ApiStream, type Transport } from '../api/transport.js';
import { ApiError } from '../api/errors.js';
import { nodeKind } from '../api/node.js';
import type { Clock } from '../lib/clock.js';
import { silentLogger, type Logger } from '../lib/log.js';
import type { MessageChannel } from '../lib/mux.js';
import type { Random } from '../lib/random.js';
import { ApiServerCore, type RunningCache } from './core.js';
import { ChunkQueue } from './http/chunk-queue.js';
import type { ServerReply, ServerRequest } from './http/message.js';
import { ServerMetrics } from './http/metrics.js';
import { TunnelRequests } from './http/tunnel-requests.js';
import { adminSubject, agentSubject, controllersSubject } from './pki/kubeconfig.js';
import { cacheIndexes } from './resources/object-cache.js';
import type { User } from './resources/service.js';
import { EmbeddedStore } from './storage/embedded/embedded-store.js';
import type { Store } from './storage/store.js';
import { WatchCache } from './storage/watch-cache.js';

export const adminUser: User = adminSubject;
export const controllersUser: User = controllersSubject;
export const agentUser = (nodeName: string): User => agentSubject(nodeName);

export interface InProcessOptions {
  clock: Clock;
  random: Random;
  /** Closed with the server. An embedded store in a directory of its own, removed at the end, when absent. */
  store?: Store;
  /** Who `transport()` is; the admin when absent. */
  user?: User;
  presenceTtlMs?: number;
  logger?: Logger;
}

export interface InProcessApiServer {
  /** Requests as this user; undefined credentials with `null`. */
  transport(user?: User | null): Transport;
  /** Follows the store until the signal aborts, then ends every open stream. */
  run(signal: AbortSignal): Promise<void>;
  /** Resolves when requests are answered (needs `run`). */
  readonly ready: Promise<void>;
  readonly cache: RunningCache;
  readonly store: Store;
  /** The tunnel of an agent, as its WebSocket would: the server takes `channel` as the way to the node. @throws ApiError */
  connectTunnel(nodeName: string, channel: MessageChannel, user?: User): void;
  /** After `run` has ended: releases the store. */
  close(): Promise<void>;
}

export async function createInProcessApiServer(options: InProcessOptions): Promise<InProcessApiServer> {
  const { clock, random, logger = silentLogger } = options;
  const directory = options.store ? undefined : await mkdtemp(join(tmpdir(), 'taskplane-in-process-'));
  const store = options.store ?? EmbeddedStore.open({ file: join(directory!, 'store.db'), clock });
  const cache: RunningCache = new WatchCache({ store, indexes: cacheIndexes, clock, random, log: logger });
  const core = new ApiServerCore({ store, cache, clock, random, logger, metrics: new ServerMetrics({ process: false }), ...(options.presenceTtlMs === undefined ? {} : { presenceTtlMs: options.presenceTtlMs }) });
  const stopped = new AbortController();
  return {
    transport: (user = options.user ?? adminUser) => new InProcessTransport(core, user ?? undefined, stopped.signal),
    async run(signal) {
      try {
        await core.run(signal);
      } finally {
        core.tunnels.closeAll();
        stopped.abort();
      }
    },
    ready: core.ready,
    cache,
    store,
    connectTunnel(nodeName, channel, user = agentUser(nodeName)) {
      core.handler.admit(user, {}, { verb: 'get', kind: nodeKind, name: nodeName, subresource: 'tunnel' });
      core.tunnels.connect(nodeName, channel, new TunnelRequests({ handler: core.handler, user, clock }));
    },
    async close() {
      stopped.abort();
      await store.close();
      if (directory) await rm(directory, { recursive: true, force: true });
    },
  };
}

export interface RunningInProcessApiServer extends InProcessApiServer {
  /** Aborts when it is stopped. */
  readonly signal: AbortSignal;
  /** Ends it and what it holds. */
  stop(): Promise<void>;
}

/** The server, running. Resolves when it answers. */
export async function startInProcessApiServer(options: Parameters<typeof createInProcessApiServer>[0]): Promise<RunningInProcessApiServer> {
  const stop = new AbortController();
  const server = await createInProcessApiServer(options);
  const running = server.run(stop.signal);
  await server.ready;
  return {
    ...server,
    signal: stop.signal,
    async stop() {
      stop.abort();
      await running;
      await server.close();
    },
  };
}

class InProcessTransport implements Transport {
  readonly #closed = new AbortController();

  constructor(
    private readonly core: ApiServerCore,
    private readonly user: User | undefined,
    private readonly stopped: AbortSignal,
  ) {}

  async request(request: ApiRequest): Promise<ApiResponse> {
    const { status, headers, chunks } = await this.stream(request);
    const parts: Buffer[] = [];
    for await (const chunk of chunks) parts.push(chunk);
    return { status, headers, body: Buffer.concat(parts).toString('utf8') };
  }

  async stream(request: ApiRequest): Promise<ApiStream> {
    const gone = new AbortController();
    const cuts = [this.#closed.signal, ...(request.signal ? [request.signal] : [])];
    const cut = AbortSignal.any(cuts);
    if (cut.aborted || this.stopped.aborted) throw new TransportError('the connection is closed');
    const reply = await raced(this.core.handler.handle(serverRequest(request, this.user, AbortSignal.any([...cuts, gone.signal]))), AbortSignal.any([cut, this.stopped]));
    return { status: reply.status, headers: flatHeaders(reply), chunks: this.#chunks(reply, cut, gone) };
  }

  #chunks({ body }: ServerReply, cut: AbortSignal, gone: AbortController): AsyncIterable<Buffer> {
    if (typeof body !== 'function') return once(Buffer.from(body));
    const queue = new ChunkQueue();
    const over = AbortSignal.any([cut, gone.signal, this.stopped]);
    const fail = (): void => queue.fail(new TransportError('the connection was closed'));
    cut.addEventListener('abort', fail, { once: true });
    void Promise.resolve(
      body({
        write: (chunk) => queue.push(Buffer.from(chunk)),
        get bufferedBytes() {
          return queue.bufferedBytes;
        },
        drained: () => queue.drained(),
        end: () => queue.end(),
        signal: over,
      }),
    )
      .catch((error: unknown) => queue.fail(new TransportError('the connection broke', { cause: error })))
      .finally(() => cut.removeEventListener('abort', fail));
    return queue.read(() => gone.abort());
  }

  close(): Promise<void> {
    this.#closed.abort();
    return Promise.resolve();
  }
}

async function* once(chunk: Buffer): AsyncIterable<Buffer> {
  if (chunk.length > 0) yield chunk;
}

function raced<T>(work: Promise<T>, cut: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const fail = (): void => reject(new TransportError('the connection was closed'));
    if (cut.aborted) return fail();
    cut.addEventListener('abort', fail, { once: true });
    work.then(resolve, reject).finally(() => cut.removeEventListener('abort', fail));
  });
}

function serverRequest(request: ApiRequest, user: User | undefined, signal: AbortSignal): ServerRequest {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(request.query ?? {})) if (value !== undefined) query.set(key, String(value));
  const body = Buffer.from(request.body ?? '');
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers ?? {})) headers[name.toLowerCase()] = value;
  return {
    method: request.method,
    path: request.path,
    query,
    headers,
    user,
    signal,
    readBody: (bytesMax) =>
      body.length > bytesMax ? Promise.reject(new ApiError('RequestEntityTooLarge', `the body of the request is too large: at most ${bytesMax} bytes are allowed`)) : Promise.resolve(body),
  };
}

function flatHeaders(reply: ServerReply): Record<string, string> {
  return Object.fromEntries(Object.entries(reply.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]));
}
