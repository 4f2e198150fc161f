import { describe, expect, it } from '@jest/globals';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { SystemClock } from '../../lib/clock.js';
import { writeReply } from './node-http.js';

describe('writeReply', () => {
  const left = async (method: string, destroyed: boolean): Promise<boolean> => {
    let held = true;
    const body = async ({ signal }: { signal: AbortSignal }): Promise<void> => {
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
      held = false;
    };
    const response = { destroyed, writeHead: () => response, flushHeaders: () => undefined, end: () => response } as unknown as ServerResponse;
    await writeReply({ status: 200, headers: {}, body }, { method, httpVersion: '1.1' } as IncomingMessage, response, new AbortController().signal, new SystemClock());
    return held;
  };

  it('lets go of what a stream holds that nobody reads: the client has gone already, or asked for the head only', async () => {
    expect(await left('GET', true)).toBe(false);
    expect(await left('HEAD', false)).toBe(false);
  });
});
