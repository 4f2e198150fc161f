// cluster.ts
//
// The house of every end-to-end story: the built programs as processes of their own, a private etcd or the embedded store,
// an observer of tasks and nodes, and the command lines that a user has. Stories wait for events, and a cluster that is
// closed has left nothing behind or says what it left.

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { KindDefinition } from '../api/kind.js';
import { collectionPath } from '../api/kinds.js';
import { isReady, nodeKind, type Node } from '../api/node.js';
import { isFinished, taskKind, type Task } from '../api/task.js';
import { ApiClient } from '../client/api-client.js';
import { HttpsTransport } from '../client/https-transport.js';
import { loadKubeConfig } from '../client/kubeconfig.js';
import { SystemClock } from '../lib/clock.js';
import { SystemRandom } from '../lib/random.js';
import { markVariable, taskplanePath, TaskplaneProcesses, type StoreName, type TaskplaneOptions } from '../lib/testing/taskplane-processes.js';
import type { Program } from '../lib/testing/program.js';
import { runCommand, type CommandOptions, type CommandResult } from './command.js';
import { attemptCgroupsOf, cgroupsOf, processesOf, untilNothing, untilSomething, type FoundProcess } from './leaks.js';
import { Observer } from './observer.js';

export const stores: readonly StoreName[] = ['embedded', 'etcd'];

export interface ClusterOptions extends Omit<TaskplaneOptions, 'nodes'> {
  /** One agent each, by the short name that the story uses. @default ['n1'] */
  readonly nodes?: readonly string[];
  /** Flags for single agents, by short name. */
  readonly flagsOf?: Readonly<Record<string, readonly string[]>>;
  /** Told of every state of every task, as a watch delivers it. */
  readonly onTask?: (task: Task, type: 'ADDED' | 'MODIFIED' | 'DELETED') => void;
}

export class Cluster {
  readonly clock = new SystemClock();
  readonly processes: TaskplaneProcesses;
  readonly client: ApiClient;
  readonly tasks: Observer<Task>;
  readonly nodes: Observer<Node>;
  readonly #options: ClusterOptions;
  /**
   * Control groups bear the name of the node, and several clusters may run on this machine: names are unique to a cluster.
   */
  readonly #names: ReadonlyMap<string, string>;
  readonly #stop = new AbortController();
  readonly #clients: ApiClient[] = [];
  #running: Promise<unknown> = Promise.resolve();

  /** Resolves when the API answers and every node is Ready. @throws Error with the logs of the components when that fails */
  static async start(options: ClusterOptions): Promise<Cluster> {
    const suffix = new SystemRandom().suffix(5);
    const names = new Map((options.nodes ?? ['n1']).map((short) => [short, `${short}-${suffix}`]));
    const processes = await TaskplaneProcesses.start({ ...options, nodes: [...names.values()] });
    let cluster: Cluster | undefined;
    try {
      cluster = new Cluster(options, names, processes, await clientOf(processes.adminKubeconfig));
      cluster.#running = Promise.all([cluster.tasks.run(cluster.#stop.signal), cluster.nodes.run(cluster.#stop.signal)]);
      processes.startControllers();
      for (const short of names.keys()) cluster.startAgent(short);
      await cluster.nodesReady();
      await cluster.tasks.synced();
      return cluster;
    } catch (error) {
      const tails = processes.tails();
      await (cluster ? cluster.close() : processes.stop()).catch(() => undefined);
      throw new Error(`${String(error)}\n${tails}`, { cause: error });
    }
  }

  private constructor(options: ClusterOptions, names: ReadonlyMap<string, string>, processes: TaskplaneProcesses, client: ApiClient) {
    this.#options = options;
    this.#names = names;
    this.processes = processes;
    this.client = client;
    this.#clients.push(client);
    this.tasks = new Observer({ client, kind: taskKind, clock: this.clock, onChange: options.onTask });
    this.nodes = new Observer({ client, kind: nodeKind, clock: this.clock });
  }

