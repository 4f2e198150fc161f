import { describe, expect, it } from '@jest/globals';
import { CacheWindow, type CacheChange } from './cache-window.js';
import { Entry } from './entry.js';

function change(revision: number, characters: number): CacheChange {
  const key = `/taskplane/registry/core/things/${revision}`;
  return { type: 'put', key, revision, entry: new Entry(key, 'x'.repeat(characters), revision) };
}

describe('CacheWindow', () => {
  it('keeps the newest changes, as many as fit by number and by text', () => {
    const window = new CacheWindow(5, 100);
    window.reset(10);
    const kept = (): number[] => [...window.after(window.floor)].map(({ revision }) => revision);
    for (let revision = 11; revision <= 17; revision++) window.push(change(revision, 10));
    expect(kept()).toEqual([13, 14, 15, 16, 17]);
    window.push(change(18, 75));
    expect(kept()).toEqual([16, 17, 18]);
    expect(window.floor).toBe(15);
    window.push(change(19, 500));
    expect(kept()).toEqual([19]);
    expect(window.floor).toBe(18);
    for (let revision = 20; revision <= 30; revision++) window.push(change(revision, 1));
    expect(kept()).toEqual([26, 27, 28, 29, 30]);
  });
});
