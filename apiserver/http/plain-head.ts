// plain-head.ts
//
// The head of a request in the plainest form there is, which is how nearly all come: HTTP/1.1, a body of known length or none,
// each header once, ASCII throughout. What is not surely that is not judged here: node:http is to read it (plain-connection.ts).
// Grammar: RFC 9112, section 3 and 5; RFC 9110, section 5.6.2.

/** Longer heads are left to node:http, which has the limit and what is said about it. */
const headBytesMax = 8 * 1024;
const requestLine = /^(GET|POST|PUT|PATCH|DELETE) (\/apis?\/[!"$-~]*) HTTP\/1\.1$/;
/** Written so that no line takes more than linear time: two neighbouring `[ \t]*` took 0.2 s for 8 KiB of spaces, from anybody. */
const headerLine = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(?:([!-~](?:[ -~]*[!-~])?)[ \t]*)?$/;
const length = /^[0-9]{1,9}$/;
/** Headers that change how the message or the connection is to be read. */
const notPlain = new Set(['transfer-encoding', 'upgrade', 'expect', 'trailer', 'te', 'proxy-connection', 'http2-settings', '__proto__']);

export type Headers = Readonly<Record<string, string>>;

export interface PlainHead {
  readonly method: string;
  /** Path and query, as sent; of a resource. */
  readonly url: string;
  /** Lower-case names. Shared by requests that have the same. */
  readonly headers: Headers;
  /** Where in the bytes the body begins, and where it ends, which may be past them. */
  readonly bodyAt: number;
  readonly end: number;
}

/** Reads the requests of one connection, which mostly differ in nothing but their first line. */
export class PlainHeads {
  #text = '';
  #headers: Headers = {};

  /** The head at the beginning of the bytes; undefined when node:http is to read it. */
  read(bytes: Buffer): PlainHead | undefined {
    const headEnd = bytes.indexOf('\r\n\r\n', 0, 'latin1');
    if (headEnd < 0 || headEnd > headBytesMax) return undefined;
    const text = bytes.toString('latin1', 0, headEnd);
    const lineEnd = text.indexOf('\r\n');
    // Without a single header there is no host.
    if (lineEnd < 0) return undefined;
    const line = requestLine.exec(text.slice(0, lineEnd));
    if (!line) return undefined;
    const headers = this.#headersOf(text.slice(lineEnd + 2));
    if (!headers) return undefined;
    const bodyAt = headEnd + 4;
    return { method: line[1]!, url: line[2]!, headers, bodyAt, end: bodyAt + Number(headers['content-length'] ?? 0) };
  }

  #headersOf(text: string): Headers | undefined {
    if (text === this.#text) return this.#headers;
    const headers = parseHeaders(text);
    if (headers) {
      this.#text = text;
      this.#headers = headers;
    }
    return headers;
  }
}

function parseHeaders(text: string): Headers | undefined {
  const headers: Record<string, string> = {};
  for (const line of text.split('\r\n')) {
    const parts = headerLine.exec(line);
    if (!parts) return undefined;
    const name = parts[1]!.toLowerCase();
    if (notPlain.has(name) || Object.hasOwn(headers, name)) return undefined;
    headers[name] = parts[2] ?? '';
  }
  const { connection, host } = headers;
  if (host === undefined || (connection !== undefined && connection.toLowerCase() !== 'keep-alive')) return undefined;
  return headers['content-length'] === undefined || length.test(headers['content-length']) ? headers : undefined;
}
