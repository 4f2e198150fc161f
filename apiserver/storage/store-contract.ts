// store-contract.ts
//
// The one suite that judges every store: embedded, etcd, and the watch cache over either.

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { GoneError, ValueTooLargeError, valueBytesMax, type Change, type Store, type Stored, type Write, type WriteOutcome } from './store.js';

export interface StoreHarness {
  /** The store under test; changes with `reopen`. */
  readonly store: Store;
  /** Closes the store and opens another on the same data. */
  reopen(): Promise<void>;
  /** Makes the store drop its history up to now, as it does by itself with time; writes at least one change. */
  forget(): Promise<void>;
  /** Lets time pass for presence. */
  passTime(ms: number): Promise<void>;
  /** Ends everything the harness started. */
  close(): Promise<void>;
}

/** The shortest time to live that every store takes. */
const ttlMs = 2_000;

export function describeStore(name: string, makeHarness: () => Promise<StoreHarness>): void {
  describe(name, () => {
    let harness: StoreHarness;
    let prefixes = 0;
    const store = (): Store => harness.store;
    /** A prefix that no other test has used. */
    const freshPrefix = (): string => `/taskplane/registry/core/things${++prefixes}/`;

    beforeAll(async () => {
      harness = await makeHarness();
    });
    afterAll(async () => {
      await harness?.close();
    });

    describe('write', () => {
      it('creates what is absent and reads it back', async () => {
        const key = `${freshPrefix()}a`;
        const { revision } = await written(store().write({ op: 'create', key, value: '{"a":1}' }));
        expect(await store().read(key)).toMatchObject({ key, value: '{"a":1}', revision });
      });

      it('refuses to create what is there, and tells what is', async () => {
        const key = `${freshPrefix()}a`;
        const { revision } = await written(store().write({ op: 'create', key, value: '{"a":1}' }));
        const outcome = await store().write({ op: 'create', key, value: '{"a":2}' });
        expect(outcome).toMatchObject({ ok: false, current: { key, value: '{"a":1}', revision } });
      });

      it('updates what is stored at the given revision only', async () => {
        const key = `${freshPrefix()}a`;
        const created = await written(store().write({ op: 'create', key, value: '{"a":1}' }));
        const updated = await written(store().write({ op: 'update', key, value: '{"a":2}', revision: created.revision }));
        expect(updated.revision).toBeGreaterThan(created.revision);
        const late = await store().write({ op: 'update', key, value: '{"a":3}', revision: created.revision });
        expect(late).toMatchObject({ ok: false, current: { value: '{"a":2}', revision: updated.revision } });
        expect(await store().read(key)).toMatchObject({ value: '{"a":2}', revision: updated.revision });
      });

      it('deletes what is stored at the given revision only, and the deletion has a revision', async () => {
        const key = `${freshPrefix()}a`;
        const created = await written(store().write({ op: 'create', key, value: '{"a":1}' }));
        expect(await store().write({ op: 'delete', key, revision: created.revision + 5_000 })).toMatchObject({ ok: false, current: { value: '{"a":1}' } });
        const deleted = await written(store().write({ op: 'delete', key, revision: created.revision }));
        expect(deleted.revision).toBeGreaterThan(created.revision);
        expect(await store().read(key)).toBeUndefined();
      });

      it('conflicts with nothing when the object is absent', async () => {
        const key = `${freshPrefix()}a`;
        expect(await store().write({ op: 'update', key, value: '{}', revision: 1 })).toEqual({ ok: false, current: undefined });
        expect(await store().write({ op: 'delete', key, revision: 1 })).toEqual({ ok: false, current: undefined });
      });

      it('creates again what was deleted, at a later revision', async () => {
        const key = `${freshPrefix()}a`;
        const first = await written(store().write({ op: 'create', key, value: '{"a":1}' }));
        const deleted = await written(store().write({ op: 'delete', key, revision: first.revision }));
        const second = await written(store().write({ op: 'create', key, value: '{"a":2}' }));
        expect(second.revision).toBeGreaterThan(deleted.revision);
        expect(await store().write({ op: 'update', key, value: '{"a":3}', revision: first.revision })).toMatchObject({ ok: false });
      });

      it('gives every write of a burst its own revision, each with its own outcome', async () => {
        const prefix = freshPrefix();
        await written(store().write({ op: 'create', key: `${prefix}7`, value: '{"old":true}' }));
        const outcomes = await Promise.all(range(300).map((n) => store().write({ op: 'create', key: `${prefix}${n}`, value: `{"n":${n}}` })));
        expect(outcomes.flatMap(({ ok }, n) => (ok ? [] : [n]))).toEqual([7]);
        const revisions = outcomes.flatMap((outcome) => (outcome.ok ? [outcome.revision] : []));
        expect(new Set(revisions).size).toBe(299);
        const { items } = await store().list(prefix);
        for (const { key, revision } of items) {
          const outcome = outcomes[Number(key.slice(prefix.length))]!;
          if (outcome.ok) expect(revision).toBe(outcome.revision);
        }
      });

      it('loses none of 400 guarded increments made in parallel on a few keys', async () => {
        const keys = range(4).map((n) => `${freshPrefix()}counter${n}`);
        for (const key of keys) await written(store().write({ op: 'create', key, value: '{"count":0}' }));
        await Promise.all(range(400).map((n) => increment(store(), keys[n % keys.length]!)));
        for (const key of keys) expect(await store().read(key)).toMatchObject({ value: '{"count":100}' });
      }, 60_000);

      it('keeps unicode and values of one megabyte as they are', async () => {
        const prefix = freshPrefix();
        const values = [JSON.stringify({ text: 'häßlich 漢字 🧵 \u0000 \ud800 "\\\n012' }), JSON.stringify('x'.repeat(1_024 * 1_024)), '{}', '{}\n007'];
        await Promise.all(values.map((value, n) => written(store().write({ op: 'create', key: `${prefix}${n}`, value }))));
        for (const [n, value] of values.entries()) expect((await store().read(`${prefix}${n}`))?.value === value).toBe(true);
        expect((await store().list(prefix)).items.map((item) => item.value.length)).toEqual(values.map((value) => value.length));
      });

      it('refuses a value that is too large, in words', async () => {
        const refused = store().write({ op: 'create', key: `${freshPrefix()}a`, value: 'x'.repeat(valueBytesMax + 1) });
        await expect(refused).rejects.toBeInstanceOf(ValueTooLargeError);
      });
    });

    describe('list', () => {
      it('gives all under the prefix and nothing else, in key order', async () => {
        const prefix = freshPrefix();
        for (const name of ['b/2', 'a/1', 'c', 'b/1']) await written(store().write({ op: 'create', key: prefix + name, value: '{}' }));
        const page = await store().list(prefix);
        expect(page.items.map(({ key }) => key.slice(prefix.length))).toEqual(['a/1', 'b/1', 'b/2', 'c']);
        expect(page.next).toBeUndefined();
        expect((await store().list(`${prefix}b/`)).items).toHaveLength(2);
        expect((await store().list(`${prefix}x/`)).items).toEqual([]);
      });

      it('gives pages of one revision while writes go on', async () => {
        const prefix = freshPrefix();
        const before = await Promise.all(range(60).map((n) => written(store().write({ op: 'create', key: prefix + pad(n), value: '{"old":true}' }))));
        const first = await store().list(prefix, { limit: 7 });
        const items = [...first.items];
        for (let next = first.next, n = 0; next !== undefined; n++) {
          await written(store().write({ op: 'update', key: prefix + pad(59 - n), value: '{"old":false}', revision: before[59 - n]!.revision }));
          await written(store().write({ op: 'delete', key: prefix + pad(30 + n), revision: before[30 + n]!.revision }));
          await written(store().write({ op: 'create', key: `${prefix}${pad(40 + n)}-new`, value: '{"old":false}' }));
          const page = await store().list(prefix, { limit: 7, after: next, revision: first.revision });
          expect(page.revision).toBe(first.revision);
          items.push(...page.items);
          next = page.next;
        }
        expect(items.map(({ key }) => key)).toEqual(range(60).map((n) => prefix + pad(n)));
        expect(items.map(({ revision }) => revision)).toEqual(before.map(({ revision }) => revision));
        expect(items.every(({ value }) => value === '{"old":true}')).toBe(true);
      });

      it('gives more than fits one page of the store at one revision', async () => {
        const prefix = freshPrefix();
        await Promise.all(range(1_300).map((n) => written(store().write({ op: 'create', key: prefix + pad(n), value: '{}' }))));
        const [page] = await Promise.all([store().list(prefix), ...range(100).map((n) => store().write({ op: 'create', key: `${prefix}z${pad(n)}`, value: '{}' }))]);
        const keys = page.items.map(({ key }) => key);
        expect(keys.slice(0, 1_300)).toEqual(range(1_300).map((n) => prefix + pad(n)));
        expect(page.items.every(({ revision }) => revision <= page.revision)).toBe(true);
      });

      it('ends exactly at the limit without another page', async () => {
        const prefix = freshPrefix();
        for (const n of range(4)) await written(store().write({ op: 'create', key: prefix + n, value: '{}' }));
        const first = await store().list(prefix, { limit: 2 });
        const second = await store().list(prefix, { limit: 2, after: first.next!, revision: first.revision });
        expect(second.items).toHaveLength(2);
        expect(second.next).toBeUndefined();
      });
    });

    describe('watch', () => {
      it('shows every change after a list once, in order, with the revisions that the writers got', async () => {
        const prefix = freshPrefix();
        await written(store().write({ op: 'create', key: `${prefix}before`, value: '{}' }));
        const { revision } = await store().list(prefix);
        const watching = take(store(), prefix, revision, 203);
        const created = await Promise.all(range(200).map((n) => written(store().write({ op: 'create', key: prefix + n, value: `{"n":${n}}` }))));
        const updated = await written(store().write({ op: 'update', key: `${prefix}5`, value: '{"n":-5}', revision: created[5]!.revision }));
        const deleted = await written(store().write({ op: 'delete', key: `${prefix}5`, revision: updated.revision }));
        const last = await written(store().write({ op: 'create', key: `${prefix}5`, value: '{"n":55}' }));
        const changes = await watching;
        expect(changes.map((change) => change.revision)).toEqual([...created.map((write) => write.revision).toSorted((a, b) => a - b), updated.revision, deleted.revision, last.revision]);
        for (const change of changes.slice(0, 200)) {
          const n = Number(change.key.slice(prefix.length));
          expect(change).toMatchObject({ type: 'put', value: `{"n":${n}}`, revision: created[n]!.revision });
        }
        expect(changes.slice(200).map(({ type, value }) => [type, value])).toEqual([
          ['put', '{"n":-5}'],
          ['delete', ''],
          ['put', '{"n":55}'],
        ]);
      });

      it('resumes after any revision, also in the middle of a batch with deletions, without gap or repeat', async () => {
        const prefix = freshPrefix();
        const old = await Promise.all(range(20).map((n) => written(store().write({ op: 'create', key: `${prefix}old${n}`, value: '{}' }))));
        const { revision } = await store().list(prefix);
        const writes = range(60).map((n): Write => {
          if (n % 3 === 0) return { op: 'delete', key: `${prefix}old${n / 3}`, revision: old[n / 3]!.revision };
          if (n % 7 === 0) return { op: 'create', key: `${prefix}old${n % 20}`, value: '{"refused":true}' };
          return { op: 'create', key: `${prefix}new${n}`, value: '{}' };
        });
        const outcomes = await Promise.all(writes.map((write) => store().write(write)));
        const expected = outcomes.flatMap((outcome) => (outcome.ok ? [outcome.revision] : [])).toSorted((a, b) => a - b);
        const all = await take(store(), prefix, revision, expected.length);
        expect(all.map((change) => change.revision)).toEqual(expected);
        for (let seen = 1; seen < all.length; seen++) {
          expect(await take(store(), prefix, all[seen - 1]!.revision, all.length - seen)).toEqual(all.slice(seen));
        }
      }, 60_000);

      it('shows changes under its prefix only', async () => {
        const prefix = freshPrefix();
        const { revision } = await store().list(prefix);
        const watching = take(store(), `${prefix}b/`, revision, 2);
        for (const name of ['a/1', 'b/1', 'c/1', 'b/2', 'b']) await written(store().write({ op: 'create', key: prefix + name, value: '{}' }));
        expect((await watching).map(({ key }) => key)).toEqual([`${prefix}b/1`, `${prefix}b/2`]);
      });

      it('serves many watchers that begin at different revisions while writes go on', async () => {
        const prefix = freshPrefix();
        const { revision } = await store().list(prefix);
        const writing = (async () => {
          const revisions: number[] = [];
          for (const n of range(150)) revisions.push((await written(store().write({ op: 'create', key: prefix + pad(n), value: '{}' }))).revision);
          return revisions;
        })();
        const fromStart = await Promise.all(range(10).map(() => take(store(), prefix, revision, 150)));
        const revisions = await writing;
        for (const changes of fromStart) expect(changes.map((change) => change.revision)).toEqual(revisions);
      });

      it('ends when its signal aborts, also while nothing happens', async () => {
        const prefix = freshPrefix();
        const { revision } = await store().list(prefix);
        const stop = new AbortController();
        const ended = (async () => {
          for await (const changes of store().watch(prefix, revision, stop.signal)) expect(changes).toHaveLength(0);
          return 'ended';
        })();
        await store().currentRevision();
        stop.abort();
        expect(await ended).toBe('ended');
      });

      it('is Gone when its revision has been compacted, and so is a list as of then', async () => {
        const prefix = freshPrefix();
        const { revision } = await written(store().write({ op: 'create', key: `${prefix}a`, value: '{}' }));
        const page = await store().list(prefix, { limit: 1 });
        await written(store().write({ op: 'create', key: `${prefix}b`, value: '{}' }));
        await harness.forget();
        await expect(take(store(), prefix, revision, 1)).rejects.toBeInstanceOf(GoneError);
        await expect(store().list(prefix, { revision: page.revision })).rejects.toBeInstanceOf(GoneError);
        expect((await store().list(prefix)).items).toHaveLength(2);
      }, 60_000);
    });

    describe('currentRevision', () => {
      it('is a barrier: a watch that has reached it has shown every acknowledged write', async () => {
        const prefix = freshPrefix();
        const { revision } = await store().list('/taskplane/');
        const stop = new AbortController();
        const seen = new Set<string>();
        let reached = revision;
        const waiting = new Set<() => void>();
        const watching = (async () => {
          for await (const changes of store().watch('/taskplane/', revision, stop.signal)) {
            for (const { key } of changes) seen.add(key);
            reached = changes.at(-1)!.revision;
            for (const check of waiting) check();
          }
        })();
        for (const n of range(40)) {
          await Promise.all(range(3).map((m) => written(store().write({ op: 'create', key: `${prefix}${n}-${m}`, value: '{}' }))));
          const current = await store().currentRevision();
          await new Promise<void>((resolve) => {
            const check = (): void => {
              if (reached >= current) resolve();
            };
            waiting.add(check);
            check();
          });
          expect(range(3).every((m) => seen.has(`${prefix}${n}-${m}`))).toBe(true);
        }
        stop.abort();
        await watching;
      });

      it('does not pass what a list at the same moment covers', async () => {
        const prefix = freshPrefix();
        await written(store().write({ op: 'create', key: `${prefix}a`, value: '{}' }));
        const current = await store().currentRevision();
        expect((await store().list(prefix)).revision).toBeGreaterThanOrEqual(current);
      });
    });

    describe('presence', () => {
      it('announces a key once, visible as an ordinary object', async () => {
        const key = `${freshPrefix()}a`;
        const first = await written(store().presence.announce(key, '{"on":1}', ttlMs * 10));
        expect(await store().read(key)).toMatchObject({ value: '{"on":1}', revision: first.revision });
        expect(await store().presence.announce(key, '{"on":2}', ttlMs * 10)).toMatchObject({ ok: false, current: { value: '{"on":1}' } });
        expect(await store().presence.withdraw(key)).toBe(true);
      });

      it('expires a key that nobody renews, as a deletion that watchers see, and then renews no more', async () => {
        const key = `${freshPrefix()}a`;
        const { revision } = await written(store().presence.announce(key, '{}', ttlMs));
        const watching = take(store(), key.slice(0, -1), revision, 1);
        await harness.passTime(ttlMs + 500);
        expect(await watching).toMatchObject([{ type: 'delete', key }]);
        expect(await store().presence.renew(key)).toBe(false);
        await written(store().presence.announce(key, '{}', ttlMs));
        expect(await store().presence.withdraw(key)).toBe(true);
      });

      it('keeps a key as long as it is renewed, also through updates of its value, at no durable write', async () => {
        const key = `${freshPrefix()}a`;
        const { revision } = await written(store().presence.announce(key, '{"n":0}', ttlMs));
        const updated = await written(store().write({ op: 'update', key, value: '{"n":1}', revision }));
        for (const _ of range(4)) {
          await harness.passTime(ttlMs / 2 + 100);
          expect(await store().presence.renew(key)).toBe(true);
        }
        expect(await store().read(key)).toMatchObject({ revision: updated.revision });
        const watching = take(store(), key.slice(0, -1), updated.revision, 1);
        await harness.passTime(ttlMs + 500);
        expect(await watching).toMatchObject([{ type: 'delete' }]);
      }, 30_000);

      it('withdraws a key at once, and tells when it is not there', async () => {
        const key = `${freshPrefix()}a`;
        const { revision } = await written(store().presence.announce(key, '{}', ttlMs * 10));
        const watching = take(store(), key.slice(0, -1), revision, 1);
        expect(await store().presence.withdraw(key)).toBe(true);
        expect(await watching).toMatchObject([{ type: 'delete', key }]);
        expect(await store().presence.withdraw(key)).toBe(false);
        expect(await store().presence.renew(key)).toBe(false);
      });

      it('is over when the key is deleted by an ordinary write', async () => {
        const key = `${freshPrefix()}a`;
        const { revision } = await written(store().presence.announce(key, '{}', ttlMs * 10));
        await written(store().write({ op: 'delete', key, revision }));
        expect(await store().presence.renew(key)).toBe(false);
      });

      it('survives a restart: renewed by the new store it stays, otherwise it expires', async () => {
        const prefix = freshPrefix();
        await written(store().presence.announce(`${prefix}a`, '{}', ttlMs));
        await written(store().presence.announce(`${prefix}b`, '{}', ttlMs));
        await harness.reopen();
        expect(await store().presence.renew(`${prefix}a`)).toBe(true);
        await harness.passTime(ttlMs / 2);
        expect(await store().presence.renew(`${prefix}a`)).toBe(true);
        // The new store may have taken it over by a write of the same value.
        expect(await store().read(`${prefix}a`)).toMatchObject({ value: '{}' });
        await harness.passTime(ttlMs / 2 + 900);
        await eventually(async () => (await store().read(`${prefix}b`)) === undefined, () => harness.passTime(200));
        await store().presence.withdraw(`${prefix}a`);
      }, 30_000);
    });

    it('keeps everything over a restart, and goes on with later revisions', async () => {
      const prefix = freshPrefix();
      const outcomes = await Promise.all(range(200).map((n) => written(store().write({ op: 'create', key: prefix + pad(n), value: `{"n":${n}}` }))));
      await harness.reopen();
      const { items, revision } = await store().list(prefix);
      expect(items).toMatchObject(range(200).map((n) => ({ key: prefix + pad(n), value: `{"n":${n}}`, revision: outcomes[n]!.revision })));
      const next = await written(store().write({ op: 'update', key: prefix + pad(0), value: '{}', revision: outcomes[0]!.revision }));
      expect(next.revision).toBeGreaterThan(revision);
    });

    it('behaves like a map with a log under random concurrent writes', async () => {
      const step = fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd/e'), op: fc.constantFrom('create', 'update', 'delete'), stale: fc.boolean(), wait: fc.boolean() });
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
          const prefix = freshPrefix();
          const { revision: start } = await store().list(prefix);
          const known = new Map<string, number>();
          const log: Change[] = [];
          const running: Promise<void>[] = [];
          for (const [n, { key: name, op, stale, wait }] of steps.entries()) {
            const key = prefix + name;
            const value = `{"n":${n}}`;
            const revision = (known.get(key) ?? 1) + (stale ? 1_000_000 : 0);
            const write: Write = op === 'create' ? { op, key, value } : op === 'update' ? { op, key, value, revision } : { op: 'delete', key, revision };
            running.push(
              store().write(write).then((outcome) => {
                if (outcome.ok) {
                  known.set(key, outcome.revision);
                  log.push({ type: op === 'delete' ? 'delete' : 'put', key, value: op === 'delete' ? '' : value, revision: outcome.revision });
                } else if (outcome.current) {
                  known.set(key, outcome.current.revision);
                }
              }),
            );
            if (wait) await Promise.all(running);
          }
          await Promise.all(running);
          log.sort((a, b) => a.revision - b.revision);
          const model = new Map<string, Stored>();
          for (const { type, key, value, revision } of log) {
            if (type === 'delete') expect(model.delete(key)).toBe(true);
            else model.set(key, { key, value, revision });
          }
          const { items } = await store().list(prefix);
          expect(items.map(({ key, value, revision }) => ({ key, value, revision }))).toEqual([...model.values()].toSorted((a, b) => (a.key < b.key ? -1 : 1)));
          expect(await take(store(), prefix, start, log.length)).toEqual(log);
        }),
        { numRuns: 40 },
      );
    }, 60_000);
  });
}

