import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { setMaxListeners } from 'node:events';
import { agentUser, controllersUser, createInProcessApiServer, type InProcessApiServer } from '../apiserver/in-process.js';
import { withCondition } from '../api/conditions.js';
import { leaseKind } from '../api/lease.js';
import { nodeKind, type Node } from '../api/node.js';
import { taskKind, type Task } from '../api/task.js';
import { ApiClient } from '../client/api-client.js';
import { FaultyTransport } from '../client/faulty-transport.js';
import { Informer } from '../client/informer.js';
import { SystemClock } from '../lib/clock.js';
import { silentLogger } from '../lib/log.js';
import { SystemRandom } from '../lib/random.js';
import { leaseName, runControllers } from './main.js';

const clock = new SystemClock();
const random = new SystemRandom();
const logger = silentLogger;

let server: InProcessApiServer;
let stop: AbortController;
let running: Promise<void>[];
let admin: ApiClient;
let tasks: Informer<Task>;

beforeEach(async () => {
  stop = new AbortController();
  setMaxListeners(0, stop.signal);
  server = await createInProcessApiServer({ clock, random, presenceTtlMs: 60_000 });
  running = [server.run(stop.signal)];
  await server.ready;
  admin = new ApiClient({ transport: server.transport() });
  tasks = new Informer({ client: admin, kind: taskKind, clock, random, logger });
  running.push(tasks.run(stop.signal));
  const agent = new ApiClient({ transport: server.transport(agentUser('n1')) });
  const node = await agent.create(nodeKind, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } } as Node);
  const conditions = withCondition(undefined, { type: 'Ready', status: 'True', reason: 'AgentReady' }, clock.now());
  const capacity = { cpu: '100', memory: '100Gi', tasks: '1000' };
  await agent.update(nodeKind, { ...node, status: { capacity, allocatable: capacity, conditions } }, { subresource: 'status' });
  await agent.presence('n1', { session: 's', announce: true });
});

afterEach(async () => {
  stop.abort();
  await Promise.all(running);
  await server.close();
});

const createTask = (name: string): Promise<Task> =>
  admin.create(taskKind, { apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name, namespace: 'default' }, spec: { command: ['true'] } } as Task);

function bound(name: string): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (tasks.get(`default/${name}`)?.status?.nodeName === 'n1') resolve();
    };
    tasks.onChanges(look);
    look();
  });
}

describe('controllers', () => {
  it('bind tasks, say how they are, and end when they are told to', async () => {
    let tellPort = (_port: number): void => {};
    const port = new Promise<number>((resolve) => (tellPort = resolve));
    const health = { port: 0, listening: (listeningPort: number) => tellPort(listeningPort) };
    const end = new AbortController();
    const ended = runControllers({ transport: server.transport(controllersUser), identity: 'a', clock, random, logger, leaderElect: false, health }, end.signal);
    await createTask('t');
    await bound('t');
    const ask = (path: string): Promise<Response> => port.then((number) => fetch(`http://127.0.0.1:${number}${path}`));
    expect((await ask('/livez')).status).toBe(200);
    expect((await ask('/readyz')).status).toBe(200);
    expect(await (await ask('/metrics')).text()).toContain('taskplane_controllers_leading 1');
    expect((await ask('/')).status).toBe(404);
    end.abort();
    await ended;
  });

  it('hand over to a standby at once when they end, and within the lease when they are cut off', async () => {
    const candidate = (identity: string) => {
      const end = new AbortController();
      const transport = new FaultyTransport({ transport: server.transport(controllersUser), clock, random });
      const ended = runControllers({ transport, identity, clock, random, logger, leaderElect: true, leaseDurationMs: 1_000 }, end.signal);
      running.push(ended);
      return {
        transport,
        end: async () => {
          end.abort();
          await ended;
        },
      };
    };
    const holder = async (): Promise<string> => (await admin.get(leaseKind, leaseName, 'kube-system')).spec?.holderIdentity?.split('_')[0] ?? '';
    const a = candidate('a');
    await createTask('one');
    await bound('one');
    expect(await holder()).toBe('a');
    const b = candidate('b');
    await a.end();
    await createTask('two');
    await bound('two');
    expect(await holder()).toBe('b');
    const c = candidate('c');
    b.transport.partition();
    await createTask('three');
    await bound('three');
    expect(await holder()).toBe('c');
    b.transport.heal();
    await createTask('four');
    await bound('four');
    expect(await holder()).toBe('c');
    await c.end();
    await createTask('five');
    await bound('five');
    expect(await holder()).toBe('b');
    await b.end();
  });
});
