// response-reader.ts: HTTP/1.1 answers out of the bytes of a connection: status, pieces of the body, end. It knows bodies of a
// stated length and in chunks (RFC 9112, section 7.1), and no header beyond those two.

export interface ResponseSink {
  /** An answer begins. */
  begin(status: number): void;
  /** A piece of its body, valid during the call. */
  data(piece: Buffer): void;
  end(): void;
}

const headEnd = Buffer.from('\r\n\r\n');
const lineEnd = Buffer.from('\r\n');
const statusAt = 'HTTP/1.1 '.length;
const none = Buffer.alloc(0);

export class ResponseReader {
  #state: 'head' | 'length' | 'chunk-size' | 'chunk' | 'chunk-end' | 'last-end' = 'head';
  /** Of the body or of the chunk that is being read. */
  #left = 0;
  #rest: Buffer = none;

  constructor(private readonly sink: ResponseSink) {}

  /** @throws Error when it is no HTTP/1.1 answer */
  take(arrived: Buffer): void {
    let data = this.#rest.length > 0 ? Buffer.concat([this.#rest, arrived]) : arrived;
    while (data.length > 0) {
      const rest = this.#step(data);
      if (rest === undefined) break;
      data = rest;
    }
    this.#rest = data;
  }

  /** What is left after one step; undefined when the step needs more than is there. */
  #step(data: Buffer): Buffer | undefined {
    if (this.#state === 'length' || this.#state === 'chunk') return this.#body(data);
    const ending = this.#state === 'head' ? headEnd : lineEnd;
    const at = data.indexOf(ending);
    if (at < 0) return undefined;
    const line = data.toString('latin1', 0, at);
    if (this.#state === 'head') this.#head(line);
    else if (this.#state === 'chunk-size') this.#chunkSize(line);
    else if (this.#state === 'chunk-end') this.#state = 'chunk-size';
    else this.#end();
    return data.subarray(at + ending.length);
  }

  #head(head: string): void {
    const status = Number(head.slice(statusAt, statusAt + 3));
    if (!(status >= 100)) throw new Error(`no HTTP/1.1 answer: ${head.slice(0, 80)}`);
    this.sink.begin(status);
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    this.#left = Number(length ?? 0);
    if (this.#left > 0) this.#state = 'length';
    else if (length === undefined && /\r\ntransfer-encoding: *chunked/i.test(head)) this.#state = 'chunk-size';
    else this.#end();
  }

  #body(data: Buffer): Buffer {
    const piece = data.length > this.#left ? data.subarray(0, this.#left) : data;
    this.#left -= piece.length;
    this.sink.data(piece);
    if (this.#left === 0) {
      if (this.#state === 'length') this.#end();
      else this.#state = 'chunk-end';
    }
    return data.subarray(piece.length);
  }

  #chunkSize(line: string): void {
    this.#left = Number.parseInt(line, 16);
    if (!(this.#left >= 0)) throw new Error(`no length of a chunk: ${line.slice(0, 40)}`);
    this.#state = this.#left === 0 ? 'last-end' : 'chunk';
  }

  #end(): void {
    this.#state = 'head';
    this.sink.end();
  }
}
