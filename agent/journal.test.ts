import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { attemptKey } from './driver.js';
import { encode, Journal, replay, type AttemptStart, type JournalFact } from './journal.js';

const start = (number: number, parts: Partial<AttemptStart> = {}): AttemptStart => ({ uid: `u${number}`, bindings: 1, attempt: 1, tries: 0, namespace: 'default', name: `t${number}`, fenced: true, delays: 0, ...parts });
const keyOf = (number: number): string => attemptKey(start(number));
const exit = { exitCode: 3, oomKilled: false, finishedAt: 5 };

/** Without the room ahead of them. */
const linesOf = (path: string): string => readFileSync(path, 'utf8').replace(/\0+$/, '');

describe('Journal', () => {
  let directory: string;
  let path: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'taskplane-journal-'));
    path = join(directory, 'journal');
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  it('remembers what was started, stopped and ended, and forgets what is done with', async () => {
    const journal = Journal.open(path);
    await Promise.all([1, 2, 3].map((number) => journal.start(start(number))));
    journal.stop(keyOf(1), 'Deleted');
    journal.end(keyOf(2), exit);
    journal.done(keyOf(3));
    journal.close();
    const again = Journal.open(path);
    expect([...again.attempts]).toEqual([
      [keyOf(1), { start: start(1), stop: 'Deleted' }],
      [keyOf(2), { start: start(2), end: exit }],
    ]);
    again.close();
  });

  it('knows which attempts were meant to start before the machine restarted', async () => {
    const journal = Journal.open(path, 'boot 1');
    await journal.start(start(1));
    journal.close();
    const again = Journal.open(path, 'boot 2');
    await again.start(start(2));
    again.close();
    const third = Journal.open(path, 'boot 2');
    expect([...third.attempts.values()].map((record) => third.isOfEarlierBoot(record))).toEqual([true, false]);
    third.close();
  });

  it('keeps only what matters when it is opened, readable by the agent alone', async () => {
    const journal = Journal.open(path);
    for (let number = 0; number < 50; number++) {
      await journal.start(start(number));
      journal.done(keyOf(number));
    }
    journal.close();
    Journal.open(path).close();
    expect(linesOf(path)).toBe('');
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('goes on after a line that was torn', async () => {
    const journal = Journal.open(path);
    await journal.start(start(1));
    journal.close();
    writeFileSync(path, linesOf(path) + 'deadbeef {"fact":"sta' + '\0'.repeat(100));
    const again = Journal.open(path);
    await again.start(start(2));
    again.close();
    const third = Journal.open(path);
    expect([...third.attempts.keys()]).toEqual([keyOf(1), keyOf(2)]);
    third.close();
  });

  it('shrinks while it is open, too', async () => {
    const journal = Journal.open(path);
    for (let number = 0; number < 6_000; number++) {
      const synced = journal.start(start(number));
      if (number % 500 === 499) await synced;
      journal.done(keyOf(number));
    }
    await journal.start(start(9_999));
    journal.done(keyOf(9_999));
    expect(linesOf(path).length).toBeLessThan(10_000 * 100);
    journal.close();
  });

  it('does not grow with each line, and goes on when there is no room left ahead', async () => {
    const journal = Journal.open(path);
    await journal.start(start(1));
    const { size } = statSync(path);
    let number = 2;
    for (; linesOf(path).length < size; number++) {
      expect(statSync(path).size).toBe(size);
      void journal.start(start(number, { name: 'n'.repeat(20_000) }));
    }
    await journal.start(start(number));
    expect(statSync(path).size).toBeGreaterThan(size);
    journal.close();
    const again = Journal.open(path);
    expect(again.attempts.size).toBe(number);
    again.close();
  });
});

describe('replay', () => {
  const facts = fc.array(
    fc.tuple(fc.integer({ min: 0, max: 4 }), fc.constantFrom('start', 'stop', 'end', 'done')).map(([number, fact]): JournalFact => {
      if (fact === 'start') return { fact, ...start(number) };
      if (fact === 'stop') return { fact, key: keyOf(number), reason: 'Deleted' };
      return fact === 'end' ? { fact, key: keyOf(number), end: exit } : { fact: 'done', key: keyOf(number) };
    }),
    { maxLength: 12 },
  );

  it('of a journal cut at any byte is that of its whole lines', () => {
    fc.assert(
      fc.property(facts, fc.nat(), (list, cutSeed) => {
        const lines = list.map((fact) => Buffer.from(encode(fact)));
        const bytes = Buffer.concat(lines);
        const cut = cutSeed % (bytes.length + 1);
        let whole = 0;
        for (let length = 0; whole < lines.length && length + lines[whole]!.length <= cut; whole++) length += lines[whole]!.length;
        expect(replay(bytes.subarray(0, cut))).toEqual(replay(Buffer.concat(lines.slice(0, whole))));
      }),
    );
  });

  it('of a journal with a damaged byte is that of the lines before it', () => {
    fc.assert(
      fc.property(facts.filter((list) => list.length > 0), fc.nat(), (list, seed) => {
        const lines = list.map((fact) => Buffer.from(encode(fact)));
        const bytes = Buffer.concat(lines);
        const at = seed % bytes.length;
        bytes[at] = bytes[at]! ^ 0x01;
        let before = 0;
        for (let length = 0; length + lines[before]!.length <= at; before++) length += lines[before]!.length;
        expect(replay(bytes)).toEqual(replay(Buffer.concat(lines.slice(0, before))));
      }),
    );
  });
});
