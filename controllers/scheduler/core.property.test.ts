import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { objectKey } from '../../api/meta.js';
import type { TaskSpec } from '../../api/task.js';
import { SeededRandom } from '../../lib/random.js';
import { SchedulerCore } from './core.js';
import { boundTask, finishedTask, lostTask, makeNode, makeTask, NaiveCluster, type NodeOptions } from './test-world.js';

// Worlds small enough for nodes to fill up, with every kind of constraint, changed step by step. After each step the
// scheduler decides all it can and is judged by the plain way to schedule.

const zones = ['a', 'b'];
const nodeOptions: fc.Arbitrary<NodeOptions> = fc.record({
  labels: fc.record({ zone: fc.constantFrom(...zones) }, { requiredKeys: [] }) as fc.Arbitrary<Record<string, string>>,
  taints: fc.array(fc.record({ key: fc.constantFrom('gpu', 'dirty'), effect: fc.constantFrom('NoSchedule', 'PreferNoSchedule', 'NoExecute') }), { maxLength: 1 }),
  unschedulable: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  ready: fc.integer({ max: 9, min: 0 }).map((n) => n > 0),
  allocatable: fc.record({ cpu: fc.constantFrom('1', '2', '4'), memory: fc.constantFrom('1Gi', '4Gi'), tasks: fc.constantFrom(2, 5, 100), licence: fc.constantFrom(0, 1, 3) }),
});
const taskSpec: fc.Arbitrary<Partial<TaskSpec>> = fc.record(
  {
    resources: fc.record({ requests: fc.record({ cpu: fc.constantFrom('100m', '700m', '1500m', '3'), memory: fc.constantFrom('64Mi', '1Gi', '3Gi'), licence: fc.constantFrom(1, 2) }, { requiredKeys: [] }) }),
    priority: fc.integer({ min: 0, max: 2 }),
    nodeSelector: fc.record({ zone: fc.constantFrom(...zones) }),
    tolerations: fc.constant([{ key: 'gpu', operator: 'Exists' }]),
    nodeName: fc.constantFrom('n0', 'n1'),
  },
  { requiredKeys: [] },
) as fc.Arbitrary<Partial<TaskSpec>>;

type Step = { do: 'node'; name: string; options: NodeOptions } | { do: 'removeNode'; name: string } | { do: 'tasks'; specs: Partial<TaskSpec>[] } | { do: 'finish' | 'delete' | 'lose'; nth: number };
const nodeName = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 24 })).map((n) => `n${n}`);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('node' as const), name: nodeName, options: nodeOptions }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('removeNode' as const), name: nodeName }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('tasks' as const), specs: fc.array(taskSpec, { minLength: 1, maxLength: 8 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('finish' as const, 'delete' as const, 'lose' as const), nth: fc.nat(1000) }) },
);

class World {
  readonly core: SchedulerCore;
  readonly naive: NaiveCluster;
  readonly placements: string[] = [];
  #made = 0;

  constructor(seed: number) {
    this.core = new SchedulerCore({ random: new SeededRandom(seed), limits: { treesMax: seed % 2 === 0 ? 3 : 100, leavesMax: 1000 } });
    this.naive = new NaiveCluster(this.core.snapshot);
  }

  take(action: Step): void {
    switch (action.do) {
      case 'node': {
        const node = makeNode(action.name, action.options);
        this.naive.nodes.set(action.name, node);
        this.core.setNode(node);
        return;
      }
      case 'removeNode':
        this.naive.nodes.delete(action.name);
        this.core.removeNode(action.name);
        return;
      case 'tasks':
        for (const spec of action.specs) {
          const task = makeTask(`t${this.#made++}`, spec);
          this.naive.set(task);
          this.core.setTask(task);
        }
        return;
      default:
        this.#change(action.do, action.nth);
    }
  }

  #change(how: 'finish' | 'delete' | 'lose', nth: number): void {
    const bound = [...this.naive.tasks.values()].filter((task) => task.status?.nodeName && task.status.phase !== 'Succeeded');
    const task = bound[nth % Math.max(1, bound.length)];
    if (!task) return;
    const key = objectKey(task);
    if (how === 'delete') {
      this.naive.tasks.delete(key);
      this.core.removeTask(key);
    } else {
      const next = how === 'finish' ? finishedTask(task) : lostTask(task);
      this.naive.set(next);
      this.core.setTask(next);
    }
  }

  /**
   * Decides until nothing more fits. Some bindings are refused and tried again. Every choice is checked as it is made.
   * Nodes shrink in these worlds, so that what is held may exceed what is offered, but no decision may add to that.
   */
  decide(refuseEvery: number): void {
    const { core, naive } = this;
    core.queue.wake();
    let lastPriority = Infinity;
    for (let entry = core.next(), count = 1; entry; entry = core.next(), count++) {
      const task = naive.tasks.get(entry.key)!;
      expect(task.status?.nodeName).toBeUndefined();
      const candidates = naive.candidates(task);
      const chosen = candidates.find((candidate) => candidate.name === entry.nodeName);
      expect(chosen).toBeDefined();
      if (refuseEvery > 0 && count % refuseEvery === 0 && entry.refusals === 0) {
        core.drop(entry);
        core.settle(entry, task);
        core.queue.wake();
        lastPriority = Infinity;
        continue;
      }
      if (entry.refusals === 0 && refuseEvery === 0) {
        expect(entry.priority).toBeLessThanOrEqual(lastPriority);
        lastPriority = entry.priority;
      }
      this.placements.push(`${entry.key} ${entry.nodeName}`);
      const bound = boundTask(task, entry.nodeName);
      naive.set(bound);
      core.setTask(bound);
    }
    for (const task of naive.tasks.values()) {
      if (task.status?.nodeName || task.status?.phase === 'Succeeded') continue;
      expect({ waits: objectKey(task), fits: naive.candidates(task).map((candidate) => candidate.name) }).toEqual({ waits: objectKey(task), fits: [] });
    }
  }
}

