import { describe, expect, it } from '@jest/globals';
import { PresenceBook } from './etcd-presence-book.js';

const sureMs = 6_000;
const ttlMs = 8_000;
const [me, other] = ['a'.repeat(16), 'b'.repeat(16)];

function bookAt(now: number, others: string[] = []): PresenceBook {
  const book = new PresenceBook({ sureMs });
  book.seen({ etcdRevision: 100, me, others: new Set(others) }, now);
  return book;
}

describe('PresenceBook', () => {
  it('ends what nobody renewed, when its time is up and not before', () => {
    const book = bookAt(0);
    book.keep({ key: 'a', etcdRevision: 1, server: me, ttlMs }, 0, 0);
    expect(book.renew('a', me, 5_000)).toBe(true);
    expect(book.due(12_999)).toEqual([]);
    expect(book.due(13_000)).toMatchObject([{ key: 'a', etcdRevision: 1 }]);
  });

  it('renews only what this server keeps under its present id, and nothing that is being removed', () => {
    const book = bookAt(0);
    book.keep({ key: 'a', etcdRevision: 1, server: me, ttlMs }, 0, 0);
    expect(book.renew('b', me, 1)).toBe(false);
    expect(book.renew('a', other, 1)).toBe(false);
    book.get('a')!.removing = true;
    expect(book.renew('a', me, 1)).toBe(false);
  });

  it('keeps what it took from a living server so long that an answer of that one, which had not heard of it, still holds', () => {
    const book = bookAt(0, [other]);
    const spareMs = book.spareMs({ server: other, etcdRevision: 90 }, 1_000);
    expect(spareMs).toBe(sureMs);
    book.keep({ key: 'a', etcdRevision: 101, server: me, ttlMs }, spareMs, 1_000);
    expect(book.renew('a', me, 1_001)).toBe(true);
    // A renewal never shortens it.
    expect(book.due(1_000 + ttlMs + sureMs - 1)).toEqual([]);
    expect(book.due(1_000 + ttlMs + sureMs)).toHaveLength(1);
  });

  it('spares nothing where no other server is left, or where every server has asked since', () => {
    expect(bookAt(0).spareMs({ server: other, etcdRevision: 90 }, 0)).toBe(0);
    const book = bookAt(0, ['c'.repeat(16)]);
    expect(book.spareMs({ server: other, etcdRevision: 90 }, sureMs - 1)).toBe(sureMs);
    expect(book.spareMs({ server: other, etcdRevision: 90 }, sureMs)).toBe(0);
    expect(book.spareMs({ server: other, etcdRevision: 101 }, sureMs)).toBe(sureMs);
  });

  it('never takes a server for gone whose key is newer than what is known of the servers', () => {
    const book = bookAt(0);
    expect(book.isGone(other, 100)).toBe(true);
    expect(book.isGone(other, 101)).toBe(false);
    expect(book.isGone(me, 1)).toBe(false);
  });

  it('gives an orphan a full time to live from when it was found, once', () => {
    const book = bookAt(0);
    const orphan = { key: 'a', etcdRevision: 90, server: other, ttlMs };
    book.replace([orphan], 100, 1_000);
    book.replace([orphan], 100, 5_000);
    expect(book.due(1_000 + ttlMs - 1)).toEqual([]);
    expect(book.due(1_000 + ttlMs)).toMatchObject([{ key: 'a', state: 'orphan' }]);
  });

  it('takes from a list what it lost and what is gone, but nothing that is newer than the list', () => {
    const book = bookAt(0, [other]);
    for (const [key, etcdRevision] of [['mine', 50], ['taken', 51], ['removed', 52], ['new', 101]] as const) book.keep({ key, etcdRevision, server: me, ttlMs }, 0, 0);
    book.replace([{ key: 'mine', etcdRevision: 60, server: me, ttlMs }, { key: 'taken', etcdRevision: 70, server: other, ttlMs }], 100, 1_000);
    expect(['mine', 'taken', 'removed', 'new'].map((key) => book.get(key)?.etcdRevision)).toEqual([60, undefined, undefined, 101]);
    expect(book.get('mine')).toMatchObject({ state: 'kept', endsAt: ttlMs });
  });

  it('finds its own keys orphaned when it had to register again', () => {
    const book = bookAt(0);
    book.keep({ key: 'a', etcdRevision: 50, server: me, ttlMs }, 0, 0);
    const again = 'd'.repeat(16);
    book.seen({ etcdRevision: 200, me: again, others: new Set() }, 20_000);
    book.replace([{ key: 'a', etcdRevision: 50, server: me, ttlMs }], 200, 20_000);
    expect(book.renew('a', again, 20_001)).toBe(false);
    expect(book.get('a')).toMatchObject({ state: 'orphan', endsAt: 20_000 + ttlMs });
  });

  it('ends nothing right after nobody could renew', () => {
    const book = bookAt(0);
    book.keep({ key: 'a', etcdRevision: 50, server: me, ttlMs }, 0, 0);
    book.grace(0.5, 9_000);
    expect(book.due(9_000 + ttlMs / 2 - 1)).toEqual([]);
    expect(book.due(9_000 + ttlMs / 2)).toHaveLength(1);
  });

  it('looks at a key of which it did not hear whether it was made its keeper, when nobody can count on it any more', () => {
    const book = bookAt(0);
    book.doubt('a', ttlMs, 0);
    book.replace([], 100, 1_000);
    expect(book.renew('a', me, 1_000)).toBe(false);
    expect(book.due(ttlMs + sureMs - 1)).toEqual([]);
    expect(book.due(ttlMs + sureMs)).toMatchObject([{ key: 'a', etcdRevision: 0 }]);
    book.found({ key: 'a', etcdRevision: 101, server: me, ttlMs }, 20_000);
    expect(book.due(20_000 + ttlMs - 1)).toEqual([]);
    expect(book.due(20_000 + ttlMs)).toMatchObject([{ key: 'a', etcdRevision: 101, server: me }]);
    // What it knows better is not in doubt.
    book.keep({ key: 'b', etcdRevision: 102, server: me, ttlMs }, 0, 20_000);
    book.doubt('b', ttlMs, 20_000);
    expect(book.renew('b', me, 20_001)).toBe(true);
  });

  it('leaves a key that could not be removed to another server that keeps it, and takes care of that of one that is gone', () => {
    const book = bookAt(0, [other]);
    const gone = 'c'.repeat(16);
    for (const key of ['a', 'b']) book.keep({ key, etcdRevision: 50, server: me, ttlMs }, 0, 0);
    book.found({ key: 'a', etcdRevision: 60, server: other, ttlMs }, 1_000);
    book.found({ key: 'b', etcdRevision: 60, server: gone, ttlMs }, 1_000);
    expect([book.get('a'), book.get('b')]).toMatchObject([undefined, { state: 'orphan', server: gone, etcdRevision: 60 }]);
  });
});
