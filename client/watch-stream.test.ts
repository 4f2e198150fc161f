import { describe, expect, it } from '@jest/globals';
import { ApiError } from '../api/errors.js';
import type { KubeObject } from '../api/meta.js';
import { TransportError } from '../api/transport.js';
import { watchBatches, type WatchEvent } from './watch-stream.js';

async function* chunks(...parts: (Buffer | string)[]): AsyncGenerator<Buffer> {
  for (const part of parts) yield Buffer.from(part);
}

async function read(source: AsyncIterable<Buffer>): Promise<{ events: WatchEvent<KubeObject>[]; batches: number; error?: unknown }> {
  const events: WatchEvent<KubeObject>[] = [];
  let batches = 0;
  try {
    for await (const batch of watchBatches(source)) {
      batches++;
      events.push(...batch);
    }
  } catch (error) {
    return { events, batches, error };
  }
  return { events, batches };
}

const event = (type: string, name: string): string => `${JSON.stringify({ type, object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } } })}\n`;

describe('watch stream', () => {
  it('reads the same events wherever the bytes are cut, also inside a character', async () => {
    const bytes = Buffer.from(event('ADDED', 'zürich-✓') + event('MODIFIED', 'b') + event('DELETED', '京都'));
    for (let first = 0; first <= bytes.length; first += 3) {
      for (let second = first; second <= bytes.length; second += 7) {
        const { events, error } = await read(chunks(bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)));
        expect(error).toBeUndefined();
        expect(events.map(({ type, object }) => `${type} ${object.metadata.name}`)).toEqual(['ADDED zürich-✓', 'MODIFIED b', 'DELETED 京都']);
      }
    }
  });

  it('gives all events of a chunk at once', async () => {
    expect(await read(chunks(event('ADDED', 'a') + event('ADDED', 'b'), event('ADDED', 'c')))).toMatchObject({ batches: 2 });
  });

  it('gives what came before an ERROR event, then throws its Status', async () => {
    const status = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' };
    const { events, error } = await read(chunks(event('ADDED', 'a') + `${JSON.stringify({ type: 'ERROR', object: status })}\n`));
    expect(events).toHaveLength(1);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ reason: 'Expired', code: 410, message: 'too old' });
  });

  it('throws when the stream ends in the middle of an event', async () => {
    const { error } = await read(chunks(event('ADDED', 'a').slice(0, -5)));
    expect(error).toBeInstanceOf(TransportError);
  });

  it.each(['no json', '{"type":"ADDED"}', '{"type":"ODD","object":{}}', 'null', '{"type":"ADDED","object":null}'])('throws for the line %s', async (line) => {
    const { error } = await read(chunks(`${line}\n`));
    expect(error).toBeInstanceOf(Error);
  });

  it.each(['{"type":"ADDED"', '1,2', '],['])('gives what comes before and throws for a line %s among others', async (line) => {
    const { events, error } = await read(chunks(`${event('ADDED', 'a')}${line}\n${event('ADDED', 'b')}`));
    expect(events.map(({ object }) => object.metadata.name)).toEqual(['a']);
    expect(error).toBeInstanceOf(TransportError);
  });

  it('passes over empty lines among others', async () => {
    const { events, error } = await read(chunks(`${event('ADDED', 'a')}\n${event('ADDED', 'b')}`));
    expect([events.length, error]).toEqual([2, undefined]);
  });

  it('passes over empty lines', async () => {
    expect(await read(chunks('\n\r\n', event('ADDED', 'a'), '\n'))).toMatchObject({ events: [{ type: 'ADDED' }] });
  });

  it('ends a line that never ends', async () => {
    const endless = (async function* () {
      for (;;) yield Buffer.alloc(1024 * 1024, 'x');
    })();
    expect((await read(endless)).error).toBeInstanceOf(TransportError);
  });
});
