// tunnels.ts: which agents are connected, and streams to them. Agents dial out; the server never connects to a node.

import { ApiError } from '../../api/errors.js';
import type { TunnelRequest } from '../../api/protocol.js';
import { Mux, type MessageChannel, type MuxStream } from '../../lib/mux.js';
import type { Logger } from '../../lib/log.js';
import type { TunnelRequests } from './tunnel-requests.js';

export class Tunnels {
  readonly #byNode = new Map<string, Mux>();
  readonly #logger: Logger;
  readonly #changed: (count: number) => void;

  /** @param options.onChange how many agents are connected now */
  constructor(options: { logger: Logger; onChange?: (count: number) => void }) {
    this.#logger = options.logger;
    this.#changed = options.onChange ?? (() => {});
  }

  /**
   * The agent of a node is at the other end of `channel`. A newer connection of the same node replaces the older.
   * @param requests answers what the agent asks over it, where the channel's protocol has that
   */
  connect(nodeName: string, channel: MessageChannel, requests?: TunnelRequests): void {
    this.#byNode.get(nodeName)?.close();
    const mux = new Mux({
      channel,
      initiator: true,
      ...(requests ? { onCall: (message) => requests.call(message), onStream: (stream, message) => void requests.stream(stream, message) } : {}),
    });
    this.#byNode.set(nodeName, mux);
    this.#changed(this.#byNode.size);
    this.#logger.debug('The agent of a node has connected its tunnel; logs of its tasks can be read, and commands run beside them.', { node: nodeName });
    void mux.closed.then(() => {
      requests?.closed();
      if (this.#byNode.get(nodeName) !== mux) return;
      this.#byNode.delete(nodeName);
      this.#changed(this.#byNode.size);
      this.#logger.debug('The tunnel of a node has closed; until its agent connects again no logs of its tasks can be read, and no commands run beside them.', { node: nodeName });
    });
  }

  /** @throws ApiError ServiceUnavailable when the agent is not connected */
  open(nodeName: string, request: TunnelRequest): MuxStream {
    const mux = this.#byNode.get(nodeName);
    if (!mux) throw notConnected(nodeName);
    try {
      return mux.open(Buffer.from(JSON.stringify(request)));
    } catch (error) {
      throw new ApiError('ServiceUnavailable', `no stream to the agent of node "${nodeName}" could be opened: ${(error as Error).message}; try again later`, undefined, { cause: error });
    }
  }

  /** @throws ApiError ServiceUnavailable when the agent is not connected */
  check(nodeName: string): void {
    if (!this.#byNode.has(nodeName)) throw notConnected(nodeName);
  }

  closeAll(): void {
    for (const mux of [...this.#byNode.values()]) mux.close();
  }
}

function notConnected(nodeName: string): ApiError {
  return new ApiError('ServiceUnavailable', `the agent of node "${nodeName}" is not connected to this API server, and only it can reach the task; check the agent there and try again`);
}
