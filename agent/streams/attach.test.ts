import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { userInfo } from 'node:os';
import { StreamFixture } from '../testing/stream-fixture.js';

const root = userInfo().uid === 0;

describe.each(root ? [true, false] : [false])('attaching to a task (cgroups: %s)', (withCgroups) => {
  let fixture: StreamFixture;
  beforeEach(async () => {
    fixture = await StreamFixture.make(withCgroups);
  });
  afterEach(() => fixture.dispose());

  /** A task that says something, and ends when it is told to. */
  const talker = { script: 'echo before; while ! [ -e talk ]; do sleep 0.01; done; echo out; echo err >&2; while ! [ -e go ]; do sleep 0.01; done; echo last; exit 3' };
  const touch = (task: Awaited<ReturnType<StreamFixture['start']>>, name: string): Promise<unknown> => fixture.exec(task, ['touch', name]).end();

  it('shows both outputs from now on, in the order of writing, until the task ends, however it does', async () => {
    const task = await fixture.start(talker);
    const log = fixture.open({ type: 'log', namespace: 'default', name: 'web', uid: task.key.slice(0, 36), previous: false, follow: true });
    await log[Symbol.asyncIterator]().next();
    log.reset('seen');
    const client = fixture.attach(task);
    // Only what is written from now on: give it the time to look where that is.
    await touch(task, 'other');
    await touch(task, 'talk');
    await client.says('out\nerr\n');
    await touch(task, 'go');
    const { stdout, stderr, status } = await client.end();
    expect({ stdout, stderr }).toEqual({ stdout: 'out\nerr\nlast\n', stderr: '' });
    expect(status).toMatchObject({ status: 'Success' });
  });

  it('lets go when the client does; the task goes on', async () => {
    const task = await fixture.start(talker);
    const client = fixture.attach(task);
    client.stream.reset('gone');
    await touch(task, 'talk');
    expect(task.usage()).toBeDefined();
  });

  it('refuses input for a task that takes none, in words that name the field', async () => {
    const task = await fixture.start(talker);
    await expect(fixture.attach(task, { stdin: true }).status).rejects.toThrow('the task takes no input: its spec.stdin is not true');
  });

  it('hands input to a task that takes it, from one client after the other, and over a restart of the agent', async () => {
    const task = await fixture.start({ stdin: true, script: 'while read -r line; do echo "got $line"; done; echo end' });
    const first = fixture.attach(task, { stdin: true });
    await first.write('one\n');
    await first.says('got one');
    await first.closeInput();
    first.stream.reset('gone');
    const again = await fixture.restart(task);
    const second = fixture.attach(again, { stdin: true });
    await second.write('two\n');
    await second.says('got two');
    expect(second.text()).not.toContain('end');
  });

  it('is not held up by a task that never reads: the task ends, or the client goes', async () => {
    const task = await fixture.start({ stdin: true, argv: ['sleep', '1000'] });
    const leaving = fixture.attach(task, { stdin: true });
    const writing = leaving.write(Buffer.alloc(1_000_000)).catch(() => undefined);
    await touch(task, 'other');
    leaving.stream.reset('gone');
    await writing;
    const staying = fixture.attach(task, { stdin: true });
    void staying.write(Buffer.alloc(1_000_000)).catch(() => undefined);
    await touch(task, 'other');
    task.terminate();
    expect((await staying.status).status).toBe('Success');
    expect(await task.ended).toMatchObject({ exitCode: 143, signal: 'SIGTERM' });
  });

  it('ends the input with its first client when the task says so', async () => {
    fixture.stdinOnce = true;
    const task = await fixture.start({ stdin: true, script: 'wc -c; while ! [ -e go ]; do sleep 0.01; done' });
    const client = fixture.attach(task, { stdin: true });
    await client.write(Buffer.alloc(1_000_000));
    await client.closeInput();
    await client.says('1000000');
    await expect(fixture.attach(task, { stdin: true }).status).rejects.toThrow('the input of the task has ended');
    await touch(task, 'go');
    expect((await client.status).status).toBe('Success');
  });

  (root ? it : it.skip)('lets the user of the task open its input by name', async () => {
    const task = await fixture.start({ stdin: true, runAsUser: 'nobody', script: 'read -r line </dev/stdin; echo "got $line"; while ! [ -e go ]; do sleep 0.01; done' });
    const client = fixture.attach(task, { stdin: true });
    await client.write('it\n');
    await client.says('got it');
    client.stream.reset('bye');
  });

  it('tells a stop from input: the input does not end before the task', async () => {
    const task = await fixture.start({ stdin: true, script: 'trap "echo asked; exit 4" TERM; while :; do read -r line || echo over; echo "got $line"; done' });
    const client = fixture.attach(task, { stdin: true });
    await client.write('x\n');
    await client.says('got x');
    task.terminate();
    const { stdout } = await client.end();
    expect(stdout).toContain('asked');
    expect(stdout).not.toContain('over');
    expect(await task.ended).toMatchObject({ exitCode: 4 });
  });
});
