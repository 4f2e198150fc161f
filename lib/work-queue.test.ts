import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { WorkQueue } from './work-queue.js';

describe('work queue', () => {
  it('hands out a key once however often it was added', async () => {
    const queue = new WorkQueue<string>();
    queue.add('a');
    queue.add('a');
    queue.add('b');
    expect([await queue.take(), await queue.take()]).toEqual(['a', 'b']);
    expect(queue.size).toBe(0);
  });

  it('hands a key out again when it was added while a worker had it, and not before the worker is done', async () => {
    const queue = new WorkQueue<string>();
    queue.add('a');
    await queue.take();
    queue.add('a');
    expect(queue.size).toBe(0);
    queue.done('a');
    expect(queue.size).toBe(1);
    expect(await queue.take()).toBe('a');
  });

  it('wakes the worker that waits longest', async () => {
    const queue = new WorkQueue<string>();
    const taken = [queue.take(), queue.take()];
    queue.add('a');
    queue.add('b');
    expect(await Promise.all(taken)).toEqual(['a', 'b']);
  });

  it('lets workers go when it is closed', async () => {
    const queue = new WorkQueue<string>();
    const waiting = queue.take();
    queue.close();
    expect(await waiting).toBeUndefined();
    queue.add('a');
    expect(await queue.take()).toBeUndefined();
  });

  it('refuses done without take', () => {
    expect(() => new WorkQueue<string>().done('a')).toThrow('assertion failed');
  });

  it('gives each key to one worker at a time and loses none, in any interleaving', async () => {
    const key = fc.integer({ min: 0, max: 5 });
    const step = fc.oneof(fc.record({ add: key }), fc.record({ take: fc.constant(true) }), fc.record({ done: fc.nat(10) }));
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 200 }), async (steps) => {
        const queue = new WorkQueue<number>();
        const held: number[] = [];
        /** Keys that were added after they were last taken. */
        const owed = new Set<number>();
        for (const action of steps) {
          if ('add' in action) {
            queue.add(action.add);
            owed.add(action.add);
          } else if ('take' in action) {
            if (queue.size === 0) continue;
            const taken = (await queue.take())!;
            expect(held).not.toContain(taken);
            expect(owed.delete(taken)).toBe(true);
            held.push(taken);
          } else if (held.length > 0) {
            queue.done(held.splice(action.done % held.length, 1)[0]!);
          }
        }
        for (const taken of held) queue.done(taken);
        const rest: number[] = [];
        while (queue.size > 0) rest.push((await queue.take())!);
        expect(rest.sort()).toEqual([...owed].sort());
      }),
    );
  });

  it('takes a hundred thousand keys in linear time', async () => {
    const queue = new WorkQueue<number>();
    for (let i = 0; i < 100_000; i++) queue.add(i);
    for (let i = 0; i < 100_000; i++) {
      expect(await queue.take() === i).toBe(true);
      queue.done(i);
    }
    expect(queue.idle).toBe(true);
  });
});
