import { describe, expect, it } from '@jest/globals';
import { ResponseReader } from './response-reader.js';

describe('ResponseReader', () => {
  const answers = [
    'HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello',
    'HTTP/1.1 204 No Content\r\n\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{"a"\r\nB\r\n:"\r\n0\r\n\r\n"}\r\n0\r\n\r\n',
    'HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n',
  ].join('');
  const expected = [[201, 'hello'], [204, ''], [200, '{"a":"\r\n0\r\n\r\n"}'], [404, '']];

  const read = (pieces: readonly Buffer[]): unknown[] => {
    const found: [number, string][] = [];
    let ends = 0;
    const reader = new ResponseReader({
      begin: (status) => void found.push([status, '']),
      data: (piece) => void (found.at(-1)![1] += piece.toString('latin1')),
      end: () => void ends++,
    });
    for (const piece of pieces) reader.take(piece);
    expect(ends).toBe(found.length);
    return found;
  };

  it('finds the answers of a connection, one after the other', () => {
    expect(read([Buffer.from(answers)])).toEqual(expected);
  });

  it.each([1, 2, 3, 7])('does not care how the bytes are cut: %i at a time', (size) => {
    const pieces = Array.from({ length: Math.ceil(answers.length / size) }, (_, index) => Buffer.from(answers.slice(index * size, (index + 1) * size)));
    expect(read(pieces)).toEqual(expected);
  });

  it('refuses what is no answer', () => {
    expect(() => read([Buffer.from('garbage\r\n\r\n')])).toThrow('no HTTP/1.1 answer');
  });
});
