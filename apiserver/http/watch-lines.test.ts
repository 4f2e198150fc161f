import { describe, expect, it } from '@jest/globals';
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

  it('of one moment make one chunk, in their order', () => {
    const { bytes, chunk } = joined([watchLine('ADDED', '1'), watchLine('MODIFIED', '2'), watchLine('DELETED', '3')]);
    expect(String(bytes)).toBe('{"type":"ADDED","object":1}\n{"type":"MODIFIED","object":2}\n{"type":"DELETED","object":3}\n');
    expect(String(chunk)).toBe(`${bytes.length.toString(16)}\r\n${String(bytes)}\r\n`);
  });
});
