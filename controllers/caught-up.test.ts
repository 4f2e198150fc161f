import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { setMaxListeners } from 'node:events';
import { adminUser, controllersUser, createInProcessApiServer, type InProcessApiServer } from '../apiserver/in-process.js';
import { configMapKind } from '../api/config.js';
import type { KubeObject } from '../api/meta.js';
import { taskKind, unsettledSelector, type Task } from '../api/task.js';
import type { ApiRequest, ApiStream, Transport } from '../api/transport.js';
import { ApiClient } from '../client/api-client.js';
import { Informer } from '../client/informer.js';
import { SystemClock } from '../lib/clock.js';
import { silentLogger } from '../lib/log.js';
import { SystemRandom } from '../lib/random.js';
import { aborted } from '../lib/service.js';
import { caughtUp } from './caught-up.js';

const clock = new SystemClock();
const random = new SystemRandom();
const logger = silentLogger;

/** Streams that are open when it falls silent tell nothing any more, as one whose other end is gone without a word. */
class SilentTransport implements Transport {
  readonly #inner: Transport;
  #silence = new AbortController();
  streams = 0;

  constructor(inner: Transport) {
    this.#inner = inner;
  }

  fallSilent(): void {
    this.#silence.abort();
    this.#silence = new AbortController();
  }

  request(request: ApiRequest): ReturnType<Transport['request']> {
    return this.#inner.request(request);
  }

  async stream(request: ApiRequest): Promise<ApiStream> {
    this.streams++;
    const stream = await this.#inner.stream(request);
    return { ...stream, chunks: this.#heard(stream.chunks, request.signal ?? new AbortController().signal, this.#silence.signal) };
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  async *#heard(chunks: AsyncIterable<Buffer>, signal: AbortSignal, silence: AbortSignal): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      if (silence.aborted) await aborted(signal);
      yield chunk;
    }
  }
}

describe('a copy that is to be caught up', () => {
  let server: InProcessApiServer;
  let stop: AbortController;
  let running: Promise<void>[];
  let admin: ApiClient;
  let client: ApiClient;
  let transport: SilentTransport;
  let tasks: Informer<Task>;

  beforeEach(async () => {
    stop = new AbortController();
    setMaxListeners(0, stop.signal);
    server = await createInProcessApiServer({ clock, random });
    running = [server.run(stop.signal)];
    await server.ready;
    admin = new ApiClient({ transport: server.transport(adminUser) });
    transport = new SilentTransport(server.transport(controllersUser));
    client = new ApiClient({ transport });
    tasks = new Informer({ client, kind: taskKind, fieldSelector: unsettledSelector, clock, random, logger });
    running.push(tasks.run(stop.signal));
    await tasks.synced;
  });
  afterEach(async () => {
    stop.abort();
    await Promise.all(running);
    await server.close();
  });

  const createTask = (name: string): Promise<Task> => admin.create(taskKind, { apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name, namespace: 'default' }, spec: { command: ['true'] } } as Task);
  const seen = (key: string): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (tasks.get(key)) resolve();
      };
      tasks.onChanges(look);
      look();
    });

  it('shows what was written before, though its connection has fallen silent', async () => {
    await createTask('before');
    await seen('default/before');
    transport.fallSilent();
    await createTask('unheard');
    await admin.create(configMapKind, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'other', namespace: 'default' } } as KubeObject as never);
    expect(tasks.get('default/unheard')).toBeUndefined();
    await caughtUp({ client, informers: [tasks], clock, random, logger }, stop.signal);
    expect(tasks.get('default/unheard')).toBeDefined();
    await createTask('after');
    await seen('default/after');
  });

  it('shows at once that nothing was written since', async () => {
    await createTask('one');
    await seen('default/one');
    await admin.create(configMapKind, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'other', namespace: 'default' } } as KubeObject as never);
    await caughtUp({ client, informers: [tasks], clock, random, logger }, stop.signal);
    const streams = transport.streams;
    await caughtUp({ client, informers: [tasks], clock, random, logger }, stop.signal);
    expect(transport.streams).toBe(streams);
    expect(tasks.size).toBe(1);
  });

  it('is not waited for when the signal aborts', async () => {
    const impatient = new AbortController();
    const never = { reach: () => new Promise<void>(() => {}) };
    const waiting = caughtUp({ client, informers: [never], clock, random, logger }, impatient.signal);
    impatient.abort();
    await waiting;
  });
});