  /** Where a story may keep files: gone with the cluster. */
  path(...parts: string[]): string {
    return join(this.processes.directory, ...parts);
  }

  /** The name of a node in the API. */
  node(short: string): string {
    const name = this.#names.get(short);
    if (name === undefined) throw new Error(`the cluster has no node ${short}`);
    return name;
  }

  agent(short: string): Program {
    return this.processes.agents.get(this.node(short))!;
  }

  startAgent(short: string): Program {
    return this.processes.startAgent(this.node(short), this.#options.flagsOf?.[short]);
  }

  /** Resolves when every node, or those named, are Ready and open to tasks. */
  async nodesReady(shorts: readonly string[] = [...this.#names.keys()], timeoutMs?: number): Promise<void> {
    const ready = (short: string): boolean => {
      const node = this.nodes.objects.get(this.node(short));
      return node !== undefined && isReady(node) && !node.spec?.taints?.length;
    };
    await this.nodes.until(`nodes ${shorts.join(', ')} to be Ready`, () => shorts.every(ready), timeoutMs);
  }

  /** Resolves when the task has succeeded or failed. `name` is in namespace default unless it says `namespace/name`. */
  finished(name: string, timeoutMs?: number): Promise<Task> {
    return this.tasks.untilObject(keyOf(name), 'to finish', isFinished, timeoutMs);
  }

  running(name: string, timeoutMs?: number): Promise<Task> {
    return this.tasks.untilObject(keyOf(name), 'to run', (task) => task.status?.phase === 'Running', timeoutMs);
  }

  async create(...tasks: Task[]): Promise<Task[]> {
    return Promise.all(tasks.map((task) => this.client.create(taskKind, task)));
  }

  /** Another user of the API. Closed with the cluster. */
  async clientWith(kubeconfig: string): Promise<ApiClient> {
    const client = await clientOf(kubeconfig);
    this.#clients.push(client);
    return client;
  }

  /** `bin/taskplane VERB …` as the admin. */
  taskplane(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return runCommand([process.execPath, taskplanePath, ...args], { ...options, env: { ...this.#commandEnv(), ...options.env } });
  }

  /** A stock kubectl as the admin; `program` is the one on PATH by default. Its caches live and die with the cluster. */
  kubectl(args: readonly string[], options: CommandOptions & { program?: string } = {}): Promise<CommandResult> {
    const { program = 'kubectl', ...rest } = options;
    return runCommand([program, ...args], { ...rest, env: { ...this.#commandEnv(), HOME: this.path('home'), ...rest.env } });
  }

  #commandEnv(): Record<string, string> {
    return { KUBECONFIG: this.processes.adminKubeconfig, [markVariable]: this.processes.directory, NO_COLOR: '1' };
  }

  /** Starts the agent again and waits until it has said that it is present, and its node is Ready. */
  async agentBack(short: string): Promise<void> {
    const agent = this.startAgent(short);
    await agent.line(/the node is present/);
    await this.nodesReady([short]);
  }

  /** Text of a file that a task writes, once it holds a whole line. */
  async fileWritten(path: string, timeoutMs = 30_000): Promise<string> {
    return untilSomething(`${path} to be written`, async () => {
      const text = await readFile(path, 'utf8').catch(() => '');
      return text.includes('\n') ? text : undefined;
    }, this.clock, timeoutMs);
  }

  /** For what no event tells: asks `look` until it answers. */
  eventually<T>(what: string, look: () => Promise<T | undefined>, timeoutMs?: number): Promise<T> {
    return untilSomething(what, look, this.clock, timeoutMs);
  }

  /** Resolves when no process has this pid. */
  async processGone(pid: number): Promise<void> {
    await untilNothing(`process ${pid}`, async () => (existsSync(`/proc/${pid}`) ? [pid] : []), this.clock);
  }

  /** What every component has logged so far, by component. */
  async logs(): Promise<Record<string, string>> {
    const names = ['apiserver', 'controllers', ...[...this.processes.agents.keys()].map((node) => `agent-${node}`)];
    const texts = await Promise.all(names.map((name) => readFile(join(this.processes.logDirectory, `${name}.log`), 'utf8').catch(() => '')));
    return Object.fromEntries(names.map((name, index) => [name, texts[index]!]));
  }

  /**
   * Runs a story; when it fails, what the components said is printed under its error.
   */
  async story(tell: () => Promise<void>): Promise<void> {
    try {
      await tell();
    } catch (error) {
      console.error(`${String(error)}\n${this.processes.tails()}`);
      throw error;
    }
  }

  /**
   * Deletes every task, ends every component, removes the directory.
   * @throws Error when a process or control group was left behind, or a component did not end when asked
   */
  async close(): Promise<void> {
    const problems: unknown[] = [];
    const attempt = async (step: () => Promise<void>): Promise<void> => step().catch((error: unknown) => void problems.push(error));
    await attempt(() => this.#deleteTasks());
    await attempt(() => untilNothing('task processes', () => this.#taskProcesses(), this.clock));
    const names = [...this.#names.values()];
    await attempt(() => untilNothing('control groups of tasks', () => attemptCgroupsOf(names), this.clock));
    this.#stop.abort();
    await this.#running;
    await Promise.all(this.#clients.map((client) => client.transport.close()));
    const { directory } = this.processes;
    await attempt(() => this.processes.stop());
    const tails = this.processes.tails();
    await attempt(() => untilNothing('processes', () => processesOf(directory), this.clock));
    await attempt(() => untilNothing('control groups', () => cgroupsOf(names), this.clock));
    for (const { pid } of await processesOf(directory)) process.kill(pid, 'SIGKILL');
    if (problems.length > 0) throw new AggregateError(problems, `${problems.map(String).join('\n')}\n${tails}`);
  }

  async #deleteTasks(): Promise<void> {
    const { items } = await this.client.list(taskKind);
    const held = items.filter(({ metadata }) => metadata.finalizers?.length);
    await Promise.all(held.map(({ metadata }) => this.client.mergePatch(taskKind, metadata.name!, metadata.namespace, { metadata: { finalizers: null } })));
    const body = JSON.stringify({ kind: 'DeleteOptions', apiVersion: 'v1', gracePeriodSeconds: 0 });
    for (const namespace of new Set(items.map(({ metadata }) => metadata.namespace))) {
      const path = collectionPath(taskKind as unknown as KindDefinition, namespace);
      await this.client.transport.request({ method: 'DELETE', path, headers: { accept: 'application/json', 'content-type': 'application/json' }, body });
    }
    await this.tasks.until('all tasks to be gone', () => this.tasks.objects.size === 0, 30_000);
  }

  async #taskProcesses(): Promise<FoundProcess[]> {
    const components = new Set([this.processes.apiserver, this.processes.controllers, ...this.processes.agents.values()].map((program) => program.pid));
    const found = await processesOf(this.processes.directory);
    // The watchdog is the agent's own; it ends with it.
    const isComponent = ({ pid, commandLine }: FoundProcess): boolean => components.has(pid) || commandLine.includes(taskplanePath) || commandLine.includes('/fence/watchdog');
    return found.filter((process) => !isComponent(process));
  }
}

function keyOf(name: string): string {
  return name.includes('/') ? name : `default/${name}`;
}

async function clientOf(path: string): Promise<ApiClient> {
  return new ApiClient({ transport: new HttpsTransport({ access: await loadKubeConfig({ path }) }), userAgent: 'taskplane-e2e' });
}

/** A task that runs a shell script. */
export function scriptTask(name: string, script: string, spec: Partial<Task['spec']> = {}, metadata: Partial<Task['metadata']> = {}): Task {
  return { apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name, namespace: 'default', ...metadata }, spec: { script, ...spec } } as Task;
}

/** A file beside the test: `fileBeside(import.meta.url, 'task.yaml')`. */
export function fileBeside(url: string, name: string): string {
  return fileURLToPath(new URL(name, url));
}
