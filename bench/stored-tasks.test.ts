import { describe, expect, it } from '@jest/globals';
import { bulkPaths } from '../api/protocol.js';
import { nodeKind } from '../api/node.js';
import { timestamp } from '../api/meta.js';
import { taskKind, type Task } from '../api/task.js';
import { adminUser, agentUser, controllersUser, startInProcessApiServer } from '../apiserver/in-process.js';
import { kindPrefix } from '../apiserver/resources/registry-keys.js';
import { ApiClient } from '../client/api-client.js';
import { FakeClock } from '../lib/fake-clock.js';
import { SeededRandom } from '../lib/random.js';
import { storedTask, storeTasks } from './stored-tasks.js';
import { benchTask } from './tasks.js';

describe('stored tasks', () => {
  const clock = new FakeClock();
  const options = { phase: 'Succeeded', nodeOf: () => 'n', clock, random: new SeededRandom(2) } as const;

  it('are what the server stores of the same task, to the letter', async () => {
    const server = await startInProcessApiServer({ clock, random: new SeededRandom(1) });
    try {
      const own = storedTask(0, { ...options, prefix: 'own-' });
      const admin = new ApiClient({ transport: server.transport(adminUser) });
      await admin.create(nodeKind, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' } });
      const agent = new ApiClient({ transport: server.transport(agentUser('n')) });
      const node = await agent.get(nodeKind, 'n');
      await agent.update(nodeKind, { ...node, status: { addresses: [{ type: 'InternalIP', address: '127.0.0.1' }] } }, { subresource: 'status' });
      await admin.bulk(bulkPaths.create, { items: [benchTask('served-0', own.spec, { labels: own.metadata.labels })] });
      const { metadata } = await admin.get<Task>(taskKind, 'served-0', 'default');
      const item = { namespace: 'default', name: 'served-0', uid: metadata.uid! };
      const scheduler = new ApiClient({ transport: server.transport(controllersUser) });
      expect((await scheduler.bulk(bulkPaths.bind, { items: [{ ...item, nodeName: 'n' }] }))[0]).toMatchObject({ code: 200 });
      const now = timestamp(clock.now());
      const running = { ...item, bindings: 1, attempt: 1, phase: 'Running', firstStartTime: now, startTime: now };
      const { finishTime, exitCode, reason, message, usage } = own.status!;
      for (const report of [running, { ...running, phase: 'Succeeded', finishTime, exitCode, reason, message, usage }]) {
        expect((await agent.bulk(bulkPaths.status, { nodeName: 'n', items: [report] }))[0]).toMatchObject({ code: 200 });
      }
      await storeTasks(server.store, { ...options, count: 1, prefix: 'own-' });
      const [first, second] = (await server.store.list(kindPrefix(taskKind))).items.map(({ value }) => value.replace(/"uid":"[^"]*"/, '"uid":""'));
      expect(first!.replace('own-0', 'served-0')).toBe(second);
    } finally {
      await server.stop();
    }
  });

  it.each(['Pending', 'Scheduled', 'Running', 'Failed'] as const)('are made as %s, too', (phase) => {
    expect(storedTask(3, { ...options, phase })).toMatchObject({ metadata: { name: 'stored-3' }, status: { phase } });
  });
});
