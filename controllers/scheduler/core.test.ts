import { describe, expect, it } from '@jest/globals';
import type { Task } from '../../api/task.js';
import { SeededRandom } from '../../lib/random.js';
import { SchedulerCore } from './core.js';
import { cpuId } from './resources.js';
import { asking, bindAll, boundTask, finishedTask, lostTask, makeNode, makeTask } from './test-world.js';

function coreWith(...names: string[]): SchedulerCore {
  const core = new SchedulerCore({ random: new SeededRandom(1) });
  for (const name of names) core.setNode(makeNode(name));
  return core;
}

function freeCpu(core: SchedulerCore, name: string): number {
  return core.snapshot.freeAt(core.snapshot.slotOf(name)!, cpuId);
}

describe('the order of binding', () => {
  it('is priority, then age, then key', () => {
    const core = coreWith('n');
    core.setTask(makeTask('young', {}, '2026-01-01T00:00:02Z'));
    core.setTask(makeTask('b-old', {}, '2026-01-01T00:00:01Z'));
    core.setTask(makeTask('a-old', asking('100m'), '2026-01-01T00:00:01Z'));
    core.setTask(makeTask('urgent', { priority: 5 }, '2026-01-01T00:00:09Z'));
    core.setTask(makeTask('later', { priority: -1 }, '2026-01-01T00:00:00Z'));
    expect([...bindAll(core).keys()]).toEqual(['default/urgent', 'default/a-old', 'default/b-old', 'default/young', 'default/later']);
  });

  it('gives the last room to the task of higher priority', () => {
    const core = coreWith('n');
    core.setTask(makeTask('low', asking('3')));
    core.setTask(makeTask('high', { ...asking('3'), priority: 1 }));
    expect([...bindAll(core).keys()]).toEqual(['default/high']);
  });

  it('passes by a large task that does not fit, whatever its priority', () => {
    const core = coreWith('n');
    core.setTask(makeTask('huge', { ...asking('40'), priority: 9 }));
    core.setTask(makeTask('small', asking('1')));
    expect([...bindAll(core).keys()]).toEqual(['default/small']);
  });
});

describe('an assumption', () => {
  it('holds its room at once', () => {
    const core = coreWith('n');
    core.setTask(makeTask('a', asking('3')));
    core.setTask(makeTask('b', asking('3')));
    expect(core.next()?.key).toBe('default/a');
    expect(core.next()).toBeUndefined();
    expect(freeCpu(core, 'n')).toBe(1000);
  });

  it('is kept when an older view of the task comes by', () => {
    const core = coreWith('n');
    const task = makeTask('a', asking('3'));
    core.setTask(task);
    const entry = core.next()!;
    core.setTask({ ...task, status: { ...task.status, message: 'told something' } });
    expect(core.isAssumed(entry)).toBe(true);
    expect(core.next()).toBeUndefined();
  });

  it('becomes a fact when the task is seen bound there', () => {
    const core = coreWith('n');
    const task = makeTask('a', asking('3'));
    core.setTask(task);
    const entry = core.next()!;
    core.setTask(boundTask(task, 'n'));
    expect(entry.state).toBe('bound');
    expect(freeCpu(core, 'n')).toBe(1000);
  });

  it('moves when the task is seen bound elsewhere', () => {
    const core = coreWith('n', 'm');
    const task = makeTask('a', asking('3'));
    core.setTask(task);
    const { nodeName } = core.next()!;
    const other = nodeName === 'n' ? 'm' : 'n';
    core.setTask(boundTask(task, other));
    expect([freeCpu(core, nodeName), freeCpu(core, other)]).toEqual([4000, 1000]);
  });

  it('that was dropped keeps its room until the task is read, because an earlier request may have bound it', () => {
    const core = coreWith('n');
    const task = makeTask('a', asking('3'));
    core.setTask(task);
    const entry = core.next()!;
    core.drop(entry);
    core.setTask(task);
    expect(freeCpu(core, 'n')).toBe(1000);
    core.settle(entry, task);
    expect(freeCpu(core, 'n')).toBe(4000);
    expect(core.next()).toBe(entry);
  });

  it('that was dropped becomes a fact, moves, or ends as the task is found', () => {
    const task = makeTask('a', asking('3'));
    const freeAfter = (found: Task | undefined): number[] => {
      const core = coreWith('n', 'm');
      core.setTask({ ...task, spec: { ...task.spec, nodeName: 'n' } });
      const entry = core.next()!;
      core.drop(entry);
      core.settle(entry, found);
      return [freeCpu(core, 'n'), freeCpu(core, 'm')];
    };
    expect(freeAfter(boundTask(task, 'n'))).toEqual([1000, 4000]);
    expect(freeAfter(boundTask(task, 'm'))).toEqual([4000, 1000]);
    expect(freeAfter(finishedTask(boundTask(task, 'n')))).toEqual([4000, 4000]);
    expect(freeAfter(undefined)).toEqual([4000, 4000]);
  });

  it('that was dropped ends when the task is found to be gone, or another', () => {
    const core = coreWith('n');
    for (const found of [undefined, makeTask('a')]) {
      const task = makeTask('a', asking('3'));
      core.setTask(task);
      const entry = core.next()!;
      core.drop(entry);
      core.settle(entry, found);
      expect(core.entryCount).toBe(0);
    }
  });

  it('ends when the task is deleted or finishes', () => {
    const core = coreWith('n');
    const task = makeTask('a', asking('3'));
    core.setTask(task);
    core.next();
    core.removeTask('default/a');
    expect([core.entryCount, freeCpu(core, 'n')]).toEqual([0, 4000]);
  });
});

