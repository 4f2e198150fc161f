import { describe, expect, it } from '@jest/globals';
import { SeededRandom } from '../../lib/random.js';
import { SchedulerCore } from './core.js';
import { constraintsOf, nodeInfoOf } from './filter.js';
import { loadOf, penaltyOf, shareOf } from './score.js';
import { asking, bindAll, finishedTask, boundTask, makeNode, makeTask } from './test-world.js';

describe('the share of a resource', () => {
  it.each([
    ['is what was asked for when nothing is measured', 1000, 0, 0, 4000, 0.25],
    ['is what was measured when that is more', 1000, 3000, 0, 4000, 0.75],
    ['is what was asked for when that is more', 3000, 1000, 0, 4000, 0.75],
    ['adds what was placed since the measurement', 1000, 2000, 1000, 4000, 0.75],
    ['is full on a node that offers none', 0, 0, 0, 0, 1],
  ])('%s', (_name, requested, measured, recent, allocatable, share) => {
    expect(shareOf(requested, measured, recent, allocatable)).toBe(share);
  });
});

describe('the load', () => {
  it('lies between the mean and the largest share', () => {
    expect(loadOf(0.2, 0.6)).toBeCloseTo(0.5);
    expect(loadOf(0.6, 0.2)).toBeCloseTo(0.5);
    expect(loadOf(0.5, 0.5)).toBe(0.5);
  });
});

describe('a taint PreferNoSchedule', () => {
  const node = nodeInfoOf(makeNode('n', { taints: [{ key: 'a', effect: 'PreferNoSchedule' }, { key: 'b', effect: 'PreferNoSchedule' }] }));

  it('counts as a full node, each one', () => {
    expect(penaltyOf(constraintsOf({}), node)).toBe(2);
    expect(penaltyOf(constraintsOf({ tolerations: [{ key: 'a', operator: 'Exists' }] }), node)).toBe(1);
  });

  it('is the last choice but one that is taken', () => {
    const core = new SchedulerCore({ random: new SeededRandom(1) });
    core.setNode(makeNode('avoid', { taints: [{ key: 'a', effect: 'PreferNoSchedule' }] }));
    core.setNode(makeNode('busy'));
    for (let i = 0; i < 3; i++) core.setTask(makeTask(`t${i}`, asking('2')));
    expect([...bindAll(core).values()]).toEqual(['busy', 'busy', 'avoid']);
  });
});

describe('the measured load', () => {
  const twoNodes = (): SchedulerCore => {
    const core = new SchedulerCore({ random: new SeededRandom(1) });
    core.setNode(makeNode('a'));
    core.setNode(makeNode('b'));
    return core;
  };

  it('keeps tasks off a machine that is busy with something else', () => {
    const core = twoNodes();
    core.setLoads([{ name: 'a', cpu: 3900, memory: 0 }]);
    for (let i = 0; i < 8; i++) core.setTask(makeTask(`t${i}`, asking('100m', '64Mi')));
    expect(new Set(bindAll(core).values())).toEqual(new Set(['b']));
  });

  it('does not make a burst pile up on the node that looked idle', () => {
    const core = twoNodes();
    core.setLoads([{ name: 'a', cpu: 1000, memory: 0 }, { name: 'b', cpu: 900, memory: 0 }]);
    for (let i = 0; i < 10; i++) core.setTask(makeTask(`t${i}`, asking('100m')));
    const onB = [...bindAll(core).values()].filter((name) => name === 'b').length;
    expect(onB).toBeGreaterThanOrEqual(5);
    expect(onB).toBeLessThanOrEqual(6);
  });

  it('takes over from the requests two spans after they were placed', () => {
    const core = twoNodes();
    core.setLoads([{ name: 'a', cpu: 0, memory: 0 }, { name: 'b', cpu: 2000, memory: 0 }]);
    core.setTask(makeTask('first', asking('1')));
    expect([...bindAll(core).values()]).toEqual(['a']);
    core.setLoads([{ name: 'a', cpu: 1000, memory: 0 }, { name: 'b', cpu: 1500, memory: 0 }]);
    core.setTask(makeTask('second', asking('100m')));
    expect([...bindAll(core).values()]).toEqual(['b']);
    core.snapshot.nextSpan();
    core.snapshot.nextSpan();
    core.setTask(makeTask('third', asking('100m')));
    expect([...bindAll(core).values()]).toEqual(['a']);
  });

  it('forgets at once what a task that ended had asked for', () => {
    const core = twoNodes();
    core.setLoads([{ name: 'b', cpu: 500, memory: 0 }]);
    for (let i = 0; i < 20; i++) {
      const task = makeTask(`t${i}`, asking('1'));
      core.setTask(task);
      const nodeName = bindAll(core).get(`default/t${i}`)!;
      expect(nodeName).toBe('a');
      core.setTask(finishedTask(boundTask(task, nodeName)));
    }
  });

  it('of a node that is no longer reported counts as none', () => {
    const core = twoNodes();
    core.setLoads([{ name: 'a', cpu: 2000, memory: 0 }, { name: 'b', cpu: 1000, memory: 0 }]);
    core.setLoads([{ name: 'b', cpu: 1000, memory: 0 }]);
    core.setTask(makeTask('t', asking('100m')));
    expect([...bindAll(core).values()]).toEqual(['a']);
  });
});

describe('the size of a machine', () => {
  it('counts: a large task goes to the large machine', () => {
    const core = new SchedulerCore({ random: new SeededRandom(1) });
    for (let i = 0; i < 10; i++) core.setNode(makeNode(`small${i}`, { allocatable: { cpu: '2', memory: '4Gi' } }));
    core.setNode(makeNode('large', { allocatable: { cpu: '64', memory: '128Gi' } }));
    for (let i = 0; i < 10; i++) core.setTask(makeTask(`t${i}`, asking('1500m', '1Gi')));
    expect(new Set(bindAll(core).values())).toEqual(new Set(['large']));
  });
});
