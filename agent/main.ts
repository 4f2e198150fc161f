// main.ts: puts the agent together and runs it.
//
//   lock the data directory → replay the journal → find what runs → presence, Node, informer, reports, logs, tunnel
//
// It ends when the signal aborts: then the processes stay, for the next agent on the same data directory (unless
// stopTasksOnExit), and what is known by then is reported.

import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { taskKind, type Task } from '../api/task.js';
import type { Transport } from '../api/transport.js';
import { ApiClient } from '../client/api-client.js';
import { EventRecorder } from '../client/event-recorder.js';
import { Informer } from '../client/informer.js';
import type { TunnelAccess } from '../client/tunnel-socket.js';
import { TunnelTransport } from '../client/tunnel-transport.js';
import { sleep, type Clock } from '../lib/clock.js';
import type { Logger } from '../lib/log.js';
import type { MessageChannel, Mux } from '../lib/mux.js';
import type { Random } from '../lib/random.js';
import { runAll, type Service } from '../lib/service.js';
import { Agent } from './agent.js';
import { detectCgroups, groupNameOf } from './cgroup-detect.js';
import { ConfigSourceReader } from './config-sources.js';
import { lockDataDir } from './data-lock.js';
import type { Driver } from './driver.js';
import { buildEnvironment } from './environment.js';
import { Fence, type FenceKeeper } from './fence.js';
import { Journal } from './journal.js';
import { LoadMeter } from './load.js';
import { LogStore, type LogKeep } from './log-store.js';
import { NativeLauncher } from './native-launcher.js';
import { findNativeWrapper } from './native-wrapper.js';
import { NodeRegistration } from './node-status.js';
import { presenceWays } from './presence-ways.js';
import { readBootId } from './proc.js';
import { ProcessDriver } from './process-driver.js';
import { Semaphore } from './semaphore.js';
import { SpareDirectories } from './spare-directories.js';
import { sessionsOf } from './streams/sessions.js';
import { StatusWriter } from './status-writer.js';
import type { RunnerContext } from './task-runner.js';
import { Tunnel } from './tunnel.js';
import { findUser, ownUser } from './users.js';
import { Watchdog } from './watchdog.js';

export interface AgentRunOptions {
  transport: Transport;
  /** For the tunnel; without it (or dial) logs cannot be read from elsewhere, and all requests go through `transport`. */
  access?: TunnelAccess;
  /** Of requests over the tunnel; those of `transport` have their own. */
  userAgent?: string;
  /** How to open the tunnel, instead of a WebSocket. */
  dial?(signal: AbortSignal): Promise<MessageChannel>;
  nodeName: string;
  labels?: Readonly<Record<string, string>>;
  /** Resources by name, as quantities: instead of what is detected, or beside it (`gpu: "2"`). */
  capacity?: Readonly<Record<string, string>>;
  dataDir: string;
  /** End the tasks' processes when the agent ends, instead of leaving them to the next one. */
  stopTasksOnExit?: boolean;
  /** Calls the handler at each SIGCHLD. @returns stops that. Without it processes are made by Node's own, slower means (launcher.ts). */
  onChildEnded?(handler: () => void): () => void;
  /** Instead of processes. */
  driver?: Driver;
  logKeep?: Partial<LogKeep>;
  /** Shown as the node's version, `v0.1.0`. */
  version?: string;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** Starts under way at once. More would not be faster: a spawn holds up this process. */
const startsMax = 32;
const farewellMs = 2_000;

/**
 * Runs the agent of one node until the signal aborts.
 * @throws Error, in a sentence, when it cannot start: the data directory is in use or cannot be written
 */
export async function runAgent(options: AgentRunOptions, signal: AbortSignal): Promise<void> {
  const { dataDir } = options;
  // Passable, for tasks that run as other users; nothing in it can be listed or read by them.
  mkdirSync(dataDir, { recursive: true, mode: 0o711 });
  chmodSync(dataDir, 0o711);
  const lock = await lockDataDir(dataDir);
  try {
    const journal = Journal.open(join(dataDir, 'journal'), options.driver ? undefined : readBootId());
    try {
      await runLocked(options, journal, signal);
    } finally {
      journal.close();
    }
  } finally {
    lock.release();
  }
}

async function runLocked(options: AgentRunOptions, journal: Journal, signal: AbortSignal): Promise<void> {
  const { nodeName, clock, random, dataDir } = options;
  const logger = options.logger.child({ component: 'agent', node: nodeName });
  const direct = new ApiClient({ transport: options.transport, clock });
  const tunnelled = options.access || options.dial ? new TunnelTransport({ fallback: options.transport, clock, ...(options.userAgent ? { userAgent: options.userAgent } : {}) }) : undefined;
  const client = tunnelled ? new ApiClient({ transport: tunnelled, clock }) : direct;
  const spares = new SpareDirectories(dataDir);
  const { driver, keeper } = options.driver ? { driver: options.driver, keeper: undefined } : processes(options, spares, logger);
  if (driver.isolationProblem) logger.warn(`tasks are isolated by ${driver.isolation}: ${driver.isolationProblem}`);

  const logs = new LogStore({ dataDir, ...(options.logKeep ? { keep: options.logKeep } : {}), ...(driver.isolation.startsWith('cgroup') ? { spares } : {}), clock, logger });
  const registration = new NodeRegistration({
    client,
    nodeName,
    labels: options.labels ?? {},
    capacity: options.capacity ?? {},
    dataDir,
    isolation: driver.isolation,
    isolationProblem: driver.isolationProblem,
    version: options.version ?? 'v0.1.0',
    clock,
    random,
    logger,
  });
  const load: LoadMeter = new LoadMeter({ clock, running: () => agent.running() });
  const fence = new Fence({
    presence: tunnelled
      ? presenceWays({ tunnelled: (request) => client.presence(nodeName, request), direct: (request) => direct.presence(nodeName, request), tunnel: tunnelled, clock })
      : (request) => client.presence(nodeName, request),
    load: () => load.measure(),
    register: (ending) => registration.register(ending),
    session: sessionOf(dataDir, random),
    keeper,
    clock,
    logger,
  });
  const events = new EventRecorder({ client, component: 'agent', host: nodeName, clock, logger });
  const reporter = random.uuid();
  const writer = new StatusWriter({ nodeName, reporter, bulk: (path, body) => client.bulk(path, body), events, clock, random, logger });
  const context: RunnerContext = {
    nodeName,
    driver,
    journal,
    fence,
    starts: new Semaphore(startsMax),
    clock,
    logger,
    environment: environmentMaker(client, nodeName),
    isStillBound: (task) => isStillBound(client, task),
    submit: (report) => writer.submit(report),
    event: (task, type, reason, message) => events.record(task, type, reason, message),
    attemptStarted: (key) => logs.started(key),
    attemptEnded: (key) => logs.ended(key),
  };
  const agent: Agent = new Agent({ context, driver, journal, fence, logs, clock, logger });
  const informer = new Informer<Task>({ client, kind: taskKind, fieldSelector: `status.nodeName=${nodeName}`, exceptReportsOf: reporter, streamList: true, clock, random, logger });

  fence.inherit();
  await agent.recover();
  agent.follow(informer);

  // Presence and reports go on while the tasks are being stopped.
  const services = new AbortController();
  const all: Service[] = [fence, registration, writer, events, informer, logs, ...tunnels(options, agent, logs, tunnelled, logger)];
  const running = runAll(all, services.signal);
  const failed = running.then(
    () => undefined,
    () => undefined,
  );
  await Promise.race([new Promise<void>((resolve) => (signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve(), { once: true }))), failed]);
  if (options.stopTasksOnExit) await agent.stop();
  else await agent.detach();
  const told = new AbortController();
  await Promise.race([writer.idle, sleep(clock, farewellMs, told.signal)]);
  told.abort();
  services.abort();
  await running.finally(() => driver.close());
}

