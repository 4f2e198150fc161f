import { describe, expect, it } from '@jest/globals';
import { Deferred } from '../../lib/deferred.js';
import { KeyQueue } from './key-queue.js';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('KeyQueue', () => {
  it('starts the first piece of work at once, and the next of its key when that is done', async () => {
    const queue = new KeyQueue<object>(() => ({}));
    const gates = [0, 1, 2].map(() => new Deferred<void>());
    const started: number[] = [];
    const work = (n: number) => async (): Promise<number> => {
      started.push(n);
      await gates[n]!.promise;
      return n;
    };
    const all = [queue.run('a', work(0)), queue.run('a', work(1)), queue.run('b', work(2))];
    expect(started).toEqual([0, 2]);
    gates[0]!.resolve();
    await turn();
    expect(started).toEqual([0, 2, 1]);
    for (const gate of gates) gate.resolve();
    expect(await Promise.all(all)).toEqual([0, 1, 2]);
  });

  it('goes on after a failure, which only its own caller sees, and shares a slot for as long as the key is worked on', async () => {
    const queue = new KeyQueue<{ seen: number }>(() => ({ seen: 0 }));
    const failing = queue.run('a', async () => Promise.reject(new Error('no')));
    const next = queue.run('a', async (slot) => ++slot.seen);
    const last = queue.run('a', async (slot) => ++slot.seen);
    await expect(failing).rejects.toThrow('no');
    expect([await next, await last]).toEqual([1, 2]);
    await turn();
    expect(queue.size).toBe(0);
    expect(await queue.run('a', async (slot) => ++slot.seen)).toBe(1);
  });
});
