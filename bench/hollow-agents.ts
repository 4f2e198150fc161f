// hollow-agents.ts
//
// A process of many hollow agents: `node dist/bench/main.js hollow-agents JSON`. It speaks by lines on standard output:
//
//   registered N        so many agents are there (the last one says all)
//   bound N             so many tasks have reached their agents
//   result PATH         after SIGTERM: a file with every task, its node and when it came

import { writeFileSync } from 'node:fs';
import { isReason } from '../api/errors.js';
import { TransportError } from '../api/transport.js';
import { sleep, SystemClock } from '../lib/clock.js';
import { SystemRandom } from '../lib/random.js';
import { agentCredentials } from './agent-certificates.js';
import { HollowAgent } from './hollow-agent.js';
import { WallTime } from './wall-time.js';

export interface HollowAgentsOptions {
  server: string;
  /** Data directory of the API server, whose authority signs the agents' certificates. */
  dataDirectory: string;
  names: { prefix: string; from: number; count: number };
  capacity: Record<string, string>;
  resultPath: string;
}

/** Of one task: its name, its node, and wall time in milliseconds. */
export type BoundTask = [name: string, nodeName: string, atMs: number];

const registrationsInFlight = 32;
const saidEvery = 250;
const busyMs = 500;

export async function runHollowAgents(options: HollowAgentsOptions): Promise<void> {
  const { server, dataDirectory, names, capacity, resultPath } = options;
  const clock = new SystemClock();
  const random = new SystemRandom();
  const wall = new WallTime(clock);
  const stop = new AbortController();
  process.once('SIGTERM', () => stop.abort());
  const { ca, key, certificateOf } = await agentCredentials(dataDirectory, clock);
  const say = (line: string): void => void process.stdout.write(`${line}\n`);

  const bound: BoundTask[] = [];
  let saidBound = 0;
  const tellBound = (): void => {
    if (saidBound === bound.length) return;
    saidBound = bound.length;
    say(`bound ${saidBound}`);
  };
  const ends: (() => Promise<void>)[] = [];
  // A signal of thousands of listeners is slow with each: every agent has its own.
  const stops: AbortController[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < names.count && !stop.signal.aborted) {
      const nodeName = `${names.prefix}${names.from + next++}`;
      const access = { server, ca, key, cert: certificateOf(nodeName) };
      const agent = new HollowAgent({
        nodeName,
        access,
        capacity,
        clock,
        random,
        onBound: (name) => {
          bound.push([name, nodeName, wall.now()]);
          // Once per turn of the loop, so that telling costs little while many come at once.
          if (bound.length === saidBound + 1) setImmediate(tellBound);
        },
      });
      const own = new AbortController();
      stops.push(own);
      ends.push(await registered(agent, own.signal));
      if (ends.length % saidEvery === 0 || ends.length === names.count) say(`registered ${ends.length}`);
    }
  };
  await Promise.all(Array.from({ length: registrationsInFlight }, worker));
  await new Promise<void>((resolve) => {
    if (stop.signal.aborted) resolve();
    else stop.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  writeFileSync(resultPath, JSON.stringify(bound));
  say(`result ${resultPath}`);
  for (const own of stops) own.abort();
  await Promise.all(ends.map((end) => end()));
}

/** A server that is busy is asked again, as an agent does. */
async function registered(agent: HollowAgent, signal: AbortSignal): Promise<() => Promise<void>> {
  const clock = new SystemClock();
  for (;;) {
    try {
      return await agent.register(signal);
    } catch (error) {
      if (!isReason(error, 'TooManyRequests', 'ServiceUnavailable', 'Timeout') && !(error instanceof TransportError)) throw error;
      await sleep(clock, busyMs, signal);
    }
  }
}
