// drain and taint against the real API server, without a socket: what they print and the exit code they end with.

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { startInProcessApiServer, type RunningInProcessApiServer } from '../../apiserver/in-process.js';
import { nodeKind, type Node } from '../../api/node.js';
import { bulkPaths } from '../../api/protocol.js';
import { taskKind, type Task, type TaskSpec } from '../../api/task.js';
import { ApiClient } from '../../client/api-client.js';
import { SystemClock } from '../../lib/clock.js';
import { SeededRandom } from '../../lib/random.js';
import type { CommandContext } from '../context.js';
import { MemoryOutput } from '../io.js';
import { drain } from './drain.js';
import { changedTaints, parseTaints, taint } from './taint.js';

const clock = new SystemClock();
const random = new SeededRandom(1);
let server: RunningInProcessApiServer;
let client: ApiClient;

beforeEach(async () => {
  server = await startInProcessApiServer({ clock, random });
  client = new ApiClient({ transport: server.transport() });
  await client.create(nodeKind, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } } as Node);
});
afterEach(async () => {
  await server.stop();
});

async function tell(verb: (context: CommandContext) => Promise<number>): Promise<{ code: number; out: string; err: string }> {
  const out = new MemoryOutput();
  const err = new MemoryOutput();
  const code = await verb({ client, namespace: 'default', io: { stdin: (async function* () {})(), out, err, env: {} }, clock, random, signal: server.signal });
  return { code, out: out.text, err: err.text };
}

async function bound(name: string, spec: Partial<TaskSpec> = {}, labels: Record<string, string> = {}): Promise<Task> {
  const task = await client.create(taskKind, { apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name, namespace: 'default', labels }, spec: { command: ['x'], ...spec } } as Task);
  await client.bulk(bulkPaths.bind, { items: [{ namespace: 'default', name, uid: task.metadata.uid, nodeName: 'n1' }] });
  return task;
}

/** What its agent does once it is asked. */
async function stops(task: Task): Promise<void> {
  const { name = '', uid = '', resourceVersion } = task.metadata;
  for await (const { object } of client.watch(taskKind, { fieldSelector: `metadata.name=${name}`, resourceVersion, signal: server.signal })) {
    if (!object.status?.eviction) continue;
    await client.bulk(bulkPaths.status, { nodeName: 'n1', items: [{ namespace: 'default', name, uid, bindings: 1, attempt: 1, phase: 'Evicted', reason: 'Evicted' }] });
    return;
  }
}

describe('drain', () => {
  it('keeps new tasks away and waits until all have left', async () => {
    const tasks = [await bound('a'), await bound('b')];
    const agent = Promise.all(tasks.map(stops));
    const { code, out } = await tell((context) => drain(context, 'n1', { gracePeriod: 7 }));
    await agent;
    expect(code).toBe(0);
    expect(out.split('\n').toSorted()).toEqual(['', 'evicting task default/a', 'evicting task default/b', 'node/n1 cordoned', 'node/n1 drained', 'task.taskplane.dev/a left node n1', 'task.taskplane.dev/b left node n1']);
    expect((await client.get(nodeKind, 'n1')).spec?.unschedulable).toBe(true);
    expect((await client.get(taskKind, 'a', 'default')).status?.phase).toBe('Pending');
  });

  it('takes only those that are selected, and does not wait longer than it may', async () => {
    await bound('a', {}, { app: 'x' });
    await bound('b');
    const { code, err } = await tell((context) => drain(context, 'n1', { taskSelector: 'app=x', gracePeriod: 7, timeoutMs: 100 }));
    expect([code, err]).toEqual([1, 'error: timed out while tasks were still stopping on node n1: default/a\n']);
    expect((await client.get(taskKind, 'a', 'default')).status?.eviction?.gracePeriodSeconds).toBe(7);
    expect((await client.get(taskKind, 'b', 'default')).status?.eviction).toBeUndefined();
  });

  it('asks for --force before a task fails by it', async () => {
    const task = await bound('once', { onNodeLost: 'Fail' });
    expect(await tell((context) => drain(context, 'n1', {}))).toMatchObject({ code: 1, err: 'error: cannot evict tasks that would fail, as their onNodeLost says (use --force to override): default/once\n' });
    const agent = stops(task);
    expect((await tell((context) => drain(context, 'n1', { force: true }))).code).toBe(0);
    await agent;
    expect((await client.get(taskKind, 'once', 'default')).status).toMatchObject({ phase: 'Failed', reason: 'Evicted' });
  });

  it('changes nothing in a dry run, and says what is not there', async () => {
    await bound('a');
    expect((await tell((context) => drain(context, 'n1', { dryRun: 'server' }))).out).toBe('node/n1 cordoned (server dry run)\nevicting task default/a (server dry run)\nnode/n1 drained (server dry run)\n');
    expect((await client.get(nodeKind, 'n1')).spec?.unschedulable).toBeUndefined();
    expect((await client.get(taskKind, 'a', 'default')).status?.eviction).toBeUndefined();
    expect(await tell((context) => drain(context, 'n2', {}))).toMatchObject({ code: 1, err: 'Error from server (NotFound): nodes "n2" not found\n' });
  });
});

describe('taint', () => {
  it('puts taints on and takes them off', async () => {
    expect((await tell((context) => taint(context, ['n1'], ['gpu=broken:NoExecute', 'slow:PreferNoSchedule'], {}))).out).toBe('node/n1 tainted\n');
    expect((await client.get(nodeKind, 'n1')).spec?.taints).toEqual([{ key: 'gpu', value: 'broken', effect: 'NoExecute', timeAdded: expect.any(String) }, { key: 'slow', effect: 'PreferNoSchedule' }]);
    expect(await tell((context) => taint(context, ['n1'], ['gpu=other:NoExecute'], {}))).toMatchObject({ code: 1, err: expect.stringContaining('--overwrite') });
    expect((await tell((context) => taint(context, [], ['gpu=other:NoExecute', 'slow-'], { overwrite: true, all: true }))).out).toBe('node/n1 modified\n');
    expect((await tell((context) => taint(context, ['n1'], ['gpu:NoExecute-'], {}))).out).toBe('node/n1 untainted\n');
    expect((await client.get(nodeKind, 'n1')).spec?.taints).toBeUndefined();
    expect(await tell((context) => taint(context, ['n1', 'n2'], ['gpu-'], {}))).toMatchObject({ code: 1, err: 'error: taint "gpu" not found\nError from server (NotFound): nodes "n2" not found\n' });
  });

  it.each(['gpu', 'gpu=x', 'gpu=x:Sometimes', ':NoExecute', 'a b:NoExecute', 'gpu=-x-:NoExecute'])('does not understand %s', (text) => {
    expect(() => parseTaints([text])).toThrow('invalid taint');
  });

  it('reads what kubectl reads', () => {
    expect(parseTaints(['example.com/a-b=v-1:NoSchedule', 'c-', 'd:NoExecute-'])).toEqual({ add: [{ key: 'example.com/a-b', value: 'v-1', effect: 'NoSchedule' }], remove: [{ key: 'c' }, { key: 'd', effect: 'NoExecute' }] });
    expect(changedTaints([{ key: 'a', effect: 'NoSchedule' }], parseTaints(['a:NoSchedule', 'a:NoExecute']), false)).toHaveLength(2);
  });
});