describe('a bound task', () => {
  it('holds room until it has finished', () => {
    const core = coreWith('n');
    const bound = boundTask(makeTask('a', asking('3')), 'n');
    core.setTask(bound);
    expect(freeCpu(core, 'n')).toBe(1000);
    core.setTask(finishedTask(bound));
    expect(freeCpu(core, 'n')).toBe(4000);
  });

  it('holds room on a node that registers later', () => {
    const core = coreWith();
    core.setTask(boundTask(makeTask('a', asking('3')), 'n'));
    core.setNode(makeNode('n'));
    expect(freeCpu(core, 'n')).toBe(1000);
  });

  it('holds a named resource on a node that offers it later', () => {
    const core = coreWith('n');
    const ask = { resources: { requests: { licence: 2 } } };
    core.setTask(boundTask(makeTask('a', ask), 'n'));
    core.setNode(makeNode('n', { allocatable: { licence: 3 } }));
    core.setTask(makeTask('b', ask));
    core.setTask(makeTask('c', { resources: { requests: { licence: 1 } } }));
    expect([...bindAll(core).keys()]).toEqual(['default/c']);
  });

  it('is bound again when its node is lost', () => {
    const core = coreWith('n', 'm');
    const task = makeTask('a', asking('3'));
    core.setTask(task);
    const first = bindAll(core).get('default/a')!;
    core.removeNode(first);
    core.setTask(lostTask(boundTask(task, first)));
    expect(bindAll(core).get('default/a')).toBe(first === 'n' ? 'm' : 'n');
  });

  it('that is seen lost without having been seen bound is bound again', () => {
    const core = coreWith('n');
    const task = makeTask('a', asking('3'));
    core.setTask(task);
    const entry = core.next()!;
    core.setTask(lostTask(boundTask(task, 'n')));
    expect(core.next()).toBe(entry);
    expect(freeCpu(core, 'n')).toBe(1000);
  });

  it('is not taken for pending by an old view', () => {
    const core = coreWith('n');
    const task = makeTask('a', asking('3'));
    core.setTask(boundTask(task, 'n'));
    core.setTask(task);
    expect(core.next()).toBeUndefined();
    expect(freeCpu(core, 'n')).toBe(1000);
  });
});

