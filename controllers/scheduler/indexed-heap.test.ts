import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { IndexedHeap } from './indexed-heap.js';

interface Item {
  heapIndex: number;
  rank: number;
}

describe('indexed heap', () => {
  it('gives the first of what is in it, whatever was taken from its middle or moved', () => {
    const step = fc.record({ what: fc.constantFrom('push', 'push', 'remove', 'move'), rank: fc.nat(50), which: fc.nat() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const heap = new IndexedHeap<Item>((a, b) => a.rank < b.rank);
        const items: Item[] = [];
        for (const { what, rank, which } of steps) {
          const item = items[which % items.length];
          if (what === 'push' || !item) {
            const pushed = { heapIndex: -1, rank };
            items.push(pushed);
            heap.push(pushed);
          } else if (what === 'move') {
            item.rank = rank;
            heap.moved(item);
          } else {
            items.splice(items.indexOf(item), 1);
            heap.remove(item);
            expect(item.heapIndex).toBe(-1);
          }
          expect(heap.first?.rank).toBe(items.length === 0 ? undefined : Math.min(...items.map((each) => each.rank)));
          expect([heap.size, [...heap.values()].every((each, index) => each.heapIndex === index)]).toEqual([items.length, true]);
        }
      }),
    );
  });
});
