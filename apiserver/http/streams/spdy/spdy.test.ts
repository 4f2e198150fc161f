import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { constants, createDeflate, deflateRawSync, type Deflate } from 'node:zlib';
import { FakeClock } from '../../../../lib/fake-clock.js';
import { SpdyClient } from '../testing/spdy-client.js';
import { SpdyConnection, type SpdyStream } from './connection.js';
import { headerDictionary } from './dictionary.js';
import { controlBytesMax, dataHeader, goAwayFrame, pingFrame, rstStreamFrame, SpdyFrameReader, synReplyFrame, synStreamFrame, type SpdyFrame } from './frames.js';
import { HeaderBlockReader, HeaderBlockWriter, SpdyError } from './header-block.js';

/** Two ends of a connection in one process. */
function pipe(): [Duplex, Duplex] {
  const make = (peer: () => Duplex): Duplex =>
    new Duplex({
      read: () => undefined,
      write: (chunk, _encoding, done) => {
        // As a socket: not in the same turn.
        setImmediate(() => {
          if (!peer().destroyed) peer().push(chunk);
          done();
        });
      },
      final: (done) => {
        setImmediate(() => {
          if (!peer().destroyed) peer().push(null);
          done();
        });
      },
      destroy: (error, done) => {
        setImmediate(() => peer().destroy());
        done(error);
      },
    });
  const ends: Duplex[] = [];
  ends.push(make(() => ends[1]!), make(() => ends[0]!));
  return ends as [Duplex, Duplex];
}

function serve(onStream: (stream: SpdyStream) => void, streamsMax = 10): { client: SpdyClient; socket: Duplex; connection: SpdyConnection; over: Promise<void> } {
  const [near, far] = pipe();
  const connection = new SpdyConnection({ socket: near, onStream, streamsMax, clock: new FakeClock() });
  return { client: new SpdyClient(far), socket: near, connection, over: connection.run() };
}

const headers = (entries: Record<string, string>): Map<string, string> => new Map(Object.entries(entries));
const framesOf = (reader: SpdyFrameReader, ...pieces: Buffer[]): SpdyFrame[] => pieces.flatMap((piece) => [...reader.read(piece)]);
const textOf = (frames: SpdyFrame[], id: number): string => Buffer.concat(frames.flatMap((frame) => (frame.type === 'data' && frame.streamId === id ? [frame.data] : []))).toString();

describe('header blocks', () => {
  const words = fc.dictionary(fc.stringMatching(/^[a-z-]{1,20}$/), fc.string({ maxLength: 50 }), { maxKeys: 8 });

  it('of our writer are read back by our reader, one after the other', () => {
    fc.assert(
      fc.property(fc.array(words, { maxLength: 5 }), (blocks) => {
        const [writer, reader] = [new HeaderBlockWriter(), new HeaderBlockReader()];
        for (const block of blocks) expect(Object.fromEntries(reader.read(writer.write(headers(block))))).toEqual({ ...block });
      }),
    );
  });

  it('of a compressor that looks back over all that it has said are read', async () => {
    const deflate: Deflate = createDeflate({ dictionary: headerDictionary, level: 9 });
    const reader = new HeaderBlockReader();
    const parts: Buffer[] = [];
    deflate.on('data', (part: Buffer) => parts.push(part));
    for (let request = 0; request < 2_000; request++) {
      const block = headers({ streamtype: request % 2 ? 'data' : 'error', port: '8080', requestid: String(request), filler: `${'x'.repeat(40)}${request % 7}` });
      const plain = format(block);
      await new Promise<void>((resolve) => void deflate.write(plain, () => deflate.flush(constants.Z_SYNC_FLUSH, resolve)));
      await new Promise((resolve) => setImmediate(resolve));
      expect([...reader.read(Buffer.concat(parts.splice(0)))]).toEqual([...block]);
    }
    deflate.close();
  });

  function format(block: Map<string, string>): Buffer {
    const number = (value: number): Buffer => Buffer.of(0, 0, value >> 8, value & 0xff);
    return Buffer.concat([number(block.size), ...[...block].flat().flatMap((text) => [number(text.length), Buffer.from(text)])]);
  }

  it.each<[string, Buffer]>([
    ['no zlib', Buffer.from('hello there')],
    ['nothing', Buffer.alloc(0)],
    ['garbage after the zlib header', Buffer.concat([new HeaderBlockWriter().write(new Map()).subarray(0, 6), Buffer.from('garbage')])],
    ['more text than anybody needs', Buffer.concat([new HeaderBlockWriter().write(new Map()).subarray(0, 6), deflateRawSync(Buffer.alloc(50_000_000), { finishFlush: constants.Z_SYNC_FLUSH })])],
    ['lengths beyond the end', Buffer.concat([new HeaderBlockWriter().write(new Map()).subarray(0, 6), deflateRawSync(Buffer.of(0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff), { finishFlush: constants.Z_SYNC_FLUSH })])],
    ['too many headers', Buffer.concat([new HeaderBlockWriter().write(new Map()).subarray(0, 6), deflateRawSync(Buffer.of(0xff, 0, 0, 1), { finishFlush: constants.Z_SYNC_FLUSH })])],
  ])('are refused when they hold %s', (_what, block) => {
    expect(() => new HeaderBlockReader().read(block)).toThrow(SpdyError);
  });
});

