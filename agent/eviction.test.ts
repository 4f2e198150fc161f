import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { adminUser, agentUser, controllersUser, createInProcessApiServer, type InProcessApiServer } from '../apiserver/in-process.js';
import { nodeKind } from '../api/node.js';
import type { Task, TaskSpec } from '../api/task.js';
import { SystemClock } from '../lib/clock.js';
import { SystemRandom } from '../lib/random.js';
import { readStat } from './proc.js';
import { AgentHost, buildAgentProcess } from './testing/agent-host.js';
import { bind, inPhase, nodeReady, removeNode, runTask, taskThat, testApi, type TestApi } from './testing/cluster.js';

const clock = new SystemClock();
const nodeName = `eviction-test-${process.pid}`;

describe('an agent whose task is evicted', () => {
  let bundle: string;
  let server: InProcessApiServer;
  let serverStop: AbortController;
  let serverRun: Promise<void>;
  let dataDir: string;
  let api: TestApi;
  let hosts: AgentHost[];

  beforeAll(async () => {
    bundle = await buildAgentProcess();
  });
  afterAll(() => rm(bundle, { force: true }));

  beforeEach(async () => {
    hosts = [];
    dataDir = await mkdtemp(join(tmpdir(), 'taskplane-eviction-'));
    server = await createInProcessApiServer({ clock, random: new SystemRandom(), presenceTtlMs: 3_000 });
    serverStop = new AbortController();
    serverRun = server.run(serverStop.signal);
    await server.ready;
    api = testApi(server.transport(), server.transport(controllersUser));
  });

  afterEach(async () => {
    for (const host of hosts) await host.kill('SIGTERM');
    serverStop.abort();
    await serverRun;
    await server.close();
    await removeNode(nodeName, dataDir);
  });

  function startAgent(): AgentHost {
    const host = new AgentHost({ bundle, nodeName, dataDir, transport: server.transport(agentUser(nodeName)) });
    hosts.push(host);
    return host;
  }

  async function evict(name: string, gracePeriodSeconds?: number): Promise<void> {
    const { status } = await server.transport(adminUser).request({
      method: 'POST',
      path: `/apis/taskplane.dev/v1/namespaces/default/tasks/${name}/eviction`,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ apiVersion: 'policy/v1', kind: 'Eviction', ...(gracePeriodSeconds === undefined ? {} : { deleteOptions: { gracePeriodSeconds } }) }),
    });
    expect(status).toBe(201);
  }

  async function started(name: string, spec: TaskSpec): Promise<{ task: Task; pid: number }> {
    await nodeReady(api, nodeName);
    await runTask(api, nodeName, name, spec);
    const task = await taskThat(api, name, inPhase('Running'));
    return { task, pid: Number((await textOf(join(dataDir, 'attempts', `${task.metadata.uid}-1-1`, 'output.log'))).split('\n')[0]) };
  }

  const gentle = (file: string): string => `trap 'echo saved >${file}; exit 0' TERM; echo $$; while :; do sleep 0.05 || :; done`;

  it('stops it with its grace, says so once nothing runs, and runs it again when it is bound anew', async () => {
    startAgent();
    const saved = join(dataDir, 'saved');
    const { task, pid } = await started('gentle', { script: gentle(saved), restartPolicy: 'OnFailure', backoffLimit: 1 });
    await evict('gentle');
    const free = await taskThat(api, 'gentle', inPhase('Pending'));
    expect(alive(pid)).toBe(false);
    expect(readFileSync(saved, 'utf8')).toBe('saved\n');
    expect(free.status).toMatchObject({ reason: 'Evicted', evictions: 1, lastAttempt: { attempt: 1, exitCode: 0, reason: 'Evicted' } });
    await bind(api, nodeName, task);
    expect((await taskThat(api, 'gentle', inPhase('Running'))).status).toMatchObject({ bindings: 2, attempt: 2 });
  });

  it('kills it when the grace is over, or at once when there is none', async () => {
    startAgent();
    const stubborn = { script: "trap '' TERM; echo $$; while :; do sleep 0.05; done", terminationGracePeriodSeconds: 1 };
    for (const [name, grace] of [['stubborn', undefined], ['hurried', 0]] as const) {
      const { pid } = await started(name, { ...stubborn, ...(grace === 0 ? { terminationGracePeriodSeconds: 600 } : {}) });
      await evict(name, grace);
      expect((await taskThat(api, name, inPhase('Pending'))).status).toMatchObject({ lastAttempt: { signal: 'SIGKILL', reason: 'Evicted' } });
      expect(alive(pid)).toBe(false);
    }
  });

  it('goes on stopping it after its own death', async () => {
    const first = startAgent();
    const { pid } = await started('stubborn', { script: "trap 'echo asked' TERM; echo $$; while :; do sleep 0.05 || :; done", terminationGracePeriodSeconds: 600 });
    const { metadata } = await taskThat(api, 'stubborn', inPhase('Running'));
    await evict('stubborn');
    await textOf(join(dataDir, 'attempts', `${metadata.uid}-1-1`, 'output.log'), 2);
    await first.kill('SIGKILL');
    await evict('stubborn', 1);
    startAgent();
    expect((await taskThat(api, 'stubborn', inPhase('Pending'))).status).toMatchObject({ reason: 'Evicted', lastAttempt: { reason: 'Evicted', signal: 'SIGKILL' } });
    expect(alive(pid)).toBe(false);
  });

  it('fails a task that may not be started twice', async () => {
    startAgent();
    await started('once', { script: 'echo $$; exec sleep 1000', onNodeLost: 'Fail' });
    await evict('once');
    expect((await taskThat(api, 'once', inPhase('Failed'))).status).toMatchObject({ reason: 'Evicted', exitCode: 143, signal: 'SIGTERM' });
  });

  it('gives it away between two attempts, which count', async () => {
    startAgent();
    await nodeReady(api, nodeName);
    await runTask(api, nodeName, 'flaky', { script: 'exit 3', restartPolicy: 'OnFailure', backoffLimit: 6 });
    await taskThat(api, 'flaky', (task) => (task?.status?.reason === 'BackOff' && (task.status.attempt ?? 0) >= 2 ? task : undefined));
    await evict('flaky');
    const free = await taskThat(api, 'flaky', inPhase('Pending'));
    expect(free.status).toMatchObject({ lastAttempt: { exitCode: 3, reason: 'Error' } });
    expect(free.status?.evictions).toBeUndefined();
  });

  it('never starts what was evicted before it knew', async () => {
    await api.user.create(nodeKind, { apiVersion: 'v1', kind: 'Node', metadata: { name: nodeName } });
    await runTask(api, nodeName, 'early', { script: `touch ${join(dataDir, 'ran')}` });
    await evict('early');
    startAgent();
    expect((await taskThat(api, 'early', inPhase('Pending'))).status).toMatchObject({ reason: 'Evicted', evictions: 1 });
    expect(existsSync(join(dataDir, 'ran'))).toBe(false);
  });
});

function alive(pid: number): boolean {
  return (readStat(pid)?.state ?? 'Z') !== 'Z';
}

async function textOf(path: string, lines = 1): Promise<string> {
  for (;;) {
    const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
    if (text.split('\n').length > lines) return text;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
