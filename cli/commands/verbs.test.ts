// The verbs against the real API server, without a socket: what they print and the exit code they end with.

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { agentUser, startInProcessApiServer, type RunningInProcessApiServer } from '../../apiserver/in-process.js';
import { bulkPaths } from '../../api/protocol.js';
import type { TaskReport } from '../../api/task-status.js';
import { taskKind, type Task } from '../../api/task.js';
import { ApiClient } from '../../client/api-client.js';
import { SystemClock } from '../../lib/clock.js';
import { SeededRandom } from '../../lib/random.js';
import type { CommandContext } from '../context.js';
import { CliError } from '../failure.js';
import { MemoryOutput } from '../io.js';
import { apply } from './apply.js';
import { cordon } from './cordon.js';
import { deleteObjects } from './delete.js';
import { describe as describeObjects } from './describe.js';
import { get } from './get.js';
import { run } from './run.js';
import { wait } from './wait.js';

const clock = new SystemClock();
const random = new SeededRandom(1);
let server: RunningInProcessApiServer;
let client: ApiClient;
let directory: string;

beforeEach(async () => {
  server = await startInProcessApiServer({ clock, random });
  client = new ApiClient({ transport: server.transport() });
  directory = mkdtempSync(join(tmpdir(), 'taskplane-cli-'));
});

afterEach(async () => {
  await server.stop();
  rmSync(directory, { recursive: true });
});

interface Told {
  code: number;
  out: string;
  err: string;
}

async function tell(verb: (context: CommandContext) => Promise<number>, stdin = '', namespace = 'default'): Promise<Told> {
  const out = new MemoryOutput();
  const err = new MemoryOutput();
  const io = { stdin: (async function* () { yield stdin; })(), out, err, env: {} };
  const code = await verb({ client, namespace, io, clock, random, signal: server.signal });
  return { code, out: out.text, err: err.text };
}

const manifest = (name: string, spec = 'command: [echo, hi]'): string => `apiVersion: taskplane.dev/v1\nkind: Task\nmetadata:\n  name: ${name}\nspec:\n  ${spec}\n`;
const applyText = (text: string): Promise<Told> => tell((context) => apply(context, { filename: ['-'] }), text);

/** What scheduler and agent would do. */
async function bind(name: string): Promise<Task> {
  const task = await client.get<Task>(taskKind, name, 'default');
  const [outcome] = await client.bulk(bulkPaths.bind, { items: [{ namespace: 'default', name, uid: task.metadata.uid, nodeName: 'n1' }] });
  expect(outcome?.code).toBeLessThan(300);
  return task;
}

async function report(name: string, more: Partial<TaskReport> & Pick<TaskReport, 'phase'>): Promise<void> {
  const { uid } = (await client.get<Task>(taskKind, name, 'default')).metadata;
  const agent = new ApiClient({ transport: server.transport(agentUser('n1')) });
  const [outcome] = await agent.bulk(bulkPaths.status, { nodeName: 'n1', items: [{ namespace: 'default', name, uid: uid!, bindings: 1, attempt: 1, ...more }] });
  expect(outcome).toMatchObject({ code: 200 });
}

async function node(): Promise<void> {
  await client.transport.request({ method: 'POST', path: '/api/v1/nodes', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } }) });
}

/** Resolves when the task is there. */
async function created(name: string): Promise<void> {
  for await (const event of client.watch(taskKind, { namespace: 'default', resourceVersion: '0', signal: server.signal })) if (event.object.metadata.name === name) return;
}

