import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { TaskSpec } from '../../api/task.js';
import { SeededRandom } from '../../lib/random.js';
import { allows, constraintsOf, nodeInfoOf } from './filter.js';
import { demandOf, Picker, type Demand } from './pick.js';
import { requestOf } from './resources.js';
import { penaltyOf } from './score.js';
import { Snapshot } from './snapshot.js';
import { makeNode, type NodeOptions } from './test-world.js';

// Hundreds of nodes, so that trees have several levels; compared with a look at every slot.

const specs: Partial<TaskSpec>[] = [
  {},
  { resources: { requests: { cpu: '500m', memory: '1Gi' } } },
  { resources: { requests: { cpu: '3', memory: '100Mi' } } },
  { resources: { requests: { cpu: '100m', memory: '7Gi' } }, nodeSelector: { zone: 'z1' } },
  { resources: { requests: { licence: 1 } }, tolerations: [{ key: 'gpu', operator: 'Exists' }] },
  { nodeSelector: { zone: 'z2', host: 'h7' } },
  { nodeName: 'n3', resources: { requests: { cpu: '1' } } },
];

function randomOptions(random: SeededRandom): NodeOptions {
  return {
    labels: { zone: `z${random.integer(3)}`, host: `h${random.integer(40)}` },
    taints: random.integer(4) === 0 ? [{ key: 'gpu', effect: random.integer(2) === 0 ? 'NoSchedule' : 'PreferNoSchedule' }] : [],
    unschedulable: random.integer(12) === 0,
    allocatable: { cpu: String(1 << random.integer(4)), memory: `${1 << random.integer(4)}Gi`, ...(random.integer(9) === 0 ? { licence: 2 } : {}) },
  };
}

/** Loads that a demand's tree orders by, for all slots that fit. */
function scan(snapshot: Snapshot, demand: Demand, typical: { cpu: number; memory: number }): Map<number, number> {
  const fitting = new Map<number, number>();
  for (let slot = 0; slot < snapshot.slotCount; slot++) {
    const node = snapshot.nodeAt(slot);
    if (!node || !allows(demand.constraints, node) || !snapshot.fits(slot, demand.request)) continue;
    fitting.set(slot, snapshot.loadAt(slot, typical.cpu, typical.memory) + penaltyOf(demand.constraints, node));
  }
  return fitting;
}

describe('a pick', () => {
  it('is the least loaded node that fits, whatever has changed since the last one', () => {
    fc.assert(
      fc.property(fc.integer(), fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 1, max: 600 }) }, { weight: 1, arbitrary: fc.constant(4_200) }), (seed, nodes) => {
        const random = new SeededRandom(seed);
        const snapshot = new Snapshot({ random });
        const picker = new Picker({ snapshot });
        for (let i = 0; i < nodes; i++) snapshot.setNode(nodeInfoOf(makeNode(`n${i}`, randomOptions(random))));
        const demands = specs.map((spec) => demandOf(constraintsOf(spec), requestOf(spec, snapshot.resources)));
        const held: { slot: number; demand: Demand; span: number }[] = [];
        for (let i = 0; i < 300; i++) {
          const change = random.integer(12);
          const name = `n${random.integer(nodes + 3)}`;
          if (change === 0) snapshot.setNode(nodeInfoOf(makeNode(name, randomOptions(random))));
          else if (change === 1) snapshot.removeNode(name);
          else if (change === 2) snapshot.setMeasured(name, random.integer(4000), random.integer(8e12));
          else if (change < 6 && held.length > 0) {
            const [gone] = held.splice(random.integer(held.length), 1);
            snapshot.release(gone!.slot, gone!.demand.request, gone!.span);
          } else if (change === 6 && random.integer(10) === 0) snapshot.nextSpan();
          const demand = demands[random.integer(demands.length)]!;
          const slot = picker.pick(demand);
          const [cpu, memory] = demand.treeKey.split(' ')[0]!.split(',').map(Number);
          const fitting = scan(snapshot, demand, { cpu: cpu!, memory: memory! });
          expect(slot >= 0).toBe(fitting.size > 0);
          if (slot < 0) continue;
          expect(fitting.has(slot)).toBe(true);
          expect(fitting.get(slot)! - Math.min(...fitting.values())).toBeLessThan(2e-3);
          held.push({ slot, demand, span: snapshot.hold(slot, demand.request, true) });
        }
      }),
      { numRuns: 25 },
    );
  });

  it('keeps away from a node that was tainted since', () => {
    const snapshot = new Snapshot({ random: new SeededRandom(1) });
    const picker = new Picker({ snapshot });
    const demand = demandOf(constraintsOf({}), requestOf({}, snapshot.resources));
    for (let i = 0; i < 40; i++) snapshot.setNode(nodeInfoOf(makeNode(`n${i}`)));
    for (let left = 40; left > 0; left--) {
      const name = snapshot.nameAt(picker.pick(demand));
      snapshot.setNode(nodeInfoOf(makeNode(name, { taints: [{ key: 'x', effect: 'NoSchedule' }] })));
    }
    expect(picker.pick(demand)).toBe(-1);
  });

  it('spreads over equal nodes by chance, and by the same chance for the same seed', () => {
    const order = (seed: number): string[] => {
      const snapshot = new Snapshot({ random: new SeededRandom(seed) });
      const picker = new Picker({ snapshot });
      const demand = demandOf(constraintsOf({}), requestOf({}, snapshot.resources));
      for (let i = 0; i < 40; i++) snapshot.setNode(nodeInfoOf(makeNode(`n${i}`)));
      return Array.from({ length: 40 }, () => {
        const slot = picker.pick(demand);
        snapshot.hold(slot, demand.request, true);
        return snapshot.nameAt(slot);
      });
    };
    expect(new Set(order(1)).size).toBe(40);
    expect(order(1)).toEqual(order(1));
    expect(order(1)).not.toEqual(order(2));
  });

  it('keeps no more trees than it may, and stays right', () => {
    const snapshot = new Snapshot({ random: new SeededRandom(1) });
    const picker = new Picker({ snapshot, limits: { treesMax: 2, leavesMax: 50 } });
    for (let i = 0; i < 40; i++) snapshot.setNode(nodeInfoOf(makeNode(`n${i}`, { labels: { host: `h${i}` } })));
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 40; i++) {
        const spec = { nodeSelector: { host: `h${i}` } };
        expect(snapshot.nameAt(picker.pick(demandOf(constraintsOf(spec), requestOf(spec, snapshot.resources))))).toBe(`n${i}`);
      }
    }
  });
});

describe('the log of touched slots', () => {
  it('tells a reader that fell too far behind to look at everything', () => {
    const snapshot = new Snapshot({ random: new SeededRandom(1) });
    snapshot.setNode(nodeInfoOf(makeNode('n')));
    const request = requestOf({}, snapshot.resources);
    for (let i = 0; i < 20_000; i++) snapshot.release(0, request, snapshot.hold(0, request, true));
    expect(snapshot.touched.behind(0)).toBeUndefined();
    expect(snapshot.touched.behind(snapshot.touched.end)).toBe(0);
  });
});
