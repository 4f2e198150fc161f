// A machine is lost, in three ways: its agent dies, its agent stands still, its network is cut. Each time the task runs on
// another machine within the presence TTL and two seconds, and never on both: a task writes a line every 20 ms, with its
// node and the time, and the last line of the first node is older than the first line of the second.

import { afterEach, describe, expect } from '@jest/globals';
import { readFile, writeFile } from 'node:fs/promises';
import { isReady, nodeKind } from '../../api/node.js';
import { taskKind } from '../../api/task.js';
import { stores, scriptTask, type Cluster } from '../cluster.js';
import { TcpProxy } from '../tcp-proxy.js';
import { withCluster } from '../with-cluster.js';

const ttlSeconds = 4;
const slackMs = 2_000;

interface Beat {
  node: string;
  attempt: number;
  atMs: number;
}

async function beats(cluster: Cluster, name: string): Promise<Beat[]> {
  const lines = (await readFile(cluster.path(name), 'utf8')).split('\n').slice(0, -1);
  return lines.map((line) => {
    const [node, attempt, seconds] = line.split(' ') as [string, string, string];
    return { node, attempt: Number(attempt), atMs: Number(seconds) * 1_000 };
  });
}

/** A task that beats for ever, on any node; resolves with the short name of the node once it beats. */
async function startBeating(cluster: Cluster, name: string): Promise<{ first: string; second: string }> {
  // It will not leave before it is killed: a polite end would hide a late one.
  const script = `trap '' TERM\nwhile :; do echo "$TASKPLANE_NODE_NAME $TASKPLANE_TASK_ATTEMPT $(date +%s.%N)" >> ${cluster.path(name)}; sleep 0.02; done`;
  await cluster.create(scriptTask(name, script, { terminationGracePeriodSeconds: 1 }));
  const task = await cluster.running(name);
  await cluster.fileWritten(cluster.path(name));
  const first = ['n1', 'n2'].find((short) => cluster.node(short) === task.status?.nodeName)!;
  return { first, second: first === 'n1' ? 'n2' : 'n1' };
}

/** Judges the move after `lostAtMs`. */
async function moved(cluster: Cluster, name: string, second: string, lostAtMs: number): Promise<void> {
  const task = await cluster.tasks.untilObject(`default/${name}`, `to run on ${second}`, ({ status }) => status?.phase === 'Running' && status.nodeName === cluster.node(second));
  expect(task.status).toMatchObject({ attempt: 2, bindings: 2, lastAttempt: { attempt: 1, reason: 'NodeLost' } });
  const isThere = async (): Promise<true | undefined> => ((await beats(cluster, name)).some((beat) => beat.node === cluster.node(second)) ? true : undefined);
  await cluster.eventually(`${name} to beat on ${second}`, isThere);
  const told = await beats(cluster, name);
  const there = told.filter((beat) => beat.node === cluster.node(second));
  const before = told.filter((beat) => beat.node !== cluster.node(second));
  expect(there[0]!.atMs - lostAtMs).toBeLessThanOrEqual(ttlSeconds * 1_000 + slackMs);
  expect(there[0]!.atMs).toBeGreaterThan(before.at(-1)!.atMs);
  await cluster.client.delete(taskKind, name, 'default', { gracePeriodSeconds: 0 });
  await cluster.tasks.untilGone(`default/${name}`);
}

describe.each(stores)('a lost node, store %s', (store) => {
  const { story } = withCluster({ store, nodes: ['n1', 'n2'], presenceTtlSeconds: ttlSeconds });

  story('whose agent was killed: its tasks run elsewhere, in time and never twice at once', async (cluster) => {
    const { first, second } = await startBeating(cluster, 'killed');
    const lostAtMs = cluster.clock.now();
    await cluster.agent(first).kill();
    await moved(cluster, 'killed', second, lostAtMs);
    const node = cluster.nodes.objects.get(cluster.node(first))!;
    expect(node.status?.conditions?.find(({ type }) => type === 'Ready')).toMatchObject({ status: 'Unknown', reason: 'NodeStatusUnknown' });
    expect(node.spec?.taints).toEqual([expect.objectContaining({ key: 'node.kubernetes.io/unreachable', effect: 'NoSchedule' })]);
    await cluster.agentBack(first);
  });

  story('whose agent stands still: its tasks run elsewhere, in time and never twice at once', async (cluster) => {
    const { first, second } = await startBeating(cluster, 'frozen');
    const lostAtMs = cluster.clock.now();
    cluster.agent(first).signal('SIGSTOP');
    await moved(cluster, 'frozen', second, lostAtMs);
    cluster.agent(first).signal('SIGCONT');
    await cluster.nodesReady();
  });
});

describe('a node whose network is cut', () => {
  const { story } = withCluster({ store: 'embedded', nodes: ['n1', 'n2'], presenceTtlSeconds: ttlSeconds });
  let proxy: TcpProxy | undefined;
  afterEach(() => proxy?.close());

  story('stops its tasks before they run elsewhere, and takes part again when the network is back', async (cluster) => {
    proxy = await TcpProxy.start(Number(new URL(cluster.processes.server).port));
    // The agent of n1 now dials the proxy; the task starts there because n2 takes none yet.
    await cluster.client.mergePatch(nodeKind, cluster.node('n2'), undefined, { spec: { unschedulable: true } });
    const kubeconfig = cluster.processes.agentKubeconfig(cluster.node('n1'));
    await writeFile(kubeconfig, (await readFile(kubeconfig, 'utf8')).replaceAll(cluster.processes.server, `https://127.0.0.1:${proxy.port}`));
    await cluster.agent('n1').stop();
    await cluster.agentBack('n1');

    const { first, second } = await startBeating(cluster, 'cut');
    expect(first).toBe('n1');
    await cluster.client.mergePatch(nodeKind, cluster.node('n2'), undefined, { spec: { unschedulable: null } });
    const lostAtMs = cluster.clock.now();
    proxy.cut();
    await moved(cluster, 'cut', second, lostAtMs);
    proxy.mend();
    await cluster.nodes.untilObject(cluster.node('n1'), 'to be Ready again', (node) => isReady(node) && !node.spec?.taints?.length);
  });
});
