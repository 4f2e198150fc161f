import { describe, expect, it } from '@jest/globals';
import type { KubeObject } from '../../api/meta.js';
import { Entry, encodeObject } from '../storage/entry.js';
import { EntryMemory } from '../storage/entry-memory.js';
import { joined, watchLine } from './watch-lines.js';

describe('the lines of watches', () => {
  it('stand in a chunk whose size is that of their bytes', () => {
    const { bytes, chunk } = watchLine('ADDED', '{"name":"ä"}');
    expect(String(bytes)).toBe('{"type":"ADDED","object":{"name":"ä"}}\n');
    expect(String(chunk)).toBe(`${bytes.length.toString(16)}\r\n${String(bytes)}\r\n`);
  });

  it('are made once for all who are told in the same turn, and not kept after it', async () => {
    const object = '{"a":1}';
    const line = watchLine('MODIFIED', object);
    expect(watchLine('MODIFIED', `{"a":${1}}`)).toBe(line);
    expect(watchLine('DELETED', object)).not.toBe(line);
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    expect(watchLine('MODIFIED', object)).not.toBe(line);
  });

  it('of a stored object are its text with the revision in it, whatever letters it has, wherever its text lies', () => {
    for (const name of ['a', 'ä', '語', '𝒳']) {
      for (const memory of [undefined, new EntryMemory(0)]) {
        const entry = new Entry('k', encodeObject({ apiVersion: 'v1', kind: 'Thing', metadata: { name }, spec: { name } } as KubeObject), 4711, undefined, memory);
        entry.enter();
        const { bytes, chunk } = watchLine('MODIFIED', entry);
        expect(String(bytes)).toBe(`{"type":"MODIFIED","object":${entry.json}}\n`);
        expect(entry.json).toContain('"resourceVersion":"4711"');
        expect(String(chunk)).toBe(`${bytes.length.toString(16)}\r\n${String(bytes)}\r\n`);
      }
    }
  });

  it('of one moment make one chunk, in their order', () => {
    const { bytes, chunk } = joined([watchLine('ADDED', '1'), watchLine('MODIFIED', '2'), watchLine('DELETED', '3')]);
    expect(String(bytes)).toBe('{"type":"ADDED","object":1}\n{"type":"MODIFIED","object":2}\n{"type":"DELETED","object":3}\n');
    expect(String(chunk)).toBe(`${bytes.length.toString(16)}\r\n${String(bytes)}\r\n`);
  });
});
