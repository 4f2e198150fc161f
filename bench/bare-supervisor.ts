// bare-supervisor.ts
//
// What the agent's own parts do without a control plane: `node dist/bench/main.js bare-supervisor JSON` runs commands by the
// agent's process driver, under its guard, with its journal, its limit of starts and its log directories, as fast as they go;
// nothing asks for them and nobody is told. It says `prepared`, begins on SIGUSR2 and ends with `result JSON`.

import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { tryRead } from '../agent/cgroup.js';
import { detectCgroups, groupNameOf } from '../agent/cgroup-detect.js';
import { attemptKey, isVanished } from '../agent/driver.js';
import { buildEnvironment } from '../agent/environment.js';
import { Journal } from '../agent/journal.js';
import { LogStore } from '../agent/log-store.js';
import { NativeLauncher } from '../agent/native-launcher.js';
import { findNativeWrapper } from '../agent/native-wrapper.js';
import { readBootId, readStat } from '../agent/proc.js';
import { ProcessDriver } from '../agent/process-driver.js';
import { Semaphore } from '../agent/semaphore.js';
import { SpareDirectories } from '../agent/spare-directories.js';
import { startSpecOf } from '../agent/start-spec.js';
import { ownUser } from '../agent/users.js';
import { Watchdog } from '../agent/watchdog.js';
import { sleep, SystemClock } from '../lib/clock.js';
import { silentLogger } from '../lib/log.js';
import { SystemRandom } from '../lib/random.js';
import { check } from './bench-case.js';
import { benchTask } from './tasks.js';

export interface BareSupervisorOptions {
  /** Made when absent; nothing else may use it. */
  readonly dataDir: string;
  readonly nodeName: string;
  readonly tasks: number;
}

export interface BareSupervisorResult {
  /** From the first command being asked for to the last being over. */
  readonly seconds: number;
  readonly cpuSeconds: number;
}

/** Ends and removes what a supervisor left that was killed: its commands, its watchdog, its cgroups. Call it when that has ended, before its directory goes. */
export async function removeBareSupervisor({ dataDir, nodeName }: BareSupervisorOptions): Promise<void> {
  if (!existsSync(dataDir)) return;
  const clock = new SystemClock();
  const logger = silentLogger;
  const cgroups = detectCgroups(groupNameOf(nodeName, dataDir));
  const driver = new ProcessDriver({ dataDir, cgroups, watchdog: new Watchdog({ dataDir, cgroups, logger }), clock, logger });
  await driver.sweep(new Set());
  await driver.close();
  // It ends by itself, now that nothing is left to guard.
  const watchdog = Number((tryRead(join(dataDir, 'fence', 'watchdog')) ?? '').trim());
  const until = clock.monotonic() + watchdogMsMax;
  while (watchdog > 0 && (readStat(watchdog)?.state ?? 'Z') !== 'Z' && clock.monotonic() < until) await sleep(clock, 20);
  await driver.close();
}

/** As the agent has it (agent/main.ts). */
const startsMax = 32;
/** Hundredths of a second: longer than it runs. */
const presentFor = 100 * 600;
const aliveMsMax = 300_000;
const watchdogMsMax = 5_000;

export async function runBareSupervisor({ dataDir, nodeName, tasks }: BareSupervisorOptions): Promise<void> {
  const clock = new SystemClock();
  const random = new SystemRandom();
  const logger = silentLogger;
  mkdirSync(dataDir, { recursive: true, mode: 0o711 });
  const cgroups = detectCgroups(groupNameOf(nodeName, dataDir));
  const watchdog = new Watchdog({ dataDir, cgroups, logger });
  // As the agent's command line does (cli/serve/agent.ts).
  const launcher = new NativeLauncher({
    onChildEnded: (handler) => {
      process.on('SIGCHLD', handler);
      return () => process.off('SIGCHLD', handler);
    },
    logger,
  });
  const spares = new SpareDirectories(dataDir);
  const wrapper = findNativeWrapper();
  const driver = new ProcessDriver({ dataDir, cgroups, watchdog, launcher, ...(wrapper ? { wrapper } : {}), spares, clock, logger });
  const journal = Journal.open(join(dataDir, 'journal'), readBootId());
  const logs = new LogStore({ dataDir, ...(cgroups ? { spares } : {}), clock, logger });
  const starts = new Semaphore(startsMax);
  const user = ownUser();
  watchdog.setDeadline(watchdog.uptime() + presentFor);

  const one = async (index: number): Promise<void> => {
    const uid = random.uuid();
    const task = benchTask(`bare-${index}`, { command: ['/bin/true'] }, { uid });
    const id = { uid, bindings: 1, attempt: 1 };
    const key = attemptKey(id);
    const env = buildEnvironment({ task, attempt: 1, nodeName, sources: { secrets: new Map(), configMaps: new Map() }, user });
    const release = await starts.acquire();
    await journal.start({ ...id, tries: 0, namespace: 'default', name: task.metadata.name!, fenced: true, delays: 0 });
    const execution = await driver.start(startSpecOf(task, key, env, true));
    release();
    logs.started(key);
    const end = await execution.ended;
    journal.end(key, end);
    logs.ended(key);
    journal.done(key);
    check(!isVanished(end) && end.exitCode === 0, `a command did not succeed: ${JSON.stringify(end)}`);
  };

  const begin = new Promise<void>((resolve) => process.once('SIGUSR2', () => resolve()));
  // Neither a signal that may come nor a command that runs keeps this process alive.
  const alive = clock.timer(aliveMsMax, () => undefined);
  process.stdout.write('prepared\n');
  await begin;
  const cpuBefore = process.cpuUsage();
  const start = clock.monotonic();
  await Promise.all(Array.from({ length: tasks }, (_, index) => one(index)));
  const { user: own, system } = process.cpuUsage(cpuBefore);
  const result: BareSupervisorResult = { seconds: (clock.monotonic() - start) / 1_000, cpuSeconds: (own + system) / 1e6 };
  journal.close();
  await driver.close();
  alive.cancel();
  process.stdout.write(`result ${JSON.stringify(result)}\n`);
}
