// taskplane-processes.ts
//
// A Taskplane as it runs in production: bin/taskplane apiserver, controllers and agents as processes of their own, on a
// private etcd or the embedded store, in one temporary directory. For end-to-end stories and for measurements.

import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EtcdProcess } from './etcd-process.js';
import { freePort } from './free-port.js';
import { Program } from './program.js';

export type StoreName = 'embedded' | 'etcd';

/** The checkout: two levels up from here, and from every file of the bundle in dist/. */
const root = fileURLToPath(new URL('../../', import.meta.url));

export const taskplanePath = join(root, 'bin/taskplane');

export interface TaskplaneOptions {
  readonly store: StoreName;
  /** Names of the nodes that get a credential. */
  readonly nodes?: readonly string[];
  readonly apiserverFlags?: readonly string[];
  readonly controllersFlags?: readonly string[];
  /** For every agent. */
  readonly agentFlags?: readonly string[];
  /** Seconds that a silent agent is taken as present; the server's default when absent. */
  readonly presenceTtlSeconds?: number;
}

/** Something that appears in the environment of every process of ours and in the paths of every task process. */
export const markVariable = 'TASKPLANE_PROCESSES';

export class TaskplaneProcesses {
  readonly directory: string;
  readonly options: TaskplaneOptions;
  readonly agents = new Map<string, Program>();
  etcd: EtcdProcess | undefined;
  #apiserver: Program | undefined;
  #controllers: Program | undefined;
  #port = 0;

  /** Starts the store and the API server. Controllers and agents are started by the caller, as needed. */
  static async start(options: TaskplaneOptions): Promise<TaskplaneProcesses> {
    const processes = new TaskplaneProcesses(options, await mkdtemp(join(tmpdir(), 'taskplane-test-')));
    try {
      await mkdir(processes.logDirectory);
      if (options.store === 'etcd') processes.etcd = await EtcdProcess.start();
      processes.#port = await freePort();
      await processes.startApiserver();
      return processes;
    } catch (error) {
      await processes.stop();
      throw error;
    }
  }

  private constructor(options: TaskplaneOptions, directory: string) {
    this.options = options;
    this.directory = directory;
  }

  get logDirectory(): string {
    return join(this.directory, 'logs');
  }

  get dataDirectory(): string {
    return join(this.directory, 'data');
  }

  get adminKubeconfig(): string {
    return join(this.dataDirectory, 'admin.kubeconfig');
  }

  get controllersKubeconfig(): string {
    return join(this.dataDirectory, 'controllers.kubeconfig');
  }

  agentKubeconfig(node: string): string {
    return join(this.dataDirectory, 'agents', `${node}.kubeconfig`);
  }

  agentDirectory(node: string): string {
    return join(this.directory, 'agents', node);
  }

  get server(): string {
    return `https://127.0.0.1:${this.#port}`;
  }

  get apiserver(): Program {
    if (!this.#apiserver) throw new Error('the API server has not been started');
    return this.#apiserver;
  }

  get controllers(): Program {
    if (!this.#controllers) throw new Error('the controllers have not been started');
    return this.#controllers;
  }

  /** Starts it (again), on the same port and data. Resolves when it answers. */
  async startApiserver(): Promise<Program> {
    const { store, nodes = [], presenceTtlSeconds, apiserverFlags = [] } = this.options;
    this.#apiserver = this.#program('apiserver', [
      'apiserver',
      ...['--listen', `127.0.0.1:${this.#port}`, '--data-dir', this.dataDirectory],
      ...(store === 'etcd' ? ['--etcd-servers', this.etcd!.endpoint] : ['--store', 'embedded']),
      ...(presenceTtlSeconds === undefined ? [] : ['--presence-ttl-seconds', String(presenceTtlSeconds)]),
      ...nodes.flatMap((node) => ['--agent', node]),
      ...apiserverFlags,
    ]);
    await this.#apiserver.line(/serving|ready/);
    return this.#apiserver;
  }

  /** Starts them (again). They work once they have the lease. */
  startControllers(): Program {
    const flags = this.options.controllersFlags ?? [];
    this.#controllers = this.#program('controllers', ['controllers', '--kubeconfig', this.controllersKubeconfig, ...flags]);
    return this.#controllers;
  }

  /** Starts the agent of a node (again), on the same data. */
  startAgent(node: string, flags: readonly string[] = []): Program {
    const agent = this.#program(`agent-${node}`, [
      'agent',
      ...['--kubeconfig', this.agentKubeconfig(node), '--node-name', node, '--data-dir', this.agentDirectory(node)],
      ...(this.options.agentFlags ?? []),
      ...flags,
    ]);
    this.agents.set(node, agent);
    return agent;
  }

  /** The last lines of every component, for the report of a failure. */
  tails(count = 40): string {
    const programs = [this.#apiserver, this.#controllers, ...this.agents.values()].filter((program) => program !== undefined);
    return programs.map((program) => `--- ${program.name} (${program.end ? `ended: ${program.end.code ?? program.end.signal}` : 'running'})\n${program.tail(count)}`).join('\n');
  }

  /**
   * Ends agents, controllers, API server and store, in this order, and removes the directory.
   * @throws Error when one did not end when asked; everything is ended and removed all the same
   */
  async stop(): Promise<void> {
    const problems: unknown[] = [];
    const end = async (programs: readonly (Program | undefined)[]): Promise<void> => {
      const results = await Promise.allSettled(programs.map(async (program) => program?.stop()));
      for (const result of results) if (result.status === 'rejected') problems.push(result.reason);
    };
    await end([...this.agents.values()]);
    await end([this.#controllers]);
    await end([this.#apiserver]);
    await this.etcd?.stop();
    await this.removeDirectory();
    if (problems.length > 0) throw new AggregateError(problems, problems.map(String).join('\n'));
  }

  async removeDirectory(): Promise<void> {
    if (existsSync(this.directory)) await rm(this.directory, { recursive: true, force: true });
  }

  #program(name: string, args: readonly string[]): Program {
    return new Program({
      name,
      command: [process.execPath, taskplanePath, ...args],
      env: { [markVariable]: this.directory, KUBECONFIG: undefined },
      logPath: join(this.logDirectory, `${name}.log`),
    });
  }
}
