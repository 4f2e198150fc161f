import { describe, expect, it } from '@jest/globals';
import { EntryMemory } from './entry-memory.js';
import { Entry } from './entry.js';
import { TextArena, type Slab, type Tenant } from './text-arena.js';

const text = (n: number, letter = 'x'): string => `{"apiVersion":"v1","kind":"Thing","metadata":{"name":"${n}"},"spec":"${letter.repeat(20_000)}"}`;
const unseen: Tenant = { move: () => {} };

describe('TextArena', () => {
  it('gives back what was put into it, whatever the letters and the length', () => {
    const arena = new TextArena();
    const texts = ['', 'ascii', 'ä', 'ÿ€', '😀 and more', 'x'.repeat(3_000_000), ...Array.from({ length: 300 }, (_, n) => text(n, n % 2 ? 'x' : 'ü'))];
    const places = texts.map((each) => ({ ...arena.add(unseen, each, Buffer.byteLength(each)), bytes: Buffer.byteLength(each), isAscii: Buffer.byteLength(each) === each.length }));
    expect(places.map(({ slab, at, bytes, isAscii }) => slab.read(at, bytes, isAscii)).every((each, n) => each === texts[n])).toBe(true);
  });

  it('moves what is left of a slab of which half is no longer stored, and nothing else', () => {
    const arena = new TextArena();
    const slabs = new Set<Slab>();
    const moved: number[] = [];
    const add = (n: number): { slab: Slab; bytes: number } => {
      const bytes = text(n).length;
      const { slab } = arena.add({ move: () => moved.push(n) }, text(n), bytes);
      slabs.add(slab);
      return { slab, bytes };
    };
    const tenants = Array.from({ length: 120 }, (_, n) => add(n));
    expect(slabs.size).toBe(3);
    const [first] = slabs;
    const ofFirst = tenants.filter(({ slab }) => slab === first);
    const half = Math.floor(ofFirst.length / 2);
    for (const { slab, bytes } of ofFirst.slice(0, half - 1)) slab.leave(bytes);
    expect(moved).toEqual([]);
    for (const { slab, bytes } of ofFirst.slice(half - 1)) slab.leave(bytes);
    expect(moved).toEqual(ofFirst.map((_, n) => n));
  });
});

describe('Entry', () => {
  it('says the same from a slab, and stays readable when it has been replaced and its slab was given up', () => {
    const memory = new EntryMemory();
    const entries = Array.from({ length: 500 }, (_, n) => new Entry(`k${n}`, text(n, n % 3 ? 'x' : 'é'), n + 1, undefined, memory));
    for (const entry of entries) entry.enter();
    for (const entry of entries) if (entry.revision % 10 !== 0) entry.leave();
    expect(entries.every((entry, n) => entry.value === text(n, n % 3 ? 'x' : 'é') && entry.characters === entry.value.length)).toBe(true);
    expect(entries.map(({ object }) => object.metadata.resourceVersion)).toEqual(entries.map(({ revision }) => String(revision)));
    expect(entries[7]!.at(9_000).object.metadata).toEqual({ name: '7', resourceVersion: '9000' });
  });
});
