import { describe, expect, it } from '@jest/globals';
import { Turns } from './turns.js';

/** A clock that goes on by a millisecond whenever it is read. */
const ticking = (): { monotonic(): number } => {
  let now = 0;
  return { monotonic: () => now++ };
};

describe('Turns', () => {
  it('does what fits a slice at once, and the rest a slice per turn', async () => {
    const turns = new Turns({ clock: ticking() });
    const done: number[] = [];
    const all = turns.forEach([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], (item) => void done.push(item));
    expect(done).toEqual([0, 1, 2, 3]);
    let turnsTaken = 0;
    let over = false;
    const count = (): void => {
      turnsTaken++;
      if (!over) setImmediate(count);
    };
    setImmediate(count);
    await all;
    over = true;
    expect(done).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(turnsTaken).toBeGreaterThanOrEqual(1);
  });

  it('gives one slice to each in turn, after the first', async () => {
    const turns = new Turns({ clock: ticking() });
    const order: string[] = [];
    const work = (name: string) => turns.forEach([1, 2, 3, 4, 5, 6, 7, 8], () => void order.push(name));
    await Promise.all([work('a'), work('b'), work('c')]);
    const runs = order.filter((name, index) => name !== order[index - 1]);
    expect(runs.join('')).toBe('abcbc');
  });

  it('stops when it is told to', async () => {
    const done: number[] = [];
    await new Turns({ clock: ticking() }).forEach([1, 2, 3], (item) => done.push(item) < 2);
    expect(done).toEqual([1, 2]);
  });

  it('stops at what fails', async () => {
    const done: number[] = [];
    const failing = new Turns({ clock: ticking() }).forEach([1, 2, 3], (item) => {
      if (item === 2) throw new Error('no');
      done.push(item);
    });
    await expect(failing).rejects.toThrow('no');
    expect(done).toEqual([1]);
  });
});
