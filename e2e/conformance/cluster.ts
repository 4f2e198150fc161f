// cluster.ts: an API server and its controllers, without agents: what the API promises needs none.

import { TaskplaneProcesses, type StoreName } from '../../lib/testing/taskplane-processes.js';
import { Wire, type Json } from './wire.js';

/** Few, so that a test can outrun them. */
export const changesKept = 1_500;

export class ConformanceCluster {
  #namespaces = 0;

  static async start(store: StoreName): Promise<ConformanceCluster> {
    const processes = await TaskplaneProcesses.start({ store, nodes: ['n1'], apiserverFlags: ['--default-watch-cache-size', String(changesKept)] });
    try {
      processes.startControllers();
      return new ConformanceCluster(store, processes, await Wire.of(processes.adminKubeconfig), await Wire.of(processes.agentKubeconfig('n1')));
    } catch (error) {
      await processes.stop().catch(() => undefined);
      throw error;
    }
  }

  private constructor(
    readonly store: StoreName,
    private readonly processes: TaskplaneProcesses,
    readonly wire: Wire,
    /** The agent of node n1: a user with few rights. */
    readonly agent: Wire,
  ) {}

  /** The name of a new namespace. */
  async namespace(): Promise<string> {
    const name = `conformance-${++this.#namespaces}`;
    await this.wire.create('/api/v1/namespaces', { metadata: { name } });
    return name;
  }

  /** Makes the store and the server forget what was before the changes kept. */
  async forget(): Promise<void> {
    const namespace = await this.namespace();
    const items = Array.from({ length: changesKept + 200 }, (_, index) => task(`filler-${index}`, { metadata: { namespace } }));
    const { status, json } = await this.wire.post('/apis/taskplane.dev/v1/bulk/tasks', { items });
    const refused = (json.items ?? []).find(({ code }) => code !== 201);
    if (status !== 200 || refused) throw new Error(`the filler was not made: ${status} ${JSON.stringify(refused)}`);
    if (this.processes.etcd) await compact(this.processes.etcd.endpoint);
  }

  async close(): Promise<void> {
    this.wire.close();
    this.agent.close();
    await this.processes.stop();
  }

  tails(): string {
    return this.processes.tails();
  }
}

/** Through etcd's own gateway for JSON. */
async function compact(endpoint: string): Promise<void> {
  const ask = async (path: string, body: unknown): Promise<{ header?: { revision?: string } }> => {
    const answer = await fetch(`${endpoint}${path}`, { method: 'POST', body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`etcd ${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as { header?: { revision?: string } };
  };
  const { header } = await ask('/v3/maintenance/status', {});
  await ask('/v3/kv/compaction', { revision: header?.revision, physical: true });
}

export const tasksIn = (namespace: string, name?: string): string => `/apis/taskplane.dev/v1/namespaces/${namespace}/tasks${name === undefined ? '' : `/${name}`}`;
export const configMapsIn = (namespace: string, name?: string): string => `/api/v1/namespaces/${namespace}/configmaps${name === undefined ? '' : `/${name}`}`;

export function task(name: string, more: { metadata?: object; spec?: object } = {}): Json {
  return { apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name, ...more.metadata }, spec: { script: 'true', ...more.spec } };
}

export function configMap(name: string, data: Record<string, string> = {}, metadata: object = {}): Json {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...metadata }, data };
}

export const names = ({ items = [] }: Json): (string | undefined)[] => items.map(({ metadata }) => metadata.name);
