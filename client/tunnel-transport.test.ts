import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { startInProcessApiServer, type RunningInProcessApiServer } from '../apiserver/in-process.js';
import { nodeKind, type Node } from '../api/node.js';
import { taskKind } from '../api/task.js';
import { TransportError, type Transport } from '../api/transport.js';
import { SystemClock } from '../lib/clock.js';
import { Mux, type MessageChannel } from '../lib/mux.js';
import { SystemRandom } from '../lib/random.js';
import { pairedChannels } from '../lib/testing/paired-channels.js';
import { ApiClient } from './api-client.js';
import { TunnelTransport } from './tunnel-transport.js';

const clock = new SystemClock();

describe('TunnelTransport', () => {
  let server: RunningInProcessApiServer;
  let fallbacks: string[];
  let transport: TunnelTransport;
  let agent: ApiClient;
  let channel: MessageChannel;
  let mux: Mux;

  beforeEach(async () => {
    server = await startInProcessApiServer({ clock, random: new SystemRandom() });
    const admin = server.transport();
    fallbacks = [];
    const fallback: Transport = {
      request: (request) => {
        fallbacks.push(`${request.method} ${request.path}`);
        return admin.request(request);
      },
      stream: (request) => {
        fallbacks.push(`${request.method} ${request.path}`);
        return admin.stream(request);
      },
      close: () => admin.close(),
    };
    transport = new TunnelTransport({ fallback, clock, userAgent: 'test-agent/1' });
    agent = new ApiClient({ transport, clock });
    const [ours, theirs] = pairedChannels();
    channel = ours;
    server.connectTunnel('n1', theirs);
    mux = new Mux({ channel: ours, initiator: false, onStream: (stream) => stream.reset('not here') });
    transport.dialled(mux);
  });

  afterEach(async () => {
    mux.close();
    await server.stop();
  });

  const node = (name: string): Node => ({ apiVersion: 'v1', kind: 'Node', metadata: { name } });

  it('answers renewals, each as the first, and counts them', async () => {
    await agent.create(nodeKind, node('n1'));
    const presence = (session: string, announce = false) => agent.presence('n1', { session, announce, load: { cpuMilli: 1, memoryBytes: 2, loadAverage: 3 } });
    await presence('s', true);
    for (let turn = 0; turn < 3; turn++) expect(await presence('s')).toEqual({ present: true, ttlMs: 8_000 });
    await expect(agent.presence('n1', { session: 1 as never, announce: false })).rejects.toMatchObject({ reason: 'BadRequest' });
    expect(await presence('s')).toMatchObject({ present: true });
    await presence('t', true);
    expect(await presence('s')).toMatchObject({ present: false });
    await expect(agent.presence('n2', { session: 's', announce: false })).rejects.toMatchObject({ reason: 'Forbidden' });
    const { body } = await server.transport().request({ method: 'GET', path: '/metrics' });
    expect(body).toContain('apiserver_request_total{verb="create",resource="nodes/presence",code="200"} 7');
    expect(body).toContain('apiserver_request_total{verb="create",resource="nodes/presence",code="400"} 1');
  });

  it('carries writes and reads, as the user of the tunnel, and what the server says to them', async () => {
    const made = await agent.create(nodeKind, { ...node('n1'), metadata: { name: 'n1', labels: { a: 'b' } } });
    expect(made.metadata.managedFields?.map(({ manager }) => manager)).toEqual(['test-agent']);
    expect((await agent.list(nodeKind)).items.map(({ metadata }) => metadata.name)).toEqual(['n1']);
    expect(await agent.presence('n1', { session: 's', announce: true })).toMatchObject({ present: true });
    await expect(agent.create(nodeKind, node('n2'))).rejects.toMatchObject({ reason: 'Forbidden', code: 403 });
    await expect(agent.get(taskKind, 'none', 'default')).rejects.toMatchObject({ reason: 'Forbidden' });
    expect(fallbacks).toEqual([]);
  });

  it('carries a watch until its reader leaves, beside everything else', async () => {
    await agent.create(nodeKind, node('n1'));
    const stop = new AbortController();
    const seen: string[] = [];
    for await (const { type, object } of agent.watch(nodeKind, { resourceVersion: '0', signal: stop.signal })) {
      seen.push(`${type} ${object.metadata.labels?.['step'] ?? ''}`);
      if (seen.length === 3) stop.abort();
      else await agent.mergePatch(nodeKind, 'n1', undefined, { metadata: { labels: { step: String(seen.length) } } });
    }
    expect(seen).toEqual(['ADDED ', 'MODIFIED 1', 'MODIFIED 2']);
    expect(mux.openStreams).toBe(0);
    expect(fallbacks).toEqual([]);
  });

  it('reads answers that are larger than what may be under way', async () => {
    const admin = new ApiClient({ transport: server.transport(), clock });
    const names = Array.from({ length: 6 }, (_, index) => `n${index}`);
    for (const name of names) await admin.create(nodeKind, { ...node(name), metadata: { name, annotations: { a: 'x'.repeat(100_000) } } });
    const { items } = await agent.list(nodeKind);
    expect(items.map(({ metadata }) => [metadata.name, metadata.annotations!['a']!.length])).toEqual(names.map((name) => [name, 100_000]));
    expect(fallbacks).toEqual([]);
  });

  it('sends large bodies another way, so that they hold up nothing', async () => {
    const large = { ...node('n1'), metadata: { name: 'n1', annotations: { a: 'x'.repeat(100_000) } } };
    await agent.create(nodeKind, large);
    expect(fallbacks).toEqual(['POST /api/v1/nodes']);
  });

  it('goes another way while there is no tunnel', async () => {
    const closed = mux.closed;
    channel.close();
    await closed;
    transport.dialled(undefined);
    expect(transport.isDirect).toBe(true);
    await agent.list(nodeKind);
    expect(fallbacks).toEqual(['GET /api/v1/nodes']);
  });

  it('fails a write that the tunnel broke under, since it may have been done, and asks again for what was to be read', async () => {
    const silent = new Mux({ channel: pairedChannels()[0], initiator: false });
    transport.dialled(silent);
    const write = expect(agent.create(nodeKind, node('n1'))).rejects.toThrow(TransportError);
    const read = agent.list(nodeKind);
    await new Promise((resolve) => setImmediate(resolve));
    silent.close();
    await write;
    expect((await read).items).toEqual([]);
    expect(fallbacks).toEqual(['GET /api/v1/nodes']);
  });
});
