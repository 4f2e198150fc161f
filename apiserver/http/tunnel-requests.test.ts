import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { decodeMessage, encodeMessage, type TunnelReplyHead } from '../../api/tunnel-message.js';
import { SystemClock } from '../../lib/clock.js';
import { Mux } from '../../lib/mux.js';
import { pairedChannels } from '../../lib/testing/paired-channels.js';
import type { ServerReply, ServerRequest } from './message.js';
import { TunnelRequests } from './tunnel-requests.js';

const clock = new SystemClock();

describe('TunnelRequests', () => {
  let asked: ServerRequest[];
  /** Streams that hold something. */
  let held: number;
  let answer: () => ServerReply;
  let server: Mux;
  let agent: Mux;

  beforeEach(() => {
    asked = [];
    held = 0;
    answer = () => ({ status: 200, headers: {}, body: 'done' });
    const handler = {
      handle: (request: ServerRequest) => {
        asked.push(request);
        return Promise.resolve(answer());
      },
    };
    const requests = new TunnelRequests({ handler, user: { name: 'system:node:n1', groups: [] }, clock });
    const [ours, theirs] = pairedChannels();
    server = new Mux({ channel: theirs, initiator: true, onCall: (message) => requests.call(message), onStream: (stream, message) => void requests.stream(stream, message) });
    agent = new Mux({ channel: ours, initiator: false });
  });
  afterEach(() => {
    agent.close();
    server.close();
  });

  /** A reply that holds something until its body is over. */
  const streamed = (): ServerReply => {
    held++;
    return {
      status: 200,
      headers: {},
      body: async (output) => {
        if (!output.signal.aborted) await new Promise((resolve) => output.signal.addEventListener('abort', resolve));
        held--;
      },
    };
  };
  const request = (method: string, url = '/api/v1/nodes', body = '', headers: Record<string, string> = {}) => encodeMessage({ method, url, headers }, body);
  const read = (message: Buffer) => {
    const { head, body } = decodeMessage(message)!;
    return { status: (head as TunnelReplyHead).status, body: body.toString() };
  };
  const call = async (message: Buffer) => read(await agent.call(message));
  const ask = async (message: Buffer) => {
    const stream = agent.open(message);
    stream.end();
    const parts: Buffer[] = [];
    for await (const part of stream) parts.push(part);
    return read(Buffer.concat(parts));
  };

  it('acts as the user of the tunnel, whatever a request says of others', async () => {
    expect(await call(request('POST', '/api/v1/nodes?a=b', '{}', { user: 'admin', 'x-remote-user': 'admin' }))).toEqual({ status: 200, body: 'done' });
    expect(asked.map(({ user, path }) => [user?.name, path])).toEqual([['system:node:n1', '/api/v1/nodes']]);
  });

  it('keeps nothing of a stream that is asked for by a call, and so cannot be read', async () => {
    answer = streamed;
    expect((await call(request('GET', '/api/v1/nodes?watch=true'))).status).toBe(400);
    expect(asked).toEqual([]);
    expect((await call(request('DELETE'))).status).toBe(400);
    expect(held).toBe(0);
  });

  it('refuses what it would have to hold for as long as a stream is open', async () => {
    expect((await ask(request('GET', '/', '', { a: 'x'.repeat(100_000) }))).status).toBe(431);
    expect((await call(request('POST', `/${'x'.repeat(100_000)}`))).status).toBe(431);
    expect((await ask(request('GET', '/', 'body'))).status).toBe(400);
    expect(asked).toEqual([]);
  });

  it('resets the stream of a request that brings more, which nobody would take', async () => {
    answer = streamed;
    const stream = agent.open(request('GET'));
    await stream.write(Buffer.alloc(1_000));
    await stream.closed;
    await new Promise((resolve) => setImmediate(resolve));
    expect([server.openStreams, held]).toEqual([0, 0]);
  });

  it('refuses more watches than any agent needs, until some have ended', async () => {
    answer = streamed;
    const watches = Array.from({ length: 16 }, () => agent.open(request('GET')));
    for (const watch of watches) await watch[Symbol.asyncIterator]().next();
    expect((await ask(request('GET'))).status).toBe(429);
    expect(held).toBe(16);
    watches[0]!.reset('enough');
    await new Promise((resolve) => setImmediate(resolve));
    const another = agent.open(request('GET'));
    expect(read((await another[Symbol.asyncIterator]().next()).value as Buffer).status).toBe(200);
  });

  it('lets go of what a stream holds when its reader leaves', async () => {
    answer = streamed;
    const stream = agent.open(request('GET'));
    stream.end();
    await expect(stream[Symbol.asyncIterator]().next()).resolves.toMatchObject({ done: false });
    expect(held).toBe(1);
    stream.reset('enough');
    await new Promise((resolve) => setImmediate(resolve));
    expect([server.openStreams, held]).toEqual([0, 0]);
  });
});
