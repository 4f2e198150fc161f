import { describe, expect, it } from '@jest/globals';
import { EntryMemory } from './entry-memory.js';
import { Entry } from './entry.js';

const text = (n: number): string => `{"apiVersion":"v1","kind":"Thing","metadata":{"name":"${String(n).padStart(4, '0')}"}}`;

describe('EntryMemory', () => {
  it('lets go of the objects that were not used lately, and of no others', () => {
    const memory = new EntryMemory(text(0).length * 10);
    const entries = Array.from({ length: 100 }, (_, n) => new Entry(`k${n}`, text(n), n + 1, undefined, memory));
    const first = entries[0]!.object;
    for (const entry of entries) {
      expect(entry.object.metadata.name).toHaveLength(4);
      expect(entries[0]!.object).toBe(first);
    }
    const kept = entries.filter(({ objectAtHand }) => objectAtHand !== undefined);
    // Room is made for more than one at a time.
    expect([9, 10]).toContain(kept.length);
  });

  it('keeps the objects of what is stored, not of what has been replaced, but for the latest of those', () => {
    const memory = new EntryMemory(text(0).length * 80);
    const entry = (n: number): Entry => {
      const made = new Entry(`k${n}`, text(n), n + 1, undefined, memory);
      expect(made.object.metadata.name).toHaveLength(4);
      made.enter();
      return made;
    };
    const stored = Array.from({ length: 60 }, (_, n) => entry(n));
    const replaced = Array.from({ length: 1_000 }, (_, n) => {
      const made = entry(100 + n);
      made.leave();
      return made;
    });
    const kept = (entries: readonly Entry[]): number => entries.filter(({ objectAtHand }) => objectAtHand !== undefined).length;
    expect(kept(stored)).toBe(60);
    expect(replaced.at(-1)!.objectAtHand).toBeDefined();
    expect(kept(replaced)).toBeLessThanOrEqual(10);
    for (let n = 0; n < 200; n++) entry(2_000 + n);
    expect(kept(stored)).toBeLessThan(60);
  });

  it('makes the same object and text again', () => {
    const memory = new EntryMemory(1);
    const [entry, other] = [1, 2].map((n) => new Entry(`k${n}`, text(n), n, undefined, memory));
    const { json, object } = entry!;
    for (let n = 0; n < 5; n++) void [other!.json, other!.object, new Entry('k', text(n), 3, undefined, memory).object];
    expect(entry!.objectAtHand).toBeUndefined();
    expect(entry!.object).toEqual(object);
    expect(entry!.json).toBe(json);
  });
});
