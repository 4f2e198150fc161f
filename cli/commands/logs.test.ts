import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { agentUser, createInProcessApiServer, type InProcessApiServer } from '../../apiserver/in-process.js';
import { nodeKind } from '../../api/node.js';
import { bulkPaths, type LogTunnelRequest } from '../../api/protocol.js';
import { taskKind, type Task } from '../../api/task.js';
import { ApiClient } from '../../client/api-client.js';
import { SystemClock } from '../../lib/clock.js';
import { Mux } from '../../lib/mux.js';
import { SeededRandom } from '../../lib/random.js';
import { pairedChannels } from '../../lib/testing/paired-channels.js';
import { MemoryOutput } from '../io.js';
import { logs, type LogsOptions } from './logs.js';

const clock = new SystemClock();
const random = new SeededRandom(1);
let server: InProcessApiServer;
let client: ApiClient;
let stop: AbortController;
let running: Promise<void>;
let asked: LogTunnelRequest[];
let agent: Mux;

beforeEach(async () => {
  stop = new AbortController();
  server = await createInProcessApiServer({ clock, random });
  running = server.run(stop.signal);
  await server.ready;
  client = new ApiClient({ transport: server.transport() });
  await client.create(nodeKind, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } });
  const [ours, agents] = pairedChannels();
  asked = [];
  agent = new Mux({
    channel: agents,
    initiator: false,
    onStream(stream, message) {
      const request = JSON.parse(message.toString()) as LogTunnelRequest;
      asked.push(request);
      void stream.write(Buffer.from(`one of ${request.name}\ntwo`)).then(() => stream.end());
    },
  });
  server.connectTunnel('n1', ours);
  for (const name of ['a', 'b']) await runs(name);
});

afterEach(async () => {
  agent.close();
  stop.abort();
  await running;
  await server.close();
});

async function runs(name: string): Promise<void> {
  const task: Task = await client.create(taskKind, { apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name, namespace: 'default', labels: { app: 'web' } }, spec: { command: ['x'] } } as Task);
  const uid = task.metadata.uid!;
  await client.bulk(bulkPaths.bind, { items: [{ namespace: 'default', name, uid, nodeName: 'n1' }] });
  const report = { namespace: 'default', name, uid, bindings: 1, attempt: 1, phase: 'Running', startTime: '2026-01-01T00:00:00Z' };
  await new ApiClient({ transport: server.transport(agentUser('n1')) }).bulk(bulkPaths.status, { nodeName: 'n1', items: [report] });
}

async function tell(argument: string | undefined, options: LogsOptions): Promise<{ code: number; out: string; err: string }> {
  const [out, err] = [new MemoryOutput(), new MemoryOutput()];
  const io = { stdin: (async function* () {})(), out, err, env: {} };
  const code = await logs({ client, namespace: 'default', io, clock, random, signal: stop.signal }, argument, options);
  return { code, out: out.text, err: err.text };
}

describe('logs', () => {
  it('asks for what its flags say', async () => {
    const told = await tell('task/a', { tail: 3, limitBytes: 100, timestamps: true, since: '1m30s' });
    expect(told).toEqual({ code: 0, out: 'one of a\ntwo', err: '' });
    expect(asked).toMatchObject([{ name: 'a', follow: false, tailLines: 3, limitBytes: 100, timestamps: true, sinceSeconds: 90 }]);
    await tell('a', { sinceTime: '2026-01-01T00:00:01Z', tail: -1 });
    expect(asked[1]).toMatchObject({ sinceMs: Date.UTC(2026, 0, 1, 0, 0, 1) });
    expect(asked[1]).not.toHaveProperty('tailLines');
  });

  it('shows the tasks of a selector, line by line, ten lines of each', async () => {
    const told = await tell(undefined, { selector: 'app=web', prefix: true });
    expect(told.out).toBe('[task/a] one of a\n[task/a] two\n[task/b] one of b\n[task/b] two\n');
    expect(asked.map(({ tailLines }) => tailLines)).toEqual([10, 10]);
    expect((await tell(undefined, { selector: 'app=web', tail: -1 })).out).toBe('one of a\ntwo\none of b\ntwo\n');
    expect((await tell(undefined, { selector: 'app=none' })).err).toBe('No resources found in default namespace.\n');
  });

  it('goes on with the next task when told to ignore errors', async () => {
    agent.close();
    await expect(tell(undefined, { selector: 'app=web' })).rejects.toThrow('agent of node "n1" is not connected');
    const told = await tell(undefined, { selector: 'app=web', ignoreErrors: true });
    expect([told.code, told.err.split('\n').length]).toEqual([0, 3]);
  });

  it.each<[string | undefined, LogsOptions, string]>([
    [undefined, {}, 'say whose log'],
    ['a', { selector: 'app=web' }, 'only a selector (-l) or a TASK name is allowed'],
    ['a', { since: '1m', sinceTime: '2026-01-01T00:00:00Z' }, 'at most one of'],
    ['a', { sinceTime: 'noon' }, '--since-time noon'],
    ['a', { since: '-1m' }, '--since must be greater than 0'],
    [undefined, { selector: 'app=web', follow: true, maxLogRequests: 1 }, 'attempting to follow 2 log streams, but maximum allowed concurrency is 1'],
  ])('refuses %s with %j', async (argument, options, message) => {
    await expect(tell(argument, options)).rejects.toThrow(message);
  });
});
