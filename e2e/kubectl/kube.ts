// kube.ts: one stock kubectl with a home, a namespace and a kubeconfig of its own, so that several run beside each other.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import type { Task } from '../../api/task.js';
import { Program } from '../../lib/testing/program.js';
import { markVariable } from '../../lib/testing/taskplane-processes.js';
import { scriptTask, type Cluster } from '../cluster.js';
import { expectCode, runCommand, type CommandOptions, type CommandResult } from '../command.js';
import type { Kubectl } from '../kubectls.js';

interface KubeConfigFile {
  contexts: { name: string; context: { namespace?: string } }[];
}

export class Kube {
  readonly cluster: Cluster;
  /** `1.28`, or `PATH`. */
  readonly title: string;
  /** Minor version: 28. */
  readonly minor: number;
  readonly namespace: string;
  readonly program: string;
  /** The node that no other kubectl touches during this check. */
  node: string;
  readonly #env: Record<string, string>;

  /** Creates the namespace. */
  static async start(cluster: Cluster, { title, path }: Kubectl): Promise<Kube> {
    const namespace = `kubectl-${title.toLowerCase().replaceAll('.', '-')}`;
    const home = cluster.path(`home-${namespace}`);
    mkdirSync(home, { recursive: true });
    const config = parse(readFileSync(cluster.processes.adminKubeconfig, 'utf8')) as KubeConfigFile;
    for (const { context } of config.contexts) context.namespace = namespace;
    const kubeconfig = join(home, 'kubeconfig');
    writeFileSync(kubeconfig, stringify(config), { mode: 0o600 });
    const env = { KUBECONFIG: kubeconfig, HOME: home, [markVariable]: cluster.processes.directory, NO_COLOR: '1', KUBE_EDITOR: '', EDITOR: '' };
    const minor = await clientMinor(path, env);
    await cluster.client.transport.request({
      method: 'POST',
      path: '/api/v1/namespaces',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } }),
    });
    return new Kube(cluster, { title, program: path, minor, namespace, env });
  }

  private constructor(cluster: Cluster, options: { title: string; program: string; minor: number; namespace: string; env: Record<string, string> }) {
    this.cluster = cluster;
    this.title = options.title;
    this.program = options.program;
    this.minor = options.minor;
    this.namespace = options.namespace;
    this.node = cluster.node('n1');
    this.#env = options.env;
  }

  /** @param line words parted by single spaces. @param more further arguments, as they are */
  run(line: string, more: readonly string[] = [], options: CommandOptions = {}): Promise<CommandResult> {
    return runCommand([this.program, ...line.split(' '), ...more], { ...options, env: { ...this.#env, ...options.env } });
  }

  /** What it prints. @throws Error unless it exits with 0 */
  async ok(line: string, ...more: string[]): Promise<string> {
    return expectCode(await this.run(line, more)).stdout;
  }

  /** What it complains about. @throws Error unless it exits with `code` */
  async fails(line: string, more: readonly string[] = [], code = 1): Promise<string> {
    return expectCode(await this.run(line, more), code).stderr;
  }

  /** `line -f -` with these objects. */
  async with(objects: object | readonly object[], line: string, ...more: string[]): Promise<string> {
    return expectCode(await this.feed(objects, line, ...more)).stdout;
  }

  feed(objects: object | readonly object[], line: string, ...more: string[]): Promise<CommandResult> {
    const items = Array.isArray(objects) ? objects : [objects];
    const input = items.map((item) => JSON.stringify(item)).join('\n');
    return this.run(`${line} -f -`, more, { input });
  }

  /** A kubectl that runs on; whoever starts it ends it. */
  start(line: string, ...more: string[]): Program {
    return new Program({ name: `kubectl ${line}`, command: [this.program, ...line.split(' '), ...more], env: this.#env });
  }

  get env(): Readonly<Record<string, string>> {
    return this.#env;
  }

  path(...parts: string[]): string {
    return join(this.#env['HOME']!, ...parts);
  }

  /** A file in its home. @returns its path */
  file(name: string, content: string | object): string {
    const path = this.path(name);
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, typeof content === 'string' ? content : `${JSON.stringify(content)}\n`);
    return path;
  }

  /** A manifest of a task in its namespace. */
  manifest(name: string, script: string, spec: Partial<Task['spec']> = {}, metadata: Partial<Task['metadata']> = {}): Task {
    return scriptTask(name, script, spec, { namespace: this.namespace, ...metadata });
  }

  /** Creates a task beside kubectl. */
  async task(name: string, script: string, spec: Partial<Task['spec']> = {}, metadata: Partial<Task['metadata']> = {}): Promise<void> {
    await this.cluster.create(this.manifest(name, script, spec, metadata));
  }

  finished(name: string): Promise<Task> {
    return this.cluster.finished(`${this.namespace}/${name}`);
  }

  running(name: string): Promise<Task> {
    return this.cluster.running(`${this.namespace}/${name}`);
  }

  gone(name: string): Promise<unknown> {
    return this.cluster.tasks.untilGone(`${this.namespace}/${name}`);
  }

  /** After a failure, so that the next check does not fail for the same reason. */
  async reopenNode(): Promise<void> {
    await this.run(`uncordon ${this.node}`);
  }

  /** The object as the API has it. */
  async object<T = Task>(resource: string): Promise<T> {
    return JSON.parse(await this.ok(`get ${resource} -o json`)) as T;
  }
}

async function clientMinor(program: string, env: Record<string, string>): Promise<number> {
  const { stdout } = await runCommand([program, 'version', '--client', '-o', 'json'], { env });
  const { clientVersion } = JSON.parse(stdout) as { clientVersion: { minor: string } };
  return Number.parseInt(clientVersion.minor, 10);
}
