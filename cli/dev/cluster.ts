// cluster.ts: a whole Taskplane on one machine: API server and controllers in this process, agents beside it.
//
// Started in that order, each when the one before answers; stopped in the other, so that agents can still tell how their
// tasks ended.

import { closeSync, mkdirSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runApiServer } from '../../apiserver/main.js';
import { controllersKubeconfigPath, createAgentKubeconfig } from '../../apiserver/pki/kubeconfig.js';
import { isReady, nodeKind, type Node } from '../../api/node.js';
import type { KindDefinition } from '../../api/kind.js';
import { ApiClient } from '../../client/api-client.js';
import { HttpsTransport } from '../../client/https-transport.js';
import { loadKubeConfig } from '../../client/kubeconfig.js';
import { runControllers } from '../../controllers/main.js';
import type { Clock } from '../../lib/clock.js';
import { Deferred } from '../../lib/deferred.js';
import type { Logger, LogLevel } from '../../lib/log.js';
import type { Random } from '../../lib/random.js';
import { waitUntil } from '../follow-object.js';
import type { StoreChoice } from '../serve/flags.js';
import { version } from '../version.js';
import { AgentChild } from './agent-child.js';
import { writeKubeconfig } from './kubeconfig-file.js';

export interface DevClusterOptions {
  store: StoreChoice;
  listen: { host: string; port: number };
  dataDir: string;
  kubeconfig: string;
  nodeNames: readonly string[];
  logLevel: LogLevel;
  logger: Logger;
  clock: Clock;
  random: Random;
}

export class DevCluster {
  #url = '';
  #client: ApiClient | undefined;
  readonly #parts: { stop: AbortController; ended: Promise<void> }[] = [];
  readonly #agents: AgentChild[] = [];
  readonly #transports: HttpsTransport[] = [];
  readonly #failed = new Deferred<never>();

  constructor(private readonly options: DevClusterOptions) {
    this.#failed.promise.catch(() => undefined);
  }

  /** `https://127.0.0.1:7443` */
  get url(): string {
    return this.#url;
  }

  /** As the admin. */
  get client(): ApiClient {
    return this.#client!;
  }

  /** Rejects when a part has ended that nobody told to. */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  /** Resolves when the API answers, the kubeconfig is there and the rest has been started. */
  async start(): Promise<void> {
    const { store, listen, dataDir, kubeconfig, logger, clock, random } = this.options;
    const started = new Deferred<{ url: string; kubeconfig: string }>();
    this.#part((signal) => runApiServer({ store, listen, dataDir, soleServer: true, logger: logger.child({ component: 'apiserver' }), clock, random, onStarted: (info) => started.resolve(info) }, signal));
    const { url, kubeconfig: adminKubeconfig } = await Promise.race([started.promise, this.failed]);
    this.#url = url;
    this.#client = new ApiClient({ transport: await this.#transport(adminKubeconfig), userAgent: `taskplane-dev/${version}` });
    await writeKubeconfig(kubeconfig, await readFile(adminKubeconfig, 'utf8'));
    const transport = await this.#transport(controllersKubeconfigPath(dataDir));
    this.#part((signal) => runControllers({ transport, identity: `dev-${process.pid}`, leaderElect: false, logger: logger.child({ component: 'controllers' }), clock, random }, signal));
    for (const nodeName of this.options.nodeNames) await this.#startAgent(nodeName);
  }

  /** Resolves when every node is Ready; at once when there is none. */
  async nodesReady(signal: AbortSignal): Promise<void> {
    const { clock, random, nodeNames } = this.options;
    const kind = nodeKind as unknown as KindDefinition;
    const ready = nodeNames.map((name) => waitUntil({ client: this.client, kind, name, namespace: undefined, clock, random, signal }, (node) => node !== undefined && isReady(node as Node)));
    await Promise.race([Promise.all(ready), this.failed]);
  }

  /** Agents stop their tasks and say so; then the rest. */
  async stop(): Promise<void> {
    const [api, controllers, ...agents] = this.#parts;
    for (const group of [agents, [controllers], [api]]) {
      for (const part of group) part?.stop.abort();
      await Promise.all(group.map(async (part) => part?.ended));
    }
    await Promise.all(this.#transports.map((transport) => transport.close()));
  }

  /** Ends the agents at once; their tasks go on. `stop` then has nothing to wait for. */
  killAgents(): void {
    for (const agent of this.#agents) agent.kill();
  }

  async #startAgent(nodeName: string): Promise<void> {
    const { dataDir, logLevel, logger, clock, random } = this.options;
    const kubeconfig = await createAgentKubeconfig({ dataDir, nodeName, server: this.#url, now: clock.now() });
    const agentDir = join(dataDir, 'agents', nodeName);
    mkdirSync(agentDir, { recursive: true, mode: 0o700 });
    const logFd = openSync(join(agentDir, 'agent.log'), 'a', 0o600);
    const flags = ['--kubeconfig', kubeconfig, '--node-name', nodeName, '--data-dir', agentDir, '--log-level', logLevel, '--stop-tasks-on-exit'];
    const agent = new AgentChild({ nodeName, flags, logFd, clock, random, logger });
    this.#agents.push(agent);
    this.#part((signal) => agent.run(signal).finally(() => closeSync(logFd)));
  }

  async #transport(kubeconfig: string): Promise<HttpsTransport> {
    const transport = new HttpsTransport({ access: await loadKubeConfig({ path: kubeconfig }), userAgent: `taskplane-dev/${version}` });
    this.#transports.push(transport);
    return transport;
  }

  #part(run: (signal: AbortSignal) => Promise<void>): void {
    const stop = new AbortController();
    const ended = run(stop.signal).then(
      () => {
        if (!stop.signal.aborted) this.#failed.reject(new Error('a part of Taskplane has ended by itself; see dev.log in the data directory'));
      },
      (error: unknown) => this.#failed.reject(error),
    );
    this.#parts.push({ stop, ended });
  }
}
