import { describe, expect, it } from '@jest/globals';
import { PlainHeads } from './plain-head.js';

const read = (text: string) => new PlainHeads().read(Buffer.from(text, 'latin1'));
const path = '/api/v1/nodes';

describe('a head', () => {
  it('that is plain is read to its end', () => {
    const text = `POST ${path}?dryRun=All HTTP/1.1\r\nHost: x\r\nContent-Type:  application/json \r\nEmpty:\r\ncontent-length: 2\r\n\r\n`;
    expect(read(`${text}{}`)).toEqual({
      method: 'POST',
      url: `${path}?dryRun=All`,
      headers: { host: 'x', 'content-type': 'application/json', empty: '', 'content-length': '2' },
      bodyAt: text.length,
      end: text.length + 2,
    });
  });

  it('of the same headers as the one before is its own request still', () => {
    const heads = new PlainHeads();
    const first = heads.read(Buffer.from(`GET ${path}/a HTTP/1.1\r\nHost: x\r\n\r\n`));
    const second = heads.read(Buffer.from(`GET ${path}/b HTTP/1.1\r\nHost: x\r\n\r\n`));
    expect(second?.url).toBe(`${path}/b`);
    expect(second?.headers).toBe(first?.headers);
  });

  it.each([
    ['has not ended', `GET ${path} HTTP/1.1\r\nHost: x\r\n`],
    ['has no header', `GET ${path} HTTP/1.1\r\n\r\n`],
    ['names no host', `GET ${path} HTTP/1.1\r\nAccept: x\r\n\r\n`],
    ['is of another version', `GET ${path} HTTP/1.0\r\nHost: x\r\n\r\n`],
    ['has a method that is rare', `HEAD ${path} HTTP/1.1\r\nHost: x\r\n\r\n`],
    ['is of no resource', 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['has a space in its URL', 'GET /api/v1/a b HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['has a fragment', `GET ${path}#a HTTP/1.1\r\nHost: x\r\n\r\n`],
    ['has a URL that is not ASCII', 'GET /api/v1/\xe4 HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['comes in chunks', `POST ${path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`],
    ['says its length twice', `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\n{}`],
    ['has a length that is no number', `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n{`],
    ['has a length of nothing', `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n`],
    ['wants to end the connection', `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`],
    ['wants to become something else', `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n`],
    ['waits to be told to go on', `POST ${path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n`],
    ['has a space before a colon', `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length : 1\r\n\r\n`],
    ['has a folded line', `GET ${path} HTTP/1.1\r\nHost: x\r\nAccept: a,\r\n b\r\n\r\n`],
    ['has a bare line feed', `GET ${path} HTTP/1.1\r\nHost: x\nTransfer-Encoding: chunked\r\n\r\n`],
    ['has a value that is not ASCII', `GET ${path} HTTP/1.1\r\nHost: x\r\nAccept: \xe4\r\n\r\n`],
    ['has a NUL', `GET ${path} HTTP/1.1\r\nHost: x\r\nAccept: a\0b\r\n\r\n`],
    ['is long', `GET ${path} HTTP/1.1\r\nHost: x\r\nAccept: ${'x'.repeat(9_000)}\r\n\r\n`],
  ])('that %s is left to node:http', (_what, text) => {
    expect(read(text)).toBeUndefined();
  });
});
