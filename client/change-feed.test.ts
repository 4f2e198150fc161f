import { describe, expect, it } from '@jest/globals';
import { ChangeFeed, type InformerChange } from './change-feed.js';

/** Each look at the clock finds it later: a part takes a turn or so. */
function slowClock() {
  let now = 0;
  return { monotonic: () => (now += 3) };
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
const added = (objects: readonly number[]): InformerChange<number>[] => objects.map((object) => ({ type: 'added', object }));

describe('the changes of a copy', () => {
  it('are told at once when they are few', () => {
    const feed = new ChangeFeed<number>({ clock: slowClock() });
    const calls: number[][] = [];
    feed.add((changes) => calls.push(changes.map(({ object }) => object)), []);
    feed.tell(added([1, 2]));
    feed.tell([]);
    expect(calls).toEqual([[1, 2]]);
    expect(feed.telling).toBeUndefined();
  });

  it('are told over turns when they are many, each once and in order, to all in the order they came', async () => {
    const feed = new ChangeFeed<number>({ clock: slowClock() });
    const first: number[] = [];
    const second: number[] = [];
    feed.add((changes) => first.push(...changes.map(({ object }) => object)), []);
    feed.add((changes) => {
      second.push(...changes.map(({ object }) => object));
      expect(first.length).toBeGreaterThanOrEqual(second.length);
    }, []);
    feed.tell(added(numbers(2_000)));
    feed.tell(added([2_000]));
    const late: number[] = [];
    feed.add((changes) => late.push(...changes.map(({ object }) => object)), numbers(2_001));
    feed.tell(added([2_001]));
    expect(first.length).toBeLessThan(1_000);
    let turns = 0;
    let isOver = false;
    void feed.telling!.then(() => (isOver = true));
    for (; !isOver; turns++) await new Promise(setImmediate);
    for (const seen of [first, second, late]) expect(seen).toEqual(numbers(2_002));
    expect(turns).toBeGreaterThan(10);
    expect(feed.telling).toBeUndefined();
  });

  it('are no longer told to those who have stopped to listen, and all to those who come afterwards', async () => {
    const feed = new ChangeFeed<number>({ clock: slowClock() });
    let before = 0;
    feed.add((changes) => (before += changes.length), numbers(2_000));
    const told = before;
    feed.clear();
    const after: number[] = [];
    feed.add((changes) => after.push(...changes.map(({ object }) => object)), numbers(500));
    await feed.telling;
    expect(before).toBe(told);
    expect(after).toEqual(numbers(500));
  });
});