describe('apply', () => {
  it('says created, unchanged and configured', async () => {
    expect(await applyText(manifest('a'))).toEqual({ code: 0, out: 'task.taskplane.dev/a created\n', err: '' });
    expect(await applyText(manifest('a'))).toMatchObject({ code: 0, out: 'task.taskplane.dev/a unchanged\n' });
    expect(await applyText(manifest('a', 'command: [echo, ho]'))).toMatchObject({ code: 0, out: 'task.taskplane.dev/a configured\n' });
  });

  it('finds nothing to do when the server keeps the same thing in other words', async () => {
    const secret = 'apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: v}\n';
    expect((await applyText(secret)).out).toBe('secret/s created\n');
    expect((await applyText(secret)).out).toBe('secret/s unchanged\n');
  });

  it('sends nothing while any document of any file has a problem', async () => {
    writeFileSync(join(directory, 'good.yaml'), manifest('good'));
    writeFileSync(join(directory, 'bad.yaml'), `${manifest('bad1', 'comand: [x]')}---\n${manifest('bad2', 'command: x')}`);
    const failure = await tell((context) => apply(context, { filename: [directory] })).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CliError);
    const { message } = failure as CliError;
    expect(message).toContain('bad.yaml:6: unknown field "spec.comand"; did you mean command?');
    expect(message).toContain('bad.yaml:13: spec.command: Invalid value: "x": must be a list');
    expect((await client.list(taskKind)).items).toEqual([]);
  });

  it('points to the line that the server refuses, and goes on with the rest', async () => {
    await node();
    await applyText(manifest('bound'));
    await bind('bound');
    const told = await applyText(`${manifest('bound', 'command: [echo, other]')}---\n${manifest('next')}`);
    expect(told.code).toBe(1);
    expect(told.err).toMatch(/^STDIN:6: task.taskplane.dev\/bound: spec.command: Forbidden: may not change once the task is bound/);
    expect(told.out).toBe('task.taskplane.dev/next created\n');
  });

  it('stores nothing in a dry run', async () => {
    const told = await tell((context) => apply(context, { filename: ['-'], dryRun: 'server' }), manifest('dry'));
    expect(told).toMatchObject({ code: 0, out: 'task.taskplane.dev/dry created (server dry run)\n' });
    expect((await client.list(taskKind)).items).toEqual([]);
  });
});

describe('get', () => {
  it('prints the table of the server, names, and what is missing', async () => {
    await applyText(manifest('a'));
    expect((await tell((context) => get(context, ['tasks'], {}))).out).toMatch(/^NAME   STATUS    NODE     ATTEMPT   EXIT   DURATION   AGE\na      Pending   <none>   0 +\d+s\n$/);
    expect((await tell((context) => get(context, ['tk'], { output: 'name' }))).out).toBe('task.taskplane.dev/a\n');
    const missing = await tell((context) => get(context, ['task', 'a', 'b'], {}));
    expect(missing).toMatchObject({ code: 1, err: 'Error from server (NotFound): tasks.taskplane.dev "b" not found\n' });
    expect(missing.out).toMatch(/^NAME/);
    expect(await tell((context) => get(context, ['tasks'], {}), '', 'empty')).toEqual({ code: 0, out: '', err: 'No resources found in empty namespace.\n' });
    expect((await tell((context) => get(context, ['tasks'], { allNamespaces: true }))).out).toMatch(/^NAMESPACE   NAME/);
    expect(JSON.parse((await tell((context) => get(context, ['task/a'], { output: 'json' }))).out)).toMatchObject({ kind: 'Task', metadata: { name: 'a' } });
    expect((await tell((context) => get(context, ['tasks'], { output: 'yaml' }))).out).toMatch(/^apiVersion: v1\nitems:\n {2}- apiVersion: taskplane.dev\/v1\n/);
  });
});

describe('wait', () => {
  it('ends with 0 when the task succeeds and 1 when it fails', async () => {
    await node();
    await applyText(`${manifest('good')}---\n${manifest('bad')}`);
    const waits = ['good', 'bad'].map((name) => tell((context) => wait(context, [`task/${name}`], { for: 'finished', timeoutMs: 10_000 })));
    await bind('good');
    await bind('bad');
    await report('good', { phase: 'Succeeded', exitCode: 0 });
    await report('bad', { phase: 'Failed', exitCode: 3, reason: 'Error' });
    expect(await Promise.all(waits)).toEqual([
      { code: 0, out: 'task.taskplane.dev/good succeeded\n', err: '' },
      { code: 1, out: 'task.taskplane.dev/bad failed: exit code 3\n', err: '' },
    ]);
    expect((await tell((context) => wait(context, ['tasks'], { for: 'condition=Finished', all: true, timeoutMs: 0 }))).code).toBe(0);
  });

  it('tells that time is up, that nothing is there, and that it does not understand', async () => {
    await applyText(manifest('a'));
    expect(await tell((context) => wait(context, ['task/a'], { for: 'running', timeoutMs: 20 }))).toMatchObject({ code: 1, err: 'error: timed out waiting for running on tasks.taskplane.dev/a\n' });
    expect(await tell((context) => wait(context, ['task/b'], { for: 'finished', timeoutMs: 1_000 }))).toMatchObject({ code: 1, err: 'Error from server (NotFound): tasks.taskplane.dev "b" not found\n' });
    expect((await tell((context) => wait(context, ['task/b'], { for: 'deleted', timeoutMs: 1_000 }))).code).toBe(0);
    await expect(tell((context) => wait(context, ['task/a'], { for: 'happy', timeoutMs: 0 }))).rejects.toThrow('unrecognized condition');
  });
});

