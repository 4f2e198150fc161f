// A task, two nodes whose agents learn late and are heard late, and everything that can happen to them, in any order.

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { attemptsMax, attemptsUsed, isFinished, type Task, type TaskSpec, type TaskStatus } from './task.js';
import { afterLoss, boundTo, evicted, initialStatus, reported, type Refusal, type TaskReport } from './task-status.js';

const now = Date.UTC(2026, 0, 1);
const ended = ['Succeeded', 'Failed', 'Lost', 'Evicted'];

/** One binding, as its agent knows it. */
interface Stay {
  bindings: number;
  attempt: number;
  state: 'waiting' | 'running' | 'backoff' | 'over';
}

class Agent {
  present = true;
  /** The copy of the task, which may be old. */
  copy: Task | undefined;
  stay: Stay | undefined;
  /** The newest report, not yet taken. */
  report: TaskReport | undefined;
  /** Reports that the network may bring again. */
  readonly sent: TaskReport[] = [];

  constructor(readonly name: string) {}
}

class World {
  task: Task | undefined;
  readonly agents = [new Agent('n1'), new Agent('n2')];

  constructor(readonly spec: Partial<TaskSpec>) {
    this.task = { apiVersion: 'taskplane.dev/v1', kind: 'Task', metadata: { name: 't', namespace: 'default', uid: 'u1' }, spec: { command: ['true'], restartPolicy: 'OnFailure', ...spec } as TaskSpec, status: initialStatus(now) };
  }

  write(next: TaskStatus | Refusal | undefined): boolean {
    if (!next || 'refused' in next || !this.task) return false;
    const before = this.task.status!;
    if (isFinished(this.task)) expect(next.phase).toBe(before.phase);
    for (const field of ['bindings', 'attempt', 'evictions'] as const) expect(next[field] ?? 0).toBeGreaterThanOrEqual(before[field] ?? 0);
    expect(attemptsUsed(next)).toBeLessThanOrEqual(attemptsMax(this.task.spec));
    expect(next.phase === 'Pending').toBe(next.nodeName === undefined);
    this.task = { ...this.task, status: next };
    return true;
  }

  bind({ name, present }: Agent): void {
    if (this.task && present) this.write(boundTo(this.task, name, now));
  }

  evict(): void {
    if (this.task) this.write(evicted(this.task, { reason: 'r', message: 'm' }, now));
  }

  delete(): void {
    if (!this.task) return;
    if (!this.task.status!.nodeName || isFinished(this.task)) this.task = undefined;
    else this.task = { ...this.task, metadata: { ...this.task.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } };
  }

  see(agent: Agent): void {
    agent.copy = this.task?.status?.nodeName === agent.name && !isFinished(this.task) ? this.task : undefined;
    const { bindings = 0, attempt = 0 } = agent.copy?.status ?? {};
    if (agent.copy && agent.stay?.bindings === bindings) return;
    // Gone, or bound anew: what ran for the binding before is killed.
    agent.stay = agent.copy && { bindings, attempt, state: 'waiting' };
  }

  start(agent: Agent): void {
    const { copy, stay, present } = agent;
    if (!copy || !stay || (!present && this.spec.onNodeLost !== 'Wait') || !['waiting', 'backoff'].includes(stay.state)) return;
    if (copy.status!.eviction || copy.metadata.deletionTimestamp) return;
    if (stay.state === 'backoff') stay.attempt++;
    stay.state = 'running';
    this.say(agent, { phase: 'Running', startTime: '2026-01-01T00:00:00Z' });
  }

  exit(agent: Agent, exitCode: number): void {
    const { copy, stay } = agent;
    if (!copy || stay?.state !== 'running') return;
    const used = stay.attempt - (copy.status!.evictions ?? 0);
    const last = exitCode === 0 || used >= attemptsMax(copy.spec) || copy.metadata.deletionTimestamp;
    stay.state = last ? 'over' : 'backoff';
    const phase = exitCode === 0 ? 'Succeeded' : last ? 'Failed' : 'Scheduled';
    this.say(agent, { phase, exitCode, finishTime: '2026-01-01T00:00:01Z', reason: phase === 'Scheduled' ? 'BackOff' : 'Error' });
  }

  /** Carries out what the copy asks for. */
  stop(agent: Agent): void {
    const { copy, stay } = agent;
    if (!copy || !stay || stay.state === 'over') return;
    const { deletionTimestamp } = copy.metadata;
    if (!deletionTimestamp && !copy.status!.eviction) return;
    const itself = stay.state === 'backoff';
    stay.state = 'over';
    if (deletionTimestamp) this.say(agent, { phase: 'Failed', reason: 'Deleted' });
    else this.say(agent, { phase: 'Evicted', reason: itself ? 'Error' : 'Evicted' });
  }

  /** Its processes are gone without a result. */
  vanish(agent: Agent): void {
    if (agent.stay?.state !== 'running') return;
    agent.stay.state = 'over';
    this.say(agent, { phase: 'Lost' });
  }