/** The first `count` changes of a watch. */
export async function take(store: Store, prefix: string, revision: number, count: number): Promise<Change[]> {
  const taken: Change[] = [];
  if (count === 0) return taken;
  const stop = new AbortController();
  for await (const changes of store.watch(prefix, revision, stop.signal)) {
    for (const { type, key, value, revision: at } of changes) taken.push({ type, key, value, revision: at });
    if (taken.length >= count) stop.abort();
  }
  return taken;
}

/** Adds one to a counter object, again until its guard holds. */
export async function increment(store: Store, key: string): Promise<void> {
  let current = await store.read(key);
  while (current) {
    const { count } = JSON.parse(current.value) as { count: number };
    const outcome = await store.write({ op: 'update', key, value: `{"count":${count + 1}}`, revision: current.revision });
    if (outcome.ok) return;
    current = outcome.current;
  }
  throw new Error(`${key} is not stored`);
}

/** The write's revision; the test fails when it conflicted. */
export async function written(write: Promise<WriteOutcome>): Promise<{ revision: number }> {
  const outcome = await write;
  if (!outcome.ok) throw new Error(`conflicts with ${JSON.stringify(outcome.current)}`);
  return { revision: outcome.revision };
}

export function range(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n);
}

export function pad(n: number): string {
  return String(n).padStart(5, '0');
}

async function eventually(holds: () => Promise<boolean>, pass: () => Promise<void>): Promise<void> {
  for (let tries = 0; tries < 50; tries++) {
    if (await holds()) return;
    await pass();
  }
  throw new Error('did not come true');
}
