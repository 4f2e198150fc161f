import { describe, expect, it } from '@jest/globals';
import type { KubeObject } from '../api/meta.js';
import type { EventBulk, EventItem } from '../api/protocol.js';
import { TransportError, type ApiRequest, type ApiResponse, type Transport } from '../api/transport.js';
import { FakeClock } from '../lib/fake-clock.js';
import { silentLogger } from '../lib/log.js';
import { ApiClient } from './api-client.js';
import { EventRecorder } from './event-recorder.js';

function world() {
  const clock = new FakeClock();
  const sent: EventItem[][] = [];
  const network = { down: false };
  const transport: Transport = {
    async request({ body }: ApiRequest): Promise<ApiResponse> {
      if (network.down) throw new TransportError('down');
      const { items } = JSON.parse(body!) as EventBulk;
      sent.push(items);
      return { status: 200, headers: {}, body: JSON.stringify({ items: items.map(() => ({ code: 201 })) }) };
    },
    stream: () => Promise.reject(new Error('not used')),
    async close() {},
  };
  const recorder = new EventRecorder({ client: new ApiClient({ transport }), component: 'test', clock, logger: silentLogger });
  const stop = new AbortController();
  const running = recorder.run(stop.signal);
  return {
    clock, sent, network, recorder,
    async end() {
      stop.abort();
      await clock.advance(5_000);
      await running;
      expect(clock.pendingTimers).toBe(0);
    },
  };
}

const object = (name: string): KubeObject => ({ apiVersion: 'v1', kind: 'Node', metadata: { name, uid: `uid-${name}` } });

describe('event recorder', () => {
  it('sends the same words about the same object once, with a count', async () => {
    const { recorder, clock, sent, end } = world();
    for (let i = 0; i < 3; i++) recorder.record(object('a'), 'Normal', 'Tested', 'words');
    recorder.record(object('b'), 'Warning', 'Tested', 'words');
    await clock.advance(1_000);
    expect(sent).toMatchObject([[{ involvedObject: { name: 'a' }, namespace: 'default', count: 3, component: 'test' }, { involvedObject: { name: 'b' }, count: 1 }]]);
    await end();
  });

  it('keeps what could not be sent and adds to it', async () => {
    const { recorder, clock, sent, network, end } = world();
    network.down = true;
    recorder.record(object('a'), 'Normal', 'Tested', 'words');
    await clock.advance(1_000);
    recorder.record(object('a'), 'Normal', 'Tested', 'words');
    network.down = false;
    await clock.advance(10_000);
    expect(sent).toMatchObject([[{ count: 2 }]]);
    await end();
  });

  it('drops Normal events that come too fast, never Warnings, and counts what it drops', async () => {
    const { recorder, clock, sent, end } = world();
    for (let i = 0; i < 300; i++) recorder.record(object(`n${i}`), 'Normal', 'Tested', 'words');
    for (let i = 0; i < 300; i++) recorder.record(object(`w${i}`), 'Warning', 'Tested', 'words');
    expect(recorder.dropped).toBe(100);
    await clock.advance(5_000);
    expect(sent.flat()).toHaveLength(500);
    for (let i = 0; i < 300; i++) recorder.record(object(`m${i}`), 'Normal', 'Tested', 'words');
    expect(recorder.dropped).toBe(300);
    await end();
  });

  it('is bounded when the server is away, and gives up at the end without hanging', async () => {
    const { recorder, clock, network, end } = world();
    network.down = true;
    for (let i = 0; i < 5_000; i++) recorder.record(object(`w${i}`), 'Warning', 'Tested', 'words');
    expect(recorder.dropped).toBe(3_000);
    await clock.advance(10_000);
    await end();
  });

  it('lets others take along what waits, and keeps what they could not deliver', async () => {
    const { recorder, clock, sent, end } = world();
    expect(recorder.take(10)).toBeUndefined();
    recorder.record(object('a'), 'Normal', 'Tested', 'words');
    recorder.record(object('b'), 'Normal', 'Tested', 'words');
    expect(recorder.take(1)).toBeUndefined();
    const lost = recorder.take(2)!;
    expect(lost.items).toHaveLength(2);
    recorder.record(object('a'), 'Normal', 'Tested', 'words');
    lost.told(undefined);
    const taken = recorder.take(2)!;
    expect(taken.items).toMatchObject([{ involvedObject: { name: 'a' }, count: 2 }, { involvedObject: { name: 'b' }, count: 1 }]);
    taken.told([{ code: 201 }, { code: 404 }]);
    expect(recorder.dropped).toBe(1);
    await clock.advance(1_000);
    expect(sent).toEqual([]);
    await end();
  });

  it('sends itself what one who took it along did not deliver', async () => {
    const { recorder, clock, sent, end } = world();
    recorder.record(object('a'), 'Normal', 'Tested', 'words');
    const taken = recorder.take(1)!;
    await clock.advance(1_000);
    taken.told([]);
    await clock.advance(1_000);
    expect(sent).toMatchObject([[{ involvedObject: { name: 'a' }, count: 1 }]]);
    await end();
  });

  it('sends the last words when it is told to stop', async () => {
    const { recorder, sent, end } = world();
    recorder.record(object('a'), 'Normal', 'Stopping', 'bye');
    await end();
    expect(sent.flat()).toHaveLength(1);
  });
});
