// kubectl logs, of several ages, and our own, on what commands have written: by lines, bytes and time, while they write
// and after.

import { writeFile } from 'node:fs/promises';
import { describe, expect } from '@jest/globals';
import { expectCode } from '../command.js';
import { scriptTask, type Cluster } from '../cluster.js';
import { stockKubectls } from '../kubectls.js';
import { withCluster } from '../with-cluster.js';

/** Each line tells when it was written, in milliseconds. The second comes two seconds after the first. */
const talk = `
now() { date +%s%3N; }
echo "$(now) first"
sleep 2.1
echo "$(now) second"
printf '\\000\\377 bytes\\r\\n'
printf '%s unfinished' "$(now)"
`;
/** The machine may be busy: far more than the 100 ms that are promised, far less than what lies between the lines. */
const lateMsMax = 1_000;

const clients = [...stockKubectls().filter(({ title }) => ['Debian', '1.28', '1.32', '1.33'].includes(title)).map(({ title, path }) => ({ title: `kubectl ${title}`, path })), { title: 'taskplane', path: undefined }];

const { story } = withCluster({ store: 'embedded' });

type Logs = (...args: string[]) => Promise<{ code: number | null; stdout: string; stderr: string; text: string }>;

function logsOf(cluster: Cluster, path: string | undefined): Logs {
  return (...args) => (path === undefined ? cluster.taskplane(['logs', ...args]) : cluster.kubectl(['logs', ...args], { program: path }));
}

const ownTime = (line: string): number => Number(/\d{13}/.exec(line)![0]);

async function talked(cluster: Cluster, name: string): Promise<void> {
  if (cluster.tasks.objects.has(`default/${name}`)) return;
  await cluster.create(scriptTask(name, talk, {}, { labels: { app: 'talk' } }));
  await cluster.finished(name);
}

describe.each(clients)('logs with $title', ({ title, path }) => {
  const slug = title.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');

  story('shows the time of each line, and lines by time', async (cluster) => {
    await talked(cluster, 'talker');
    const logs = logsOf(cluster, path);
    const { stdout } = expectCode(await logs('talker', '--timestamps'));
    const lines = stdout.split('\n').filter((line) => /first|second|unfinished/.test(line));
    expect(lines.length).toBe(3);
    for (const line of lines) {
      const [, stamp] = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z) \d/.exec(line)!;
      const lateMs = Date.parse(stamp!) - ownTime(line);
      expect([line, lateMs > -50 && lateMs < lateMsMax]).toEqual([line, true]);
    }
    const between = new Date(ownTime(lines[0]!) + 1_050).toISOString();
    const later = expectCode(await logs('talker', `--since-time=${between.slice(0, 19)}Z`)).stdout;
    expect([later.includes('first'), later.includes('second'), later.includes('unfinished')]).toEqual([false, true, true]);
    expect(expectCode(await logs('talker', '--since=1h', '--tail=1', '--timestamps')).stdout).toMatch(/^\S+Z \d{13} unfinished/);
    const wrong = await logs('talker', '--since=1h', `--since-time=${between.slice(0, 19)}Z`);
    expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining('at most one of')]);
  });

  story('shows lines and bytes from the end and from the beginning', async (cluster) => {
    await talked(cluster, 'talker');
    const logs = logsOf(cluster, path);
    expect(expectCode(await logs('talker')).stdout).toContain(' bytes\r\n');
    expect(expectCode(await logs('talker', '--tail=1')).stdout).toMatch(/^\d{13} unfinished/);
    expect(expectCode(await logs('talker', '--tail=0')).stdout).toBe('');
    expect(expectCode(await logs('talker', '--limit-bytes=5')).stdout).toMatch(/^\d{5}$/);
    expect(expectCode(await logs('talker', '--limit-bytes=31', '--timestamps')).stdout).toMatch(/^\S{30} $/);
  });

  story('shows the tasks of a selector, with the name of each', async (cluster) => {
    await talked(cluster, 'talker');
    await talked(cluster, 'talker-too');
    const { stdout } = expectCode(await logsOf(cluster, path)('-l', 'app=talk', '--prefix', '--tail=1', '--all-containers', '--ignore-errors', '--max-log-requests=9'));
    expect(stdout).toMatch(/\[(pod|task)\/talker(\/task)?\] \d{13} unfinished/);
    expect(stdout).toMatch(/\[(pod|task)\/talker-too(\/task)?\] \d{13} unfinished/);
  });

  story('follows a task until it ends', async (cluster) => {
    const name = `followed-${slug}`;
    const gate = cluster.path(name);
    await cluster.create(scriptTask(name, `echo begun\nwhile [ ! -e ${gate} ]; do sleep 0.05; done\necho "$(date +%s%3N) over"`));
    await cluster.running(name);
    const following = logsOf(cluster, path)('-f', '--timestamps', '--tail=5', name);
    await writeFile(gate, '');
    const { stdout } = expectCode(await following);
    expect(stdout).toMatch(/Z begun\n\S+Z \d{13} over\n$/);
  });

  story('shows the attempt before', async (cluster) => {
    const name = `again-${slug}`;
    await cluster.create(scriptTask(name, 'echo attempt $TASKPLANE_TASK_ATTEMPT\n[ "$TASKPLANE_TASK_ATTEMPT" = 2 ]', { restartPolicy: 'OnFailure', backoffLimit: 2 }));
    await cluster.finished(name);
    const logs = logsOf(cluster, path);
    expect(expectCode(await logs(name, '--previous')).stdout).toBe('attempt 1\n');
    expect(expectCode(await logs(name, '-p', '--timestamps')).stdout).toMatch(/^\S+Z attempt 1\n$/);
    expect(expectCode(await logs(name)).stdout).toBe('attempt 2\n');
  });

  story('says why there is no log', async (cluster) => {
    await talked(cluster, 'talker');
    const name = `waiting-${slug}`;
    await cluster.create(scriptTask(name, 'true', { nodeSelector: { nowhere: 'yes' } }));
    const logs = logsOf(cluster, path);
    const waiting = await logs(name);
    expect([waiting.code, waiting.stderr]).toEqual([1, expect.stringContaining('has not started')]);
    const previous = await logs('talker', '--previous');
    expect([previous.code, previous.stderr]).toEqual([1, expect.stringContaining('no attempt before the current one')]);
    if (path === undefined) return;
    const container = await logs('talker', '-c', 'nope');
    expect([container.code, container.stderr]).toEqual([1, expect.stringContaining('container nope is not valid for pod talker')]);
  });
});