describe('a waiting task', () => {
  const bindsAfter = (spec: Parameters<typeof makeTask>[1], change: (core: SchedulerCore, blocker: Task) => void): number => {
    const core = coreWith('n');
    const blocker = boundTask(makeTask('blocker', asking('3')), 'n');
    core.setTask(blocker);
    core.setTask(makeTask('waiting', spec));
    expect(bindAll(core).size).toBe(0);
    change(core, blocker);
    return bindAll(core).size;
  };

  it('is woken when room is freed', () => {
    expect(bindsAfter(asking('2'), (core, blocker) => core.setTask(finishedTask(blocker)))).toBe(1);
  });
  it('is woken when a node is added', () => {
    expect(bindsAfter(asking('2'), (core) => core.setNode(makeNode('m')))).toBe(1);
  });
  it('is woken when a node grows', () => {
    expect(bindsAfter(asking('2'), (core) => core.setNode(makeNode('n', { allocatable: { cpu: '8' } })))).toBe(1);
  });
  it('is woken when a node gets the label', () => {
    expect(bindsAfter({ nodeSelector: { a: 'b' } }, (core) => core.setNode(makeNode('n', { labels: { a: 'b' } })))).toBe(1);
  });
  it('is woken when the node that it is pinned to registers', () => {
    expect(bindsAfter({ nodeName: 'm' }, (core) => core.setNode(makeNode('m')))).toBe(1);
  });
  it('is woken when a resource is offered for the first time', () => {
    expect(bindsAfter({ resources: { requests: { licence: 1 } } }, (core) => core.setNode(makeNode('n', { allocatable: { licence: 1 } })))).toBe(1);
  });
  it('is not woken by what cannot help', () => {
    expect(bindsAfter(asking('6'), (core, blocker) => core.setTask(finishedTask(blocker)))).toBe(0);
  });

  it('is tried anew when its spec changes', () => {
    const core = coreWith('n');
    const task = makeTask('a', asking('40'));
    core.setTask(task);
    expect(bindAll(core).size).toBe(0);
    core.setTask({ ...task, metadata: { ...task.metadata, generation: 2 }, spec: { ...task.spec, ...asking('1') } });
    expect(bindAll(core).size).toBe(1);
  });

  it('leaves the queue when it is deleted, being deleted or replaced', () => {
    const core = coreWith();
    const task = makeTask('a');
    core.setTask(task);
    core.setTask({ ...task, metadata: { ...task.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } });
    expect(core.queue.size).toBe(0);
    core.setTask(makeTask('a'));
    core.setTask(makeTask('a'));
    expect(core.queue.size).toBe(1);
    core.removeTask('default/a');
    expect([core.queue.size, core.entryCount]).toEqual([0, 0]);
  });

  it('costs one look for all that ask for the same', () => {
    const core = coreWith('n');
    for (let i = 0; i < 1000; i++) core.setTask(makeTask(`t${i}`, asking('40')));
    let looks = 0;
    expect(core.next(Infinity, () => looks++)).toBeUndefined();
    expect(looks).toBe(1);
  });

  it('remembers what an earlier scheduler has told it', () => {
    const core = coreWith();
    const task = makeTask('a');
    task.status!.conditions = [{ type: 'Scheduled', status: 'False', reason: 'Unschedulable', message: 'no room' }];
    core.setTask(task);
    expect(core.entry('default/a')?.told).toBe('no room');
  });
});

describe('a node that is gone', () => {
  it('is forgotten once nothing is held on it, and its place is used again', () => {
    const core = coreWith('n');
    const bound = boundTask(makeTask('a', asking('3')), 'n');
    core.setTask(bound);
    core.removeNode('n');
    expect(core.snapshot.slotOf('n')).toBeDefined();
    core.setTask(finishedTask(bound));
    expect(core.snapshot.slotOf('n')).toBeUndefined();
    core.setNode(makeNode('m'));
    expect([core.snapshot.slotOf('m'), freeCpu(core, 'm')]).toEqual([0, 4000]);
  });
});