  say(agent: Agent, what: Partial<TaskReport> & Pick<TaskReport, 'phase'>): void {
    const { bindings, attempt } = agent.stay!;
    agent.report = { namespace: 'default', name: 't', uid: 'u1', bindings, attempt, ...what };
  }

  /** @param again an old report comes instead of the newest */
  hear(agent: Agent, again?: number): void {
    const report = again === undefined ? agent.report : agent.sent[again % Math.max(1, agent.sent.length)];
    if (!report || (again === undefined && !agent.present)) return;
    if (again === undefined) {
      agent.report = undefined;
      agent.sent.push(report);
    }
    const next = this.task && reported(this.task, agent.name, report, now);
    const taken = this.write(next);
    if (taken && this.task!.metadata.deletionTimestamp && ended.includes(report.phase)) this.task = undefined;
    if (!taken && again === undefined && agent.stay?.bindings === report.bindings) agent.stay.state = 'over';
  }

  /** The node is declared lost, when what may run elsewhere has been killed there. */
  lose(agent: Agent): void {
    const { stay } = agent;
    agent.present = false;
    if (this.spec.onNodeLost !== 'Wait' && stay?.state === 'running') {
      stay.state = 'over';
      this.say(agent, { phase: 'Lost', reason: 'NodeLost' });
    }
    if (this.task?.status?.nodeName !== agent.name || isFinished(this.task)) return;
    if (this.task.metadata.deletionTimestamp) this.task = undefined;
    else if (this.task.status.phase !== 'Unknown') this.write(afterLoss(this.task, 'NodeLost', 'lost', now));
  }

  /** It does not start what it knew of before it was lost without asking again. */
  back(agent: Agent): void {
    if (agent.present) return;
    agent.present = true;
    this.see(agent);
  }

  check(): void {
    const running = this.agents.filter(({ stay }) => stay?.state === 'running');
    // What a forced deletion or a refusal has yet to end is of no task any more.
    if (this.task && !isFinished(this.task)) expect(running.length).toBeLessThanOrEqual(1);
  }

  /** Whatever has happened, it comes to an end when nothing more happens. */
  finish(): void {
    for (let rounds = 0; rounds < 20 && this.task && !isFinished(this.task); rounds++) {
      for (const agent of this.agents) {
        this.back(agent);
        this.see(agent);
        this.stop(agent);
        this.start(agent);
        this.hear(agent);
        this.exit(agent, 0);
        this.hear(agent);
      }
      this.bind(this.agents[0]!);
      this.check();
    }
    if (this.task) expect(this.task.status!.phase).toMatch(/Succeeded|Failed/);
  }
}

describe('a task whose agents learn late and are heard late', () => {
  const who = fc.constantFrom(0, 1);
  const onAgent = (act: (world: World, agent: Agent) => unknown) => who.map((index) => (world: World) => act(world, world.agents[index]!));
  const step = fc.oneof(
    // What usually happens: one after the other, without delay.
    { weight: 8, arbitrary: onAgent((world, agent) => [world.bind(agent), world.see(agent), world.start(agent)]) },
    { weight: 4, arbitrary: onAgent((world, agent) => [world.bind(agent), world.see(agent)]) },
    { weight: 3, arbitrary: onAgent((world, agent) => [world.evict(), world.see(agent), world.stop(agent), world.hear(agent)]) },
    { weight: 2, arbitrary: onAgent((world, agent) => world.bind(agent)) },
    { weight: 3, arbitrary: onAgent((world, agent) => world.see(agent)) },
    { weight: 6, arbitrary: onAgent((world, agent) => world.start(agent)) },
    { weight: 6, arbitrary: onAgent((world, agent) => world.hear(agent)) },
    { weight: 3, arbitrary: onAgent((world, agent) => world.stop(agent)) },
    { weight: 2, arbitrary: onAgent((world, agent) => world.exit(agent, 1)) },
    onAgent((world, agent) => world.exit(agent, 0)),
    onAgent((world, agent) => world.vanish(agent)),
    { weight: 3, arbitrary: onAgent((world, agent) => world.lose(agent)) },
    { weight: 4, arbitrary: onAgent((world, agent) => world.back(agent)) },
    fc.tuple(who, fc.nat(20)).map(([index, again]) => (world: World) => world.hear(world.agents[index]!, again)),
    { weight: 2, arbitrary: fc.constant((world: World) => world.evict()) },
    { weight: 1, arbitrary: fc.nat(15).map((one) => (world: World) => void (one === 0 && world.delete())) },
  );

  it('never runs twice, never leaves its end, counts each attempt once, and always comes to an end', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), fc.constantFrom('Reschedule' as const, 'Wait' as const, 'Fail' as const), (steps, onNodeLost) => {
        const world = new World({ onNodeLost, backoffLimit: 4 });
        for (const act of steps) {
          act(world);
          world.check();
        }
        world.finish();
      }),
      { numRuns: 500 },
    );
  });
});
