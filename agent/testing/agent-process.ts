// agent-process.ts: an agent in a process of its own, for tests that kill it. Its requests go to the parent over IPC.

import { SystemClock } from '../../lib/clock.js';
import { Deferred } from '../../lib/deferred.js';
import { silentLogger } from '../../lib/log.js';
import { SystemRandom } from '../../lib/random.js';
import { TransportError, type ApiRequest, type ApiResponse, type ApiStream, type Transport } from '../../api/transport.js';
import { runAgent } from '../main.js';

export type ToParent = { id: number; kind: 'request' | 'stream'; request: Omit<ApiRequest, 'signal'> } | { id: number; kind: 'abort' };
export type ToChild =
  | { id: number; kind: 'response'; response: ApiResponse }
  | { id: number; kind: 'head'; status: number; headers: Record<string, string> }
  | { id: number; kind: 'chunk'; data: string }
  | { id: number; kind: 'end' }
  | { id: number; kind: 'error'; message: string };

class ParentTransport implements Transport {
  #next = 1;
  readonly #open = new Map<number, (message: ToChild) => void>();

  constructor() {
    process.on('message', (message: ToChild) => this.#open.get(message.id)?.(message));
  }

  request({ signal: _signal, ...request }: ApiRequest): Promise<ApiResponse> {
    const id = this.#next++;
    const answer = new Deferred<ApiResponse>();
    this.#open.set(id, (message) => {
      this.#open.delete(id);
      if (message.kind === 'response') answer.resolve(message.response);
      else answer.reject(new TransportError('no answer'));
    });
    process.send!({ id, kind: 'request', request } satisfies ToParent);
    return answer.promise;
  }

  async stream({ signal, ...request }: ApiRequest): Promise<ApiStream> {
    const id = this.#next++;
    const waiting: ToChild[] = [];
    let arrived = new Deferred<void>();
    this.#open.set(id, (message) => {
      waiting.push(message);
      arrived.resolve();
    });
    const next = async (): Promise<ToChild> => {
      while (waiting.length === 0) {
        arrived = new Deferred();
        await arrived.promise;
      }
      return waiting.shift()!;
    };
    process.send!({ id, kind: 'stream', request } satisfies ToParent);
    signal?.addEventListener('abort', () => {
      process.send!({ id, kind: 'abort' } satisfies ToParent);
      waiting.push({ id, kind: 'end' });
      arrived.resolve();
    });
    const head = await next();
    if (head.kind !== 'head') throw new TransportError('no answer');
    const chunks = async function* (): AsyncGenerator<Buffer> {
      for (;;) {
        const message = await next();
        if (message.kind === 'end') return;
        if (message.kind !== 'chunk') throw new TransportError('broken');
        yield Buffer.from(message.data, 'base64');
      }
    };
    return { status: head.status, headers: head.headers, chunks: chunks() };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

const [nodeName, dataDir] = process.argv.slice(2) as [string, string];
const stop = new AbortController();
process.on('SIGTERM', () => stop.abort());
await runAgent({ transport: new ParentTransport(), nodeName, dataDir, clock: new SystemClock(), random: new SystemRandom(), logger: silentLogger }, stop.signal);
process.disconnect();
