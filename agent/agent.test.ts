import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { agentUser, controllersUser, createInProcessApiServer, type InProcessApiServer } from '../apiserver/in-process.js';
import { secretKind, type Secret } from '../api/config.js';
import { afterLoss } from '../api/task-status.js';
import { taskKind, type Task, type TaskSpec } from '../api/task.js';
import { TransportError, type Transport } from '../api/transport.js';
import { SystemClock } from '../lib/clock.js';
import { silentLogger } from '../lib/log.js';
import type { MessageChannel } from '../lib/mux.js';
import { SystemRandom } from '../lib/random.js';
import { Journal } from './journal.js';
import { runAgent, type AgentRunOptions } from './main.js';
import { MockDriver, MockMachine } from './mock-driver.js';
import { readStat } from './proc.js';
import { bind, inPhase, nodeReady, removeNode, runTask, taskThat, testApi, type TestApi } from './testing/cluster.js';

const clock = new SystemClock();
const random = new SystemRandom();
const nodeName = `agent-test-${process.pid}`;

interface RunningAgent {
  stop(): Promise<void>;
}

describe('runAgent', () => {
  let server: InProcessApiServer;
  let serverStop: AbortController;
  let serverRun: Promise<void>;
  let dataDir: string;
  let api: TestApi;
  let agents: RunningAgent[];
  /** True: the agent's requests get no answer. */
  let cutOff: boolean;

  beforeEach(async () => {
    agents = [];
    cutOff = false;
    dataDir = await mkdtemp(join(tmpdir(), 'taskplane-agent-'));
    server = await createInProcessApiServer({ clock, random, presenceTtlMs: 3_000 });
    serverStop = new AbortController();
    serverRun = server.run(serverStop.signal);
    await server.ready;
    api = testApi(server.transport(), server.transport(controllersUser));
  });

  afterEach(async () => {
    cutOff = false;
    for (const agent of agents) await agent.stop();
    serverStop.abort();
    await serverRun;
    await server.close();
    await removeNode(nodeName, dataDir);
  });

  function transport(): Transport {
    const inner = server.transport(agentUser(nodeName));
    const gate = (): void => {
      if (cutOff) throw new TransportError('cut off');
    };
    return {
      async request(request) {
        gate();
        const answer = await inner.request(request);
        gate();
        return answer;
      },
      async stream(request) {
        gate();
        return inner.stream(request);
      },
      close: () => inner.close(),
    };
  }

  async function startAgent(options: Partial<AgentRunOptions> = {}): Promise<RunningAgent> {
    const stop = new AbortController();
    const run = runAgent({ transport: transport(), nodeName, dataDir, clock, random, logger: silentLogger, ...options }, stop.signal);
    run.catch(() => undefined);
    let stopped = false;
    const agent = {
      async stop() {
        if (stopped) return;
        stopped = true;
        stop.abort();
        await run;
      },
    };
    agents.push(agent);
    await Promise.race([run, nodeReady(api, nodeName)]);
    return agent;
  }

  const run = (name: string, spec: TaskSpec): Promise<Task> => runTask(api, nodeName, name, spec);

  it('registers its node with what the machine has', async () => {
    await startAgent({ labels: { zone: 'a' }, capacity: { gpu: '2' } });
    const node = await nodeReady(api, nodeName);
    expect(node.metadata.labels).toMatchObject({ zone: 'a', 'kubernetes.io/hostname': nodeName, 'kubernetes.io/os': 'linux' });
    expect(node.status?.capacity).toMatchObject({ gpu: '2', cpu: expect.any(String), memory: expect.any(String), tasks: expect.any(String) });
    expect(node.status?.nodeInfo?.containerRuntimeVersion).toMatch(/^(cgroup-v[12]|process-group)$/);
  });

  it('runs a bound task to success and reports what it used', async () => {
    await startAgent();
    await run('hello', { script: 'echo "$GREETING $TASKPLANE_TASK_NAME"; test -d .', env: [{ name: 'GREETING', value: 'hello from' }] });
    const task = await taskThat(api, 'hello', inPhase('Succeeded'));
    expect(task.status).toMatchObject({ exitCode: 0, attempt: 1, reason: 'Completed', startTime: expect.any(String), finishTime: expect.any(String), firstStartTime: expect.any(String) });
    expect(readFileSync(join(dataDir, 'attempts', `${task.metadata.uid}-1-1`, 'output.log'), 'utf8')).toBe('hello from hello\n');
  });

  it('restarts by policy until the attempts are used up', async () => {
    await startAgent();
    await run('flaky', { script: 'exit 3', restartPolicy: 'OnFailure', backoffLimit: 2 });
    const task = await taskThat(api, 'flaky', inPhase('Failed'));
    expect(task.status).toMatchObject({ attempt: 2, exitCode: 3, reason: 'BackoffLimitExceeded', lastAttempt: { attempt: 1, exitCode: 3 } });
  });

  it('fails a task whose command does not exist with a sentence that says so', async () => {
    await startAgent();
    await run('typo', { command: ['no-such-program'] });
    const task = await taskThat(api, 'typo', inPhase('Failed'));
    expect(task.status).toMatchObject({ reason: 'StartError', exitCode: 127, message: expect.stringContaining('no-such-program: command not found') });
  });

  it('does not start again what it had meant to start before the machine restarted, of which nothing is left', async () => {
    await (await startAgent()).stop();
    const { metadata, status } = await run('once', { command: ['true'], onNodeLost: 'Fail' });
    const journal = Journal.open(join(dataDir, 'journal'), 'an earlier boot');
    await journal.start({ uid: metadata.uid!, bindings: status?.bindings ?? 1, attempt: 1, tries: 0, namespace: 'default', name: 'once', fenced: true, delays: 0 });
    journal.close();
    await startAgent();
    const task = await taskThat(api, 'once', inPhase('Failed'));
    expect(task.status).toMatchObject({ attempt: 1, message: expect.stringContaining('the machine was restarted') });
  });

  it('stops a task at its deadline', async () => {
    await startAgent();
    await run('long', { command: ['sleep', '1000'], activeDeadlineSeconds: 1 });
    const task = await taskThat(api, 'long', inPhase('Failed'));
    expect(task.status).toMatchObject({ reason: 'DeadlineExceeded', signal: 'SIGTERM' });
  });

  it('stops the processes of a deleted task, with its grace, and the task goes', async () => {
    await startAgent();
    await run('stubborn', { script: 'trap "" TERM; echo $$; while :; do sleep 1; done', terminationGracePeriodSeconds: 1 });
    const task = await taskThat(api, 'stubborn', inPhase('Running'));
    const pid = Number(await firstLine(join(dataDir, 'attempts', `${task.metadata.uid}-1-1`, 'output.log')));
    await api.user.delete(taskKind, 'stubborn', 'default');
    await taskThat(api, 'stubborn', (found) => found === undefined);
    expect(readStat(pid)?.state ?? 'gone').toMatch(/gone|Z/);
  });

  it('waits for a secret that is missing, without using up an attempt', async () => {
    await startAgent();
    await run('keyed', { script: 'test "$KEY" = s3cret', env: [{ name: 'KEY', valueFrom: { secretKeyRef: { name: 'k', key: 'v' } } }] });
    const waiting = await taskThat(api, 'keyed', (task) => (task?.status?.reason === 'CreateConfigError' ? task : undefined));
    expect(waiting.status).toMatchObject({ phase: 'Scheduled', message: 'Secret k does not exist, which variable KEY needs' });
    await api.user.create<Secret>(secretKind, { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'k', namespace: 'default' }, stringData: { v: 's3cret' } });
    expect((await taskThat(api, 'keyed', inPhase('Succeeded'))).status).toMatchObject({ attempt: 1 });
    expect(readFileSync(join(dataDir, 'journal'), 'utf8')).not.toContain('s3cret');
  });

  it('leaves tasks running when it stops, and the next agent reports their exit codes', async () => {
    const first = await startAgent();
    await writeFile(join(dataDir, 'go'), '');
    const task = await run('survivor', { script: `while [ -e ${dataDir}/go ]; do sleep 0.05; done; exit 42` });
    await taskThat(api, 'survivor', inPhase('Running'));
    await first.stop();
    await startAgent();
    await rm(join(dataDir, 'go'));
    const done = await taskThat(api, 'survivor', inPhase('Failed'));
    expect(done.status).toMatchObject({ exitCode: 42, attempt: 1, usage: expect.anything() });
    expect(done.metadata.uid).toBe(task.metadata.uid);
  });

  it('ends tasks together with itself when told to, so that they run again later', async () => {
    const first = await startAgent({ stopTasksOnExit: true });
    const task = await run('parted', { command: ['sleep', '1000'] });
    await taskThat(api, 'parted', inPhase('Running'));
    await first.stop();
    expect((await taskThat(api, 'parted', inPhase('Pending'))).status).toMatchObject({ reason: 'AgentStopped' });
    await startAgent({ stopTasksOnExit: true });
    await bind(api, nodeName, task);
    expect((await taskThat(api, 'parted', inPhase('Running'))).status).toMatchObject({ attempt: 2 });
  });

  it('stops what may run elsewhere before its presence is over, keeps the rest, and comes back', async () => {
    await startAgent();
    await run('moves', { script: 'echo $$; exec sleep 1000' });
    await run('waits', { command: ['sleep', '1000'], onNodeLost: 'Wait' });
    const moves = await taskThat(api, 'moves', inPhase('Running'));
    await taskThat(api, 'waits', inPhase('Running'));
    const pid = Number(await firstLine(join(dataDir, 'attempts', `${moves.metadata.uid}-1-1`, 'output.log')));
    const cutAt = clock.monotonic();
    cutOff = true;
    while (readStat(pid) && readStat(pid)!.state !== 'Z') await new Promise((resolve) => setTimeout(resolve, 5));
    expect(clock.monotonic() - cutAt).toBeLessThan(3_000);
    cutOff = false;
    const lost = await taskThat(api, 'moves', inPhase('Pending'));
    expect(lost.status).toMatchObject({ reason: 'NodeLost' });
    expect((await taskThat(api, 'waits', inPhase('Running'))).status).toMatchObject({ attempt: 1 });
  });

  it('says that a task runs when its node was taken for lost and the task kept for it', async () => {
    await startAgent();
    await run('waits', { command: ['sleep', '1000'], onNodeLost: 'Wait' });
    const task = await taskThat(api, 'waits', inPhase('Running'));
    await api.scheduler.update(taskKind, { ...task, status: afterLoss(task, 'NodeLost', 'node is lost', clock.now()) }, { subresource: 'status' });
    const back = await taskThat(api, 'waits', inPhase('Running'));
    expect(back.status).toMatchObject({ attempt: 1, startTime: task.status!.startTime });
    expect(back.status).not.toHaveProperty('reason');
  });

  it('kills what the cluster no longer wants, when it hears of it', async () => {
    await startAgent();
    await run('unwanted', { script: 'echo $$; exec sleep 1000' });
    const task = await taskThat(api, 'unwanted', inPhase('Running'));
    const pid = Number(await firstLine(join(dataDir, 'attempts', `${task.metadata.uid}-1-1`, 'output.log')));
    await api.user.delete(taskKind, 'unwanted', 'default', { gracePeriodSeconds: 0 });
    while (readStat(pid) && readStat(pid)!.state !== 'Z') await new Promise((resolve) => setTimeout(resolve, 5));
  });

  it('serves logs over its tunnel: whole, the last lines, and as they come', async () => {
    await startAgent({ dial: () => Promise.resolve(connectedChannel((channel) => server.connectTunnel(nodeName, channel, agentUser(nodeName)))) });
    await run('talk', { script: 'for i in 1 2 3; do echo line $i; done; while [ ! -e stop ]; do sleep 0.05; done; echo last' });
    const task = await taskThat(api, 'talk', inPhase('Running'));
    const dir = join(dataDir, 'attempts', `${task.metadata.uid}-1-1`);
    await lines(join(dir, 'output.log'), 3);
    const read = async (query: object): Promise<string> => {
      let text = '';
      for await (const chunk of await api.user.log('default', 'talk', query, AbortSignal.timeout(10_000))) text += chunk.toString();
      return text;
    };
    expect(await read({})).toBe('line 1\nline 2\nline 3\n');
    expect(await read({ tailLines: 2 })).toBe('line 2\nline 3\n');
    expect(await read({ limitBytes: 8 })).toBe('line 1\nl');
    const followed = read({ follow: true, tailLines: 1 });
    await writeFile(join(dir, 'work', 'stop'), '');
    expect(await followed).toBe('line 3\nlast\n');
  });

  it('loses no task when its tunnel dies without a word, and soon follows its tasks over another', async () => {
    let dials = 0;
    let isDead = false;
    await startAgent({
      driver: new MockDriver({ clock, machine: new MockMachine(clock) }),
      dial: () => {
        const channel = connectedChannel((theirs) => server.connectTunnel(nodeName, theirs, agentUser(nodeName)));
        return Promise.resolve({ ...silenced(channel, () => isDead && dials === 1), takesRequests: ++dials > 0 });
      },
    });
    await runTask(api, nodeName, 'stays', { command: ['x'] }, { 'mock.taskplane.dev/run-for': 'forever' });
    await taskThat(api, 'stays', inPhase('Running'));
    isDead = true;
    await runTask(api, nodeName, 'next', { command: ['x'] }, { 'mock.taskplane.dev/run-for': 'forever' });
    await taskThat(api, 'next', inPhase('Running'));
    expect(dials).toBe(2);
    expect((await taskThat(api, 'stays', inPhase('Running'))).status).toMatchObject({ attempt: 1 });
  });

  it('refuses to share its data directory', async () => {
    await startAgent();
    await expect(runAgent({ transport: transport(), nodeName, dataDir, clock, random, logger: silentLogger }, new AbortController().signal)).rejects.toThrow('another agent uses');
  });

  it('runs scripted tasks with the mock driver', async () => {
    await startAgent({ driver: new MockDriver({ clock, machine: new MockMachine(clock) }) });
    await runTask(api, nodeName, 'mocked', { command: ['x'], restartPolicy: 'OnFailure' }, { 'mock.taskplane.dev/fail-attempts': '1' });
    expect((await taskThat(api, 'mocked', inPhase('Succeeded'))).status).toMatchObject({ attempt: 2, lastAttempt: { attempt: 1, exitCode: 1 } });
  });
});