describe('frames', () => {
  const all = Buffer.concat([
    synStreamFrame(1, Buffer.from('block'), true),
    synReplyFrame(1, Buffer.from('b')),
    pingFrame(7),
    Buffer.concat([dataHeader(1, 5), Buffer.from('hello')]),
    dataHeader(1, 0, true),
    rstStreamFrame(3, 5),
    // SETTINGS and WINDOW_UPDATE, which say nothing to us.
    Buffer.of(0x80, 3, 0, 4, 0, 0, 0, 4, 0, 0, 0, 0),
    Buffer.of(0x80, 3, 0, 9, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 1, 0),
    goAwayFrame(1, 0),
  ]);
  const expected = ['syn-stream', 'syn-reply', 'ping', 'data', 'data', 'rst-stream', 'go-away'];

  it('are the same however they arrive in pieces', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: all.length }), { maxLength: 20 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), all.length];
        const frames = framesOf(new SpdyFrameReader(), ...at.slice(1).map((end, index) => all.subarray(at[index], end)));
        // A data frame may come in parts, the last of which may end the stream.
        expect(textOf(frames, 1)).toBe('hello');
        expect(frames.filter(({ type }) => type !== 'data').map(({ type }) => type)).toEqual(expected.filter((type) => type !== 'data'));
        expect(frames.filter((frame) => frame.type === 'data' && frame.fin)).toHaveLength(1);
      }),
    );
  });

  it('of data are handed on before they are whole', () => {
    expect(framesOf(new SpdyFrameReader(), Buffer.concat([dataHeader(5, 10_000_000, true), Buffer.from('abc')]))).toEqual([{ type: 'data', streamId: 5, fin: false, data: Buffer.from('abc') }]);
  });

  it.each<[string, Buffer]>([
    ['of another version', Buffer.of(0x80, 2, 0, 1, 0, 0, 0, 0)],
    ['of HTTP', Buffer.from('\xffHTTP/1.1 200 OK', 'latin1')],
    ['that is longer than anybody needs', Buffer.of(0x80, 3, 0, 1, 0, (controlBytesMax + 1) >> 16, ((controlBytesMax + 1) >> 8) & 0xff, (controlBytesMax + 1) & 0xff)],
    ['that is too short for its type', Buffer.of(0x80, 3, 0, 6, 0, 0, 0, 2, 0, 0)],
    ['of a SYN_STREAM without its fields', Buffer.of(0x80, 3, 0, 1, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0)],
  ])('are refused: one %s', (_what, bytes) => {
    expect(() => framesOf(new SpdyFrameReader(), bytes)).toThrow(SpdyError);
  });
});

