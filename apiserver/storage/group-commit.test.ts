import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Deferred } from '../../lib/deferred.js';
import { GroupCommit, type GroupCommitOptions } from './group-commit.js';
import { StoreOverloadedError } from './store.js';

interface Op {
  readonly key: string;
  readonly id: number;
  readonly bytes: number;
}

const op = (id: number, key = `k${id}`, bytes = 1): Op => ({ id, key, bytes });
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A committer whose commits are answered by the test. */
function harness(options: Partial<GroupCommitOptions<Op, number>> = {}) {
  const commits: { ids: number[]; batch: readonly Op[]; answer: Deferred<void> }[] = [];
  const group = new GroupCommit<Op, number>({
    commit: async (batch) => {
      const answer = new Deferred<void>();
      commits.push({ ids: batch.map(({ id }) => id), batch, answer });
      await answer.promise;
      return batch.map(({ id }) => id);
    },
    keyOf: ({ key }) => key,
    bytesOf: ({ bytes }) => bytes,
    inFlightMax: 1,
    batchOpsMax: 3,
    batchBytesMax: 10,
    waitingOpsMax: 100,
    waitingBytesMax: 1_000,
    ...options,
  });
  return { group, commits };
}

describe('GroupCommit', () => {
  it('commits at the end of the turn when idle, with all that was offered in it', async () => {
    const { group, commits } = harness();
    const outcomes = Promise.all([group.offer(op(1)), group.offer(op(2))]);
    await turn();
    expect(commits.map(({ ids }) => ids)).toEqual([[1, 2]]);
    commits[0]!.answer.resolve();
    expect(await outcomes).toEqual([1, 2]);
  });

  it('batches what is offered while a commit is under way, split by count', async () => {
    const { group, commits } = harness();
    const all = [group.offer(op(0))];
    await turn();
    for (let id = 1; id <= 4; id++) all.push(group.offer(op(id)));
    await turn();
    expect(commits).toHaveLength(1);
    commits[0]!.answer.resolve();
    await all[0];
    await turn();
    expect(commits[1]!.ids).toEqual([1, 2, 3]);
    commits[1]!.answer.resolve();
    await all[1];
    await turn();
    expect(commits[2]!.ids).toEqual([4]);
    commits[2]!.answer.resolve();
    await Promise.all(all);
  });

  it('splits by bytes and sends an oversized operation alone', async () => {
    const { group, commits } = harness({ inFlightMax: 9 });
    const all = [op(1, 'a', 6), op(2, 'b', 6), op(3, 'c', 50), op(4, 'd', 1)].map((each) => group.offer(each));
    await turn();
    expect(commits.map(({ ids }) => ids)).toEqual([[1], [2], [3], [4]]);
    for (const { answer } of commits) answer.resolve();
    await Promise.all(all);
  });

  it('keeps a key out of a batch while an earlier write of it is on its way', async () => {
    const { group, commits } = harness({ inFlightMax: 2 });
    const all = [op(1, 'a'), op(2, 'a'), op(3, 'b')].map((each) => group.offer(each));
    await turn();
    expect(commits.map(({ ids }) => ids)).toEqual([[1, 3]]);
    commits[0]!.answer.resolve();
    await all[0];
    await turn();
    expect(commits[1]!.ids).toEqual([2]);
    commits[1]!.answer.resolve();
    await Promise.all(all);
  });

  it('takes new objects and all else in turn while both wait, each in their order', async () => {
    const { group, commits } = harness({ isNew: ({ id }) => id < 10, batchOpsMax: 4 });
    const all = [1, 2, 3, 4, 5, 6, 11, 12, 13].map((id) => group.offer(op(id)));
    for (let answered = 0; answered < 3; answered++) {
      await turn();
      await turn();
      commits[answered]!.answer.resolve();
    }
    await Promise.all(all);
    expect(commits.map(({ ids }) => ids)).toEqual([[11, 1, 12, 2], [13, 3, 4, 5], [6]]);
  });

  it('refuses an offer past the bound, and takes offers again once there is room', async () => {
    const { group, commits } = harness({ waitingOpsMax: 2 });
    const all = [group.offer(op(1)), group.offer(op(2))];
    await expect(group.offer(op(3))).rejects.toBeInstanceOf(StoreOverloadedError);
    await turn();
    all.push(group.offer(op(4)));
    commits[0]!.answer.resolve();
    await all[0];
    await turn();
    commits[1]!.answer.resolve();
    expect(await Promise.all(all)).toEqual([1, 2, 4]);
  });

  it('answers every write of a failed batch with its failure, and goes on', async () => {
    const { group, commits } = harness();
    const failed = [group.offer(op(1)), group.offer(op(2))];
    await turn();
    commits[0]!.answer.reject(new Error('no quorum'));
    for (const each of failed) await expect(each).rejects.toThrow('no quorum');
    const next = group.offer(op(3, 'k1'));
    await turn();
    commits[1]!.answer.resolve();
    expect(await next).toBe(3);
  });

  it('settles held writes by the outcome of the earlier one, and commits only what is left', async () => {
    const { group, commits } = harness({ settle: (later, earlier, outcome) => (later.id % 2 === 1 ? outcome * 100 + earlier.id : undefined) });
    const all = [op(0, 'a'), op(1, 'a'), op(2, 'a'), op(3, 'a')].map((each) => group.offer(each));
    await turn();
    commits[0]!.answer.resolve();
    expect(await Promise.all([all[0], all[1], all[3]])).toEqual([0, 0, 0]);
    await turn();
    expect(commits[1]!.ids).toEqual([2]);
    commits[1]!.answer.resolve();
    expect(await all[2]).toBe(2);
    await group.idle();
  });

  it('is idle only after the last write is answered', async () => {
    const { group, commits } = harness();
    await group.idle();
    const write = group.offer(op(1));
    let idle = false;
    const done = group.idle().then(() => (idle = true));
    await turn();
    expect(idle).toBe(false);
    commits[0]!.answer.resolve();
    await write;
    await done;
  });

  it('answers every write once, keeps the order per key, and never breaks a bound, whatever the schedule', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ key: fc.integer({ min: 0, max: 5 }), bytes: fc.integer({ min: 1, max: 14 }), pause: fc.boolean() }), { maxLength: 60 }),
        fc.integer({ min: 1, max: 3 }),
        fc.array(fc.nat(5), { maxLength: 100 }),
        async (writes, inFlightMax, answers) => {
          const { group, commits } = harness({ inFlightMax, isNew: ({ id }) => id % 3 > 0 });
          const open: number[] = [];
          let seen = 0;
          const order = new Map<string, number[]>();
          const look = (): void => {
            for (; seen < commits.length; seen++) {
              const { batch } = commits[seen]!;
              open.push(seen);
              expect(batch.length).toBeLessThanOrEqual(3);
              expect(batch.length === 1 || batch.reduce((sum, each) => sum + each.bytes, 0) <= 10).toBe(true);
              expect(open.length).toBeLessThanOrEqual(inFlightMax);
              const keys = open.flatMap((index) => commits[index]!.batch.map(({ key }) => key));
              expect(new Set(keys).size).toBe(keys.length);
              for (const { key, id } of batch) order.set(key, [...(order.get(key) ?? []), id]);
            }
          };
          const answerOne = async (which: number): Promise<void> => {
            const [index] = open.splice(which % Math.max(1, open.length), 1);
            if (index !== undefined) commits[index]!.answer.resolve();
            await turn();
            await turn();
            look();
          };
          const outcomes: Promise<number>[] = [];
          for (const [id, { key, bytes, pause }] of writes.entries()) {
            outcomes.push(group.offer(op(id, `k${key}`, bytes)));
            if (pause) {
              await turn();
              look();
              await answerOne(answers[id] ?? 0);
            }
          }
          await turn();
          look();
          while (open.length > 0) await answerOne(0);
          await group.idle();
          expect(await Promise.all(outcomes)).toEqual(writes.map((_, id) => id));
          for (const ids of order.values()) expect(ids).toEqual(ids.toSorted((a, b) => a - b));
        },
      ),
      { numRuns: 60 },
    );
  });
});
