import { describe, expect, it } from '@jest/globals';
import { FakeClock } from '../lib/fake-clock.js';
import { hedged } from './hedge.js';

const never = (): Promise<never> => new Promise(() => undefined);

describe('hedged', () => {
  it('asks one way only when the answer comes in time', async () => {
    let seconds = 0;
    const answer = await hedged({ first: () => Promise.resolve(1), second: () => Promise.resolve(++seconds), patienceMs: 100, clock: new FakeClock() });
    expect([answer, seconds]).toEqual([1, 0]);
  });

  it('tells a failure that comes in time', async () => {
    await expect(hedged({ first: () => Promise.reject(new Error('no')), second: never, patienceMs: 100, clock: new FakeClock() })).rejects.toThrow('no');
  });

  it('asks another way when its patience is over, and takes the first answer', async () => {
    const clock = new FakeClock();
    const asked = hedged({ first: never, second: () => Promise.resolve(2), patienceMs: 100, clock });
    await clock.advance(100);
    expect(await asked).toBe(2);
  });

  it('does not ask another way when the answer has come, and a busy process has not read it', async () => {
    const clock = new FakeClock();
    let answer: (value: number) => void = () => undefined;
    let seconds = 0;
    const asked = hedged({ first: () => new Promise<number>((resolve) => (answer = resolve)), second: () => Promise.resolve(++seconds), patienceMs: 100, clock });
    clock.timer(100, () => answer(7));
    await clock.advance(100);
    expect([await asked, seconds]).toEqual([7, 0]);
  });

  it('tells why the other way failed when neither works', async () => {
    const clock = new FakeClock();
    let fail: (error: Error) => void = () => undefined;
    const asked = hedged({ first: () => new Promise((_, reject) => (fail = reject)), second: () => Promise.reject(new Error('refused')), patienceMs: 100, clock });
    const told = expect(asked).rejects.toThrow('refused');
    await clock.advance(100);
    fail(new Error('closed'));
    await told;
  });
});
