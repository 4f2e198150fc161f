import { describe, expect, it } from '@jest/globals';
import { nodeKind } from '../../api/node.js';
import { taskKind, type Task } from '../../api/task.js';
import type { KindDefinition } from '../../api/kind.js';
import { SystemClock } from '../../lib/clock.js';
import { Deferred } from '../../lib/deferred.js';
import { silentLogger } from '../../lib/log.js';
import { Mux, type MuxStream } from '../../lib/mux.js';
import { pairedChannels } from '../../lib/testing/paired-channels.js';
import type { ResourceService } from '../resources/service.js';
import { Logs } from './logs.js';
import type { ReplyOutput, ServerReply, ServerRequest } from './message.js';
import { Tunnels } from './tunnels.js';

const task = { metadata: { name: 'a', namespace: 'default', uid: 'u' }, spec: {}, status: { phase: 'Running', nodeName: 'n1', attempt: 1, startTime: '2026-01-01T00:00:00Z' } } as unknown as Task;

/** A log whose agent writes as fast as it may, for ever. */
function endless(): { ask(): Promise<ServerReply>; gone: AbortController; written: () => number; stream: Promise<MuxStream>; close(): void } {
  const [ours, agents] = pairedChannels();
  const opened = new Deferred<MuxStream>();
  let written = 0;
  const agent = new Mux({
    channel: agents,
    initiator: false,
    onStream(stream) {
      opened.resolve(stream);
      void (async () => {
        for (;;) {
          await stream.write(Buffer.alloc(32 * 1024, 'x'));
          written += 32 * 1024;
          // As a file and a network would: others get their turn.
          await new Promise((resolve) => setImmediate(resolve));
        }
      })().catch(() => undefined);
    },
  });
  const tunnels = new Tunnels({ logger: silentLogger });
  tunnels.connect('n1', ours);
  const resources = { get: () => Promise.resolve({ object: task, json: '' }) } as unknown as ResourceService;
  const logs = new Logs({ resources, tunnels, clock: new SystemClock() });
  const gone = new AbortController();
  const request = { method: 'GET', path: '', query: new URLSearchParams('follow=true'), headers: {}, user: undefined, signal: gone.signal } as unknown as ServerRequest;
  return {
    ask: () => logs.handle({ user: { name: 'x', groups: [] }, warn: () => undefined }, taskKind as unknown as KindDefinition, 'default', 'a', request),
    gone,
    written: () => written,
    stream: opened.promise,
    close: () => agent.close(),
  };
}

/** Takes nothing until told to. */
function slowClient(signal: AbortSignal): { output: ReplyOutput; takes: Deferred<void>; taken: () => number } {
  const takes = new Deferred<void>();
  let buffered = 0;
  let total = 0;
  const output: ReplyOutput = {
    write(chunk) {
      buffered += chunk.length;
      total += chunk.length;
    },
    get bufferedBytes() {
      return buffered;
    },
    async drained() {
      await takes.promise;
      buffered = 0;
    },
    end: () => undefined,
    signal,
  };
  return { output, takes, taken: () => total };
}

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
};

describe('a log that is fetched', () => {
  it('waits in the agent, not in the server, for a client that takes nothing', async () => {
    const log = endless();
    const reply = await log.ask();
    const client = slowClient(log.gone.signal);
    const over = (reply.body as (output: ReplyOutput) => Promise<void>)(client.output).catch(() => undefined);
    await turns(500);
    expect(client.taken()).toBeLessThan(512 * 1024);
    expect(log.written()).toBeLessThan(1024 * 1024);
    client.takes.resolve();
    await turns(500);
    expect(client.taken()).toBeGreaterThan(1024 * 1024);
    log.close();
    await over;
  });

  it('is read no further when its client goes away', async () => {
    const log = endless();
    const reply = await log.ask();
    const client = slowClient(log.gone.signal);
    const over = (reply.body as (output: ReplyOutput) => Promise<void>)(client.output).catch(() => undefined);
    await turns(100);
    log.gone.abort();
    client.takes.resolve();
    await over;
    await (await log.stream).closed;
    const before = log.written();
    await turns(100);
    expect(log.written()).toBe(before);
    log.close();
  });

  it('is refused in a sentence when nobody is there to ask', async () => {
    const tunnels = new Tunnels({ logger: silentLogger });
    const resources = { get: () => Promise.resolve({ object: task, json: '' }) } as unknown as ResourceService;
    const logs = new Logs({ resources, tunnels, clock: new SystemClock() });
    const request = { method: 'GET', path: '', query: new URLSearchParams(), headers: {}, user: undefined, signal: new AbortController().signal } as unknown as ServerRequest;
    const asked = logs.handle({ user: { name: 'x', groups: [] }, warn: () => undefined }, nodeKind as unknown as KindDefinition, 'default', 'a', request);
    await expect(asked).rejects.toMatchObject({ code: 503, reason: 'ServiceUnavailable', message: expect.stringContaining('agent of node "n1" is not connected') });
  });
});