async function firstLine(path: string): Promise<string> {
  await lines(path, 1);
  return readFileSync(path, 'utf8').split('\n')[0]!;
}

async function lines(path: string, count: number): Promise<void> {
  const have = (): number => {
    try {
      return readFileSync(path, 'utf8').split('\n').length - 1;
    } catch {
      return 0;
    }
  };
  while (have() < count) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** Loses what is sent over it, both ways, while `isDead`; nobody is told. */
function silenced(channel: MessageChannel, isDead: () => boolean): MessageChannel {
  return {
    ...channel,
    send: (message) => void (isDead() || channel.send(message)),
    onMessage: (handler) => channel.onMessage((message) => void (isDead() || handler(message))),
  };
}

/** Two ends of one channel: one is given to `connect`, the other returned. */
function connectedChannel(connect: (channel: MessageChannel) => void): MessageChannel {
  const ends = [0, 1].map(() => ({ message: [] as ((message: Buffer) => void)[], close: [] as (() => void)[] }));
  let open = true;
  const end = (own: number): MessageChannel => ({
    send: (message) => void queueMicrotask(() => open && ends[1 - own]!.message.forEach((handler) => handler(message))),
    onMessage: (handler) => void ends[own]!.message.push(handler),
    onClose: (handler) => void ends[own]!.close.push(handler),
    close: () => {
      if (!open) return;
      open = false;
      for (const { close } of ends) close.forEach((handler) => handler());
    },
  });
  connect(end(0));
  return end(1);
}

