// cluster.ts: for tests, what an agent needs around it: tasks made and bound as user and scheduler would, and waiting on
// what the server says. The server itself comes in from the test (apiserver/in-process.ts).


import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { bulkPaths } from '../../api/protocol.js';
import { nodeKind, type Node } from '../../api/node.js';
import { taskKind, type Task, type TaskSpec } from '../../api/task.js';
import type { Transport } from '../../api/transport.js';
import { ApiClient } from '../../client/api-client.js';
import { SystemClock } from '../../lib/clock.js';
import { silentLogger } from '../../lib/log.js';
import { AttemptFiles, attemptKeys } from '../attempt-files.js';
import { killPid, tryRead } from '../cgroup.js';
import { detectCgroups, groupNameOf } from '../cgroup-detect.js';
import { isAlive, readStat } from '../proc.js';
import { ProcessDriver } from '../process-driver.js';
import { Watchdog } from '../watchdog.js';

export interface TestApi {
  /** As the admin. */
  user: ApiClient;
  /** As the controllers. */
  scheduler: ApiClient;
}

export function testApi(admin: Transport, controllers: Transport): TestApi {
  return { user: new ApiClient({ transport: admin }), scheduler: new ApiClient({ transport: controllers }) };
}

/** Creates the task and binds it. */
export async function runTask(api: TestApi, nodeName: string, name: string, spec: TaskSpec, annotations?: Record<string, string>): Promise<Task> {
  const task = await api.user.create<Task>(taskKind, {
    apiVersion: 'taskplane.dev/v1',
    kind: 'Task',
    metadata: { name, namespace: 'default', ...(annotations ? { annotations } : {}) },
    spec,
  });
  await bind(api, nodeName, task);
  return task;
}

export async function bind(api: TestApi, nodeName: string, task: Task): Promise<void> {
  const [outcome] = await api.scheduler.bulk(bulkPaths.bind, { items: [{ namespace: 'default', name: task.metadata.name!, uid: task.metadata.uid!, nodeName }] });
  if (!outcome || outcome.code >= 300) throw new Error(`not bound: ${JSON.stringify(outcome)}`);
}

/** Resolves with the task when it is as wanted; `undefined` is a task that is gone. */
export async function taskThat<T>(api: TestApi, name: string, wanted: (task: Task | undefined) => T | undefined | false, timeoutMs = 15_000): Promise<T> {
  const timeout = AbortSignal.timeout(timeoutMs);
  let seen: Task | undefined;
  const check = (task: Task | undefined): T | undefined => {
    seen = task;
    return wanted(task) || undefined;
  };
  try {
    const list = await api.user.list<Task>(taskKind, { namespace: 'default', fieldSelector: `metadata.name=${name}` });
    const now = check(list.items[0]);
    if (now !== undefined) return now;
    for await (const event of api.user.watch<Task>(taskKind, { namespace: 'default', fieldSelector: `metadata.name=${name}`, resourceVersion: list.metadata.resourceVersion!, signal: timeout })) {
      const then = check(event.type === 'DELETED' ? undefined : event.object);
      if (then !== undefined) return then;
    }
  } catch (error) {
    if (!timeout.aborted) throw error;
  }
  throw new Error(`task ${name} did not get there in ${timeoutMs} ms: ${JSON.stringify(seen?.status ?? 'gone')}`);
}

export const inPhase = (phase: string) => (task: Task | undefined): Task | undefined => (task?.status?.phase === phase ? task : undefined);

/** Resolves when the node's agent has registered it. */
export async function nodeReady(api: TestApi, nodeName: string): Promise<Node> {
  for (;;) {
    const node = await api.user.get<Node>(nodeKind, nodeName).catch(() => undefined);
    if (node?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True')) return node;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Ends what an agent left running, as the test ends, and removes its data. */
export async function removeNode(nodeName: string, dataDir: string): Promise<void> {
  const clock = new SystemClock();
  const attempts = join(dataDir, 'attempts');
  for (const key of attemptKeys(attempts)) {
    const run = AttemptFiles.under(attempts, key).readRun();
    if (run !== 'nobody' && run && isAlive(run.pid, run.startTicks)) killPid(-run.pid, 'SIGKILL');
  }
  const cgroups = detectCgroups(groupNameOf(nodeName, dataDir));
  const driver = new ProcessDriver({ dataDir, cgroups, watchdog: new Watchdog({ dataDir, cgroups, logger: silentLogger }), clock, logger: silentLogger });
  await driver.sweep(new Set());
  await driver.close();
  const watchdog = Number((tryRead(join(dataDir, 'fence', 'watchdog')) ?? '').trim());
  await rm(dataDir, { recursive: true, force: true });
  while (watchdog > 0 && (readStat(watchdog)?.state ?? 'Z') !== 'Z') await new Promise((resolve) => setTimeout(resolve, 10));
  await driver.close();
}
