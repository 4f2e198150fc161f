// dictionary.ts: what SPDY/3 header blocks take as already said before their first byte.
// https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/#2.6.10.1-Compression

const words = [
  ...'options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow authorization'.split(' '),
  ...'cache-control connection content-base content-encoding content-language content-length content-location content-md5 content-range'.split(' '),
  ...'content-type date etag expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified'.split(' '),
  ...'location max-forwards pragma proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding'.split(' '),
  ...'upgrade user-agent vary via warning www-authenticate method get status'.split(' '),
  '200 OK',
  ...'version HTTP/1.1 url public set-cookie keep-alive origin'.split(' '),
];

const text = [
  '100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505',
  '203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found',
  '500 Internal Server Error501 Not Implemented503 Service Unavailable',
  'Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT',
  'chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivate',
  'max-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.',
].join('');

function counted(word: string): Buffer {
  const entry = Buffer.alloc(4 + word.length);
  entry.writeUInt32BE(word.length);
  entry.write(word, 4, 'latin1');
  return entry;
}

/** 1,423 bytes. */
export const headerDictionary = Buffer.concat([...words.map(counted), Buffer.from(text, 'latin1')]);
