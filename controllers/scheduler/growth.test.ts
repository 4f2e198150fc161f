import { describe, expect, it, jest } from '@jest/globals';
import { SeededRandom } from '../../lib/random.js';
import { SchedulerCore } from './core.js';
import { asking, boundTask, finishedTask, makeNode, makeTask } from './test-world.js';

// What a decision costs, counted in looks at nodes: it must not grow with what there is beside.

interface World {
  nodes: number;
  /** Tasks that fit nowhere, each of another size: half of them want much of one resource, half of the other. */
  backlog?: number;
  /** Tasks that wait behind those that are counted. */
  queued?: number;
  spec?: Parameters<typeof makeTask>[1];
}

const roundsMax = 200;

/** Looks at nodes per task when tasks come, are bound and finish, one after another. */
function looksPerTask({ nodes, backlog = 0, queued = 0, spec = asking('500m', '1Gi') }: World): number {
  const core = new SchedulerCore({ random: new SeededRandom(1) });
  for (let i = 0; i < nodes; i++) core.setNode(makeNode(`n${i}`, { labels: { zone: `z${i % 5}` }, allocatable: { cpu: '8', memory: '32Gi' } }));
  for (let i = 0; i < backlog; i++) core.setTask(makeTask(`b${i}`, { priority: 10, ...(i % 2 ? asking(`${9_000 + i}m`, '1Mi') : asking('1m', `${40_000 + i}Mi`)) }));
  for (let i = 0; i < queued; i++) core.setTask(makeTask(`q${i}`, { ...spec, priority: -1 }));
  const settle = (): string => {
    core.queue.wake();
    const entry = core.next()!;
    core.setTask(boundTask(entry.task, entry.nodeName));
    return entry.key;
  };
  // The orders of nodes are made, and the backlog has been looked at.
  core.setTask(makeTask('first', spec));
  settle();
  const looks = [jest.spyOn(core.snapshot, 'fits'), jest.spyOn(core.snapshot, 'loadAt'), jest.spyOn(core.snapshot, 'nodeAt')];
  for (let i = 0; i < roundsMax; i++) {
    const task = makeTask(`t${i}`, spec);
    core.setTask(task);
    expect(settle()).toBe(`default/t${i}`);
    if (i % 2) core.setTask(finishedTask(core.entry(`default/t${i}`)!.task));
  }
  return looks.reduce((sum, spy) => sum + spy.mock.calls.length, 0) / roundsMax;
}

describe('what a decision costs', () => {
  const few = looksPerTask({ nodes: 500 });

  it('does not grow with nodes', () => {
    expect(few).toBeLessThan(60);
    expect(looksPerTask({ nodes: 8_000 })).toBeLessThan(1.5 * few);
  });

  it('does not grow with tasks that fit nowhere, or wait', () => {
    expect(looksPerTask({ nodes: 500, backlog: 4_000 })).toBeLessThan(few + 10);
    expect(looksPerTask({ nodes: 500, queued: 10_000 })).toBeLessThan(few + 10);
  });

  it('does not grow with constraints that leave out most nodes', () => {
    const spec = { ...asking('500m', '1Gi'), nodeSelector: { zone: 'z1' } };
    expect(looksPerTask({ nodes: 8_000, spec })).toBeLessThan(1.5 * few);
  });
});