function runWorld(seed: number, steps: readonly Step[], refuseEvery = 0): World {
  const world = new World(seed);
  for (const action of steps) {
    world.take(action);
    world.decide(refuseEvery);
  }
  return world;
}

describe('in any world', () => {
  it('every choice fits, nothing that fits waits, and priorities are respected', () => {
    fc.assert(fc.property(fc.integer(), fc.array(step, { minLength: 5, maxLength: 40 }), (seed, steps) => void runWorld(seed, steps)), { numRuns: 60 });
  });

  it('the same holds when bindings are refused now and then', () => {
    fc.assert(fc.property(fc.integer(), fc.array(step, { minLength: 5, maxLength: 40 }), (seed, steps) => void runWorld(seed, steps, 3)), { numRuns: 30 });
  });

  it('a node never holds more than its allocatable, while nodes do not shrink', () => {
    const grows = fc.array(step, { minLength: 5, maxLength: 40 }).map((steps) => {
      const seen = new Set<string>();
      return steps.filter((action) => action.do !== 'node' || (!seen.has(action.name) && seen.add(action.name)));
    });
    fc.assert(
      fc.property(fc.integer(), grows, (seed, steps) => {
        expect(runWorld(seed, steps).naive.overcommitted()).toEqual([]);
      }),
      { numRuns: 30 },
    );
  });

  it('the same seed and the same changes give the same decisions', () => {
    fc.assert(
      fc.property(fc.integer(), fc.array(step, { minLength: 5, maxLength: 30 }), (seed, steps) => {
        expect(runWorld(seed, steps).placements).toEqual(runWorld(seed, steps).placements);
      }),
      { numRuns: 15 },
    );
  });

  it('a restarted scheduler, told what is there, agrees with the old one on what is free', () => {
    fc.assert(
      fc.property(fc.integer(), fc.array(step, { minLength: 5, maxLength: 30 }), (seed, steps) => {
        const { core, naive } = runWorld(seed, steps);
        const again = new SchedulerCore({ random: new SeededRandom(seed) });
        for (const task of naive.tasks.values()) again.setTask(task);
        for (const node of naive.nodes.values()) again.setNode(node);
        for (const name of naive.nodes.keys()) {
          const free = (of: SchedulerCore): number[] => ['cpu', 'memory', 'tasks', 'licence'].map((resource) => of.snapshot.freeAt(of.snapshot.slotOf(name)!, of.snapshot.resources.idOf(resource)));
          expect(free(again)).toEqual(free(core));
        }
        expect(again.next()).toBeUndefined();
        expect(again.entryCount).toBe(core.entryCount);
      }),
      { numRuns: 15 },
    );
  });
});

describe('the spread of load', () => {
  it.each(Array.from({ length: 16 }, (_, seed) => seed))('is close to what looking at every node gives (seed %i)', (seed) => {
    const random = new SeededRandom(seed);
    const core = new SchedulerCore({ random: new SeededRandom(seed + 1000) });
    const ours = new NaiveCluster(core.snapshot);
    const naive = new NaiveCluster(core.snapshot);
    for (let i = 0; i < 20 + random.integer(30); i++) {
      const node = makeNode(`n${i}`, { allocatable: { cpu: String(2 << random.integer(4)), memory: `${8 << random.integer(3)}Gi` } });
      core.setNode(node);
      ours.nodes.set(`n${i}`, node);
      naive.nodes.set(`n${i}`, node);
    }
    for (let i = 0; i < 120; i++) {
      const task = makeTask(`t${String(i).padStart(3, '0')}`, random.integer(4) === 0 ? {} : { resources: { requests: { cpu: `${50 + random.integer(1000)}m`, memory: `${32 + random.integer(1500)}Mi` } } });
      core.setTask(task);
      const entry = core.next();
      const best = naive.candidates(task)[0];
      expect(entry !== undefined).toBe(best !== undefined);
      if (!entry || !best) continue;
      core.setTask(boundTask(task, entry.nodeName));
      ours.set(boundTask(task, entry.nodeName));
      naive.set(boundTask(task, best.name));
    }
    const loads = (cluster: NaiveCluster): number[] => [...cluster.nodes.values()].map((node) => cluster.load(node)).toSorted((a, b) => b - a);
    expect(loads(ours)[0]! - loads(naive)[0]!).toBeLessThan(0.15);
    const deviation = (values: number[]): number => Math.sqrt(values.reduce((sum, value) => sum + (value - values.reduce((a, b) => a + b) / values.length) ** 2, 0) / values.length);
    expect(deviation(loads(ours)) - deviation(loads(naive))).toBeLessThan(0.05);
  });
});
