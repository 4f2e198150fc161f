import { describe, expect, it } from '@jest/globals';
import { aborted, runAll, type Service } from './service.js';

function service(name: string, run: (signal: AbortSignal) => Promise<void>): Service {
  return { name, run };
}

describe('runAll', () => {
  it('ends when the signal aborts and every service has ended', async () => {
    const stop = new AbortController();
    const ended: string[] = [];
    const waits = (name: string) => service(name, async (signal) => aborted(signal).then(() => void ended.push(name)));
    const run = runAll([waits('a'), waits('b')], stop.signal);
    stop.abort();
    await run;
    expect(ended.sort()).toEqual(['a', 'b']);
  });

  it('stops the others when one fails, then throws that failure', async () => {
    const ended: string[] = [];
    const failing = service('bad', () => Promise.reject(new Error('broken')));
    const waiting = service('good', async (signal) => aborted(signal).then(() => void ended.push('good')));
    await expect(runAll([failing, waiting], new AbortController().signal)).rejects.toThrow('broken');
    expect(ended).toEqual(['good']);
  });
});
