// hollow-agents.ts
//
// A process of many hollow agents: `node dist/bench/main.js hollow-agents JSON`. It speaks by lines on standard output:
//
//   registered N        so many agents are there (the last one says all)
//   bound N             so many bindings have reached their agents
//   succeeded N         the server has taken the end of so many tasks
//   result PATH         after SIGUSR2: a file with all of that; the agents go on
//
// It ends on SIGTERM, as a machine does that loses its power: agents need not say goodbye.

import { writeFileSync } from 'node:fs';
import { setMaxListeners } from 'node:events';
import { isReason } from '../api/errors.js';
import type { Taint } from '../api/node.js';
import { TransportError } from '../api/transport.js';
import { sleep, SystemClock } from '../lib/clock.js';
import { SystemRandom } from '../lib/random.js';
import { agentCredentials } from './agent-certificates.js';
import { HollowAgent } from './hollow-agent.js';
import { HollowDialer } from './hollow-dialer.js';
import { WallTime } from './wall-time.js';

/** What differs between nodes: the node with number n has the n-th of them, in turn. */
export interface NodeShape {
  labels?: Record<string, string>;
  taints?: Taint[];
}

export interface HollowAgentsOptions {
  /** API servers of the cluster; agents take them in turn. */
  servers: readonly string[];
  /** Data directory of the API server, whose authority signs the agents' certificates. */
  dataDirectory: string;
  names: { prefix: string; from: number; count: number };
  /** So many register at a time. */
  registering: number;
  capacity: Record<string, string>;
  shapes?: readonly NodeShape[];
  /** How long tasks last, milliseconds; absent: nothing is reported of them. */
  taskMs?: number;
  resultPath: string;
}

/** Only tasks of such names are counted and recorded: a cluster may have others, too. */
export const measuredPrefix = 'measured-';

/** Of one task: its name, its node, and when it reached its agent: wall time in milliseconds. */
export type BoundTask = [name: string, nodeName: string, atMs: number];

export interface HollowResult {
  bound: BoundTask[];
  /** When the server had taken that a task has succeeded. */
  succeeded: [name: string, atMs: number][];
}

/** How much later than it happens it is said, milliseconds: when it happened is in the result. */
const saidAfterMs = 20;
const saidEvery = 250;
const busyMs = 250;

export async function runHollowAgents(options: HollowAgentsOptions): Promise<void> {
  const { servers, dataDirectory, names, registering, capacity, shapes = [{}], taskMs, resultPath } = options;
  const clock = new SystemClock();
  const random = new SystemRandom();
  const wall = new WallTime(clock);
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  const { key, certificateOf } = await agentCredentials(dataDirectory, clock);
  const result: HollowResult = { bound: [], succeeded: [] };
  const tellBound = teller(() => `bound ${result.bound.length}`, say);
  const tellSucceeded = teller(() => `succeeded ${result.succeeded.length}`, say);
  process.on('SIGUSR2', () => {
    writeFileSync(resultPath, JSON.stringify(result));
    say(`result ${resultPath}`);
  });
  process.once('SIGTERM', () => process.exit(0));

  const makeAgent = (index: number): HollowAgent => {
    const nodeName = `${names.prefix}${index}`;
    const { labels = {}, taints = [] } = shapes[index % shapes.length]!;
    const dialer = new HollowDialer({ server: servers[index % servers.length]!, key, cert: certificateOf(nodeName) });
    return new HollowAgent({
      nodeName,
      dialer,
      capacity,
      labels,
      taints,
      taskMs,
      clock,
      random,
      onBound: ({ metadata }) => {
        if (!metadata.name!.startsWith(measuredPrefix)) return;
        result.bound.push([metadata.name!, nodeName, wall.now()]);
        tellBound();
      },
      onSucceeded: (name) => {
        if (!name.startsWith(measuredPrefix)) return;
        result.succeeded.push([name, wall.now()]);
        tellSucceeded();
      },
    });
  };
  let next = 0;
  let registered = 0;
  const worker = async (): Promise<void> => {
    while (next < names.count) {
      const agent = makeAgent(names.from + next++);
      await started(agent);
      if (++registered % saidEvery === 0 || registered === names.count) say(`registered ${registered}`);
    }
  };
  await Promise.all(Array.from({ length: registering }, worker));
}

/** Says it a few times a second at most: to say it in each turn of the loop took a twentieth of this process's time. */
function teller(line: () => string, say: (line: string) => void): () => void {
  const clock = new SystemClock();
  let due = false;
  return () => {
    if (due) return;
    due = true;
    clock.timer(saidAfterMs, () => {
      due = false;
      say(line());
    });
  };
}

/** A server that is busy is asked again, as an agent does. It goes on until the process ends. */
async function started(agent: HollowAgent): Promise<void> {
  const clock = new SystemClock();
  // One signal for all would be slow with thousands of listeners.
  const { signal } = new AbortController();
  setMaxListeners(0, signal);
  void agent.connect(signal);
  for (;;) {
    try {
      return await agent.start(signal);
    } catch (error) {
      if (!isReason(error, 'TooManyRequests', 'ServiceUnavailable', 'Timeout', 'Conflict') && !(error instanceof TransportError)) throw error;
      await sleep(clock, busyMs, signal);
    }
  }
}
