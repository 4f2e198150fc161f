// header-block.ts
//
// Header blocks of SPDY/3. All blocks of one direction are one zlib stream that begins with a dictionary; each block ends
// with a sync flush, that is on a byte and with no open deflate block. So what a block needs of the stream before it is the
// last 32 KiB of text alone, and each can be inflated for itself, with a limit, and with no native handle to keep or close.
// https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/#2.6.10-Name/Value-Header-Block

import { constants, deflateRawSync, deflateSync, inflateRawSync } from 'node:zlib';
import { headerDictionary } from './dictionary.js';

/** The other side broke the protocol. */
export class SpdyError extends Error {
  override readonly name = 'SpdyError';
}

export type Headers = ReadonlyMap<string, string>;

const windowBytes = 32 * 1024;
/** Clients send a handful of short ones. */
const textBytesMax = 64 * 1024;
const headersMax = 100;
/** CMF, FLG with FDICT, and the checksum of the dictionary. https://www.rfc-editor.org/rfc/rfc1950#section-2.2 */
const zlibHeader = deflateSync(Buffer.alloc(0), { dictionary: headerDictionary }).subarray(0, 6);

/** One per connection and direction. */
export class HeaderBlockReader {
  #window: Buffer = headerDictionary;
  #begun = false;

  /** @throws SpdyError */
  read(block: Buffer): Headers {
    const text = this.#inflate(this.#begun ? block : withoutZlibHeader(block));
    this.#begun = true;
    this.#window = Buffer.concat([this.#window, text]).subarray(-windowBytes);
    return parse(text);
  }

  #inflate(block: Buffer): Buffer {
    try {
      return inflateRawSync(block, { dictionary: this.#window, finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: textBytesMax });
    } catch (error) {
      throw new SpdyError(`a header block cannot be inflated: ${(error as Error).message}`, { cause: error });
    }
  }
}

/** One per connection and direction. */
export class HeaderBlockWriter {
  #begun = false;

  /** @param headers names in lower case */
  write(headers: Headers): Buffer {
    const deflated = deflateRawSync(format(headers), { finishFlush: constants.Z_SYNC_FLUSH });
    if (this.#begun) return deflated;
    this.#begun = true;
    return Buffer.concat([zlibHeader, deflated]);
  }
}

function withoutZlibHeader(block: Buffer): Buffer {
  if (!block.subarray(0, 2 + 4).equals(zlibHeader) && !isOtherLevel(block)) throw new SpdyError('the first header block is not zlib with the dictionary of SPDY/3');
  return block.subarray(zlibHeader.length);
}

/** The second byte says how hard its writer tried, too. */
function isOtherLevel(block: Buffer): boolean {
  const [method, flags] = [block[0] ?? 0, block[1] ?? 0];
  return (method & 0x0f) === 8 && (flags & 0x20) !== 0 && (method * 256 + flags) % 31 === 0 && block.subarray(2, 6).equals(zlibHeader.subarray(2));
}

/** Number of pairs, then name and value of each, all counted in 32 bits. */
function parse(text: Buffer): Headers {
  let at = 0;
  const number = (): number => {
    if (at + 4 > text.length) throw new SpdyError('a header block ends in the middle');
    at += 4;
    return text.readUInt32BE(at - 4);
  };
  const string = (): string => {
    const length = number();
    if (length > text.length - at) throw new SpdyError('a header block ends in the middle');
    at += length;
    return text.toString('utf8', at - length, at);
  };
  const count = number();
  if (count > headersMax) throw new SpdyError(`a header block of ${count} headers: at most ${headersMax} are read`);
  const headers = new Map<string, string>();
  for (let index = 0; index < count; index++) {
    const name = string();
    if (name === '' || headers.has(name)) throw new SpdyError('a header block repeats a name, or has an empty one');
    headers.set(name, string());
  }
  if (at !== text.length) throw new SpdyError('a header block has more bytes than headers');
  return headers;
}

function format(headers: Headers): Buffer {
  const parts: Buffer[] = [];
  const number = (value: number): void => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    parts.push(bytes);
  };
  number(headers.size);
  for (const text of [...headers].flat()) {
    const bytes = Buffer.from(text, 'utf8');
    number(bytes.length);
    parts.push(bytes);
  }
  return Buffer.concat(parts);
}
