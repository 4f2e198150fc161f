// Who may do what: nobody without a credential; an agent only what concerns its own node and the tasks bound to it.

import { describe, expect } from '@jest/globals';
import { readFile, stat } from 'node:fs/promises';
import { request } from 'node:https';
import { configMapKind, secretKind } from '../../api/config.js';
import { nodeKind } from '../../api/node.js';
import { bulkPaths } from '../../api/protocol.js';
import { taskKind } from '../../api/task.js';
import { scriptTask, type Cluster } from '../cluster.js';
import { withCluster } from '../with-cluster.js';

/** A request without a client certificate, with whatever header. */
function anonymously(cluster: Cluster, path: string, headers: Record<string, string> = {}): Promise<{ code: number; body: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(new URL(path, cluster.processes.server), { rejectUnauthorized: false, headers }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (chunk: Buffer) => parts.push(chunk));
      response.on('end', () => resolve({ code: response.statusCode ?? 0, body: Buffer.concat(parts).toString() }));
    });
    sent.on('error', reject);
    sent.end();
  });
}

const forbidden = { reason: 'Forbidden', code: 403 };

describe('credentials', () => {
  const { story } = withCluster({ store: 'embedded', nodes: ['n1', 'n2'] });

  story('a request without one, or with a wrong one, is answered 401 with a Status', async (cluster) => {
    for (const [path, headers] of [['/apis/taskplane.dev/v1/tasks', {}], ['/api/v1/nodes', { authorization: 'Bearer wrong' }]] as const) {
      const answer = await anonymously(cluster, path, headers);
      expect(answer.code).toBe(401);
      expect(JSON.parse(answer.body)).toMatchObject({ kind: 'Status', status: 'Failure', reason: 'Unauthorized', code: 401 });
    }
  });

  story('files that hold keys are for their owner only', async (cluster) => {
    const { processes } = cluster;
    const files = [processes.adminKubeconfig, processes.controllersKubeconfig, processes.agentKubeconfig(cluster.node('n1')), ...['ca.key', 'server.key'].map((name) => `${processes.dataDirectory}/pki/${name}`)];
    for (const file of files) expect({ file, mode: ((await stat(file)).mode & 0o777).toString(8) }).toEqual({ file, mode: '600' });
  });

  story('an agent may not create tasks, bind them, or touch another node', async (cluster) => {
    const agent = await cluster.clientWith(cluster.processes.agentKubeconfig(cluster.node('n1')));
    await expect(agent.create(taskKind, scriptTask('smuggled', 'true'))).rejects.toMatchObject(forbidden);
    await expect(agent.bulk(bulkPaths.create, { items: [scriptTask('smuggled', 'true')] })).rejects.toMatchObject(forbidden);
    await expect(agent.bulk(bulkPaths.bind, { items: [] })).rejects.toMatchObject(forbidden);
    await expect(agent.mergePatch(nodeKind, cluster.node('n2'), undefined, { metadata: { labels: { mine: 'yes' } } })).rejects.toMatchObject(forbidden);
    await expect(agent.delete(nodeKind, cluster.node('n2'))).rejects.toMatchObject(forbidden);
    await expect(agent.presence(cluster.node('n2'), { session: 'x', announce: false })).rejects.toMatchObject(forbidden);
    await expect(agent.bulk(bulkPaths.status, { nodeName: cluster.node('n2'), items: [] })).rejects.toMatchObject(forbidden);
    expect(cluster.tasks.objects.has('default/smuggled')).toBe(false);
  });

  story('an agent may report only on tasks bound to its node', async (cluster) => {
    await cluster.create(scriptTask('theirs', 'sleep 600', { nodeName: cluster.node('n2'), terminationGracePeriodSeconds: 1 }));
    const task = await cluster.running('theirs');
    const agent = await cluster.clientWith(cluster.processes.agentKubeconfig(cluster.node('n1')));
    const report = { namespace: 'default', name: 'theirs', uid: task.metadata.uid!, bindings: 1, attempt: 1, phase: 'Succeeded' as const, exitCode: 0 };
    const [outcome] = await agent.bulk(bulkPaths.status, { nodeName: cluster.node('n1'), items: [report] });
    expect(outcome?.code).toBe(409);
    await expect(agent.mergePatch(taskKind, 'theirs', 'default', { status: { phase: 'Succeeded' } }, { subresource: 'status' })).rejects.toMatchObject(forbidden);
    expect((await cluster.client.get(taskKind, 'theirs', 'default')).status?.phase).toBe('Running');
  });

  story('an agent may read secrets and config maps only of tasks bound to it', async (cluster) => {
    const agent = await cluster.clientWith(cluster.processes.agentKubeconfig(cluster.node('n1')));
    await cluster.client.create(secretKind, { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'foreign', namespace: 'default' }, stringData: { value: 'hidden' } });
    await cluster.client.create(configMapKind, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'foreign', namespace: 'default' }, data: { value: 'x' } });
    await expect(agent.get(secretKind, 'foreign', 'default')).rejects.toMatchObject(forbidden);
    await expect(agent.list(secretKind)).rejects.toMatchObject(forbidden);
    await expect(agent.get(configMapKind, 'foreign', 'default')).rejects.toMatchObject(forbidden);
    await cluster.create(scriptTask('user-of-it', 'sleep 600', { nodeName: cluster.node('n1'), env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 'foreign', key: 'value' } } }] }));
    await cluster.running('user-of-it');
    expect((await agent.get(secretKind, 'foreign', 'default')).data).toEqual({ value: Buffer.from('hidden').toString('base64') });
  });

  story('a credential of another cluster is refused', async (cluster) => {
    const kubeconfig = await readFile(cluster.processes.adminKubeconfig, 'utf8');
    expect(kubeconfig).toContain('client-certificate-data');
    const result = await cluster.kubectl(['get', 'tasks', '--server', cluster.processes.server, '--insecure-skip-tls-verify', '--kubeconfig', '/dev/null'], { input: '' });
    expect(result.code).toBe(1);
  });
});
