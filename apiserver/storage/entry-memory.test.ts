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
    expect(kept).toHaveLength(10);
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
