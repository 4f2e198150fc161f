// session.ts: one run of the command: the connection, made when a verb needs it, and the signals that end it.

import { setMaxListeners } from 'node:events';
import type { ApiClient } from '../client/api-client.js';
import type { HttpsTransport } from '../client/https-transport.js';
import type { ClusterAccess } from '../client/kubeconfig.js';
import { SystemClock } from '../lib/clock.js';
import { SystemRandom } from '../lib/random.js';
import type { CommandContext, ConnectionOptions } from './context.js';
import type { ProcessIo } from './io.js';
import { version } from './version.js';

export class Session {
  readonly clock = new SystemClock();
  readonly random = new SystemRandom();
  readonly #stop = new AbortController();
  #transport: HttpsTransport | undefined;
  #exitCode = 0;
  #interrupts = 0;
  #onInterrupt: ((count: number) => void) | undefined;
  /** Address of the server that was last talked to, for messages. */
  server: string | undefined;

  constructor(readonly io: ProcessIo) {
    // A stop signal is heard by as many as there are requests and sleeps; Node takes more than ten for a leak.
    setMaxListeners(0);
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  get exitCode(): number {
    return this.#exitCode;
  }

  /** Runs a verb that talks to the server; its answer becomes the exit code. */
  async withClient(options: ConnectionOptions, verb: (context: CommandContext, access: ClusterAccess) => Promise<number>): Promise<void> {
    this.listenToSignals();
    const { client, access } = await this.connect(options);
    const { io, clock, random, signal } = this;
    this.#exitCode = await verb({ client, namespace: options.namespace ?? access.namespace ?? 'default', io, clock, random, signal }, access);
    if (signal.aborted && this.#exitCode === 0) this.#exitCode = 130;
  }

  /** Runs a verb that needs no server. */
  async alone(verb: () => Promise<number>): Promise<void> {
    this.#exitCode = await verb();
  }

  async connect(options: ConnectionOptions): Promise<{ client: ApiClient; access: ClusterAccess }> {
    const [{ ApiClient }, { HttpsTransport }, { loadKubeConfig }] = await Promise.all([
      import('../client/api-client.js'),
      import('../client/https-transport.js'),
      import('../client/kubeconfig.js'),
    ]);
    const loaded = await loadKubeConfig({ path: options.kubeconfig, context: options.context });
    const access = options.server ? { ...loaded, server: options.server } : loaded;
    this.server = access.server;
    const userAgent = `taskplane/${version}`;
    this.#transport = new HttpsTransport({ access, userAgent });
    return { client: new ApiClient({ transport: this.#transport, userAgent }), access };
  }

  /** From now on Ctrl-C and SIGTERM go to `handler`, counted, instead of ending the verb. */
  onInterrupt(handler: (count: number) => void): void {
    this.#onInterrupt = handler;
  }

  /** The first Ctrl-C or SIGTERM lets the verb end by itself; the second ends the process. */
  listenToSignals(): void {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => this.#interrupt(name));
  }

  #interrupt(name: NodeJS.Signals): void {
    this.#interrupts++;
    if (this.#onInterrupt) this.#onInterrupt(this.#interrupts);
    else if (this.#interrupts > 1) process.exit(name === 'SIGTERM' ? 143 : 130);
    else this.#stop.abort();
  }

  /** Lets connections go, so that the process can end. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#transport?.close();
  }
}
