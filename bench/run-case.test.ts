import { describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { childPids } from './children.js';
import { benchCase } from './report/testing/results.js';
import { runCase, type RunOptions } from './run-case.js';
import type { CaseContext, Measurement } from './bench-case.js';

const options = (signal = new AbortController().signal): RunOptions => ({ store: 'embedded', nodes: 1, tasks: 1, progress: () => undefined, signal });
const figure: Measurement = { value: 1, unit: 'ms' };

/** What the case left behind is told on standard error. */
async function heard<T>(work: () => Promise<T>): Promise<{ result: PromiseSettledResult<T>; said: string }> {
  const { write } = process.stderr;
  let said = '';
  process.stderr.write = ((text: string) => (said += text) !== '') as typeof write;
  try {
    const [result] = await Promise.allSettled([work()]);
    return { result: result!, said };
  } finally {
    process.stderr.write = write;
  }
}

describe('a case that runs', () => {
  it('gets the state of the machine into its details, beside its own', async () => {
    const measured = await runCase(benchCase({ run: async () => ({ ...figure, details: { own: 5 } }) }), options());
    expect(measured).toMatchObject({ value: 1, details: { own: 5, fsyncMs: expect.any(Number), loadAverage: expect.any(Number) } });
  });

  it('is cleaned up after in reverse order, also when it fails', async () => {
    const order: string[] = [];
    let scratch: string | undefined;
    const run = async ({ afterwards, signal }: CaseContext): Promise<Measurement> => {
      scratch = process.env['TMPDIR'];
      signal.addEventListener('abort', () => order.push('over'));
      for (const name of ['first', 'second']) afterwards(async () => void order.push(name));
      throw new Error('nothing to measure');
    };
    await expect(runCase(benchCase({ run }), options())).rejects.toThrow('nothing to measure');
    expect(order).toEqual(['over', 'second', 'first']);
    expect(scratch).toContain('tpbench-');
    expect(existsSync(scratch!)).toBe(false);
    expect(process.env['TMPDIR']).not.toBe(scratch);
  });

  it('is ended by an interruption', async () => {
    const stop = new AbortController();
    let cleaned = false;
    const run = ({ afterwards }: CaseContext): Promise<Measurement> => {
      afterwards(async () => void (cleaned = true));
      stop.abort();
      return new Promise(() => undefined);
    };
    await expect(runCase(benchCase({ run }), options(stop.signal))).rejects.toThrow('interrupted');
    expect(cleaned).toBe(true);
    await expect(runCase(benchCase({ run }), options(stop.signal))).rejects.toThrow('interrupted');
  });

  it('leaves no process behind', async () => {
    let pid = 0;
    const run = async (): Promise<Measurement> => {
      pid = spawn('/bin/sh', ['-c', 'read x', 'forgotten'], { stdio: ['pipe', 'ignore', 'ignore'] }).pid!;
      return figure;
    };
    const { result, said } = await heard(() => runCase(benchCase({ run }), options()));
    expect(result.status).toBe('fulfilled');
    expect(said).toContain('a process was left behind: /bin/sh -c read x forgotten');
    while ((await childPids(process.pid)).includes(pid)) await new Promise(setImmediate);
  });

  it('fails when it runs what production does not', async () => {
    const run = async (): Promise<Measurement> => {
      spawn('/bin/sh', ['-c', 'read x', '--unsafe-no-fsync'], { argv0: 'etcd', env: {}, stdio: ['pipe', 'ignore', 'ignore'] });
      return new Promise(() => undefined);
    };
    const { result } = await heard(() => runCase(benchCase({ run }), options()));
    expect(result).toMatchObject({ status: 'rejected', reason: { message: expect.stringContaining('not what production runs') } });
  });
});