describe('logs of all pods', () => {
  story('are those of the one that is named', async (cluster) => {
    const newest = clients.find(({ title }) => title === 'kubectl 1.33') ?? clients.find(({ title }) => title === 'kubectl 1.32');
    if (!newest) return;
    await talked(cluster, 'talker');
    expect(expectCode(await cluster.kubectl(['logs', 'pod/talker', '--all-pods', '--tail=1'], { program: newest.path! })).stdout).toMatch(/^\[pod\/talker\/task\] \d{13} unfinished/);
  });
});

describe('logs when the agent is not there', () => {
  story('are written on, and told with times when it is back', async (cluster) => {
    const gate = cluster.path('agent-gone');
    await cluster.create(scriptTask('lonely', `echo before\nwhile [ ! -e ${gate} ]; do sleep 0.05; done\necho "$(date +%s%3N) alone"\nsleep 600`, { onNodeLost: 'Wait', terminationGracePeriodSeconds: 1 }));
    await cluster.running('lonely');
    await cluster.eventually('the first line', async () => (await cluster.kubectl(['logs', 'lonely'])).stdout === 'before\n' || undefined);
    await cluster.agent('n1').kill();
    const refused = await cluster.eventually('the connection to be missed', async () => {
      const told = await cluster.kubectl(['logs', 'lonely']);
      return told.code === 1 ? told : undefined;
    });
    expect(refused.stderr).toContain('is not connected to this API server');
    await writeFile(gate, '');
    await cluster.agentBack('n1');
    const line = await cluster.eventually('the line that was written alone', async () => /^(\S+)Z (\d{13}) alone$/m.exec((await cluster.kubectl(['logs', 'lonely', '--timestamps'])).stdout) ?? undefined);
    expect(Math.abs(Date.parse(`${line[1]}Z`) - Number(line[2]))).toBeLessThan(lateMsMax);
  });
});

