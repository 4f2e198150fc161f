// operating.ts: what kubectl does to running tasks and to nodes. Tasks are reached through their Pod view, which has their name.

import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { readFileSync, writeFileSync } from 'node:fs';
import { expect } from '@jest/globals';
import { expectCode } from '../command.js';
import { area } from './check.js';
import { Terminal } from './terminal.js';
import type { Kube } from './kube.js';

const megabyte = 1024 * 1024;
const sum = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

/** A task that waits to be worked on, for exec and its like. */
async function resting(kube: Kube, name: string): Promise<void> {
  await kube.task(name, 'echo resting; exec sleep 600', { env: [{ name: 'COLOUR', value: 'green' }] });
  await kube.running(name);
}

export const operating = area('Operating', (check) => {
  check('cordon, uncordon', '', async (kube) => {
    const node = kube.node;
    expect(await kube.ok(`cordon ${node}`)).toBe(`node/${node} cordoned\n`);
    expect(await kube.ok(`get node ${node}`)).toContain('Ready,SchedulingDisabled');
    expect(await kube.ok(`uncordon ${node}`)).toBe(`node/${node} uncordoned\n`);
    await kube.cluster.nodes.untilObject(node, 'to be open again', ({ spec }) => !spec?.unschedulable);
  });
  check('drain', '', async (kube) => {
    const [first, second] = [kube.node, kube.cluster.node('spare')];
    // It writes its last words, so it was asked and not killed.
    const words = kube.path('drained.txt');
    await kube.task('drained', `trap 'echo asked >> ${words}; exit 1' TERM; echo started; while :; do sleep 0.05; done`, { nodeSelector: { 'kubernetes.io/hostname': first } }, { labels: { app: 'drained' } });
    await kube.running('drained');
    expect(await kube.ok(`drain ${first} --pod-selector=app=drained --timeout=60s`)).toMatch(new RegExp(`node/${first} (evicted|drained)`));
    expect(await kube.cluster.fileWritten(words)).toBe('asked\n');
    const waiting = await kube.cluster.tasks.untilObject(`${kube.namespace}/drained`, 'to wait for a node', ({ status }) => status?.phase === 'Pending');
    expect(waiting.status?.nodeName).toBeUndefined();
    await kube.ok('patch task drained --type=merge -p', JSON.stringify({ spec: { nodeSelector: { 'kubernetes.io/hostname': second } } }));
    expect((await kube.running('drained')).status).toMatchObject({ nodeName: second });
    await kube.ok(`uncordon ${first}`);
    await kube.ok('delete task drained --now');
  });
  check('drain', '--dry-run=server', async (kube) => {
    const node = kube.node;
    await kube.task('spared', 'sleep 600', { nodeSelector: { 'kubernetes.io/hostname': node } });
    await kube.running('spared');
    expect(await kube.ok(`drain ${node} --dry-run=server`)).toMatch(/server dry run/);
    expect((await kube.object('task spared')).status).toMatchObject({ phase: 'Running', nodeName: node });
    await kube.ok('delete task spared --now');
  }, { since: 21 });
  check('drain', 'of what would fail, without and with --force', async (kube) => {
    const node = kube.node;
    await kube.task('mortal', 'sleep 600', { nodeSelector: { 'kubernetes.io/hostname': node }, onNodeLost: 'Fail' });
    await kube.running('mortal');
    expect(await kube.fails(`drain ${node} --timeout=30s`)).toMatch(/declare no controller|use --force|not managed/);
    await kube.ok(`drain ${node} --force --timeout=60s`);
    expect((await kube.finished('mortal')).status).toMatchObject({ phase: 'Failed' });
    await kube.ok(`uncordon ${node}`);
    await kube.ok('delete task mortal');
  }, { differs: 'a task with onNodeLost: Fail counts as unmanaged, for it fails when it is evicted; all others start again elsewhere' });
  check('drain', '--disable-eviction', async (kube) => {
    const node = kube.node;
    await kube.task('moved', 'sleep 600', { nodeSelector: { 'kubernetes.io/hostname': node } }, { labels: { app: 'moved' } });
    await kube.running('moved');
    await kube.ok(`drain ${node} --disable-eviction --pod-selector=app=moved --grace-period=1 --timeout=60s`);
    await kube.cluster.tasks.untilObject(`${kube.namespace}/moved`, 'to wait for a node', ({ status }) => status?.phase === 'Pending');
    await kube.ok(`uncordon ${node}`);
    await kube.running('moved');
    await kube.ok('delete task moved --now');
  });

  check('logs', '', async (kube) => {
    await kube.task('wrote', 'echo one; echo two >&2; echo three');
    await kube.finished('wrote');
    expect(await kube.ok('logs wrote')).toBe('one\ntwo\nthree\n');
    expect(await kube.ok('logs pod/wrote -c task')).toBe('one\ntwo\nthree\n');
    expect(await kube.fails('logs nothing')).toMatch(/error from server \(NotFound\): pods "nothing" not found/i);
    await kube.ok('delete task wrote');
  }, { differs: 'output and errors of a task are one log, as a container runtime with a terminal has it' });
  check('logs', '-f', async (kube) => {
    const go = kube.path('go');
    await kube.task('writing', `echo first; while [ ! -e ${go} ]; do sleep 0.05; done; echo last`);
    const follow = await (async () => {
      await kube.running('writing');
      return kube.start('logs -f writing');
    })();
    try {
      await follow.line(/^first$/);
      writeFileSync(go, '');
      await follow.line(/^last$/);
      expect((await follow.ended).code).toBe(0);
    } finally {
      await follow.kill();
    }
    await kube.ok('delete task writing');
  });
  check('logs', '--tail --limit-bytes', async (kube) => {
    await kube.task('long', 'for i in 1 2 3 4 5; do echo line $i; done');
    await kube.finished('long');
    expect(await kube.ok('logs long --tail=2')).toBe('line 4\nline 5\n');
    expect(await kube.ok('logs long --tail=0')).toBe('');
    expect(await kube.ok('logs long --limit-bytes=6')).toBe('line 1');
    await kube.ok('delete task long');
  });
  check('logs', '--previous', async (kube) => {
    await kube.task('again', 'if [ "$TASKPLANE_TASK_ATTEMPT" = 2 ]; then echo second; sleep 600; fi; echo first; exit 1', { restartPolicy: 'OnFailure', backoffLimit: 2 });
    await kube.cluster.tasks.untilObject(`${kube.namespace}/again`, 'to be in its second attempt', ({ status }) => status?.attempt === 2 && status.phase === 'Running');
    expect(await kube.ok('logs again --previous')).toBe('first\n');
    expect(await kube.ok('logs again -p --tail=1')).toBe('first\n');
    await kube.ok('delete task again --now');
  });
  check('logs', '--since --since-time --timestamps', async (kube) => {
    await kube.task('timed', 'echo early; sleep 2.5; echo late; sleep 600');
    await kube.running('timed');
    await kube.cluster.eventually('both lines', async () => ((await kube.ok('logs timed')) === 'early\nlate\n') || undefined);
    const stamped = (await kube.ok('logs timed --timestamps')).split('\n').filter(Boolean).map((line) => /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) (.*)$/.exec(line)!);
    expect(stamped.map((match) => match[2])).toEqual(['early', 'late']);
    const [early, late] = stamped.map((match) => Date.parse(match[1]!)) as [number, number];
    expect(late - early).toBeGreaterThan(1_000);
    // kubectl sends whole seconds.
    expect(await kube.ok(`logs timed --since-time=${new Date(early + 1_100).toISOString()}`)).toBe('late\n');
    expect(await kube.ok('logs timed --since=1h')).toBe('early\nlate\n');
    await kube.ok('delete task timed --now');
  });
  check('logs', '-l --prefix', async (kube) => {
    for (const name of ['pair-one', 'pair-two']) await kube.task(name, `echo from ${name}`, {}, { labels: { app: 'pair' } });
    for (const name of ['pair-one', 'pair-two']) await kube.finished(name);
    const told = await kube.ok('logs -l app=pair --prefix');
    expect(told.split('\n').filter(Boolean).toSorted()).toEqual(['[pod/pair-one/task] from pair-one', '[pod/pair-two/task] from pair-two']);
    await kube.ok('delete tasks -l app=pair');
  });
  check('logs', '--all-pods', async (kube) => {
    await kube.task('every', 'echo from every', {}, { labels: { app: 'every' } });
    await kube.finished('every');
    expect(await kube.ok('logs pod/every --all-pods=true')).toMatch(/from every/);
    await kube.ok('delete task every');
  }, { since: 32 });

  check('exec', '', async (kube) => {
    await resting(kube, 'host');
    expect(await kube.ok('exec host --', 'sh', '-c', 'echo $COLOUR; pwd')).toMatch(/^green\n\/\S+\n$/);
    const failed = expectCode(await kube.run('exec host --', ['sh', '-c', 'echo out; echo err >&2; exit 42']), 42);
    expect(failed.stdout).toBe('out\n');
    expect(failed.stderr).toBe('err\ncommand terminated with exit code 42\n');
    expect((await kube.run('exec host --', ['no-such-program'])).code).not.toBe(0);
    expect(await kube.fails('exec nothing -- true')).toContain('pods "nothing" not found');
  });
  check('exec', '-i', async (kube) => {
    const input = 'line\n'.repeat(50_000);
    const { stdout } = expectCode(await kube.run('exec -i host -- wc -l', [], { input }));
    expect(stdout.trim()).toBe('50000');
  });
  check('exec', '-it, with a terminal that resizes', async (kube) => {
    const terminal = new Terminal(kube, 'exec -it host -- sh', { columns: 100, rows: 30 });
    try {
      await terminal.shows(/\$|#/);
      terminal.type('stty size; tty -s && echo a terminal\r');
      await terminal.shows(/30 100/);
      await terminal.shows(/a terminal/);
      terminal.resize({ columns: 61, rows: 17 });
      await kube.cluster.eventually('the new size', async () => {
        terminal.type('stty size\r');
        return terminal.text.includes('17 61') || undefined;
      });
      terminal.type('exit 7\r');
      expect(await terminal.ended).toBe(7);
    } finally {
      terminal.kill();
    }
  });
  check('attach', '', async (kube) => {
    const go = kube.path('attach-go');
    await kube.task('talking', `echo before; while [ ! -e ${go} ]; do echo tick; sleep 0.1; done; echo done talking`);
    await kube.running('talking');
    const attach = kube.start('attach talking');
    try {
      await attach.line(/^tick$/);
      writeFileSync(go, '');
      await attach.line(/^done talking$/);
      expect((await attach.ended).code).toBe(0);
    } finally {
      await attach.kill();
    }
    await kube.ok('delete task talking --now');
  });
  check('cp', 'both ways, 100 MB', async (kube) => {
    const there = kube.path('there');
    const from = kube.path('large.bin');
    // The oldest speaks SPDY and the newest WebSocket: those in between speak one of the two.
    writeFileSync(from, randomBytes((kube.minor < 27 || kube.minor > 32 ? 100 : 5) * megabyte));
    await kube.ok(`exec host -- mkdir -p ${there}`);
    await kube.ok(`cp ${from} host:${there}/large.bin`);
    expect(sum(`${there}/large.bin`)).toBe(sum(from));
    await kube.ok(`cp host:${there}/large.bin ${kube.path('back.bin')}`);
    expect(sum(kube.path('back.bin'))).toBe(sum(from));
    await kube.ok(`exec host -- rm -r ${there} ${from} ${kube.path('back.bin')}`);
  });
  check('port-forward', '', async (kube) => {
    const port = 20_000 + kube.minor * 100 + (kube.title === 'PATH' ? 50 : 0);
    const node = process.execPath;
    await kube.task('server', `exec ${node} -e 'require("http").createServer((q, r) => r.end("served by the task " + q.url)).listen(${port}, "127.0.0.1", () => console.log("listening"))'`);
    await kube.running('server');
    await kube.cluster.eventually('the server to listen', async () => (await kube.ok('logs server')).includes('listening') || undefined);
    const forward = kube.start(`port-forward pod/server :${port}`);
    try {
      const local = /127\.0\.0\.1:(\d+) ->/.exec(await forward.line(/Forwarding from 127\.0\.0\.1:\d+ ->/))![1]!;
      const answers = await Promise.all(Array.from({ length: 10 }, async (_, index) => (await fetch(`http://127.0.0.1:${local}/${index}`)).text()));
      expect(answers).toEqual(Array.from({ length: 10 }, (_, index) => `served by the task /${index}`));
    } finally {
      await forward.kill();
    }
    await kube.ok('delete task/server task/host --now');
  });
  check('port-forward', 'to a port that is not the task’s', async (kube) => {
    await kube.task('closed', 'sleep 600');
    await kube.running('closed');
    const stranger = createServer((_request, response) => response.end('not for you'));
    await new Promise<void>((resolve) => void stranger.listen(0, '127.0.0.1', resolve));
    const { port } = stranger.address() as { port: number };
    const forward = kube.start(`port-forward pod/closed :${port}`);
    try {
      const local = /127\.0\.0\.1:(\d+) ->/.exec(await forward.line(/Forwarding from 127\.0\.0\.1:\d+ ->/))![1]!;
      await expect(fetch(`http://127.0.0.1:${local}/`)).rejects.toThrow();
      await forward.line(/error|failed/i);
    } finally {
      await forward.kill();
      stranger.close();
    }
    await kube.ok('delete task closed --now');
  }, { differs: 'only ports on which processes of the task listen: tasks share the network of their machine' });

  check('delete pod', '', async (kube) => {
    await kube.task('evicted', 'sleep 600');
    const { uid } = (await kube.running('evicted')).metadata;
    await kube.ok('delete pod evicted --grace-period=1 --wait=false');
    const again = await kube.cluster.tasks.untilObject(`${kube.namespace}/evicted`, 'to run again', ({ status }) => status?.phase === 'Running' && (status.attempt ?? 0) > 1);
    expect(again.metadata.uid).toBe(uid);
    await kube.ok('delete task evicted --now');
  }, { differs: 'as with any pod that has a controller, another takes its place: the task starts again. Delete the task to be rid of it. Waiting, kubectl may overlook that the pod is another one, as with those of a StatefulSet: --wait=false' });
  check('run', '', async (kube) => expect(await kube.fails('run web --image=nginx')).toMatch(/not (supported|allow)|MethodNotAllowed|does not allow/), { differs: 'Taskplane runs commands, not images: apply a Task' });
  check('rollout, set, autoscale, expose', '', async (kube) => {
    expect((await kube.run('rollout status task/done')).code).toBe(1);
    expect((await kube.run('set env task/done A=1')).code).toBe(1);
  }, { differs: 'kubectl knows these for kinds of its own only (Deployment, Service …), which Taskplane does not have' });
});