describe('run', () => {
  const never = { onInterrupt: (): void => undefined };

  it('ends with the exit code of the task, and --rm takes the task away', async () => {
    await node();
    const told = tell((context) => run(context, 'job', ['make', '-j2'], { cpu: '2', env: ['A=b=c'], rm: true }, never));
    await created('job');
    const { spec } = await bind('job');
    expect(spec).toMatchObject({ command: ['make', '-j2'], env: [{ name: 'A', value: 'b=c' }], resources: { requests: { cpu: '2' } } });
    await report('job', { phase: 'Failed', exitCode: 7 });
    expect((await told).code).toBe(7);
    expect((await client.list(taskKind)).items).toEqual([]);
  });

  it('is told of the deletion of its task, and of Ctrl-C', async () => {
    const deleted = tell((context) => run(context, 'gone', ['x'], {}, never));
    await created('gone');
    await client.delete(taskKind, 'gone', 'default');
    expect(await deleted).toMatchObject({ code: 1, err: 'error: task "gone" was deleted before it finished\n' });
    let interrupt: (count: number) => void = () => undefined;
    const stopped = tell((context) => run(context, 'stopped', ['x'], {}, { onInterrupt: (handler) => (interrupt = handler) }));
    await created('stopped');
    interrupt(1);
    expect((await stopped).code).toBe(130);
    expect((await client.list(taskKind)).items).toEqual([]);
  });

  it('checks before it sends, and submits only with --detach', async () => {
    await expect(tell((context) => run(context, 'Bad', ['x'], { env: ['1=2'] }, never))).rejects.toThrow(/metadata.name: .*\nspec.env\[0\].name/);
    expect(await tell((context) => run(context, 'a', ['x'], { detach: true }, never))).toEqual({ code: 0, out: 'task.taskplane.dev/a created\n', err: '' });
    expect((await tell((context) => run(context, 'b', ['x'], { dryRun: 'client', output: 'yaml' }, never))).out).toBe(
      'apiVersion: taskplane.dev/v1\nkind: Task\nmetadata:\n  name: b\n  namespace: default\nspec:\n  command:\n    - x\n',
    );
  });
});

describe('delete, cordon and describe', () => {
  it('delete by name, by label, and what is not there', async () => {
    await applyText(`${manifest('a')}---\n${manifest('b')}`);
    expect(await tell((context) => deleteObjects(context, ['task', 'a'], {}))).toEqual({ code: 0, out: 'task.taskplane.dev "a" deleted\n', err: '' });
    expect(await tell((context) => deleteObjects(context, ['task', 'a'], {}))).toMatchObject({ code: 1, err: 'Error from server (NotFound): tasks.taskplane.dev "a" not found\n' });
    expect((await tell((context) => deleteObjects(context, ['tasks'], { all: true }))).out).toBe('task.taskplane.dev "b" deleted\n');
    await expect(tell((context) => deleteObjects(context, ['tasks'], {}))).rejects.toThrow('no name was specified');
  });

  it('cordon says what it did and what was so already', async () => {
    await node();
    expect((await tell((context) => cordon(context, ['n1'], true))).out).toBe('node/n1 cordoned\n');
    expect((await tell((context) => cordon(context, ['n1'], true))).out).toBe('node/n1 already cordoned\n');
    expect((await tell((context) => cordon(context, ['n1'], false))).out).toBe('node/n1 uncordoned\n');
    expect((await tell((context) => cordon(context, ['n2'], true))).code).toBe(1);
  });

  it('describe tells of tasks and nodes, and never what a Secret holds', async () => {
    await node();
    await applyText(`${manifest('a')}---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: hidden-value}\n`);
    const told = await tell((context) => describeObjects(context, ['task/a', 'node/n1', 'secret/s'], {}));
    expect(told.code).toBe(0);
    expect(told.out).toMatch(/Status: +Pending/);
    expect(told.out).toMatch(/Command: +echo hi/);
    expect(told.out).toMatch(/k: +12 bytes/);
    expect(told.out).not.toContain('hidden-value');
    expect(told.out).not.toContain('aGlkZGVuLXZhbHVl');
  });
});
