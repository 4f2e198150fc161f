// tunnel.ts
//
// The agent dials the API server and keeps the connection; over it the server asks for logs, and for what streams/ serves
// (lib/mux.ts). The agent listens on no port.

import { ApiError } from '../api/errors.js';
import type { TunnelRequest } from '../api/protocol.js';
import { jitteredBackoffMs, reconnectBackoff } from '../lib/backoff.js';
import { sleep, type Clock } from '../lib/clock.js';
import type { Logger } from '../lib/log.js';
import { Mux, type MessageChannel, type MuxStream } from '../lib/mux.js';
import type { Random } from '../lib/random.js';
import type { Service } from '../lib/service.js';
import { requestedLog } from './log-request.js';
import type { LogStore } from './log-store.js';
import { isSessionRequest, type StreamServer } from './streams/stream-server.js';

export interface TunnelOptions {
  /** Opens the connection; resolves when it is open. `dialTunnel` (client/tunnel-socket.ts) in production. */
  dial(signal: AbortSignal): Promise<MessageChannel & { takesRequests?: boolean }>;
  /** Told how each dial ended: with a tunnel that takes our requests, or without one. */
  onDialled?(mux: Mux | undefined): void;
  logs: LogStore;
  sessions: StreamServer;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** A connection that lasted this long was a good one: the next failure is the first again. */
const healthyMs = 10_000;

export class Tunnel implements Service {
  readonly name = 'tunnel';
  readonly #options: TunnelOptions;
  readonly #serving = new Set<Promise<void>>();

  constructor(options: TunnelOptions) {
    this.#options = options;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { dial, onDialled, clock, random, logger } = this.#options;
    for (let failures = 0; !signal.aborted; ) {
      const startedAt = clock.monotonic();
      try {
        const channel = await dial(signal);
        const mux = new Mux({ channel, initiator: false, onStream: (stream, request) => this.#begin(stream, request, signal) });
        const close = (): void => mux.close();
        signal.addEventListener('abort', close, { once: true });
        if (signal.aborted) close();
        onDialled?.(channel.takesRequests ? mux : undefined);
        await mux.closed;
        signal.removeEventListener('abort', close);
      } catch (error) {
        onDialled?.(undefined);
        logger.debug('cannot open the tunnel; until it is open, logs cannot be read from elsewhere, nor commands be run beside tasks', { error });
      }
      failures = clock.monotonic() - startedAt > healthyMs ? 1 : failures + 1;
      await sleep(clock, jitteredBackoffMs(reconnectBackoff, failures, random), signal);
    }
    onDialled?.(undefined);
    await Promise.all(this.#serving);
  }

  #begin(stream: MuxStream, message: Buffer, signal: AbortSignal): void {
    const serving = this.#serve(stream, message, signal).finally(() => this.#serving.delete(serving));
    this.#serving.add(serving);
  }

  async #serve(stream: MuxStream, message: Buffer, signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    void stream.closed.then(() => over.abort());
    try {
      const request = JSON.parse(message.toString('utf8')) as TunnelRequest;
      if (isSessionRequest(request)) return void (await this.#options.sessions.serve(stream, request));
      for await (const chunk of this.#log(request, AbortSignal.any([signal, over.signal]))) await stream.write(chunk);
      stream.end();
    } catch (error) {
      stream.reset(error instanceof ApiError ? JSON.stringify(error.toStatus()) : (error as Error).message);
    } finally {
      over.abort();
    }
  }

  #log(request: TunnelRequest, signal: AbortSignal): AsyncGenerator<Buffer> {
    const { logs, clock } = this.#options;
    if (request.type !== 'log') throw new ApiError('BadRequest', `this agent does not serve ${String(request.type)}; upgrade it`);
    return requestedLog(logs, request, clock, signal);
  }
}
