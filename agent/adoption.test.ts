import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { agentUser, controllersUser, createInProcessApiServer, type InProcessApiServer } from '../apiserver/in-process.js';
import type { TaskSpec } from '../api/task.js';
import { SystemClock } from '../lib/clock.js';
import { SeededRandom, SystemRandom } from '../lib/random.js';
import { detectCgroups, groupNameOf } from './cgroup-detect.js';
import { readStat } from './proc.js';
import { AgentHost, buildAgentProcess } from './testing/agent-host.js';
import { inPhase, nodeReady, removeNode, runTask, taskThat, testApi, type TestApi } from './testing/cluster.js';

const clock = new SystemClock();
const nodeName = `adoption-test-${process.pid}`;
const ttlMs = 3_000;

describe('an agent that is killed', () => {
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
    dataDir = await mkdtemp(join(tmpdir(), 'taskplane-adoption-'));
    server = await createInProcessApiServer({ clock, random: new SystemRandom(), presenceTtlMs: ttlMs });
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
  const run = async (name: string, spec: TaskSpec) => {
    await nodeReady(api, nodeName);
    return runTask(api, nodeName, name, spec);
  };
  const log = (uid: string): string => join(dataDir, 'attempts', `${uid}-1-1`, 'output.log');

  it('leaves its tasks to the next one, with their pid, exit code and use', async () => {
    const first = startAgent();
    await writeFile(join(dataDir, 'go'), '');
    await run('survivor', { script: `echo $$; while [ -e ${dataDir}/go ]; do sleep 0.05; done; exit 42` });
    const task = await taskThat(api, 'survivor', inPhase('Running'));
    const pid = Number((await textOf(log(task.metadata.uid!))).split('\n')[0]);
    await first.kill('SIGKILL');
    startAgent();
    await run('next', { command: ['true'] });
    await taskThat(api, 'next', inPhase('Succeeded'));
    expect(readStat(pid)?.pid).toBe(pid);
    await rm(join(dataDir, 'go'));
    const done = await taskThat(api, 'survivor', inPhase('Failed'));
    expect(done.status).toMatchObject({ attempt: 1, bindings: 1, exitCode: 42, startTime: task.status!.startTime });
    expect(await textOf(log(task.metadata.uid!))).toBe(`${pid}\n`);
  });

  it('leaves a watchdog that kills what may run elsewhere in time, spares the rest, and then goes', async () => {
    const agent = startAgent();
    await run('moves', { script: 'echo $$; trap "" TERM; setsid sleep 1000 & echo $!; sleep 1000' });
    await run('waits', { script: 'echo $$; exec sleep 1000', onNodeLost: 'Wait' });
    const moves = await taskThat(api, 'moves', inPhase('Running'));
    const waits = await taskThat(api, 'waits', inPhase('Running'));
    const pids = (await textOf(log(moves.metadata.uid!), 2)).trim().split('\n').map(Number);
    const spared = Number(await textOf(log(waits.metadata.uid!)));
    const watchdog = Number(await textOf(join(dataDir, 'fence', 'watchdog')));
    const killedAt = clock.monotonic();
    await agent.kill('SIGKILL');
    await untilGone(...pids);
    expect(clock.monotonic() - killedAt).toBeLessThan(ttlMs);
    expect(readStat(spared)?.state).toMatch(/[SR]/);
    await untilGone(watchdog);
    startAgent();
    expect((await taskThat(api, 'moves', inPhase('Pending'))).status).toMatchObject({ reason: 'Lost' });
    expect(readStat(spared)?.state).toMatch(/[SR]/);
  });

  it('runs each attempt once and loses no result, however often it is killed', async () => {
    const random = new SeededRandom(7);
    const count = 40;
    let agent = startAgent();
    const ran = join(dataDir, 'ran');
    for (let index = 0; index < count; index++) {
      await run(`short-${index}`, { script: `echo ${index}-$TASKPLANE_TASK_ATTEMPT >>${ran}; exit ${index % 3}` });
      if (random.integer(6) !== 0) continue;
      await agent.kill('SIGKILL');
      agent = startAgent();
    }
    for (let index = 0; index < count; index++) {
      const task = await taskThat(api, `short-${index}`, (found) => (found?.status?.phase === 'Succeeded' || found?.status?.phase === 'Failed' ? found : undefined));
      expect([index, task.status?.exitCode]).toEqual([index, index % 3]);
    }
    const lines = readFileSync(ran, 'utf8').trim().split('\n');
    expect(lines.toSorted()).toEqual([...new Set(lines)].toSorted());
    expect(lines).toHaveLength(count);
    await agent.kill('SIGTERM');
    expect(detectCgroups(groupNameOf(nodeName, dataDir))?.keys() ?? []).toEqual([]);
  }, 60_000);
});

async function textOf(path: string, lines = 1): Promise<string> {
  for (;;) {
    const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
    if (text.split('\n').length > lines) return text;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

async function untilGone(...pids: number[]): Promise<void> {
  const lives = (pid: number): boolean => (readStat(pid)?.state ?? 'Z') !== 'Z';
  while (pids.some(lives)) await new Promise((resolve) => setTimeout(resolve, 5));
}
