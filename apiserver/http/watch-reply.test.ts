import { describe, expect, it } from '@jest/globals';
import { expired } from '../../api/errors.js';
import { nodeKind } from '../../api/node.js';
import { RenderedObject } from '../resources/rendering.js';
import { ChunkQueue } from './chunk-queue.js';
import type { ReplyOutput } from './message.js';
import { shaperFor } from './table.js';
import { watchBufferBytesMax, WatchReply } from './watch-reply.js';

const node = (name: string, padding = '') => new RenderedObject({ apiVersion: 'v1', kind: 'Node', metadata: { name, resourceVersion: '7', annotations: { padding } } });
const reply = (shape: 'plain' | 'table' = 'plain') => new WatchReply(shaperFor(nodeKind, { shape, version: 'v1' }, 'Metadata', () => 0));

function outputOf(queue: ChunkQueue, writes: string[] = []): ReplyOutput & { gone: AbortController } {
  const gone = new AbortController();
  return {
    write: (chunk) => {
      writes.push(String(chunk));
      queue.push(Buffer.from(chunk));
    },
    get bufferedBytes() {
      return queue.bufferedBytes;
    },
    drained: () => queue.drained(),
    end: () => queue.end(),
    signal: gone.signal,
    gone,
  };
}

async function events(queue: ChunkQueue): Promise<{ type: string; object: Record<string, unknown> }[]> {
  let text = '';
  for await (const chunk of queue.read(() => {})) text += chunk.toString();
  return text.split('\n').filter(Boolean).map((line) => JSON.parse(line));
}

describe('WatchReply', () => {
  it('writes what came before the connection was there, and the events of one tick together', async () => {
    const queue = new ChunkQueue();
    const writes: string[] = [];
    const watch = reply();
    watch.event('ADDED', node('a'));
    watch.event('ADDED', node('b'));
    const over = watch.writeTo(outputOf(queue, writes), () => {});
    watch.event('MODIFIED', node('a'));
    watch.event('DELETED', node('b'));
    await new Promise((resolve) => setImmediate(resolve));
    expect(writes.length).toBe(2);
    watch.end(undefined);
    await over;
    expect((await events(queue)).map(({ type }) => type)).toEqual(['ADDED', 'ADDED', 'MODIFIED', 'DELETED']);
  });

  it('tells a reader that leaves too much unread that its time is over, and stops watching', async () => {
    const queue = new ChunkQueue();
    const watch = reply();
    let stops = 0;
    const over = watch.writeTo(outputOf(queue), () => stops++);
    const large = node('a', 'x'.repeat(1024 * 1024));
    for (let i = 0; i < 20; i++) {
      watch.event('MODIFIED', large);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await over;
    expect(stops).toBe(1);
    expect(queue.bufferedBytes).toBeLessThan(watchBufferBytesMax + 2 * 1024 * 1024);
    expect((await events(queue)).at(-1)).toMatchObject({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } });
  });

  it('says when its reader is to be waited for, and until when', async () => {
    const queue = new ChunkQueue();
    const watch = reply();
    const large = node('a', 'x'.repeat(1024 * 1024));
    expect(watch.full).toBe(false);
    watch.event('ADDED', large);
    expect(watch.full).toBe(true);
    let taken = 0;
    const drained = watch.drained().then(() => taken++);
    const over = watch.writeTo(outputOf(queue), () => {});
    await new Promise((resolve) => setImmediate(resolve));
    expect([taken, watch.full]).toEqual([0, true]);
    const reader = events(queue);
    await drained;
    expect(watch.full).toBe(false);
    watch.end(undefined);
    await over;
    expect(await reader).toHaveLength(1);
  });

  it('has nobody wait once it is over', async () => {
    const watch = reply();
    watch.event('ADDED', node('a', 'x'.repeat(1024 * 1024)));
    const output = outputOf(new ChunkQueue());
    const drained = watch.drained();
    output.gone.abort();
    await watch.writeTo(output, () => {});
    await drained;
  });

  it('stops watching when the client goes', async () => {
    const output = outputOf(new ChunkQueue());
    let stops = 0;
    const over = reply().writeTo(output, () => stops++);
    output.gone.abort();
    await over;
    expect(stops).toBe(1);
  });

  it('says why it ends', async () => {
    const queue = new ChunkQueue();
    const watch = reply();
    watch.end(expired('too old resource version: 1 (2)').toStatus());
    watch.event('ADDED', node('late'));
    await watch.writeTo(outputOf(queue), () => {});
    expect(await events(queue)).toMatchObject([{ type: 'ERROR', object: { code: 410, message: 'too old resource version: 1 (2)' } }]);
  });

  it('sends tables, the columns with the first', async () => {
    const queue = new ChunkQueue();
    const watch = reply('table');
    watch.event('ADDED', node('a'));
    watch.event('BOOKMARK', new RenderedObject({ apiVersion: 'v1', kind: 'Node', metadata: { resourceVersion: '9', annotations: { 'k8s.io/initial-events-end': 'true' } } }));
    watch.end(undefined);
    await watch.writeTo(outputOf(queue), () => {});
    const [added, bookmark] = await events(queue);
    expect((added!.object['columnDefinitions'] as unknown[]).length).toBe(nodeKind.columns.length);
    expect(added!.object).toMatchObject({ kind: 'Table', metadata: { resourceVersion: '7' }, rows: [{ object: { kind: 'PartialObjectMetadata', metadata: { name: 'a' } } }] });
    expect(bookmark!.object).toMatchObject({ kind: 'Table', columnDefinitions: [], rows: [], metadata: { resourceVersion: '9', annotations: { 'k8s.io/initial-events-end': 'true' } } });
  });
});
