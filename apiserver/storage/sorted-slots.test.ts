import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Entry } from './entry.js';
import { SortedSlots, type Slot } from './sorted-slots.js';

function slotOf(key: string): Slot {
  return { key, entry: new Entry(key, '{}', 1) };
}

describe('SortedSlots', () => {
  it('lists and counts like a sorted array, through splits and merges of its chunks', () => {
    const name = fc.integer({ min: 0, max: 5_000 }).map(String);
    fc.assert(
      fc.property(fc.uniqueArray(name, { minLength: 1_500, maxLength: 2_500, size: 'max' }), fc.array(fc.tuple(name, name, fc.integer({ min: 0, max: 700 })), { minLength: 5 }), (names, ranges) => {
        const sorted = new SortedSlots();
        const slots = names.map(slotOf);
        for (const slot of slots) sorted.add(slot);
        const removed = new Set(slots.filter((_, index) => index % 3 === 0));
        for (const slot of removed) sorted.remove(slot);
        const left = slots.filter((slot) => !removed.has(slot)).map(({ key }) => key).sort();
        for (const [from, end, limit] of ranges) {
          const items: Entry[] = [];
          const expected = left.filter((key) => key >= from && key < end);
          expect(sorted.collect(from, end, limit, items)).toBe(expected.length);
          expect(items.map(({ key }) => key)).toEqual(expected.slice(0, limit));
        }
      }),
      { numRuns: 10 },
    );
  });

  it('is empty again when everything has been removed', () => {
    const sorted = new SortedSlots();
    const slots = Array.from({ length: 1_200 }, (_, n) => slotOf(String(n).padStart(4, '0')));
    for (const slot of slots) sorted.add(slot);
    for (const slot of slots) sorted.remove(slot);
    expect(sorted.collect('', '~', 10, [])).toBe(0);
    expect(() => sorted.remove(slots[0]!)).toThrow('is not in its place');
  });
});
