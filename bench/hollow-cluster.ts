// hollow-cluster.ts: the nodes of a measured cluster, as hollow agents in processes of their own, and what has reached them.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Deferred } from '../lib/deferred.js';
import { Program } from '../lib/testing/program.js';
import type { TaskplaneProcesses } from '../lib/testing/taskplane-processes.js';
import type { CaseContext } from './bench-case.js';
import type { HollowAgentsOptions, HollowResult } from './hollow-agents.js';

/** So that the processors of a larger machine are used, too. */
const agentsPerProcess = 2_500;
/**
 * So many agents register at a time, of all processes: the more there are, the more their writes share commits. An agent that waits for its
 * tunnel for 5 s opens a connection beside it (client/tunnel-transport.ts); at 15 ms each that would be more than 300.
 */
const registering = 128;
/** Registering takes some 15 ms of a processor in all; a machine that others use takes longer. Twenty thousand take two cores some four minutes, a third of that for renewals. */
const registerMsMax = (agents: number): number => Math.min(60_000 + agents * 30, 400_000);
const main = fileURLToPath(new URL('../../dist/bench/main.js', import.meta.url));

export type HollowClusterOptions = Pick<HollowAgentsOptions, 'capacity' | 'shapes' | 'taskMs'> & { count: number; prefix?: string; servers?: readonly string[] };

type Counted = 'bound' | 'succeeded';

export interface HollowCluster {
  /** Resolves when so many bindings have reached their agents, or so many ends of tasks the server. */
  reached(what: Counted, count: number): Promise<void>;
  /** Everything so far. */
  results(): Promise<HollowResult>;
  /** As a loss of power: resolves when the processes are gone. */
  kill(): Promise<void>;
}

/** Resolves when all agents have registered and follow their tasks. */
export async function startHollowCluster(context: CaseContext, processes: TaskplaneProcesses, options: HollowClusterOptions): Promise<HollowCluster> {
  const { count: total, prefix = 'hollow-', servers = [processes.server], ...common } = options;
  const { dataDirectory, directory } = processes;
  const parts = Array.from({ length: Math.ceil(total / agentsPerProcess) }, (_, index) => {
    const from = index * agentsPerProcess;
    return { from, count: Math.min(agentsPerProcess, total - from), resultPath: join(directory, `${prefix}${from}.json`) };
  });
  const tally = new Tally(parts.length);
  const programs = parts.map(({ from, count, resultPath }, index) => {
    const given: HollowAgentsOptions = { ...common, servers, dataDirectory, names: { prefix, from, count }, registering: Math.ceil(registering / parts.length), resultPath };
    const program = new Program({ name: `hollow agents ${from}`, command: [process.execPath, main, 'hollow-agents', JSON.stringify(given)], env: { NODE_EXTRA_CA_CERTS: join(dataDirectory, 'pki', 'ca.crt') } });
    program.onLine((line) => tally.read(index, line));
    context.afterwards(async () => void (await program.stop()));
    return program;
  });
  tally.onRegistered = (registered) => context.progress(`${registered} of ${total} hollow agents are registered`);
  const boundMs = registerMsMax(total);
  const start = context.clock.monotonic();
  await Promise.all(
    programs.map((program, index) =>
      program.line(new RegExp(`^registered ${parts[index]!.count}$`), boundMs).catch((error: unknown) => {
        if (context.clock.monotonic() - start < boundMs) throw error;
        throw new Error(`only ${tally.registered} of ${total} hollow agents could register within ${boundMs / 1_000} s: so many are too much for this machine, or for what else it does now`);
      }),
    ),
  );
  const readAll = async (): Promise<HollowResult> => {
    const results = await Promise.all(
      programs.map(async (program, index) => {
        const told = tally.resultOf(index);
        program.signal('SIGUSR2');
        await told;
        return JSON.parse(await readFile(parts[index]!.resultPath, 'utf8')) as HollowResult;
      }),
    );
    return { bound: results.flatMap(({ bound }) => bound), succeeded: results.flatMap(({ succeeded }) => succeeded) };
  };
  // One after the other: two signals at once may arrive as one.
  let reading: Promise<unknown> = Promise.resolve();
  return {
    reached: (what, count) => tally.reached(what, count),
    results: () => {
      const read = reading.then(readAll, readAll);
      reading = read;
      return read;
    },
    kill: async () => void (await Promise.all(programs.map((program) => program.kill()))),
  };
}

/** What the processes say, added up. */
class Tally {
  readonly #counts: Record<Counted | 'registered', number[]>;
  readonly #waits = new Set<{ what: Counted; count: number; reached: Deferred<void> }>();
  readonly #results: (Deferred<void> | undefined)[] = [];
  onRegistered: (count: number) => void = () => undefined;

  constructor(parts: number) {
    const zeros = (): number[] => Array.from({ length: parts }, () => 0);
    this.#counts = { registered: zeros(), bound: zeros(), succeeded: zeros() };
  }

  /** Resolves when the process says next that its file is written. */
  resultOf(part: number): Promise<void> {
    const told = new Deferred<void>();
    this.#results[part] = told;
    return told.promise;
  }

  read(part: number, line: string): void {
    if (line.startsWith('result ')) return this.#results[part]?.resolve();
    const [, what, number] = /^(registered|bound|succeeded) (\d+)$/.exec(line) ?? [];
    if (what === undefined) return;
    this.#counts[what as Counted | 'registered'][part] = Number(number);
    if (what === 'registered') return this.onRegistered(this.registered);
    for (const wait of this.#waits) {
      if (wait.what !== what || this.#sum(wait.what) < wait.count) continue;
      this.#waits.delete(wait);
      wait.reached.resolve();
    }
  }

  get registered(): number {
    return this.#sum('registered');
  }

  reached(what: Counted, count: number): Promise<void> {
    if (this.#sum(what) >= count) return Promise.resolve();
    const wait = { what, count, reached: new Deferred<void>() };
    this.#waits.add(wait);
    return wait.reached.promise;
  }

  #sum(what: Counted | 'registered'): number {
    return this.#counts[what].reduce((sum, count) => sum + count, 0);
  }
}