describe('a SPDY connection', () => {
  it('opens streams that carry bytes both ways and end on their own', async () => {
    const { client, over } = serve((stream) => {
      stream.accept();
      void (async () => {
        for await (const data of stream) await stream.write(Buffer.from(`${stream.headers.get('name')}:${data.toString()};`));
        await stream.write(Buffer.from('bye'));
        stream.end();
      })();
    });
    const [first, second] = [client.open({ name: 'a' }), client.open({ name: 'b' }, true)];
    client.send(first, 'hi');
    expect(await client.text(second)).toBe('bye');
    client.send(first, '', true);
    expect(await client.text(first)).toBe('a:hi;bye');
    client.end();
    await over;
  });

  it('answers pings of the client, and only those', async () => {
    const { client } = serve(() => undefined);
    client.sendRaw(Buffer.concat([pingFrame(2), pingFrame(3)]));
    await client.until((frame) => frame.type === 'ping' && frame.id === 3);
    expect(client.frames).toHaveLength(1);
    client.end();
  });

  it('refuses more streams than it allows', async () => {
    const { client } = serve((stream) => stream.accept(), 2);
    client.open({});
    client.open({});
    const third = client.open({});
    expect(await client.until((frame) => frame.type === 'rst-stream')).toMatchObject({ streamId: third, status: 3 });
    client.end();
  });

  it('tells a stream that its client has given it up', async () => {
    const gone: Promise<unknown>[] = [];
    const { client, over } = serve((stream) => {
      gone.push(once(stream.gone, 'abort'));
      stream.accept();
    });
    const first = client.open({});
    client.open({});
    await client.until((frame) => frame.type === 'syn-reply' && frame.streamId === 3);
    client.sendRaw(rstStreamFrame(first, 5));
    await gone[0];
    client.end();
    await Promise.all([gone[1], over]);
  });

  it('reads no more while a stream has too much that nobody has taken', async () => {
    let open: (stream: SpdyStream) => void;
    const opened = new Promise<SpdyStream>((resolve) => (open = resolve));
    const { client, socket } = serve((stream) => open(stream));
    const id = client.open({});
    const stream = await opened;
    for (let sent = 0; sent < 4_000_000; sent += 50_000) client.send(id, Buffer.alloc(50_000, 1));
    client.send(id, '', true);
    while (!socket.isPaused()) await once(socket, 'pause');
    let bytes = 0;
    for await (const data of stream) bytes += data.length;
    expect(bytes).toBe(4_000_000);
    expect(socket.isPaused()).toBe(false);
    client.end();
  });

  it('reads no more while all its streams together have too much, nor while one has too many pieces', async () => {
    for (const pieces of [(client: SpdyClient, id: number) => client.send(id, Buffer.alloc(200_000, 1)), (client: SpdyClient, id: number) => id === 1 && client.sendRaw(Buffer.concat(Array.from({ length: 10_000 }, () => [dataHeader(id, 1), Buffer.of(1)]).flat()))]) {
      const streams: SpdyStream[] = [];
      const { client, socket } = serve((stream) => streams.push(stream), 100);
      for (let count = 0; count < 30; count++) {
        const id = client.open({ count: String(count) });
        pieces(client, id);
        client.send(id, '', true);
      }
      while (!socket.isPaused()) await once(socket, 'pause');
      const read = async (stream: SpdyStream): Promise<void> => {
        for await (const _ of stream);
      };
      for (let at = 0; at < 30; at++) {
        while (!streams[at]) await new Promise((resolve) => setImmediate(resolve));
        await read(streams[at]!);
      }
      expect(socket.isPaused()).toBe(false);
      client.end();
    }
  });

  it('finds out that a client has gone whose bytes nobody takes', async () => {
    const clock = new FakeClock();
    const server = createServer({ allowHalfOpen: false });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    const [socket] = (await once(server, 'connection')) as [Socket];
    let gone: Promise<unknown> | undefined;
    const connection = new SpdyConnection({ socket, streamsMax: 1, clock, onStream: (stream) => (gone = once(stream.gone, 'abort')) });
    const over = connection.run();
    client.write(Buffer.concat([synStreamFrame(1, new HeaderBlockWriter().write(new Map())), dataHeader(1, 16_000_000), Buffer.alloc(8_000_000)]));
    while (!socket.isPaused()) await once(socket, 'pause');
    client.destroy();
    await once(client, 'close');
    let left = false;
    void over.then(() => (left = true));
    while (!left) {
      await clock.advance(10_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await gone;
    server.close();
  });

  it('says good-bye when it is closed', async () => {
    const { client, connection, over } = serve((stream) => stream.accept());
    client.open({});
    await client.until((frame) => frame.type === 'syn-reply');
    connection.close();
    expect(await client.until((frame) => frame.type === 'go-away')).toEqual({ type: 'go-away', lastStreamId: 1, status: 0 });
    await over;
  });

  it.each<[string, (client: SpdyClient) => void]>([
    ['bytes that are no frame', (client) => client.sendRaw(Buffer.from('\xff\xff\xff\xff\xff\xff\xff\xff\xff', 'latin1'))],
    ['a stream that is opened twice', (client) => client.sendRaw(Buffer.concat([synStreamFrame(1, new HeaderBlockWriter().write(new Map())), synStreamFrame(1, deflateRawSync(Buffer.alloc(4), { finishFlush: constants.Z_SYNC_FLUSH }))]))],
    ['a stream with our numbers', (client) => client.sendRaw(synStreamFrame(2, new HeaderBlockWriter().write(new Map())))],
    ['headers that cannot be inflated', (client) => client.sendRaw(synStreamFrame(1, Buffer.from('no')))],
  ])('ends over %s', async (_what, offend) => {
    const { client, over } = serve((stream) => stream.accept());
    offend(client);
    expect(await client.until((frame) => frame.type === 'go-away')).toMatchObject({ status: 1 });
    await over;
  });

  it('survives any bytes: it goes on, or it ends', async () => {
    const stretch = fc.oneof(
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
      // Control frames of any type and content.
      fc.record({ type: fc.integer({ min: 0, max: 12 }), flags: fc.nat({ max: 255 }), payload: fc.uint8Array({ maxLength: 40 }) }).map(({ type, flags, payload }) => Buffer.concat([Buffer.of(0x80, 3, 0, type, flags, 0, 0, payload.length), payload])),
      fc.record({ id: fc.nat({ max: 9 }), data: fc.uint8Array({ maxLength: 40 }), fin: fc.boolean() }).map(({ id, data, fin }) => Buffer.concat([dataHeader(id, data.length, fin), data])),
      fc.record({ id: fc.nat({ max: 9 }), fin: fc.boolean() }).map(({ id, fin }) => synStreamFrame(id, new HeaderBlockWriter().write(headers({ streamtype: 'data' })), fin)),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(stretch, { maxLength: 12 }), async (stretches) => {
        const { client, over } = serve((stream) => {
          stream.accept();
          void (async () => {
            for await (const data of stream) await stream.write(data);
            stream.end();
          })().catch(() => undefined);
        });
        for (const bytes of stretches) client.sendRaw(bytes);
        await new Promise((resolve) => setImmediate(resolve));
        client.end();
        await over;
      }),
      { numRuns: 500 },
    );
  });
});
