// failover.ts: how long no task is bound when the leading controllers die.

import { taskKind } from '../../api/task.js';
import { sleep } from '../../lib/clock.js';
import type { Program } from '../../lib/testing/program.js';
import type { TaskplaneProcesses } from '../../lib/testing/taskplane-processes.js';
import type { ApiClient } from '../../client/api-client.js';
import { nodesReady } from '../agents.js';
import { check, type BenchCase, type CaseContext } from '../bench-case.js';
import { measuredPrefix } from '../hollow-agents.js';
import { startHollowCluster, type HollowCluster } from '../hollow-cluster.js';
import { rounded, spreadOf } from '../percentiles.js';
import { seriesOf } from '../series.js';
import { allTasks, benchTask, within } from '../tasks.js';
import { WallTime } from '../wall-time.js';

const trickleMs = 20;
/** The cluster binds again for so long before the next leader dies. */
const calmMs = 500;
const capacity = { cpu: '64', memory: '256Gi', tasks: '1000' };

/** Tasks one after the other, when each was sent; those whose create failed, because there was no server, are left out. */
class Trickle {
  readonly sentAt = new Map<string, number>();
  #next = 0;

  async run({ clock }: CaseContext, client: ApiClient, wall: WallTime, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const name = `${measuredPrefix}${this.#next++}`;
      const at = wall.now();
      await client.create(taskKind, benchTask(name, { command: ['/bin/true'] })).then(
        () => this.sentAt.set(name, at),
        () => undefined,
      );
      await sleep(clock, trickleMs, signal);
    }
  }
}

/** Two controllers, one of which leads; whoever dies is replaced. */
class Controllers {
  #leader: Program;
  #standby: Program;

  constructor(private readonly processes: TaskplaneProcesses) {
    this.#leader = processes.startControllers();
    this.#standby = processes.startControllers();
  }

  async known(): Promise<void> {
    const leads = async (program: Program): Promise<Program> => program.line(/"msg":"leading"/).then(() => program);
    const leader = await Promise.race([leads(this.#leader), leads(this.#standby)]);
    if (leader !== this.#leader) [this.#leader, this.#standby] = [leader, this.#leader];
  }

  /** Resolves when the leader is gone. */
  async killLeader(): Promise<void> {
    await this.#leader.kill();
    this.#leader = this.#standby;
  }

  startStandby(): void {
    this.#standby = this.processes.startControllers();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#leader.stop(), this.#standby.stop()]);
  }
}

/**
 * Resolves when a task is bound that was sent after `at`: by whoever is there after it.
 * @returns from `at` until it was with its agent, milliseconds
 */
async function nextBind({ clock }: CaseContext, hollow: HollowCluster, trickle: Trickle, at: number): Promise<number> {
  for (;;) {
    const { bound } = await hollow.results();
    const later = bound.filter(([name]) => (trickle.sentAt.get(name) ?? 0) > at).map(([, , boundAt]) => boundAt);
    if (later.length > 0) return Math.min(...later) - at;
    await sleep(clock, 100);
  }
}

function failover(variant: { name: string; what: string; flags: readonly string[]; bound: number; kills: number }): BenchCase {
  return {
    name: variant.name,
    description: `Two controllers, ${variant.what}; a task every ${trickleMs} ms. SIGKILL of the leader, again and again: from its being gone until the first task that was created afterwards is with its (hollow) agent. "tasks" is the number of kills. apiserverRestart is the same for a SIGKILL of the API server, which is started again at once.`,
    stores: ['etcd', 'embedded'],
    nodes: 10,
    tasks: variant.kills,
    targets: [{ figure: 'p99', at: 'most', bound: variant.bound }],
    async run(context) {
      const { clock, tasks: kills, nodes } = context;
      const processes = await context.start({ controllersFlags: variant.flags });
      const client = await context.connect(processes.adminKubeconfig);
      const controllers = new Controllers(processes);
      context.afterwards(() => controllers.stop());
      await controllers.known();
      const hollow = await startHollowCluster(context, processes, { count: nodes, capacity, taskMs: 0 });
      await within(clock, 60_000, 'making the nodes ready', nodesReady(client, nodes, context));
      const wall = new WallTime(clock);
      const start = wall.now();
      const trickle = new Trickle();
      const stop = new AbortController();
      const trickling = trickle.run(context, client, wall, stop.signal);
      context.afterwards(async () => stop.abort());
      const measured = async (what: string, kill: () => Promise<void>): Promise<number> => {
        await nextBind(context, hollow, trickle, wall.now());
        await sleep(clock, calmMs);
        await kill();
        return within(clock, 60_000, what, nextBind(context, hollow, trickle, wall.now()));
      };

      const latenciesMs: number[] = [];
      for (let kill = 0; kill < kills; kill++) {
        context.progress(`kill ${kill + 1} of ${kills}`);
        latenciesMs.push(await measured('the next leader', () => controllers.killLeader()));
        controllers.startStandby();
      }
      context.progress('API server');
      const apiserverRestart = await measured('binding after a restart of the API server', async () => {
        await processes.apiserver.kill();
        void processes.startApiserver().catch(() => undefined);
      });
      stop.abort();
      await trickling;
      await within(clock, 30_000, 'finishing the tasks', hollow.reached('succeeded', trickle.sentAt.size));
      const { bound } = await hollow.results();
      const found = await allTasks(client);
      check(found.every(({ status }) => status?.bindings === 1), 'a task was bound twice');
      check(new Set(bound.map(([name]) => name)).size === bound.length, 'a task reached two agents');
      check([...trickle.sentAt.keys()].every((name) => found.some(({ metadata }) => metadata.name === name)), 'an acknowledged task is lost');
      const spread = spreadOf(latenciesMs);
      return {
        value: spread.p50,
        unit: 'ms',
        ...spread,
        latenciesMs,
        series: seriesOf(bound.map(([, , at]) => at - start)),
        details: { kills, max: rounded(Math.max(...latenciesMs)), apiserverRestart: rounded(apiserverRestart), tasksBound: bound.length },
      };
    },
  };
}

export const failoverDefault = failover({ name: 'failover/default', what: 'as they come', flags: [], bound: 5_000, kills: 10 });
export const failoverFast = failover({ name: 'failover/fast', what: 'with --leader-elect-lease-duration-seconds 1', flags: ['--leader-elect-lease-duration-seconds', '1'], bound: 2_000, kills: 20 });
