import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { callsMax, Mux, StreamClosedError, type MessageChannel, type MuxStream } from './mux.js';

/** Two ends of a channel that delivers in order, a microtask later. */
class PairedChannel implements MessageChannel {
  peer!: PairedChannel;
  #message: (message: Buffer) => void = () => {};
  #close: () => void = () => {};
  closed = false;
  sentBytes = 0;

  static pair(): [PairedChannel, PairedChannel] {
    const a = new PairedChannel();
    const b = new PairedChannel();
    a.peer = b;
    b.peer = a;
    return [a, b];
  }

  send(message: Buffer): void {
    this.sentBytes += message.length;
    queueMicrotask(() => this.peer.closed || this.peer.#message(message));
  }
  onMessage(handler: (message: Buffer) => void): void {
    this.#message = handler;
  }
  onClose(handler: () => void): void {
    this.#close = handler;
  }
  close(): void {
    for (const side of [this, this.peer]) {
      if (side.closed) continue;
      side.closed = true;
      queueMicrotask(() => side.#close());
    }
  }
}

async function readAll(stream: MuxStream): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}

async function writeAll(stream: MuxStream, parts: readonly Uint8Array[]): Promise<void> {
  for (const part of parts) await stream.write(Buffer.from(part));
  stream.end();
}

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('Mux', () => {
  it('carries the bytes of many streams at once, each in order, both ways, within its credit', async () => {
    const streamArbitrary = fc.record({
      there: fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }),
      back: fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }),
      fromInitiator: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(streamArbitrary, { minLength: 1, maxLength: 6 }), fc.integer({ min: 1, max: 200 }), async (plans, windowBytes) => {
        const [left, right] = PairedChannel.pair();
        const served: Promise<void>[] = [];
        const serve = (stream: MuxStream, request: Buffer): void => {
          const plan = plans[Number(request.toString())]!;
          served.push(
            (async () => {
              const [got] = await Promise.all([readAll(stream), writeAll(stream, plan.back)]);
              expect(got).toEqual(Buffer.concat(plan.there));
            })(),
          );
        };
        const a = new Mux({ channel: left, initiator: true, onStream: serve, windowBytes });
        const b = new Mux({ channel: right, initiator: false, onStream: serve, windowBytes });
        await Promise.all(
          plans.map(async (plan, index) => {
            const stream = (plan.fromInitiator ? a : b).open(Buffer.from(String(index)));
            const [got] = await Promise.all([readAll(stream), writeAll(stream, plan.there)]);
            expect(got).toEqual(Buffer.concat(plan.back));
            await stream.closed;
          }),
        );
        await Promise.all(served);
        await settled();
        expect([a.openStreams, b.openStreams]).toEqual([0, 0]);
        a.close();
        await b.closed;
      }),
      { numRuns: 60 },
    );
  });

  it('lets nothing but RESET or a close answer garbage, and never throws', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 10 }), async (messages) => {
        const [left, right] = PairedChannel.pair();
        right.onMessage(() => {});
        const mux = new Mux({ channel: left, initiator: true, onStream: (stream) => stream.reset('no') });
        for (const message of messages) right.send(Buffer.from(message));
        await settled();
        mux.close();
        await mux.closed;
        expect(mux.openStreams).toBe(0);
      }),
    );
  });

  it('holds the writer of a stream that nobody reads, and only that one', async () => {
    const [left, right] = PairedChannel.pair();
    const streams: MuxStream[] = [];
    const a = new Mux({ channel: left, initiator: true, windowBytes: 1000 });
    new Mux({ channel: right, initiator: false, windowBytes: 1000, onStream: (stream) => streams.push(stream) });
    const stuck = a.open(Buffer.from('stuck'));
    const free = a.open(Buffer.from('free'));
    let written = false;
    const writing = stuck.write(Buffer.alloc(2500)).then(() => (written = true));
    await settled();
    expect(written).toBe(false);
    expect(left.sentBytes).toBeLessThan(1100);
    const [reading] = [readAll(streams[1]!)];
    await writeAll(free, [Buffer.alloc(5000, 1)]);
    expect((await reading).length).toBe(5000);
    const rest = readAll(streams[0]!);
    await writing;
    stuck.end();
    expect((await rest).length).toBe(2500);
    a.close();
  });

  it('closes the channel of a peer that sends more than its credit', async () => {
    const [left, right] = PairedChannel.pair();
    const mux = new Mux({ channel: left, initiator: false, windowBytes: 10, onStream: () => {} });
    right.onMessage(() => {});
    right.send(Buffer.from([1, 0, 0, 0, 1]));
    right.send(Buffer.concat([Buffer.from([2, 0, 0, 0, 1]), Buffer.alloc(11)]));
    await mux.closed;
    expect(right.closed).toBe(true);
  });

  it('closes the channel of a peer that gives back more credit than it was sent bytes', async () => {
    const [left, right] = PairedChannel.pair();
    const mux = new Mux({ channel: left, initiator: true, windowBytes: 10 });
    right.onMessage(() => {});
    const stream = mux.open(Buffer.alloc(0));
    await stream.write(Buffer.alloc(4));
    right.send(Buffer.from([5, 0, 0, 0, 1, 0, 0, 0, 4]));
    await settled();
    expect(right.closed).toBe(false);
    right.send(Buffer.from([5, 0, 0, 0, 1, 0, 0, 0, 1]));
    await mux.closed;
    expect(right.closed).toBe(true);
    await expect(stream.write(Buffer.alloc(1_000))).rejects.toThrow(StreamClosedError);
  });

  it('closes the channel of a peer that opens streams where none are served', async () => {
    const [left, right] = PairedChannel.pair();
    const mux = new Mux({ channel: left, initiator: true });
    right.onMessage(() => {});
    right.send(Buffer.from([1, 0, 0, 0, 2]));
    await mux.closed;
    expect(left.sentBytes).toBe(0);
  });

  it('tells readers and writers of both sides why a stream was reset', async () => {
    const [left, right] = PairedChannel.pair();
    const a = new Mux({ channel: left, initiator: true, windowBytes: 10 });
    new Mux({ channel: right, initiator: false, windowBytes: 10, onStream: (stream) => stream.reset('no such task') });
    const stream = a.open(Buffer.alloc(0));
    await expect(readAll(stream)).rejects.toThrow(new StreamClosedError('no such task'));
    await expect(stream.write(Buffer.alloc(1))).rejects.toThrow('no such task');
    a.close();
  });

  it('ends every stream when the channel closes, after handing out what had arrived', async () => {
    const [left, right] = PairedChannel.pair();
    const a = new Mux({ channel: left, initiator: true });
    const opened: MuxStream[] = [];
    const b = new Mux({ channel: right, initiator: false, onStream: (stream) => opened.push(stream) });
    const stream = a.open(Buffer.alloc(0));
    await stream.write(Buffer.from('last words'));
    await settled();
    left.close();
    await b.closed;
    const heard: string[] = [];
    await expect(
      (async () => {
        for await (const part of opened[0]!) heard.push(part.toString());
      })(),
    ).rejects.toThrow('the connection closed');
    expect(heard).toEqual(['last words']);
    expect(() => a.open(Buffer.alloc(0))).toThrow(StreamClosedError);
  });

  it('resets a stream whose reader leaves early', async () => {
    const [left, right] = PairedChannel.pair();
    const a = new Mux({ channel: left, initiator: true, windowBytes: 10 });
    const opened: MuxStream[] = [];
    new Mux({ channel: right, initiator: false, windowBytes: 10, onStream: (stream) => opened.push(stream) });
    const stream = a.open(Buffer.alloc(0));
    await settled();
    const writing = opened[0]!.write(Buffer.alloc(100));
    for await (const part of stream) {
      expect(part.length).toBeGreaterThan(0);
      break;
    }
    await expect(writing).rejects.toThrow('the reader left');
    a.close();
  });

  it('answers each call with what belongs to it, whatever the order of the answers', async () => {
    const [a, b] = PairedChannel.pair();
    const waiting: (() => void)[] = [];
    const caller = new Mux({ channel: a, initiator: false });
    new Mux({ channel: b, initiator: true, onCall: (request) => new Promise((resolve) => waiting.push(() => resolve(Buffer.from(`re: ${String(request)}`)))) });
    const answers = ['one', 'two', 'three'].map((text) => caller.call(Buffer.from(text)));
    await settled();
    for (const answer of waiting.reverse()) answer();
    expect((await Promise.all(answers)).map(String)).toEqual(['re: one', 're: two', 're: three']);
  });

  it('fails the calls that wait when the channel closes, and those after it', async () => {
    const [a, b] = PairedChannel.pair();
    const caller = new Mux({ channel: a, initiator: false });
    new Mux({ channel: b, initiator: true, onCall: () => new Promise(() => undefined) });
    const waiting = caller.call(Buffer.from('x'));
    const failed = expect(waiting).rejects.toThrow(StreamClosedError);
    b.close();
    await failed;
    await expect(caller.call(Buffer.from('x'))).rejects.toThrow('the connection is closed');
    expect(caller.mayCall).toBe(false);
  });

  it('makes no more calls at once than the other side takes, and closes the channel of a peer that does', async () => {
    const [a, b] = PairedChannel.pair();
    const caller = new Mux({ channel: a, initiator: false });
    new Mux({ channel: b, initiator: true, onCall: () => new Promise(() => undefined) });
    const waiting = Array.from({ length: callsMax }, () => caller.call(Buffer.from('x')).catch(() => undefined));
    expect(caller.mayCall).toBe(false);
    await expect(caller.call(Buffer.from('x'))).rejects.toThrow('too many calls');
    a.send(Buffer.from([6, 0, 0, 9, 9]));
    await Promise.all(waiting);
    expect(b.closed).toBe(true);
  });

  it.each([
    ['a call where none is served', 6],
    ['an answer to nothing', 7],
  ])('closes the channel at %s', async (_, type) => {
    const [a, b] = PairedChannel.pair();
    new Mux({ channel: b, initiator: true });
    a.send(Buffer.from([type, 0, 0, 0, 1]));
    await settled();
    expect(b.closed).toBe(true);
  });

  it('sends at once what there is credit for, and nothing past what waits', async () => {
    const [a, b] = PairedChannel.pair();
    const opener = new Mux({ channel: a, initiator: true, windowBytes: 10 });
    let other: MuxStream | undefined;
    new Mux({ channel: b, initiator: false, windowBytes: 10, onStream: (stream) => (other = stream) });
    const stream = opener.open(Buffer.alloc(0));
    expect(stream.writeNow(Buffer.from('1234567'))).toBe(true);
    expect(stream.writeNow(Buffer.from('8901'))).toBe(false);
    const written = stream.write(Buffer.from('8901'));
    expect(stream.writeNow(Buffer.from('2'))).toBe(false);
    await settled();
    const text = readAll(other!).then(String);
    await written;
    stream.end();
    expect(await text).toBe('12345678901');
  });
});
