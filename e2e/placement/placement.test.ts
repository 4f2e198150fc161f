// Where tasks go: what they ask of nodes, what nodes keep away, who comes first, and what a task that waits is told.

import { describe, expect } from '@jest/globals';
import { nodeKind } from '../../api/node.js';
import { isFinished, taskKind, type Task } from '../../api/task.js';
import { bulkPaths } from '../../api/protocol.js';
import { expectCode } from '../command.js';
import { scriptTask, type Cluster } from '../cluster.js';
import { withCluster } from '../with-cluster.js';

function scheduledMessage(task: Task): string {
  return task.status?.conditions?.find(({ type }) => type === 'Scheduled')?.message ?? '';
}

function refused(cluster: Cluster, name: string, words: RegExp): Promise<Task> {
  return cluster.tasks.untilObject(`default/${name}`, `to be told ${words}`, (task) => !task.status?.nodeName && words.test(scheduledMessage(task)));
}

describe('placement', () => {
  const { story } = withCluster({
    store: 'embedded',
    nodes: ['n1', 'n2'],
    flagsOf: { n1: ['--labels', 'zone=a', '--capacity', 'cpu=2,memory=4Gi'], n2: ['--labels', 'zone=b,disk=fast', '--capacity', 'cpu=2,memory=4Gi,example.com/gpu=1'] },
  });

  story('obeys node selectors, pins and resources that only one node has', async (cluster) => {
    await cluster.create(
      scriptTask('by-label', 'true', { nodeSelector: { zone: 'b' } }),
      scriptTask('by-two-labels', 'true', { nodeSelector: { zone: 'b', disk: 'fast' } }),
      scriptTask('pinned', 'true', { nodeName: cluster.node('n1') }),
      scriptTask('gpu', 'true', { resources: { requests: { 'example.com/gpu': 1 } } }),
    );
    expect((await cluster.finished('by-label')).status?.nodeName).toBe(cluster.node('n2'));
    expect((await cluster.finished('by-two-labels')).status?.nodeName).toBe(cluster.node('n2'));
    expect((await cluster.finished('pinned')).status?.nodeName).toBe(cluster.node('n1'));
    expect((await cluster.finished('gpu')).status?.nodeName).toBe(cluster.node('n2'));
  });

  story('says in plain words why a task waits, and starts it when the reason is gone', async (cluster) => {
    await cluster.create(scriptTask('homeless', 'true', { nodeSelector: { zone: 'c' } }), scriptTask('huge', 'true', { resources: { requests: { cpu: '64' } } }));
    await refused(cluster, 'homeless', /^0\/2 nodes fit: /);
    const huge = await refused(cluster, 'huge', /cpu/);
    expect(scheduledMessage(huge)).toMatch(/^0\/2 nodes fit: 2 lack cpu/);
    const described = expectCode(await cluster.taskplane(['describe', 'task', 'huge'])).stdout;
    expect(described).toContain('0/2 nodes fit');
    await cluster.client.mergePatch(nodeKind, cluster.node('n1'), undefined, { metadata: { labels: { zone: 'c' } } });
    expect((await cluster.finished('homeless')).status?.nodeName).toBe(cluster.node('n1'));
    await cluster.client.mergePatch(nodeKind, cluster.node('n1'), undefined, { metadata: { labels: { zone: 'a' } } });
    await cluster.client.delete(taskKind, 'huge', 'default');
  });

  story('keeps tasks off tainted and cordoned nodes unless they tolerate it', async (cluster) => {
    await cluster.client.mergePatch(nodeKind, cluster.node('n1'), undefined, { spec: { taints: [{ key: 'team', value: 'blue', effect: 'NoSchedule' }] } });
    expectCode(await cluster.taskplane(['cordon', cluster.node('n2')]));
    await cluster.nodes.untilObject(cluster.node('n2'), 'to be cordoned', (node) => node.spec?.unschedulable === true);
    await cluster.create(scriptTask('blue', 'true', { tolerations: [{ key: 'team', operator: 'Equal', value: 'blue' }] }), scriptTask('plain', 'true'));
    expect((await cluster.finished('blue')).status?.nodeName).toBe(cluster.node('n1'));
    await refused(cluster, 'plain', /^0\/2 nodes fit: .*team/);
    expectCode(await cluster.taskplane(['uncordon', cluster.node('n2')]));
    expect((await cluster.finished('plain')).status?.nodeName).toBe(cluster.node('n2'));
    await cluster.client.mergePatch(nodeKind, cluster.node('n1'), undefined, { spec: { taints: null } });
    await cluster.nodesReady();
  });

  story('binds waiting tasks in order of priority', async (cluster) => {
    const whole = { resources: { requests: { cpu: '2' } }, nodeName: cluster.node('n1') };
    await cluster.create(scriptTask('blocker', `while [ ! -e ${cluster.path('unblock')} ]; do sleep 0.02; done`, whole));
    await cluster.running('blocker');
    const priorities = [5, -1, 100, 0, 50];
    const items = priorities.map((priority) => scriptTask(`priority-${priority < 0 ? 'low' : priority}`, `echo ${priority} >> ${cluster.path('order')}`, { ...whole, priority }));
    await cluster.client.bulk(bulkPaths.create, { items });
    for (const item of items) await refused(cluster, item.metadata.name!, /cpu/);
    expectCode(await cluster.taskplane(['run', 'unblock', '--shell', '--node', cluster.node('n2'), '--', `touch ${cluster.path('unblock')}`]));
    await cluster.tasks.until('all to finish', () => items.every((item) => isFinished(cluster.tasks.objects.get(`default/${item.metadata.name}`)!)));
    expect((await cluster.fileWritten(cluster.path('order'))).trim().split('\n').map(Number)).toEqual([100, 50, 5, 0, -1]);
  });
});