async function isStillBound(client: ApiClient, { metadata, status }: Task): Promise<boolean> {
  const current = await client.get<Task>(taskKind, metadata.name ?? '', metadata.namespace);
  return current.metadata.uid === metadata.uid && current.status?.nodeName === status?.nodeName && current.status?.bindings === status?.bindings;
}

/**
 * The session that presence is kept under: of the data directory, not of this process, so that an agent that comes back
 * in time renews what the one before had, and what that one left running need not be stopped.
 */
function sessionOf(dataDir: string, random: Random): string {
  const path = join(dataDir, 'session');
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    const session = random.uuid();
    writeFileSync(path, `${session}\n`, { mode: 0o600 });
    return session;
  }
}

function processes(options: AgentRunOptions, spares: SpareDirectories, logger: Logger): { driver: Driver; keeper: FenceKeeper } {
  const { dataDir, nodeName, clock } = options;
  const cgroups = detectCgroups(groupNameOf(nodeName, dataDir));
  const watchdog = new Watchdog({ dataDir, cgroups, logger });
  const launcher = options.onChildEnded && new NativeLauncher({ onChildEnded: options.onChildEnded, logger });
  const wrapper = findNativeWrapper();
  if (!wrapper) logger.info('a shell watches over each attempt, which takes longer than a program of its own: there is none for this machine (build with a C compiler)');
  return { driver: new ProcessDriver({ dataDir, cgroups, watchdog, ...(launcher ? { launcher } : {}), ...(wrapper ? { wrapper } : {}), spares, clock, logger }), keeper: watchdog };
}

function tunnels(options: AgentRunOptions, agent: Agent, logs: LogStore, requests: TunnelTransport | undefined, logger: Logger): Service[] {
  const { access, clock, random, nodeName } = options;
  const sessions = sessionsOf({ agent, logs, attemptsDir: join(options.dataDir, 'attempts'), clock, logger });
  const onDialled = (mux: Mux | undefined): void => requests?.dialled(mux);
  if (options.dial) return [new Tunnel({ dial: options.dial, onDialled, logs, sessions, clock, random, logger })];
  if (!access) return [];
  return [
    {
      name: 'tunnel',
      async run(signal) {
        // Loaded apart: the WebSocket library is of no use to agents without a network.
        const { dialTunnel } = await import('../client/tunnel-socket.js');
        await new Tunnel({ dial: dialTunnel(access, nodeName, clock), onDialled, logs, sessions, clock, random, logger }).run(signal);
      },
    },
  ];
}

function environmentMaker(client: ApiClient, nodeName: string): RunnerContext['environment'] {
  const reader = new ConfigSourceReader({ reader: client });
  const own = ownUser();
  return async (task, attempt) => {
    const sources = await reader.read(task);
    const user = task.spec.runAsUser === undefined ? own : await findUser(task.spec.runAsUser);
    return buildEnvironment({ task, attempt, nodeName, sources, user });
  };
}
